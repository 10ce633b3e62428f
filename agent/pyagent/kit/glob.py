r"""Patterns for names, as Telegraf's filters understand them (the library gobwas/glob; reference: telegraf 2.2).

`*` any run without a separator, `**` with them too, `?` one character that is no separator, `[abc]`, `[a-z]` and `[!...]`
one character, `{a,b}` alternatives, `\` before a character takes it as it is. Case counts; the whole text must match.
A list in which no `*`, `?` or `[` stands is compared as it is, braces and backslashes included.
"""

import sys
from collections.abc import Callable, Sequence

__all__ = ["Matcher", "Verdicts", "compile_patterns"]

Matcher = Callable[[str], bool]

_CACHE_BYTES = 1 << 20
_ENTRY_BYTES = 100
"""What an entry of a dict takes beside its key, roughly."""


def compile_patterns(patterns: Sequence[str], separators: str = "") -> Matcher:
    """A test whether a text matches any of the patterns. Raises ValueError for a pattern that is none."""
    if not separators and not any(c in pattern for pattern in patterns for c in "*?["):
        return frozenset(patterns).__contains__
    from pyagent.kit.glob_compiler import compile_globs  # most agents have no pattern

    return Verdicts(compile_globs(patterns, separators)).__getitem__


class Verdicts(dict[str, bool]):
    """Answers about texts. Names come again and again, and a look-up costs a tenth of a match. Holds about a megabyte."""

    def __init__(self, judge: Matcher) -> None:
        self._judge = judge
        self._bytes = 0

    def __missing__(self, text: str) -> bool:
        answer = self._judge(text)
        size = sys.getsizeof(text) + _ENTRY_BYTES
        if size > _CACHE_BYTES // 100:
            return answer  # it would push out a hundred others
        self._bytes += size
        if self._bytes > _CACHE_BYTES:
            self.clear()
            self._bytes = size
        self[text] = answer
        return answer
