"""The last metric of each series, with the time that it had.

By default it comes when the series has ended, that is when nothing came of it for a while.
"""

import time
from collections.abc import Sequence
from typing import Annotated, Literal

from pyagent.api import Accumulator, Aggregator, Duration, Metric, Options, option

__all__ = ["Final", "FinalOptions"]


class FinalOptions(Options, frozen=True):
    output_strategy: Annotated[
        Literal["timeout", "periodic", ""],
        option("timeout (or empty): when the series has ended; periodic: at the end of each period"),
    ] = "timeout"
    series_timeout: Annotated[
        Duration, option("a series has ended when the time of its last metric is as long ago; with timeout")
    ] = Duration("5m")
    keep_original_field_names: Annotated[bool, option("do not put _final behind the names of fields")] = False


class Final(Aggregator[FinalOptions]):
    keeps_times = True

    def setup(self) -> None:
        self._last: dict[tuple[str, frozenset[tuple[str, str]]], Metric] = {}

    def add(self, metrics: Sequence[Metric]) -> None:
        last = self._last
        for metric in metrics:
            last[metric.name, frozenset(metric.tags.items())] = Metric(
                metric.name, dict(metric.tags), dict(metric.fields), metric.time, metric.kind
            )

    def push(self, acc: Accumulator) -> None:
        ended = self._last
        if self.options.output_strategy != "periodic":
            before = time.time_ns() - self.options.series_timeout
            ended = {key: metric for key, metric in ended.items() if metric.time < before}
        ending = "" if self.options.keep_original_field_names else "_final"
        for metric in ended.values():
            acc.add(metric.name, {f"{key}{ending}": v for key, v in metric.fields.items()}, metric.tags, metric.time)
        self._last = {key: metric for key, metric in self._last.items() if key not in ended}

    def reset(self) -> None:
        """What has not ended goes on in the next period."""
