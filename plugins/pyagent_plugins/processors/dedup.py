"""Drops metrics whose values did not change.

It drops those of a series that was let through with the same values a short time ago. They count as delivered.
"""

import json
import time
from typing import Annotated

from pyagent.api import Duration, FieldValue, Metric, Options, Processor, Uint, option

__all__ = ["Dedup", "DedupOptions"]


class DedupOptions(Options, frozen=True):
    dedup_interval: Annotated[
        Duration, option("a metric is let through when the time of the last one that was is as long ago")
    ] = Duration("10m")


class Dedup(Processor[DedupOptions]):
    def setup(self) -> None:
        self._last: dict[tuple[str, frozenset[tuple[str, str]]], tuple[int, dict[str, FieldValue]]] = {}
        """Of each series: time and fields of the last metric that was let through."""
        self._cleaned = time.monotonic_ns()

    def process(self, metrics: list[Metric]) -> list[Metric]:
        last = self._last
        passed: list[Metric] = []
        expired = time.time_ns() - self.options.dedup_interval
        for metric in metrics:
            series = (metric.name, frozenset(metric.tags.items()))
            known = last.get(series)
            if known is None or known[0] <= expired or _differs(metric, *known):
                last[series] = (metric.time, dict(metric.fields))
                passed.append(metric)
            elif metric.time == known[0] and (new := metric.fields.keys() - known[1].keys()):
                # More fields of the same point: they belong to what was let through.
                known[1].update((key, metric.fields[key]) for key in new)
                passed.append(metric)
        self._forget(expired)
        return passed

    def save_state(self) -> bytes:
        """JSON; an unsigned value is a list of one."""
        expired = time.time_ns() - self.options.dedup_interval
        return json.dumps(
            [
                [
                    name,
                    sorted(tags),
                    at,
                    {key: [value] if type(value) is Uint else value for key, value in fields.items()},
                ]
                for (name, tags), (at, fields) in self._last.items()
                if at > expired
            ]
        ).encode()

    def load_state(self, state: bytes) -> None:
        last = {}
        for name, tags, at, fields in json.loads(state):
            values = {key: Uint(value[0]) if isinstance(value, list) else value for key, value in fields.items()}
            last[name, frozenset((key, value) for key, value in tags)] = (int(at), values)
        self._last = last

    def _forget(self, expired: int) -> None:
        """Series that would be let through; not every time, for it costs time."""
        now = time.monotonic_ns()
        if now - self._cleaned >= self.options.dedup_interval:
            self._cleaned = now
            self._last = {series: known for series, known in self._last.items() if known[0] > expired}


def _differs(metric: Metric, time: int, fields: dict[str, FieldValue]) -> bool:
    """Whether a field has another value, or one of another type, than the last time. NaN is another one each time."""
    for key, value in metric.fields.items():
        if key in fields:
            before = fields[key]
            if before != value or type(before) is not type(value):
                return True
    return False
