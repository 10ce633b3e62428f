"""Metrics beside those that a case expects: what counts as equal, and how a difference is shown."""

import difflib
import math
from collections import Counter
from collections.abc import Collection, Sequence

from pyagent.api import LineOptions, Metric, Uint
from pyagent.lineprotocol import encode, parse

__all__ = ["differences", "expected_metrics", "has_times", "written"]

NO_TIME = -(2**63) + 2
"""Stands for the time of a line that has none."""


def expected_metrics(text: bytes) -> list[Metric]:
    """The metrics of an `expected.out`; those without a time have NO_TIME. Raises ValueError for a line that is none."""
    parsed = parse(text, NO_TIME)
    if parsed.errors:
        raise ValueError(f"expected.out: {parsed.errors[0]}")
    return parsed.metrics


def has_times(metrics: Sequence[Metric]) -> bool:
    """Whether every one has a time: then times are compared."""
    return bool(metrics) and all(metric.time != NO_TIME for metric in metrics)


def differences(
    wanted: Sequence[Metric], got: Sequence[Metric], *, varies: Collection[str] = (), times: bool | None = None
) -> list[str]:
    """The lines of a diff; none where both are the same metrics, in whatever order.

    `varies`: what is not compared: `FIELD` or `MEASUREMENT.FIELD` (its type still is), `any:FIELD` (nor its type), `tag:TAG`
    (that it is there still is), `lines:MEASUREMENT` and `lines:*` (how many equal ones there are), `fields:*` (fields that only
    one side has: versions of a server differ), `series:*` (the same, and measurements with tags that only one side has; one at
    least must be on both), `*` (all values of fields).
    `times`: whether times count; None: where all that is wanted has one.
    """
    times = has_times(wanted) if times is None else times
    if "series:*" in varies:
        both = [_of_both(wanted, got, varies), _of_both(got, wanted, varies)]
        if wanted and not both[0]:
            return [f"nothing that is expected was emitted, but {len(got)} other metrics"]
        wanted, got = both
    elif "fields:*" in varies:
        wanted, got = _of_both(wanted, got), _of_both(got, wanted)
    left, right = (sorted(_comparable(metrics, varies, times)) for metrics in (wanted, got))
    return [
        line
        for line in difflib.unified_diff(left, right, "expected", "emitted", lineterm="", n=0)
        if not line.startswith("@@")
    ]


def _of_both(
    metrics: Sequence[Metric], others: Sequence[Metric], varies: Collection[str] | None = None
) -> list[Metric]:
    """The metrics with those of their fields that a metric of their name among the others has.

    `varies`: one with the same tags, but for the values that vary; a metric that has no such field is left out.
    """

    def key(metric: Metric) -> str:
        return metric.name if varies is None else f"{metric.name}{_tags(metric, varies)}"

    names: dict[str, set[str]] = {}
    for metric in others:
        names.setdefault(key(metric), set()).update(metric.fields)
    found = []
    for metric in metrics:
        fields = {name: value for name, value in metric.fields.items() if name in names.get(key(metric), ())}
        if fields or varies is None:
            found.append(Metric(metric.name, metric.tags, fields, metric.time))
    return found


def _comparable(metrics: Sequence[Metric], varies: Collection[str], times: bool) -> list[str]:
    counted = Counter(_text(metric, varies, times) for metric in metrics)
    names = {_text(metric, varies, times): metric.name for metric in metrics}
    return [
        text
        for text, count in counted.items()
        for _ in range(1 if {"lines:*", f"lines:{names[text]}"} & set(varies) else count)
    ]


def _text(metric: Metric, varies: Collection[str], times: bool) -> str:
    """As line protocol for people: what varies is `*`, and each type still shows. Values that no line can have, which no output
    gets either, are left out."""
    written = (
        (name, value)
        for name, value in sorted(metric.fields.items())
        if not isinstance(value, float) or math.isfinite(value)
    )
    fields = ",".join(
        f"{name}={'?' if f'any:{name}' in varies else _value(value, bool({'*', name, f'{metric.name}.{name}'} & set(varies)))}"
        for name, value in written
    )
    return f"{metric.name}{_tags(metric, varies)} {fields}" + (f" {metric.time}" if times else "")


def _tags(metric: Metric, varies: Collection[str]) -> str:
    return "".join(
        f",{name}={'*' if f'tag:{name}' in varies else value!r}" for name, value in sorted(metric.tags.items())
    )


def _value(value: object, hidden: bool) -> str:
    if isinstance(value, bool):
        return "* (bool)" if hidden else str(value).lower()
    if isinstance(value, Uint):
        return "*u" if hidden else f"{int(value)}u"
    if isinstance(value, int):
        return "*i" if hidden else f"{value}i"
    if isinstance(value, float):
        return "*" if hidden else repr(value).removesuffix(".0")
    return '"*"' if hidden else f'"{value}"'


def written(metrics: Sequence[Metric], *, times: bool) -> bytes:
    """An `expected.out`: sorted line protocol, fields sorted, unsigned integers with `u`."""
    options = LineOptions(uint_support=True, sort_fields=True, omit_timestamp=not times)
    encoded = encode(list(metrics), options)
    if encoded.rejected:
        metric, reason = encoded.rejected[0]
        raise AssertionError(f"cannot encode a metric of {metric.name!r}: {reason}")
    bounds = zip([0, *encoded.ends], encoded.ends, strict=False)
    return b"".join(sorted(encoded.data[start:end] for start, end in bounds))
