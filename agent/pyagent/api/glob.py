r"""Patterns for names, as Telegraf's filters understand them (the library gobwas/glob; reference: telegraf 2.2).

`*` any run without a separator, `**` with them too, `?` one character that is no separator, `[abc]`, `[a-z]` and `[!...]`
one character, `{a,b}` alternatives, `\` before a character takes it as it is. Case counts; the whole text must match.
A list in which no `*`, `?` or `[` stands is compared as it is, braces and backslashes included.

Names come from anybody, so a match takes time in proportion to the name's length, whatever the pattern. Where Python's `re`
can do that without ever going back, it does; all other patterns of a list become one automaton.
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

__all__ = ["Matcher", "Verdicts", "compile_patterns"]

Matcher = Callable[[str], bool]

_CACHE_BYTES = 1 << 20
_ENTRY_BYTES = 100
"""What an entry of a dict takes beside its key, roughly."""
_MOST_SPELLED_OUT, _MOST_ITEMS = 1000, 100_000
"""Patterns that the braces of one are replaced by, and parts of all of them in a list."""
_MOST_CHOICES = 100
"""Braces in a list that are not, as there would be too many."""
_MOST_NESTED = 50


def compile_patterns(patterns: Sequence[str], separators: str = "") -> Matcher:
    """A test whether a text matches any of the patterns. Raises ValueError for a pattern that is none."""
    if not separators and not any(c in pattern for pattern in patterns for c in "*?["):
        return frozenset(patterns).__contains__
    plain = frozenset(pattern for pattern in patterns if not any(c in pattern for c in "*?[{\\"))
    expressions: list[str] = []
    automaton = _Automaton(separators)
    room = _MOST_ITEMS
    for pattern in patterns:
        if pattern in plain:
            continue
        parser = _Parser(pattern, separators)
        items = parser.parsed()
        count, length = _extent(items)
        if count > _MOST_SPELLED_OUT or count * length > room:
            spelled_out = [items]
        else:
            room -= count * length
            spelled_out = _spelled_out(items)
        for one in spelled_out:
            expression = _expression(one, separators, overlapping=parser.plain)
            if expression is None:
                automaton.add(one)
            else:
                expressions.append(expression)
    if automaton.choices > _MOST_CHOICES:
        raise ValueError(
            "cannot use these patterns: their braces stand for too many alternatives; make several of them"
        )
    regex = re.compile("|".join(expressions), re.DOTALL) if expressions else None

    def matches(text: str) -> bool:
        return (
            text in plain
            or (regex is not None and regex.fullmatch(text) is not None)
            or (automaton.size > 0 and automaton.matches(text))
        )

    return Verdicts(matches).__getitem__


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


# A pattern's parts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _One:
    """One character: of these ranges or, negated, of none of them."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def takes(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.negated

    def expression(self) -> str:
        if not self.ranges:
            return "."
        if len(self.ranges) == 1 and self.ranges[0][0] == self.ranges[0][1] and not self.negated:
            return re.escape(self.ranges[0][0])
        parts = (re.escape(low) + (f"-{re.escape(high)}" if high != low else "") for low, high in self.ranges)
        return f"[{'^' if self.negated else ''}{''.join(parts)}]"


@dataclass(frozen=True, slots=True)
class _Run:
    """Any number of characters, with separators among them where it is crossing."""

    crossing: bool


@dataclass(frozen=True, slots=True)
class _Choice:
    sequences: "tuple[_Items, ...]"


_Item = _One | _Run | _Choice
_Items = tuple[_Item, ...]


class _Parser:
    """One pattern, read from left to right."""

    def __init__(self, pattern: str, separators: str) -> None:
        self._pattern = pattern
        self._position = 0
        self._any = _One(tuple((c, c) for c in separators), negated=True)
        self._separators = separators
        self._depth = 0
        self.plain = True
        """It has no wildcards but stars, no two of them side by side."""

    def parsed(self) -> _Items:
        if self._pattern == "?":
            self.plain = False
            return (_Choice(((self._any,), ())),)  # the empty text too, in the library that Telegraf uses
        return self._sequence("")

    def _sequence(self, ends: str) -> _Items:
        """Up to one of `ends`, or the end of the pattern."""
        items: list[_Item] = []
        while self._position < len(self._pattern) and (self._peek() not in ends):
            character = self._next()
            if character == "*":
                run = _Run(not self._separators)
                if self._peek() == "*":
                    self._next()
                    run = _Run(True)
                # Of two runs side by side the one that crosses is enough, and one of two that do not.
                if items and isinstance(before := items[-1], _Run):
                    run = _Run(run.crossing or before.crossing)
                    items.pop()
                    self.plain = False
                items.append(run)
                continue
            if character == "?":
                items.append(self._any)
            elif character == "[":
                items.append(self._class())
            elif character == "{":
                items += self._alternatives()
            else:
                if character == "\\" and self._peek():
                    character = self._next()
                items.append(_One(((character, character),)))
                continue
            self.plain = False
        return tuple(items)

    def _alternatives(self) -> _Items:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._error("braces are nested too deeply")
        choices: dict[_Items, None] = {}
        while True:
            choices[self._sequence(",}")] = None
            if not self._peek() or self._next() == "}":  # an unclosed brace is closed by the end
                break
        self._depth -= 1
        sequences = tuple(choices)
        if len(sequences) == 1:
            return sequences[0]
        ranges: dict[tuple[str, str], None] = {}
        for sequence in sequences:
            if len(sequence) != 1 or not isinstance(one := sequence[0], _One) or one.negated:
                return (_Choice(sequences),)
            ranges |= dict.fromkeys(one.ranges)
        return (_One(tuple(ranges)),)  # {a,b} is [ab]

    def _class(self) -> _One:
        negated = bool(self._peek() == "!" and self._next())
        first = self._next()
        if first and self._peek() == "-":
            self._next()
            last = self._next()
            if self._next() != "]":
                raise self._error("a range must be one of the form [a-z]")
            if last < first:
                raise self._error(f"in the range {first}-{last} the second character comes before the first")
            return _One(((first, last),), negated)
        characters, character = [], first
        while character != "]":
            if not character:
                raise self._error("a [ is not closed")
            characters.append(self._next() if character == "\\" else character)
            character = self._next()
        if not characters:
            raise self._error("[] holds no character")
        return _One(tuple((c, c) for c in dict.fromkeys(characters)), negated)

    def _peek(self) -> str:
        return self._pattern[self._position : self._position + 1]

    def _next(self) -> str:
        character = self._peek()
        self._position += 1
        return character

    def _error(self, reason: str) -> ValueError:
        return ValueError(f"cannot read the pattern {self._pattern[:100]!r}: {reason}")


def _extent(items: _Items) -> tuple[int, int]:
    """How many sequences without choices stand for this one, and the length of the longest."""
    choices = [[_extent(sequence) for sequence in item.sequences] for item in items if isinstance(item, _Choice)]
    count = prod(sum(count for count, _ in choice) for choice in choices)
    return count, len(items) - len(choices) + sum(max(length for _, length in choice) for choice in choices)


def _spelled_out(items: _Items) -> list[_Items]:
    """The sequences without choices that stand for this one."""
    parts = [
        [one for sequence in item.sequences for one in _spelled_out(sequence)]
        if isinstance(item, _Choice)
        else [(item,)]
        for item in items
    ]
    return list(dict.fromkeys(tuple(item for part in chosen for item in part) for chosen in product(*parts)))


# Matching -----------------------------------------------------------------------------------------------------------------


def _expression(items: _Items, separators: str, *, overlapping: bool) -> str | None:
    """A regular expression that never goes back further than to its last run; None where there is none.

    What stands between two runs is taken where it comes first, for good: else a*a*a*a*b takes for ever. That is right where
    all runs are of one kind, and no part of it may be a separator as well as something else.
    """
    runs: list[_Run] = []
    fixed = [""]  # what stands before, between and after the runs
    for item in items:
        if isinstance(item, _Choice):
            return None
        if isinstance(item, _Run):
            runs.append(item)
            fixed.append("")
        else:
            fixed[-1] += item.expression()
    crossing = all(run.crossing for run in runs)
    if not crossing:
        if any(run.crossing for run in runs):
            return None
        characters = [item for item in items if isinstance(item, _One) and item.ranges]
        if len(runs) > 1 and any(_unsure(one, separators) for one in characters):
            return None
    if overlapping and crossing and len(runs) == 1 and all(fixed):
        # The library tests prefix and suffix on their own: they may overlap, ab*ba matches aba.
        return f"(?:(?={fixed[0]}.*)(?=.*{fixed[1]}\\Z).*)"
    run = "." if crossing else _One(tuple((c, c) for c in separators), negated=True).expression()
    between = "".join(f"(?>{run}*?{part})" for part in fixed[1:-1])
    return f"(?:{fixed[0]}{between}{f'{run}*{fixed[-1]}' if runs else ''})"


def _unsure(one: _One, separators: str) -> bool:
    """It takes a separator, and something else too."""
    return any(map(one.takes, separators)) and (
        one.negated or one.ranges[1:] != () or one.ranges[0][0] != one.ranges[0][1]
    )


class _Automaton:
    """Sequences side by side. A bit of a number stands for each place in them; all that are reached move on at once
    (Baeza-Yates and Gonnet, A New Approach to Text Searching, 1992)."""

    def __init__(self, separators: str) -> None:
        self.size = 0
        """Places."""
        self.choices = 0
        self._separators = separators
        self._first = self._last = 0
        self._moves: list[tuple[_One, int]] = []
        self._crossing = self._staying = 0
        """Places where any character, or any that is no separator, may be passed over."""
        self._jumps: list[tuple[int, int]] = []
        """Whoever reaches one of the first reaches all of the second, without a character; from left to right."""
        self._characters: dict[str, tuple[int, int]] = {}

    def add(self, items: _Items) -> None:
        self._first |= 1 << self.size
        self._last |= 1 << self._sequence(items)

    def _sequence(self, items: _Items) -> int:
        """Returns its last place."""
        place = self._place()
        for item in items:
            if isinstance(item, _One):
                self._moves.append((item, 1 << place))
                place = self._place()
            elif isinstance(item, _Run):
                if item.crossing:
                    self._crossing |= 1 << place
                else:
                    self._staying |= 1 << place
            else:
                self.choices += 1
                into = out_of = 0
                entry = len(self._jumps)
                self._jumps.append((0, 0))
                for sequence in item.sequences:
                    into |= 1 << self.size
                    out_of |= 1 << self._sequence(sequence)
                self._jumps[entry] = (1 << place, into)
                place = self._place()
                self._jumps.append((out_of, 1 << place))
        return place

    def _place(self) -> int:
        self.size += 1
        return self.size - 1

    def matches(self, text: str) -> bool:
        reached = self._jumped(self._first)
        characters = self._characters
        for character in text:
            masks = characters.get(character)
            if masks is None:
                masks = self._learned(character)
            moving, staying = masks
            reached = (reached & moving) << 1 | reached & staying
            if self._jumps:
                reached = self._jumped(reached)
            if not reached:
                return False
        return reached & self._last != 0

    def _jumped(self, reached: int) -> int:
        for before, behind in self._jumps:
            if reached & before:
                reached |= behind
        return reached

    def _learned(self, character: str) -> tuple[int, int]:
        moving = 0
        for one, place in self._moves:
            if one.takes(character):
                moving |= place
        if len(self._characters) >= 256:
            self._characters.clear()
        staying = self._crossing | (0 if character in self._separators else self._staying)
        masks = self._characters[character] = moving, staying
        return masks
