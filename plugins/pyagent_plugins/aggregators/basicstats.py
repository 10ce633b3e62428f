"""Count, mean, deviation and other statistics of fields in a period.

Each numeric field of a series becomes `FIELD_count`, `FIELD_mean` and so on. Booleans and text are left out.
"""

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Annotated

from pyagent.api import Accumulator, Aggregator, Metric, Options, option
from pyagent.kit.numbers import divided, seconds_of
from pyagent.kit.records import add_sums

__all__ = ["BasicStats", "BasicStatsOptions"]

_DEFAULT = ("count", "min", "max", "mean", "s2", "stdev")
_KNOWN = frozenset(
    (
        *_DEFAULT,
        *("sum", "diff", "non_negative_diff", "rate", "non_negative_rate", "percent_change", "interval", "last"),
        "first",
    )
)
_OF_TWO = frozenset(
    ("s2", "stdev", "diff", "non_negative_diff", "rate", "non_negative_rate", "percent_change", "interval")
)
_TIMED = frozenset(("rate", "non_negative_rate", "interval"))
_MOST_WAITING = 10_000
"""Values that are kept as they came, over all series, until they are counted in."""


class BasicStatsOptions(Options, frozen=True):
    stats: Annotated[
        list[str] | None,
        option(
            "count, min, max, mean, s2 (variance), stdev, sum, first, last, diff, non_negative_diff, rate, "
            "non_negative_rate, percent_change, interval; without the option the first six"
        ),
    ] = None

    def remarks(self) -> list[tuple[str, str]]:
        unknown = [name for name in self.stats or () if name not in _KNOWN]
        return [("stats", f"names {name!r}, which is no statistic; it is left out") for name in unknown]


class BasicStats(Aggregator[BasicStatsOptions]):
    def setup(self) -> None:
        stats = _DEFAULT if self.options.stats is None else self.options.stats
        self._wanted = [name for name in dict.fromkeys(stats) if name in _KNOWN]
        self._timed = not _TIMED.isdisjoint(self._wanted)
        self._spread = not {"s2", "stdev", "mean"}.isdisjoint(self._wanted)
        # Times so far from each other that 64 bits do not hold the difference are the reference's.
        self._add_sums = None if self._timed else add_sums
        self.reset()

    def reset(self) -> None:
        self._series: dict[tuple[str, frozenset[tuple[str, str]]], _Series] = {}
        self._found: dict[tuple[str, tuple[tuple[str, str], ...]], _Series] = {}
        """The same by the tags in the order in which they came, which is faster."""
        self._waiting = 0
        self._sums: dict[tuple[str, ...], dict[str, _Sums]] = {}
        """What `_found` is for, natively."""

    def add(self, metrics: Sequence[Metric]) -> None:
        if self._add_sums is not None:
            self._add_sums(metrics, self._sums, self._sums_of)
            return
        found, timed = self._found, self._timed
        for metric in metrics:
            tags = tuple(metric.tags.items())
            series = found.get((metric.name, tags))
            if series is None:
                series = found[metric.name, tags] = self._series.setdefault(
                    (metric.name, frozenset(tags)), _Series(metric.name, dict(metric.tags))
                )
            values = series.values
            for name, value in metric.fields.items():
                kind = type(value)
                if kind is str or kind is bool:
                    continue
                try:
                    values[name].append(value)  # type: ignore[arg-type]  # no text: see above
                except KeyError:
                    values[name] = [value]  # type: ignore[list-item]
                if timed:
                    series.times.setdefault(name, []).append(metric.time)
            self._waiting += len(metric.fields)
        if self._waiting > _MOST_WAITING:
            self._count_in()

    def _sums_of(self, metric: Metric) -> "dict[str, _Sums]":
        key = (metric.name, frozenset(metric.tags.items()))
        return self._series.setdefault(key, _Series(metric.name, dict(metric.tags))).sums

    def push(self, acc: Accumulator) -> None:
        self._count_in()
        for series in self._series.values():
            fields: dict[str, float] = {}
            for field, sums in series.sums.items():
                for name in self._wanted:
                    if (name not in _OF_TWO or sums.count > 1) and (value := _statistic(sums, name)) is not None:
                        fields[f"{field}_{name}"] = value
            if fields:
                acc.add(series.name, fields, series.tags)

    def _count_in(self) -> None:
        self._waiting = 0
        for series in self._series.values():
            for name, values in series.values.items():
                if values:
                    series.sums.setdefault(name, _Sums()).count_in(
                        [*map(float, values)], series.times.get(name, ()), spread=self._spread
                    )
                    values.clear()
                    if self._timed:
                        series.times[name].clear()


class _Series:
    __slots__ = ("name", "sums", "tags", "times", "values")

    def __init__(self, name: str, tags: dict[str, str]) -> None:
        self.name = name
        self.tags = tags
        self.sums: dict[str, _Sums] = {}
        self.values: dict[str, list[float]] = {}
        """Of each field, what is not in its sums yet."""
        self.times: dict[str, list[int]] = {}
        """The time of each of these, ns, where that is needed."""


class _Sums:
    """One field of one series."""

    __slots__ = ("count", "first", "interval", "last", "max", "mean", "min", "rate", "squares", "start", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.min = self.max = self.sum = self.mean = self.squares = self.first = self.last = self.rate = 0.0
        self.start = self.interval = 0

    def count_in(self, values: Sequence[float], times: Sequence[int], *, spread: bool) -> None:
        rest = values
        if not self.count:
            self.min = self.max = self.sum = self.mean = self.first = values[0]
            self.count = 1
            self.start = times[0] if times else 0
            rest = values[1:]
        # Only what is smaller or larger counts, as in Telegraf, also where some are NaN.
        self.min = min((self.min, *rest))
        self.max = max((self.max, *rest))
        # One after the other: the last digits depend on the order.
        self.sum = reduce(add, rest, self.sum)
        if spread:
            count, mean, squares = self.count, self.mean, self.squares
            for value in rest:
                count += 1
                delta = value - mean
                mean += delta / count
                squares += delta * (value - mean)
            self.mean, self.squares = mean, squares
        self.count += len(rest)
        self.last = values[-1]
        if times:
            self.interval = times[-1] - self.start
            # The last one of another time than the first one has.
            for value, time in zip(reversed(values), reversed(times), strict=True):
                if time != self.start:
                    self.rate = (value - self.first) / seconds_of(time - self.start)
                    break


def _statistic(sums: _Sums, name: str) -> float | None:
    """None where it has no value."""
    difference = sums.last - sums.first
    match name:
        case "s2" | "stdev":
            variance = sums.squares / (sums.count - 1)
            if name == "s2":
                return variance
            return math.sqrt(variance) if variance >= 0 else math.nan
        case "count":
            return float(sums.count)
        case "diff":
            return difference
        case "non_negative_diff":
            return difference if difference >= 0 else None
        case "non_negative_rate":
            return sums.rate if difference >= 0 else None
        case "percent_change":
            return divided(difference, sums.first) * 100
    value: float = getattr(sums, name)
    return value
