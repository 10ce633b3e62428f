"""Go's sort.Slice: InfluxDB's storage orders the series of groups by it, and it does not keep the order of equal ones."""

from collections.abc import Callable
from typing import Any, TypeVar

from pyagent.sandbox.limits import check

T = TypeVar("T")

_INSERTION = 12


def go_sorted(items: list[T], key: Callable[[T], bytes]) -> list[T]:
    """The items in the order in which Go's pattern-defeating quicksort leaves them."""
    sorting = _Sorting([(key(item), item) for item in items])
    sorting.sort(0, len(items), len(items).bit_length())
    return [item for _, item in sorting.data]


class _Sorting:
    def __init__(self, data: list[tuple[bytes, Any]]) -> None:
        self.data = data

    def less(self, i: int, j: int) -> bool:
        return bool(self.data[i][0] < self.data[j][0])

    def swap(self, i: int, j: int) -> None:
        data = self.data
        data[i], data[j] = data[j], data[i]

    def sort(self, a: int, b: int, limit: int) -> None:
        balanced = partitioned = True
        while True:
            check()
            length = b - a
            if length <= _INSERTION:
                self.insertion(a, b)
                return
            if limit == 0:
                self.data[a:b] = sorted(self.data[a:b], key=lambda pair: pair[0])
                return
            if not balanced:
                self.break_patterns(a, b)
                limit -= 1
            pivot, swaps = self.choose_pivot(a, b)
            rising = swaps == 0
            if swaps == 12:
                self.data[a:b] = self.data[a:b][::-1]
                pivot = b - 1 - (pivot - a)
                rising = True
            if balanced and partitioned and rising and self.partial_insertion(a, b):
                return
            if a > 0 and not self.less(a - 1, pivot):
                a = self.partition_equal(a, b, pivot)
                continue
            middle, partitioned = self.partition(a, b, pivot)
            left, right = middle - a, b - middle
            balanced = min(left, right) >= length // 8
            if left < right:
                self.sort(a, middle, limit)
                a = middle + 1
            else:
                self.sort(middle + 1, b, limit)
                b = middle

    def insertion(self, a: int, b: int) -> None:
        for i in range(a + 1, b):
            j = i
            while j > a and self.less(j, j - 1):
                self.swap(j, j - 1)
                j -= 1

    def partition(self, a: int, b: int, pivot: int) -> tuple[int, bool]:
        self.swap(a, pivot)
        i, j = a + 1, b - 1
        already = True
        while True:
            while i <= j and self.less(i, a):
                i += 1
            while i <= j and not self.less(j, a):
                j -= 1
            if i > j:
                self.swap(j, a)
                return j, already
            already = False
            self.swap(i, j)
            i += 1
            j -= 1

    def partition_equal(self, a: int, b: int, pivot: int) -> int:
        self.swap(a, pivot)
        i, j = a + 1, b - 1
        while True:
            while i <= j and not self.less(a, i):
                i += 1
            while i <= j and self.less(a, j):
                j -= 1
            if i > j:
                return i
            self.swap(i, j)
            i += 1
            j -= 1

    def partial_insertion(self, a: int, b: int) -> bool:
        i = a + 1
        for _ in range(5):
            while i < b and not self.less(i, i - 1):
                i += 1
            if i == b:
                return True
            if b - a < 50:
                return False
            self.swap(i, i - 1)
            if i - a >= 2:
                for j in range(i - 1, 0, -1):
                    if not self.less(j, j - 1):
                        break
                    self.swap(j, j - 1)
            if b - i >= 2:
                for j in range(i + 1, b):
                    if not self.less(j, j - 1):
                        break
                    self.swap(j, j - 1)
        return False

    def break_patterns(self, a: int, b: int) -> None:
        length = b - a
        if length < 8:
            return
        random, modulus = length, 1 << length.bit_length()
        middle = a + (length // 4) * 2
        for index in range(middle - 1, middle + 2):
            random ^= (random << 13) & (2**64 - 1)
            random ^= random >> 7
            random ^= (random << 17) & (2**64 - 1)
            other = random & (modulus - 1)
            self.swap(index, a + (other - length if other >= length else other))

    def choose_pivot(self, a: int, b: int) -> tuple[int, int]:
        """The place of the pivot, and how many swaps its choice took."""
        length = b - a
        i, j, k = a + length // 4, a + length // 4 * 2, a + length // 4 * 3
        swaps = [0]
        if length >= 50:
            i, j, k = (self.median(at - 1, at, at + 1, swaps) for at in (i, j, k))
        return self.median(i, j, k, swaps), swaps[0]

    def median(self, a: int, b: int, c: int, swaps: list[int]) -> int:
        a, b = self.order(a, b, swaps)
        b, c = self.order(b, c, swaps)
        a, b = self.order(a, b, swaps)
        return b

    def order(self, a: int, b: int, swaps: list[int]) -> tuple[int, int]:
        if self.less(b, a):
            swaps[0] += 1
            return b, a
        return a, b
