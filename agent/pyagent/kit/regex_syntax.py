"""The syntax of RE2, read for Python's `re`: see `pyagent.kit.regex`."""

import re
import sys
from functools import lru_cache

__all__ = ["Translator"]

_Ranges = list[tuple[int, int]]
_LAST = sys.maxunicode
_DIGIT: _Ranges = [(48, 57)]
_SPACE: _Ranges = [(9, 10), (12, 13), (32, 32)]
_WORD: _Ranges = [(48, 57), (65, 90), (95, 95), (97, 122)]
_PERL = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
_POSIX: dict[str, _Ranges] = {
    "alnum": [(48, 57), (65, 90), (97, 122)],
    "alpha": [(65, 90), (97, 122)],
    "ascii": [(0, 127)],
    "blank": [(9, 9), (32, 32)],
    "cntrl": [(0, 31), (127, 127)],
    "digit": _DIGIT,
    "graph": [(33, 126)],
    "lower": [(97, 122)],
    "print": [(32, 126)],
    "punct": [(33, 47), (58, 64), (91, 96), (123, 126)],
    "space": [(9, 13), (32, 32)],
    "upper": [(65, 90)],
    "word": _WORD,
    "xdigit": [(48, 57), (65, 70), (97, 102)],
}
_ONE = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_REPEAT = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_GROUP = re.compile(r"\(\?(?:P?<(?P<name>[A-Za-z0-9_]+)>|(?P<flags>[imsU]*)(?:-(?P<off>[imsU]+))?(?P<end>[:)]))")
_MOST_REPEATS = 1000
_WAYS = 2_000_000
"""Ways to match that Python's `re` may have to try."""
_SHORTEST_TEXT, _LONGEST_TEXT = 32, 1 << 20


class Translator:
    """Reads a pattern from left to right. Flags act on each part as it is written, so a `(?i)` may stand anywhere."""

    def __init__(self, pattern: str, *, properties: bool = True) -> None:
        self._pattern = pattern
        self._properties = properties
        """Whether `\\p{...}` is to be translated; else it is passed over."""
        self._position = 0
        self._depth = 0
        self.groups: list[str] = []
        """The names of the groups so far, in the order in which they open; empty where one has none."""
        self._runs = 0
        """Repetitions without an end."""
        self._ways = 1
        """Ways to go, but for these repetitions."""
        self._nested = ""
        """A repetition of something that can be matched in several ways."""
        self._anchored = self._branches = False
        self._product = 1

    def longest_text(self) -> int:
        """Characters of a text that take no more than a moment. Raises ValueError where even a short one may take longer."""
        if self._nested:
            raise self.error(
                f"{self._nested!r} repeats what can match in several ways, which can take for ever without the library"
                " google-re2; install the extra `regex`"
            )
        powers = self._runs + (not self._anchored)
        longest = int((_WAYS / self._ways) ** (1 / powers)) if powers else _LONGEST_TEXT
        if longest < _SHORTEST_TEXT:
            raise self.error("it can match in too many ways without the library google-re2; install the extra `regex`")
        return min(longest, _LONGEST_TEXT)

    def error(self, reason: str) -> ValueError:
        return ValueError(f"cannot read the regular expression {self._pattern[:100]!r}: {reason}")

    def translated(self) -> str:
        text = self._alternatives(frozenset())
        self._anchored = text.startswith(r"\A") and not self._branches
        if self._position < len(self._pattern):
            raise self.error("a ) closes nothing")
        return text

    # Words --------------------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        return self._pattern[self._position : self._position + 1]

    def _next(self) -> str:
        character = self._peek()
        self._position += 1
        return character

    def _match(self, regex: re.Pattern[str]) -> re.Match[str] | None:
        match = regex.match(self._pattern, self._position)
        if match:
            self._position = match.end()
        return match

    def _take(self, text: str) -> bool:
        if self._pattern.startswith(text, self._position):
            self._position += len(text)
            return True
        return False

    # The pattern ----------------------------------------------------------------------------------------------------

    def _alternatives(self, flags: frozenset[str]) -> str:
        """Up to the end, or the parenthesis that closes the group."""
        parts: list[str] = []
        repeatable = repeated = False
        branches, before = 1, (self._runs, self._ways)  # before the part that may be repeated
        product = most = 1  # of the counts of repetitions within one another
        while self._position < len(self._pattern) and self._peek() != ")":
            if (operator := self._repetition()) is not None:
                if repeated or not repeatable:
                    raise self.error(f"nothing stands before {operator!r} that it could repeat")
                product *= self._count(operator, *before)
                if product > _MOST_REPEATS:
                    raise self.error(f"{operator} repeats repetitions more than {_MOST_REPEATS} times")
                most = max(most, product)
                lazy = self._take("?") != ("U" in flags)
                parts[-1] = f"(?:{parts[-1]}){operator}{'?' if lazy else ''}"
                repeated = True
                continue
            repeated, repeatable, product = False, True, 1
            before = (self._runs, self._ways)
            if self._take("|"):
                branches += 1
                parts.append("|")
                repeatable = False
            elif self._peek() == "(":
                part, flags = self._group(flags)
                product = self._product
                most = max(most, product)
                repeatable = bool(part)
                parts.append(part)
            elif self._take(r"\Q"):
                quoted, _, rest = self._pattern[self._position :].partition(r"\E")
                self._position = len(self._pattern) - len(rest)
                parts += [self._literal(character, flags) for character in quoted]
                repeatable = bool(quoted)
            elif self._take(r"\E"):
                repeatable = bool(parts) and parts[-1] != "|"
            else:
                parts.append(self._atom(flags))
        self._ways = min(self._ways * branches, _WAYS + 1)
        self._branches = branches > 1
        self._product = most
        return "".join(parts)

    def _count(self, operator: str, runs: int, ways: int) -> int:
        """Count the ways to go that a repetition adds; `runs` and `ways`: those before what it repeats. Returns its count."""
        inner_runs, inner_ways = self._runs - runs, self._ways // ways
        if operator == "?":
            low, high = 0, 1
        elif operator in ("*", "+"):
            low, high = 0, -1
        else:
            first, comma, last = operator[1:-1].partition(",")
            low, high = int(first), int(last) if last else -1 if comma else int(first)
        if high < 0:
            if inner_runs or inner_ways > 1:
                self._nested = self._nested or operator
            self._runs += 1
            return max(low, 1)
        self._runs = runs + inner_runs * high
        self._ways = min(ways * inner_ways ** min(high, 50) * (high - low + 1), _WAYS + 1)
        return max(high, 1)

    def _repetition(self) -> str | None:
        if self._peek() in ("*", "+", "?"):
            return self._next()
        match = self._match(_REPEAT) if self._peek() == "{" else None
        if match is None:
            return None
        low, high = int(match[1][:9]), int((match[3] or "0")[:9])
        if max(low, high) > _MOST_REPEATS or (match[3] and high < low):
            raise self.error(f"{match[0]} is no count; counts go up, and to {_MOST_REPEATS}")
        return match[0]

    def _group(self, flags: frozenset[str]) -> tuple[str, frozenset[str]]:
        """A group, and the flags that hold behind it."""
        opening, inner = "(", flags
        if self._pattern.startswith("(?", self._position):
            match = self._match(_GROUP)
            if match is None:
                raise self.error("this kind of group, (?..., is not in RE2's syntax")
            if name := match["name"]:
                # Python knows no name twice, and none that begins with a digit.
                opening = f"(?P<{name}>" if name.isidentifier() and name not in self.groups else "("
                self.groups.append(name)
            else:
                inner = (flags | frozenset(match["flags"])) - frozenset(match["off"] or "")
                if match["end"] == ")":
                    return "", inner
                opening = "(?:"
        else:
            self._next()
            self.groups.append("")
        self._depth += 1
        if self._depth > 100:
            raise self.error("groups are nested too deeply")
        text = self._alternatives(inner)
        self._depth -= 1
        if not self._take(")"):
            raise self.error("a ( is not closed")
        return f"{opening}{text})", flags

    def _atom(self, flags: frozenset[str]) -> str:
        character = self._next()
        if character == ".":
            return "(?s:.)" if "s" in flags else "."
        if character == "^":
            return "(?m:^)" if "m" in flags else r"\A"
        if character == "$":
            return "(?m:$)" if "m" in flags else r"\Z"
        if character == "[":
            return self._insensitive(_written(self._class(flags)), flags)
        if character != "\\":
            return self._literal(character, flags)
        if (anchor := self._peek()) in ("A", "z", "b", "B") and anchor:
            self._next()
            return {"A": r"\A", "z": r"\Z", "b": r"(?a:\b)", "B": r"(?a:\B)"}[anchor]
        escaped = self._escape()
        return (
            self._literal(chr(escaped), flags)
            if isinstance(escaped, int)
            else self._insensitive(_written(escaped), flags)
        )

    @staticmethod
    def _insensitive(text: str, flags: frozenset[str]) -> str:
        return f"(?i:{text})" if "i" in flags else text

    def _literal(self, character: str, flags: frozenset[str]) -> str:
        text = re.escape(character)
        return self._insensitive(text, flags) if character.isalpha() else text

    def _escape(self) -> int | _Ranges:
        """Behind a backslash: one character, or a class of them."""
        character = self._next()
        if character.lower() in _PERL and character:
            ranges = _PERL[character.lower()]
            return ranges if character.islower() else _others(ranges)
        if character in ("p", "P"):
            return self._property(negated=character == "P")
        if character in _ONE:
            return _ONE[character]
        if character == "x":
            match = self._match(re.compile(r"\{([0-9A-Fa-f]{1,8})\}|([0-9A-Fa-f]{2})"))
            if match and (code := int(match[1] or match[2], 16)) <= _LAST:
                return code
        elif character == "0" or (character in "1234567" and self._peek() in tuple("01234567")):
            match = self._match(re.compile("[0-7]{0,2}"))
            return int(character + (match[0] if match else ""), 8)
        elif character and character.isascii() and not character.isalnum():
            return ord(character)
        raise self.error(f"\\{character} is no escape" if character else "it ends with a backslash")

    def _property(self, *, negated: bool) -> _Ranges:
        match = self._match(re.compile(r"\{(\^?)([A-Za-z_]+)\}|()([A-Za-z])"))
        name = (match[2] or match[4]) if match else ""
        if name and not self._properties:
            return [(0, _LAST)]
        if name == "Any":
            ranges: _Ranges = [(0, _LAST)]
        elif re.fullmatch("[CLMNPSZ][a-z]?", name):
            ranges = _category(name)
        else:
            raise self.error(rf"\p{{{name}}} is not known; general categories such as \p{{L}} and \p{{Lu}} are")
        return _others(ranges) if negated != bool(match and match[1]) else ranges

    def _class(self, flags: frozenset[str]) -> _Ranges:
        """Behind a [."""
        negated = self._take("^")
        ranges: _Ranges = []
        first = True
        while first or self._peek() != "]":
            first = False
            if not self._peek():
                raise self.error("a [ is not closed")
            low = self._member()
            if not isinstance(low, int):
                ranges += low
                continue
            high: int | _Ranges = low
            if self._peek() == "-" and self._pattern[self._position + 1 : self._position + 2] not in ("]", ""):
                self._next()
                high = self._member()
            if not isinstance(high, int) or high < low:
                raise self.error("a range of characters goes from a lower to a higher one")
            ranges.append((low, high))
        self._next()
        return _others(_with_cases(ranges) if "i" in flags else ranges) if negated else ranges

    def _member(self) -> int | _Ranges:
        if self._take("[:"):
            name, closed, _ = self._pattern[self._position :].partition(":]")
            if closed and (ranges := _POSIX.get(name.removeprefix("^"))):
                self._position += len(name) + 2
                return _others(ranges) if name.startswith("^") else ranges
            if closed and re.fullmatch(r"\^?[a-z]+", name):
                raise self.error(f"[:{name}:] is no class")
            self._position -= 1  # a bracket like any other character
            return ord("[")
        character = self._next()
        return self._escape() if character == "\\" else ord(character)


def _written(ranges: _Ranges) -> str:
    if not ranges:
        return "(?!)"  # nothing at all
    parts = (_code(low) if low == high else f"{_code(low)}-{_code(high)}" for low, high in ranges)
    return f"[{''.join(parts)}]"


def _code(code: int) -> str:
    return chr(code) if chr(code).isalnum() and code < 128 else f"\\U{code:08x}"


def _others(ranges: _Ranges) -> _Ranges:
    """All characters that are in none of them."""
    found, start = [], 0
    for low, high in sorted(ranges):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    return [*found, (start, _LAST)] if start <= _LAST else found


def _with_cases(ranges: _Ranges) -> _Ranges:
    """With the other case of every letter; of wide ranges of those in ASCII only."""
    found = list(ranges)
    for low, high in ranges:
        for code in range(low, high + 1) if high - low < 1000 else range(max(low, 0), min(high, 127) + 1):
            found += ((ord(case), ord(case)) for case in {chr(code).lower(), chr(code).upper()} if len(case) == 1)
    return found


@lru_cache(maxsize=20)
def _category(name: str) -> _Ranges:
    from unicodedata import category  # a megabyte that few patterns need

    ranges: _Ranges = []
    for code in range(_LAST + 1):
        if category(chr(code)).startswith(name):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    return ranges
