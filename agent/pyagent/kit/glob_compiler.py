"""Compiles the patterns of `pyagent.kit.glob`.

Names come from anybody, so a match takes time in proportion to the name's length, whatever the pattern. Where Python's `re`
can do that without ever going back, it does; all other patterns of a list become one automaton.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

__all__ = ["compile_globs"]

_MOST_SPELLED_OUT, _MOST_ITEMS = 1000, 1_000_000
"""Patterns that the braces of one are replaced by, and parts of all of them in a list."""
_MOST_CHOICES = 100
"""Braces in a list that are not, as there would be too many."""
_MOST_NESTED = 50
_MASK_BYTES = 4 << 20
"""What the automaton may keep about characters; at the least sixteen of them."""
_MOST_EXPRESSIONS = 100
"""Patterns that are tried one after the other. More of them are put into the automaton, which is made faster, and takes the
time of one."""


def compile_globs(patterns: Sequence[str], separators: str) -> Callable[[str], bool]:
    """A test whether a text matches any of the patterns. Raises ValueError for a pattern that is none."""
    plain = frozenset(pattern for pattern in patterns if not any(c in pattern for c in "*?[{\\"))
    sequences: dict[_Items, bool] = {}
    """Each with whether its prefix and its suffix may overlap."""
    room = _MOST_ITEMS
    for pattern in dict.fromkeys(patterns):
        if pattern in plain:
            continue
        parser = _Parser(pattern, separators)
        items = parser.parsed()
        if not parser.chooses:
            sequences[items] = parser.plain or sequences.get(items, False)
            continue
        count, length = _extent(items)
        if count > _MOST_SPELLED_OUT or count * length > room:
            sequences.setdefault(items, False)
        else:
            room -= count * length
            for one in _spelled_out(items):
                sequences.setdefault(one, False)
    expressions: list[str] = []
    automaton = _Automaton(separators)
    ends: dict[str, list[str]] = {}
    """Suffixes of the patterns that are a prefix, a star and a suffix, by their prefix."""
    many = len(sequences) > _MOST_EXPRESSIONS
    for items, overlapping in sequences.items():
        if many and overlapping and (pair := _pair(items)) is not None:
            ends.setdefault(pair[0], []).append(pair[1])
        elif many or (expression := _expression(items, separators, overlapping=overlapping)) is None:
            automaton.add(items)
            if automaton.choices > _MOST_CHOICES:
                raise ValueError(
                    "cannot use these patterns: their braces stand for too many alternatives; make several of them"
                )
        else:
            expressions.append(expression)
    automaton.finish()
    regex = re.compile("|".join(expressions), re.DOTALL) if expressions else None
    suffixes = {prefix: tuple(found) for prefix, found in ends.items()}
    lengths = sorted({len(prefix) for prefix in suffixes})

    def matches(text: str) -> bool:
        return (
            text in plain
            or (regex is not None and regex.fullmatch(text) is not None)
            or any(text.endswith(suffixes.get(text[:length], ())) for length in lengths)
            or (automaton.size > 0 and automaton.matches(text))
        )

    return matches


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

_AS_IT_IS = re.compile(r"[^*?\[{\\,}]+")


@lru_cache(4096)
def _character(character: str) -> _One:
    return _One(((character, character),))


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
        self.chooses = False
        """Some of its braces stand for more than a character."""

    def parsed(self) -> _Items:
        if self._pattern == "?":
            self.plain, self.chooses = False, True
            return (_Choice(((self._any,), ())),)  # the empty text too, in the library that Telegraf uses
        return self._sequence("")

    def _sequence(self, ends: str) -> _Items:
        """Up to one of `ends`, or the end of the pattern."""
        items: list[_Item] = []
        while self._position < len(self._pattern) and (self._peek() not in ends):
            if found := _AS_IT_IS.match(self._pattern, self._position):
                self._position = found.end()
                items += map(_character, found[0])
                continue
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
                items.append(_character(character))
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
                self.chooses = True
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


def _pair(items: _Items) -> tuple[str, str] | None:
    """Prefix and suffix of a sequence of characters with one star among them that crosses separators."""
    runs = [(place, item) for place, item in enumerate(items) if isinstance(item, _Run)]
    if len(runs) != 1 or not runs[0][1].crossing:
        return None
    text, place = "".join(item.ranges[0][0] for item in items if isinstance(item, _One)), runs[0][0]
    return text[:place], text[place:]


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
    (Baeza-Yates and Gonnet, A New Approach to Text Searching, 1992). `add` all of them, then `finish`."""

    def __init__(self, separators: str) -> None:
        self.size = 0
        """Places."""
        self.choices = 0
        self._separators = separators
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._runs: tuple[list[int], list[int]] = [], []
        """Places where any character that is no separator, or any, may be passed over."""
        self._moves: dict[_One, list[int]] = {}
        """Places that are left by such a character."""
        self._links: list[tuple[list[int], list[int]]] = []
        """Whoever reaches one of the first reaches all of the second, without a character; from left to right."""

    def add(self, items: _Items) -> None:
        self._firsts.append(self.size)
        self._lasts.append(self._sequence(items))

    def finish(self) -> None:
        # Not as they come: of so many places each number takes 60 kB.
        self._first, self._last = _bits(self._firsts), _bits(self._lasts)
        self._crossing = _bits(self._runs[True])
        self._staying = self._crossing | _bits(self._runs[False])
        self._accepting = self._crossing & self._last
        """Places from which every rest is taken."""
        self._jumps = [(_bits(before), _bits(behind)) for before, behind in self._links]
        self._characters: dict[str, tuple[int, int]] = {}
        self._most_characters = max(_MASK_BYTES // (self.size // 8 + 1), 16)

    def _sequence(self, items: _Items) -> int:
        """Returns its last place."""
        place = self._place()
        for item in items:
            if isinstance(item, _One):
                self._moves.setdefault(item, []).append(place)
                place = self._place()
            elif isinstance(item, _Run):
                self._runs[item.crossing].append(place)
            else:
                self.choices += 1
                into: list[int] = []
                out_of: list[int] = []
                self._links.append(([place], into))
                for sequence in item.sequences:
                    into.append(self.size)
                    out_of.append(self._sequence(sequence))
                place = self._place()
                self._links.append((out_of, [place]))
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
            if reached & self._accepting:
                return True
        return reached & self._last != 0

    def _jumped(self, reached: int) -> int:
        for before, behind in self._jumps:
            if reached & before:
                reached |= behind
        return reached

    def _learned(self, character: str) -> tuple[int, int]:
        moving = _bits(place for one, places in self._moves.items() if one.takes(character) for place in places)
        if len(self._characters) >= self._most_characters:
            self._characters.clear()
        staying = self._crossing if character in self._separators else self._staying
        masks = self._characters[character] = moving, staying
        return masks


def _bits(places: Iterable[int]) -> int:
    """The number in which these bits are set."""
    found = bytearray()
    for place in places:
        if place >> 3 >= len(found):
            found += bytes((place >> 3) - len(found) + 1)
        found[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(found, "little")
