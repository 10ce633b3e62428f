"""Answers of a function that are kept, in a bounded piece of memory, for plugins that see the same texts again and again:
`self._renamed = Memo(self._rename)`, then `self._renamed[text]`.
"""

import sys
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Memo"]

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
