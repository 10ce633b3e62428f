"""A quick first try at a regular expression of the kind that reads lines: `compile_direct`.

Python's `re` is several times as fast as a linear engine where it need not go back, and may take for ever where it must. Here
the expression is cut into pieces, each of which is matched once, from the left, and never again (an atomic group). A match
that is found so from the start of the text is the one that Go's engine finds: every piece took the first of its ways, and no
earlier one can exist. Where there is none so, nothing is said: another engine has to look.

A piece is one part that varies with the plain characters behind it. What is within may go back, so pieces are measured:
repetitions whose next character cannot be one of their own never go back, and the rest must be few.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pyagent.kit.regex_syntax import Translator

__all__ = ["Direct", "compile_direct"]

_Ranges = list[tuple[int, int]]
_ALL: _Ranges = [(0, 0x10FFFF)]
_WORK = 2_000_000
"""Steps for a piece."""
_LONGEST = 1 << 17
_UNLIMITED = 1 << 30


class _TooManyWays(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Direct:
    match: Callable[[str], re.Match[str] | None]
    """Tries to match a text from its start; None says that it cannot tell."""
    longest: int
    """Characters of a text that it may be used for."""
    groups: tuple[str, ...]
    """Names of the groups in their order, empty where one has none."""


def compile_direct(pattern: str) -> Direct | None:
    """None where the expression has no such form. Raises ValueError for a pattern that is none."""
    translator = Translator(pattern)
    try:
        translated = translator.translated()
    except RecursionError:
        raise translator.error("groups are nested too deeply") from None
    try:
        parser, compiler = import_module("re._parser"), import_module("re._compiler")
        tree = parser.parse(translated)
        longest = _Pieces(import_module("re._constants")).cut(tree)
        return Direct(compiler.compile(tree, 0).match, longest, tuple(translator.groups))
    except (ImportError, AttributeError, _TooManyWays, RecursionError, re.error, OverflowError):
        return None  # a Python whose `re` is made in another way has none of it, which costs time only


class _Pieces:
    def __init__(self, codes: Any) -> None:
        self._codes = codes
        self._any_case = False
        self._single = (codes.LITERAL, codes.NOT_LITERAL, codes.IN, codes.ANY)

    def cut(self, tree: Any) -> int:
        """Cut the tree of an expression into atomic groups. Returns how long a text may be."""
        codes = self._codes
        pieces: list[list[Any]] = [[]]
        varies = False
        for node in self._flat(list(tree.data)):
            fixed = node[0] in self._single or node[0] is codes.AT
            if not fixed and varies:
                pieces.append([])
            varies = varies or not fixed
            pieces[-1].append(node)
        longest = _LONGEST
        done = []
        for piece in pieces:
            inner = type(tree)(tree.state, piece)
            ways, degree = self._sequence(inner, [])
            if ways > _WORK:
                raise _TooManyWays
            if degree:
                longest = min(longest, int((_WORK / ways) ** (1 / degree)))
            done.append((codes.ATOMIC_GROUP, inner))
        if longest < 1000:
            raise _TooManyWays
        tree.data = done
        return longest

    def _flat(self, nodes: list[Any]) -> list[Any]:
        """Without groups that group nothing."""
        found = []
        for code, value in nodes:
            if code is self._codes.SUBPATTERN and value[0] is None and not value[1] and not value[2]:
                found += self._flat(list(value[3].data))
            else:
                found.append((code, value))
        return found

    def _sequence(self, tree: Any, follow: _Ranges) -> tuple[int, int]:
        """Ways to match are at most `ways * length ** degree`. `follow`: what may come behind it."""
        ways, degree = 1, 0
        nodes = list(tree.data)
        for index in range(len(nodes) - 1, -1, -1):
            nodes[index], more, higher = self._node(nodes[index], self._first(nodes[index + 1 :], follow))
            ways, degree = min(ways * more, _UNLIMITED), degree + higher
        tree.data = nodes
        return ways, degree

    def _node(self, node: Any, follow: _Ranges) -> tuple[Any, int, int]:
        codes = self._codes
        code, value = node
        if code in self._single or code is codes.AT:
            return node, 1, 0
        if code is codes.SUBPATTERN:
            before, self._any_case = self._any_case, self._any_case or bool(value[1] & re.IGNORECASE)
            ways, degree = self._sequence(value[3], follow)
            self._any_case = before
            return node, ways, degree
        if code is codes.BRANCH:
            if self._exclusive(value[1], follow):
                return node, 1, 0
            found = [self._sequence(branch, follow) for branch in value[1]]
            return node, sum(ways for ways, _ in found), max(degree for _, degree in found)
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            return self._repeat(node, follow)
        raise _TooManyWays  # no expression of RE2 has it

    def _repeat(self, node: Any, follow: _Ranges) -> tuple[Any, int, int]:
        codes = self._codes
        code, (low, high, item) = node
        begins = self._first(list(item.data), [])
        unlimited = high is codes.MAXREPEAT
        ways, degree = self._sequence(item, [*begins, *follow])
        one_way = ways == 1 and degree == 0
        if unlimited and (not one_way or item.getwidth()[0] == 0):
            raise _TooManyWays
        if one_way and code is codes.MAX_REPEAT and item.getwidth()[0] > 0 and not _overlap(begins, follow):
            return (codes.POSSESSIVE_REPEAT, (low, high, item)), 1, 0
        if unlimited:
            return node, 1, 1
        return node, min(ways ** min(high, 30) * (high - low + 1), _UNLIMITED), degree * high

    def _exclusive(self, branches: list[Any], follow: _Ranges) -> bool:
        """Whether one branch at the most can match and be followed: they are short words which differ in a place, or of
        which the longer one goes on as nothing that follows can begin."""
        words: list[list[_Ranges]] = []
        for branch in branches:
            found: list[list[_Ranges]] = [[]]
            for code, value in branch.data:
                if code in self._single:
                    found = [[*word, self._characters(code, value)] for word in found]
                elif (
                    code in (self._codes.MAX_REPEAT, self._codes.MIN_REPEAT)
                    and value[:2] == (0, 1)
                    and len(value[2]) == 1
                    and value[2][0][0] in self._single
                ):
                    optional = self._characters(*value[2][0])
                    found = [more for word in found for more in ([*word, optional], word)]
                else:
                    return False
            words += found
            if len(words) > 30:
                return False
        for number, one in enumerate(words):
            for other in words[:number]:
                short, long = sorted((one, other), key=len)
                if all(_overlap(a, b) for a, b in zip(short, long, strict=False)) and (
                    len(short) == len(long) or _overlap(long[len(short)], follow)
                ):
                    return False
        return True

    def _first(self, nodes: list[Any], follow: _Ranges) -> _Ranges:
        """What a sequence may begin with, and more: `follow` where it may be empty."""
        codes = self._codes
        found: _Ranges = []
        for code, value in nodes:
            if code is codes.AT:
                continue
            empty = False
            if code in self._single:
                found += self._characters(code, value)
            elif code is codes.SUBPATTERN:
                found += _ALL if value[1] & re.IGNORECASE else self._first(list(value[3].data), [])
                empty = value[3].getwidth()[0] == 0
            elif code is codes.BRANCH:
                for branch in value[1]:
                    found += self._first(list(branch.data), [])
                    empty = empty or branch.getwidth()[0] == 0
            elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
                found += self._first(list(value[2].data), [])
                empty = value[0] == 0 or value[2].getwidth()[0] == 0
            else:
                return _ALL
            if not empty:
                return found
        return found + follow

    def _characters(self, code: Any, value: Any) -> _Ranges:
        codes = self._codes
        if self._any_case:
            return _ALL
        if code is codes.LITERAL:
            return [(value, value)]
        if code is not codes.IN:
            return _ALL
        found: _Ranges = []
        for kind, item in value:
            if kind is codes.LITERAL:
                found.append((item, item))
            elif kind is codes.RANGE:
                found.append(item)
            else:
                return _ALL
        return found


def _overlap(one: _Ranges, other: _Ranges) -> bool:
    return any(low <= end and start <= high for low, high in one for start, end in other)
