r"""Patterns for names, as Telegraf's filters understand them (the library gobwas/glob; reference: telegraf 2.2).

`*` any run without a separator, `**` with them too, `?` one character that is no separator, `[abc]`, `[a-z]` and `[!...]`
one character, `{a,b}` alternatives, `\` before a character takes it as it is. Case counts; the whole text must match.
A list in which no `*`, `?` or `[` stands is compared as it is, braces and backslashes included.
"""

from collections.abc import Callable, Sequence

from pyagent.kit.memo import Memo

__all__ = ["Matcher", "Verdicts", "compile_patterns"]

Matcher = Callable[[str], bool]

_CACHE_BYTES = 1 << 20


def compile_patterns(patterns: Sequence[str], separators: str = "") -> Matcher:
    """A test whether a text matches any of the patterns. Raises ValueError for a pattern that is none."""
    if not separators and not any(c in pattern for pattern in patterns for c in "*?["):
        return frozenset(patterns).__contains__
    from pyagent.kit.glob_compiler import compile_globs  # most agents have no pattern

    return Verdicts(compile_globs(patterns, separators)).__getitem__


class Verdicts(Memo[bool]):
    """Answers about texts. Names come again and again, and a look-up costs a tenth of a match. Holds about a megabyte."""

    def __init__(self, judge: Matcher) -> None:
        super().__init__(judge, _CACHE_BYTES)
