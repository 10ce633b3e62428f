"""Quantiles of numbers: exact ones, and those of a t-digest (Dunning and Ertl), step by step as Telegraf's library has it."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from itertools import accumulate
from struct import pack, unpack
from typing import TypeVar

from pyagent.kit.go_random import GoRandom
from pyagent.kit.numbers import divided

__all__ = ["R7", "R8", "Digest", "Exact"]

Number = TypeVar("Number", int, float)
Place = Callable[[float, int], float]
"""Where among so many sorted values a quantile lies, counted from 0."""


def R7(quantile: float, count: int) -> float:
    return quantile * (count - 1.0)


def R8(quantile: float, count: int) -> float:
    return quantile * (count + 1.0 / 3.0) - 2.0 / 3.0


class Exact:
    """All values."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._values: list[float] = []
        self._sorted = True

    def add(self, value: float) -> None:
        self._values.append(value)
        self._sorted = False

    def quantile(self, quantile: float) -> float:
        values = self._values
        if not self._sorted:
            values.sort(key=_nan_first)
            self._sorted = True
        fraction, whole = math.modf(self._place(quantile, len(values)))
        index = int(whole)
        if index + 1 >= len(values):
            return values[-1]
        return values[index] + fraction * (values[index + 1] - values[index])


def _nan_first(value: float) -> tuple[bool, float]:
    return (value == value, value)


class Digest:
    """Values in clusters, which are small where quantiles are near 0 and 1.

    Which of several clusters as near takes a value, and in which order too many are clustered anew, is drawn at random, from
    the same numbers as in Telegraf.
    """

    def __init__(self, compression: float) -> None:
        self._compression = compression
        self._means: list[float] = []
        """Sorted."""
        self._counts: list[int] = []
        """Values in each cluster."""
        self._total = 0
        self._random: GoRandom | None = None
        self._drawn = 0
        """Numbers that were drawn and not looked at; most never are."""

    def add(self, value: float, count: int = 1) -> None:
        means = self._means
        if value != value:
            return
        if not means:
            means.append(value)
            self._counts.append(count)
            self._total = count
            return
        begin, end = self._neighbors(max(bisect_left(means, value) - 1, 0), value)
        nearest = self._candidate(begin, end, count)
        if nearest is None:
            index = bisect_right(means, value)
            means.insert(index, value)
            self._counts.insert(index, count)
        else:
            self._join(nearest, value, count)
        self._total += count
        if len(means) > 20 * self._compression:
            self._compress()

    def quantile(self, quantile: float) -> float:
        means, counts = self._means, self._counts
        if len(means) < 2:
            return means[0] if means else math.nan
        index = quantile * (self._total - 1)
        before = list(accumulate(counts, initial=0))
        at = bisect_right(before, index, hi=len(counts)) - 1
        total = float(before[at])
        mean_before, index_before = math.nan, 0.0
        if at > 0:
            mean_before, index_before = means[at - 1], total - (counts[at - 1] + 1) / 2
        while True:
            here = total + (counts[at] - 1) / 2
            if here >= index:
                if math.isnan(mean_before):
                    if here == index_before:
                        return means[at]
                    following = total + counts[at] + (counts[at + 1] - 1) / 2
                    mean_before = (following * means[at] - here * means[at + 1]) / (following - here)
                return _between(index, index_before, here, mean_before, means[at])
            if at + 1 == len(means):
                last = float(self._total - 1)
                mean_last = divided(
                    means[at] * (last - index_before) - mean_before * (last - here), here - index_before
                )
                return _between(index, here, last, means[at], mean_last)
            total += counts[at]
            mean_before, index_before = means[at], here
            at += 1

    def _neighbors(self, start: int, value: float) -> tuple[int, int]:
        """The first of the nearest clusters, and where those that are as near end."""
        means = self._means
        nearest = _LARGEST
        for index in range(start, len(means)):
            distance = abs(means[index] - value)
            if distance < nearest:
                start, nearest = index, distance
            elif distance > nearest:
                return start, index
        return start, len(means)

    def _candidate(self, begin: int, end: int, count: int) -> int | None:
        """One of these clusters that has room, by lot."""
        chosen, found = None, 0
        before = float(sum(self._counts[:begin]))
        for index in range(begin, end):
            size = self._counts[index]
            quantile = 0.5 if self._total == 1 else (before + (size - 1.0) / 2) / (self._total - 1)
            if size + count <= 4 * self._total * quantile * (1 - quantile) / self._compression:
                found += 1
                if found == 1:
                    self._drawn += 1
                    chosen = index
                elif self._source().float32() < _float32(1 / found):
                    chosen = index
            before += size
        return chosen

    def _join(self, index: int, value: float, count: int) -> None:
        means, counts = self._means, self._counts
        mean, size = means[index], counts[index]
        (low, of_low), (high, of_high) = sorted([(mean, size), (value, count)])
        mean = max(low, min((low * of_low + high * of_high) / (of_low + of_high), high))
        means[index], counts[index] = mean, size + count
        while index + 1 < len(means) and means[index] > means[index + 1]:
            _swap(means, index, index + 1)
            _swap(counts, index, index + 1)
            index += 1
        while index and means[index - 1] > means[index]:
            _swap(means, index, index - 1)
            _swap(counts, index, index - 1)
            index -= 1

    def _compress(self) -> None:
        means, counts = self._means, self._counts
        source = self._source()
        for index in range(len(means) - 1, 1, -1):
            other = source.below(index + 1)
            _swap(means, index, other)
            _swap(counts, index, other)
        self._means, self._counts, self._total = [], [], 0
        for mean, count in zip(means, counts, strict=True):
            self.add(mean, count)

    def _source(self) -> GoRandom:
        if self._random is None:
            self._random = GoRandom(1)
        for _ in range(self._drawn):
            self._random.float32()
        self._drawn = 0
        return self._random


_LARGEST = 1.7976931348623157e308


def _between(index: float, low: float, high: float, mean_low: float, mean_high: float) -> float:
    width = high - low
    return mean_low * divided(high - index, width) + mean_high * divided(index - low, width)


def _float32(value: float) -> float:
    single: float = unpack("f", pack("f", value))[0]
    return single


def _swap(numbers: list[Number], first: int, second: int) -> None:
    numbers[first], numbers[second] = numbers[second], numbers[first]
