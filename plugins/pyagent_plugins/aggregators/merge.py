"""Metrics of one series and one time become one metric with the fields of all."""

from collections.abc import Sequence
from typing import Annotated

from pyagent.api import Accumulator, Aggregator, Duration, Metric, Options, option

__all__ = ["Merge", "MergeOptions"]

_YEAR_1 = 62_135_596_800 * 10**9
"""Nanoseconds from the beginning of year 1, from which Go rounds, to 1970."""


class MergeOptions(Options, frozen=True):
    round_timestamp_to: Annotated[
        Duration, option("unit that times are rounded to, so that those that differ a little are one; 0: as they are")
    ] = Duration(0)


class Merge(Aggregator[MergeOptions]):
    keeps_times = True

    def setup(self) -> None:
        self._unit = int(self.options.round_timestamp_to)
        self.reset()

    def reset(self) -> None:
        self._merged: dict[tuple[str, int, frozenset[tuple[str, str]]], Metric] = {}

    def add(self, metrics: Sequence[Metric]) -> None:
        merged, unit = self._merged, self._unit
        for metric in metrics:
            time = metric.time
            if unit > 0:
                past = (time + _YEAR_1) % unit
                time += -past if past + past < unit else unit - past
            key = (metric.name, time, frozenset(metric.tags.items()))
            known = merged.get(key)
            if known is None:
                merged[key] = Metric(metric.name, dict(metric.tags), dict(metric.fields), time, metric.kind)
            else:
                known.fields.update(metric.fields)

    def push(self, acc: Accumulator) -> None:
        acc.add_metrics(list(self._merged.values()))
