"""What is kept of a series between two gathers: sums, last values, members, running statistics."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import mul
from random import random

__all__ = ["Counter", "Gauge", "Series", "Set", "State", "Timing"]

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_MEDIAN = 1000
"""Values that a median is of: the last ones."""


class Counter:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, value: int) -> None:
        self.value = min(max(self.value + value, _INT64_MIN), _INT64_MAX)


class Gauge:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Set:
    __slots__ = ("members",)

    def __init__(self) -> None:
        self.members: set[bytes] = set()


class Timing:
    """Mean and variance are kept as sums of differences from the first value, added up one by one."""

    __slots__ = ("_differences", "_first", "_kept", "_last", "_limit", "_squares", "count", "lower", "total", "upper")

    def __init__(self, limit: int) -> None:
        """`limit`: values that are kept for percentiles; 0: none."""
        self.count = 0
        self.total = self.lower = self.upper = 0.0
        self._first = self._differences = self._squares = 0.0
        self._limit = limit
        self._kept: list[float] = []
        self._last: deque[float] = deque(maxlen=_MEDIAN)

    def add(self, values: Sequence[float]) -> None:
        if not values:
            return
        if not self.count:
            self._first = self.lower = self.upper = values[0]
        first = self._first
        differences = [value - first for value in values]
        self._differences = _sum(differences, self._differences)
        self._squares = _sum(map(mul, differences, differences), self._squares)
        self.total = _sum(values, self.total)
        self.upper, self.lower = max(self.upper, max(values)), min(self.lower, min(values))
        self.count += len(values)
        self._last.extend(values)
        if not self._limit:
            return
        kept, room = self._kept, self._limit - len(self._kept)
        kept += values[:room]
        for value in values[room:]:
            kept[int(random() * len(kept))] = value  # noqa: S311  # no secret

    def fields(self, percentiles: Sequence[tuple[str, float]]) -> dict[str, float | int]:
        """Without the count, which is not zero. `percentiles`: names and what is asked for, in percent."""
        count, differences = self.count, self._differences
        variance = (self._squares - differences * differences / count) / count
        last = sorted(self._last)
        half = len(last) // 2
        found: dict[str, float | int] = {
            "mean": self._first + differences / count,
            "median": last[half] if len(last) % 2 else (last[half - 1] + last[half]) / 2,
            "stddev": math.sqrt(variance) if variance > 0 else 0.0,
            "sum": self.total,
            "upper": self.upper,
            "lower": self.lower,
        }
        if percentiles:
            self._kept.sort()
            most = len(self._kept)
            for name, percent in percentiles:
                found[name] = self._kept[max(0, min(int(most * min(percent, 100.0) / 100.0), most - 1))]
        return found


State = Counter | Gauge | Set | Timing


@dataclass(slots=True)
class Series:
    """A measurement with its tags. `updated`: when a value came last, monotonic seconds."""

    name: str
    tags: dict[str, str]
    fields: dict[str, State] = field(default_factory=dict)
    updated: float = 0.0


def _sum(values: Iterable[float], start: float) -> float:
    """One after the other, in every version of Python."""
    return deque(accumulate(values, initial=start), maxlen=1)[0]
