"""Answers of a function that are kept, in a bounded piece of memory, for plugins that see the same texts again and again:
`self._renamed = Memo(self._rename)`, then `self._renamed[text]`.
"""

import sys
from collections.abc import Callable
from typing import TypeVar

__all__ = ["KeysMemo", "Memo"]

_ENTRY_BYTES = 100
_PORTION = 100

T = TypeVar("T")


class Memo(dict[str, T]):
    """`memo[text]` is `answer(text)`. A look-up of what is kept costs no more than that of a dict.

    It holds about `most` bytes, then begins anew. A text that would push out a hundred others is not kept. What `answer`
    raises goes to the caller, and is not kept either.
    """

    def __init__(self, answer: Callable[[str], T], most: int = 1 << 18) -> None:
        self._answer = answer
        self._most = most
        self._bytes = 0

    def __missing__(self, text: str) -> T:
        answer = self._answer(text)
        size = sys.getsizeof(text) + sys.getsizeof(answer) + _ENTRY_BYTES
        if size > self._most // _PORTION:
            return answer
        self._bytes += size
        if self._bytes > self._most:
            self.clear()
            self._bytes = size
        self[text] = answer
        return answer


_MOST_KEYS = 5000


class KeysMemo(dict[tuple[str, ...], T]):
    """The same for the keys of tags or fields: `memo[tuple(metric.fields)]`. Metrics of one measurement mostly have the same
    ones, in the same order. It holds as many as have 5,000 keys together, then begins anew."""

    def __init__(self, answer: Callable[[tuple[str, ...]], T]) -> None:
        self._answer = answer
        self._keys = 0

    def __missing__(self, keys: tuple[str, ...]) -> T:
        answer = self._answer(keys)
        if 100 * len(keys) <= _MOST_KEYS and sum(map(len, keys)) <= _MOST_KEYS:
            self._keys += len(keys) + 1
            if self._keys > _MOST_KEYS:
                self.clear()
                self._keys = len(keys) + 1
            self[keys] = answer
        return answer
