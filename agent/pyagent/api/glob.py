r"""Patterns for names, as Telegraf's filters understand them (reference: telegraf 2.2).

`*` any run without a separator, `**` with them too, `?` one character that is no separator, `[abc]`, `[a-z]` and `[!...]`
one character, `{a,b}` alternatives, `\` before a character takes it as it is. Case counts; the whole text must match.
A list in which no `*`, `?` or `[` stands is compared as it is, braces and backslashes included.
"""

import re
from collections.abc import Callable, Sequence

__all__ = ["Matcher", "compile_patterns"]

Matcher = Callable[[str], bool]

_CACHE_SIZE = 10_000


def compile_patterns(patterns: Sequence[str], separators: str = "") -> Matcher:
    """A test whether a text matches any of the patterns. Raises ValueError for a pattern that is none."""
    if not separators and not any(c in pattern for pattern in patterns for c in "*?["):
        return frozenset(patterns).__contains__
    regex = re.compile("|".join(_Translator(pattern, separators).regex() for pattern in patterns), re.DOTALL)
    return _Cached(regex).__getitem__


class _Cached(dict[str, bool]):
    """Answers of a regular expression. Names come again and again, and a look-up costs a tenth of a match."""

    def __init__(self, regex: re.Pattern[str]) -> None:
        self._regex = regex

    def __missing__(self, text: str) -> bool:
        if len(self) >= _CACHE_SIZE:
            self.clear()
        answer = self[text] = self._regex.fullmatch(text) is not None
        return answer


class _Translator:
    """One pattern, read from left to right into a regular expression."""

    def __init__(self, pattern: str, separators: str) -> None:
        self._pattern = pattern
        self._position = 0
        self._one = f"[^{re.escape(separators)}]" if separators else "."
        self._separators = separators

    def regex(self) -> str:
        if self._pattern == "?":
            return f"(?:{self._one})?"  # matches the empty text too, in the library that Telegraf uses
        return f"(?:{self._sequence('', top=True)})"

    def _sequence(self, ends: str, *, top: bool = False) -> str:
        """Up to one of `ends`, or the end of the pattern."""
        runs: list[str] = []
        fixed = [""]  # what stands before, between and after the runs
        plain = True
        while self._position < len(self._pattern) and (self._peek() not in ends):
            character = self._next()
            if character == "*":
                crossing = not self._separators
                if self._peek() == "*":
                    self._next()
                    crossing = True
                runs.append(".*" if crossing else f"{self._one}*")
                fixed.append("")
            elif character == "?":
                fixed[-1] += self._one
                plain = False
            elif character == "[":
                fixed[-1] += self._class()
                plain = False
            elif character == "{":
                fixed[-1] += self._alternatives()
                plain = False
            else:
                fixed[-1] += re.escape(self._next() if character == "\\" and self._peek() else character)
        crossing_only = all(run == ".*" for run in runs)
        if top and plain and crossing_only and len(runs) == 1 and all(fixed):
            # The library tests prefix and suffix on their own: they may overlap, ab*ba matches aba.
            return f"(?={fixed[0]}.*)(?=.*{fixed[1]}\\Z).*"
        text = fixed[0]
        for number, (run, part) in enumerate(zip(runs, fixed[1:], strict=True), 1):
            if crossing_only and "{" not in self._pattern and number < len(runs):
                text += f"(?>.*?{part})"  # as early as possible, for good: else a*a*a*a*b takes for ever
            else:
                text += run + part
        return text

    def _alternatives(self) -> str:
        choices = []
        while True:
            choices.append(self._sequence(",}"))
            if not self._peek() or self._next() == "}":  # an unclosed brace is closed by the end
                return f"(?:{'|'.join(choices)})"

    def _class(self) -> str:
        negated = "^" if self._peek() == "!" and self._next() else ""
        first = self._next()
        if first and self._peek() == "-":
            self._next()
            last = self._next()
            if self._next() != "]":
                raise self._error("a range must be one of the form [a-z]")
            if last < first:
                raise self._error(f"in the range {first}-{last} the second character comes before the first")
            return f"[{negated}{re.escape(first)}-{re.escape(last)}]"
        characters, character = "", first
        while character != "]":
            if not character:
                raise self._error("a [ is not closed")
            characters += self._next() if character == "\\" else character
            character = self._next()
        if not characters:
            raise self._error("[] holds no character")
        return f"[{negated}{re.escape(characters)}]"

    def _peek(self) -> str:
        return self._pattern[self._position : self._position + 1]

    def _next(self) -> str:
        character = self._peek()
        self._position += 1
        return character

    def _error(self, reason: str) -> ValueError:
        return ValueError(f"cannot read the pattern {self._pattern!r}: {reason}")
