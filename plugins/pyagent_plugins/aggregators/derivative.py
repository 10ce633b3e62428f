"""How fast fields change: the difference between a period's first and last value, for each second or by another field.

Each numeric field of a series becomes `FIELD_rate`, from the metrics with the earliest and the latest time.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pyagent.api import Accumulator, Aggregator, FieldValue, Metric, Options, option
from pyagent.kit.numbers import seconds_of

__all__ = ["Derivative", "DerivativeOptions"]


class DerivativeOptions(Options, frozen=True):
    suffix: Annotated[str, option("what stands behind the names of fields")] = "_rate"
    variable: Annotated[
        str, option("the field by whose difference is divided; it gets no result itself. Empty: seconds")
    ] = ""
    max_roll_over: Annotated[
        int, option("periods in a row to which the last metric of a series is carried over as the first", ge=0)
    ] = 10


class Derivative(Aggregator[DerivativeOptions]):
    def setup(self) -> None:
        self._suffix = self.options.suffix.strip()
        self._variable = self.options.variable.strip()
        self._series: dict[tuple[str, frozenset[tuple[str, str]]], _Series] = {}

    def add(self, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            key = (metric.name, frozenset(metric.tags.items()))
            series = self._series.get(key)
            if series is None:
                self._series[key] = _Series(metric)
            else:
                series.add(metric)

    def push(self, acc: Accumulator) -> None:
        for series in self._series.values():
            if fields := self._derivatives(series.first, series.last):
                acc.add(series.name, fields, series.tags)

    def reset(self) -> None:
        """The last metric of a series is the first one of the next period, for some periods without a new one."""
        kept = {}
        for key, series in self._series.items():
            if series.roll_overs < self.options.max_roll_over:
                series.first = series.last
                series.roll_overs += 1
                kept[key] = series
        self._series = kept

    def _derivatives(self, first: "_Event", last: "_Event") -> dict[str, float]:
        if first is last:
            return {}
        if variable := self._variable:
            if variable not in first.values or variable not in last.values:
                return {}
            by = last.values[variable] - first.values[variable]
        else:
            by = seconds_of(last.time - first.time)
        if by == 0:
            return {}
        return {
            f"{name}{self._suffix}": (last.values[name] - value) / by
            for name, value in first.values.items()
            if name != variable and name in last.values
        }


class _Event:
    """The numbers of the metrics of one time."""

    __slots__ = ("time", "values")

    def __init__(self, metric: Metric) -> None:
        self.time = metric.time
        self.values = _numbers(metric.fields)


class _Series:
    __slots__ = ("first", "last", "name", "roll_overs", "tags")

    def __init__(self, metric: Metric) -> None:
        self.name, self.tags = metric.name, dict(metric.tags)
        self.first = self.last = _Event(metric)
        self.roll_overs = 0

    def add(self, metric: Metric) -> None:
        time, first, last = metric.time, self.first, self.last
        if time < first.time:
            self.first = _Event(metric)
        elif time == first.time:
            first.values |= _numbers(metric.fields)
        if time > last.time:
            self.last = _Event(metric)
        elif time == last.time:
            last.values |= _numbers(metric.fields)
        if time <= first.time or time >= last.time:
            self.roll_overs = 0


def _numbers(fields: Mapping[str, FieldValue]) -> dict[str, float]:
    return {name: float(value) for name, value in fields.items() if not isinstance(value, str | bool)}
