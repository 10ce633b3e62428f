"""Metrics on their way to the encoder: the reference, in plain Python. The native core does the same.

What they make is what the slower ways of the pipeline would make: `plain_metric` knows only arguments of plain types, and
leaves all others to `Accumulator.add`.
"""

from collections.abc import Iterable
from typing import Any

from pyagent.api.metric import INT64_MAX, INT64_MIN, UINT64_MAX, Metric, MetricType, Uint

__all__ = ["add_tags", "plain_metric", "round_times"]

_YEAR_ONE = 62_135_596_800_000_000_000
"""Nanoseconds from 0001-01-01 to 1970-01-01."""


def plain_metric(
    name: Any, fields: Any, tags: Any, time: Any, kind: Any, pins: dict[str, dict[str, type]]
) -> Metric | None:
    """A metric of fresh dicts, where every argument is of a plain type: a name that is not empty, dicts whose keys are str,
    tags that are str, fields of the types of the wire, within their ranges, and of the types that `pins` has for them (by
    measurement, by field); an int becomes a float where that is declared, None is no field. None where anything is else, or no
    field is left. Never raises."""
    if type(name) is not str or not name or type(fields) is not dict or type(time) is not int:
        return None
    if type(kind) is not MetricType or not (tags is None or type(tags) is dict):
        return None
    for key, tag in tags.items() if tags else ():
        if type(key) is not str or type(tag) is not str:
            return None
    declared = pins.get(name)
    plain: dict[str, Any] = {}
    for key, value in fields.items():
        if type(key) is not str:
            return None
        pin = declared.get(key) if declared else None
        found = type(value)
        if found is int:
            if not INT64_MIN <= value <= INT64_MAX:
                return None
            if pin is float:
                plain[key] = float(value)
                continue
        elif found is Uint:
            if not 0 <= value <= UINT64_MAX:
                return None
        elif value is None:
            continue
        elif found is not float and found is not str and found is not bool:
            return None
        if pin is not None and pin is not found:
            return None
        plain[key] = value
    return Metric(name, dict(tags) if tags else {}, plain, time, kind) if plain else None


def round_times(metrics: Iterable[Metric], precision: int) -> None:
    """Round the times to the nearest multiples of `precision` ns counted from year 1, halves towards later; 0 and 1: as they
    are."""
    if precision > 1:
        shift = _YEAR_ONE + precision // 2
        for metric in metrics:
            metric.time = (metric.time + shift) // precision * precision - _YEAR_ONE


def add_tags(metrics: Iterable[Metric], tags: tuple[tuple[str, str], ...]) -> None:
    """Give each metric a new dict of tags: `tags`, and over them its own."""
    if tags:
        added = dict(tags)
        for metric in metrics:
            metric.tags = {**added, **metric.tags}
