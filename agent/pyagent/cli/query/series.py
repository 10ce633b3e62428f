"""Numbers of a series in bounded memory, for pictures of it: however many come, a few hundred are kept."""

import math
from collections.abc import Iterator

__all__ = ["Outline", "Trace"]


class Trace:
    """The course of values in at most `width` steps: each is the mean of as many values."""

    def __init__(self, width: int) -> None:
        self._most = max(width, 2)
        self._steps: list[tuple[float, int]] = []
        self._per_step = 1
        self.least = math.inf
        self.most = -math.inf

    def add(self, value: float) -> None:
        """NaN and infinite ones are left out."""
        if not math.isfinite(value):
            return
        self.least, self.most = min(self.least, value), max(self.most, value)
        if self._steps and self._steps[-1][1] < self._per_step:
            mean, count = self._steps[-1]
            self._steps[-1] = (mean + (value - mean) / (count + 1), count + 1)
            return
        if len(self._steps) == self._most:
            self._per_step *= 2
            pairs = zip(self._steps[::2], [*self._steps[1::2], (0.0, 0)], strict=False)
            self._steps = [_together(first, second) for first, second in pairs]
            self.add(value)
            return
        self._steps.append((value, 1))

    def values(self) -> list[float]:
        return [mean for mean, _ in self._steps]


class Outline:
    """Points `(seconds, value)` of a line: of each stretch the least and the most, so that no peak is lost."""

    def __init__(self, most: int = 2000) -> None:
        self._most = most
        self._points: list[tuple[float, float]] = []
        self.count = 0
        """How many there were."""

    def add(self, seconds: float, value: float) -> None:
        if not math.isfinite(value):
            return
        self.count += 1
        self._points.append((seconds, value))
        if len(self._points) > self._most:
            self._points = list(self._thinned())

    def points(self) -> list[tuple[float, float]]:
        return sorted(self._points)

    def _thinned(self) -> Iterator[tuple[float, float]]:
        points = self.points()
        for start in range(0, len(points), 4):
            four = points[start : start + 4]
            yield from sorted({min(four, key=_value), max(four, key=_value)})


def _together(one: tuple[float, int], other: tuple[float, int]) -> tuple[float, int]:
    count = one[1] + other[1]
    return one[0] + (other[0] - one[0]) * other[1] / count, count


def _value(point: tuple[float, float]) -> float:
    return point[1]
