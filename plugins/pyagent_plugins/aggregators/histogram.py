"""How often values of fields fall into ranges.

Each range of a field is a metric with the tag `le`, its upper bound, and the field `FIELD_bucket`. The counts go on from one
period to the next unless `reset` is set.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Annotated

from pyagent.api import Accumulator, Aggregator, Duration, Metric, Options, option
from pyagent.api.units import format_number

__all__ = ["Histogram", "HistogramConfig", "HistogramOptions"]


class HistogramConfig(Options, frozen=True):
    measurement_name: Annotated[str, option("the measurement")] = ""
    fields: Annotated[list[str], option("its fields; empty: all of them")] = []
    buckets: Annotated[
        list[float] | None,
        option("upper bounds of the ranges, each included; the last range is without one. Unset: nothing is counted"),
    ] = None


class HistogramOptions(Options, frozen=True):
    config: Annotated[list[HistogramConfig], option("which values are counted; one table each")] = []
    reset: Annotated[bool, option("begin at 0 in each period")] = False
    cumulative: Annotated[
        bool, option("each range includes the lower ones; false: with the tag `gt`, its lower bound")
    ] = True
    expiration_interval: Annotated[
        Duration, option("forget a series from which nothing came for so long; 0: never")
    ] = Duration(0)
    push_only_on_update: Annotated[bool, option("only series from which something came in the period")] = False


_Config = tuple[frozenset[str], list[float] | None]
"""Fields, none for all, and their bounds."""


class Histogram(Aggregator[HistogramOptions]):
    def setup(self) -> None:
        self._configs: dict[str, list[_Config]] = {}
        for config in reversed(self.options.config):
            bounds = None if config.buckets is None else sorted(config.buckets)
            self._configs.setdefault(config.measurement_name, []).append((frozenset(config.fields), bounds))
        self._series: dict[tuple[str, frozenset[tuple[str, str]]], _Series] = {}

    def add(self, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            if (configs := self._configs.get(metric.name)) is None:
                continue
            bounds = {name: found for name in metric.fields if (found := _bounds(configs, name)) is not None}
            if not bounds:
                continue
            key = (metric.name, frozenset(metric.tags.items()))
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = _Series(metric)
            series.updated, series.at = True, time.monotonic_ns()
            for name, found in bounds.items():
                series.count(name, found, metric.fields[name])

    def push(self, acc: Accumulator) -> None:
        if expires := self.options.expiration_interval:
            before = time.monotonic_ns() - expires
            self._series = {key: series for key, series in self._series.items() if series.at >= before}
        found: dict[tuple[str, frozenset[tuple[str, str]]], tuple[dict[str, str], dict[str, int]]] = {}
        for series in self._series.values():
            if self.options.push_only_on_update and not series.updated:
                continue
            series.updated = False
            for field, counted in series.counts.items():
                for tags, count in self._ranges(series.tags, *counted):
                    _, fields = found.setdefault((series.name, frozenset(tags.items())), (tags, {}))
                    fields[f"{field}_bucket"] = count
        for (name, _), (tags, fields) in found.items():
            acc.add(name, fields, tags)

    def reset(self) -> None:
        if self.options.reset:
            self._series.clear()

    def _ranges(
        self, tags: dict[str, str], bounds: Sequence[float], counts: Sequence[int]
    ) -> Iterator[tuple[dict[str, str], int]]:
        shown = [*map(_shown, bounds), "+Inf"]
        total = 0
        for index, count in enumerate(counts):
            if self.options.cumulative:
                total += count
                yield {**tags, "le": shown[index]}, total
            else:
                yield {**tags, "gt": shown[index - 1] if index else "-Inf", "le": shown[index]}, count


class _Series:
    __slots__ = ("at", "counts", "name", "tags", "updated")

    def __init__(self, metric: Metric) -> None:
        self.name, self.tags = metric.name, dict(metric.tags)
        self.counts: dict[str, tuple[Sequence[float], list[int]]] = {}
        """Of each field the upper bounds, and the numbers of values in the ranges, of which there is one more."""
        self.updated = True
        self.at = 0
        """When the last value came, ns of the monotonic clock."""

    def count(self, name: str, bounds: Sequence[float], value: object) -> None:
        """A field that has no number has ranges, too. Unsigned values count as none, as in Telegraf."""
        _, counts = self.counts.setdefault(name, (bounds, [0] * (len(bounds) + 1)))
        kind = type(value)
        if kind is float or kind is int:
            number = float(value)  # type: ignore[arg-type]  # no text: see above
            counts[len(bounds) if number != number else bisect_left(bounds, number)] += 1


def _bounds(configs: Sequence[_Config], field: str) -> list[float] | None:
    """Of several configurations that are about one field the last one counts, and that is the first one here."""
    return next((bounds for fields, bounds in configs if not fields or field in fields), None)


def _shown(bound: float) -> str:
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(str(bound)) or format_number(bound)
