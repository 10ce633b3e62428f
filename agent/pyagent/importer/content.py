"""What the cells of one column can be, told from all of them."""

import re
from collections.abc import Sequence

from pyagent.importer.times import DAY_FIRST, MONTH_FIRST, YEAR_FIRST, split_date
from pyagent.importer.values import MISSING

__all__ = ["TEXT", "Content"]

TEXT = "string"
_PLAIN = re.compile(r"[+-]?[0-9]+(?:[eE][+-]?[0-9]+)?")
_POINT = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
_GROUP = "[ '\u2019\u00a0\u202f]"
_POINT_GROUPED = re.compile(rf"[+-]?[0-9]{{1,3}}(?:(?:,[0-9]{{3}})+|(?:{_GROUP}[0-9]{{3}})+)(?:\.[0-9]*)?")
_COMMA_GROUPED = re.compile(rf"[+-]?[0-9]{{1,3}}(?:(?:\.[0-9]{{3}})+|(?:{_GROUP}[0-9]{{3}})+)(?:,[0-9]*)?")
_BOOLEANS = frozenset(("true", "false"))
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.,]+(?:[Zz]|[+-][0-9]{2}:[0-9]{2})")
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")

# The same for many cells at once, each with a line break behind it: what is found here need not be looked at one by one.
_DAY, _MONTH = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])"
_CLOCK = r"(?:[T ](?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?(?:Z| ?[+-][0-9]{2}:?[0-9]{2})?)?"
_MANY = {
    "whole": re.compile(r"(?:[+-]?[0-9]{1,18}\n|\n)*+"),
    ".": re.compile(r"(?:[+-]?[0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?\n|\n)*+"),
    ",": re.compile(r"(?:[+-]?[0-9]++(?:,[0-9]++)?\n|\n)*+"),
    "rfc3339": re.compile(rf"(?:{_RFC3339.pattern}\n|\n)*+"),
    YEAR_FIRST: re.compile(rf"(?:[0-9]{{4}}([-./]){_MONTH}\1{_DAY}{_CLOCK}\n|\n)*+"),
    DAY_FIRST: re.compile(rf"(?:{_DAY}([-./]){_MONTH}\1[0-9]{{4}}{_CLOCK}\n|\n)*+"),
    MONTH_FIRST: re.compile(rf"(?:{_MONTH}([-/]){_DAY}\1[0-9]{{4}}{_CLOCK}\n|\n)*+"),
}


class Content:
    """`values`: cells that are neither empty nor a word for nothing."""

    def __init__(self) -> None:
        self.values = 0
        self.example = self.odd = self.doubt = ""
        """A value; one that is no date where others are; a number that can be read in two ways."""
        self.boolean = self.numeric = self.dated = self.whole = self.rfc3339 = True
        """All values are of that."""
        self.orders: set[str] = {YEAR_FIRST, DAY_FIRST, MONTH_FIRST}
        self.least_size, self.most_size = float("inf"), 0.0
        self.grouped = False
        self._signs: set[str] = {".", ","}
        """The decimal separators that all values allow."""
        self._words = False
        self._plain_words = False

    def add(self, cells: Sequence[str]) -> None:
        if self.values and self._is_settled(cells):
            return
        for raw in set(cells):
            cell = raw.strip()
            if not cell:
                continue
            if cell.lower() in MISSING:
                self._words = True
                continue
            if not self.values:
                self.example = cell
            self.values += 1
            if self.boolean and cell.lower() not in _BOOLEANS:
                self.boolean = False
            if self.numeric:
                self._add_number(cell)
            if self.dated:
                self._add_date(cell)
            if self.rfc3339 and not _RFC3339.fullmatch(cell):
                self.rfc3339 = False

    def _is_settled(self, cells: Sequence[str]) -> bool:
        """Whether these cells change nothing: they are all of the one kind that is left."""
        if not (self.boolean or self.numeric or self.dated or self.rfc3339):
            return True
        kind = ""
        if self.rfc3339:
            kind = "rfc3339"
        elif self.dated and len(self.orders) == 1:
            (kind,) = self.orders
        elif self.numeric and not self.boolean and not self.dated:
            kind = "whole" if self.whole else "".join(self._signs) if len(self._signs) == 1 else ""
        if not kind or not _MANY[kind].fullmatch("\n".join(cells) + "\n"):
            return False
        if kind == "whole" and (sizes := [*map(abs, map(int, filter(None, cells)))]):
            self.least_size, self.most_size = min(self.least_size, *sizes), max(self.most_size, *sizes)
        return True

    def _add_number(self, cell: str) -> None:
        if _PLAIN.fullmatch(cell):
            self._add_whole(cell)
            return
        self.whole = False
        signs = set()
        if _POINT.fullmatch(cell) or _POINT_GROUPED.fullmatch(cell):
            signs.add(".")
        if _COMMA.fullmatch(cell) or _COMMA_GROUPED.fullmatch(cell):
            signs.add(",")
        if not _POINT.fullmatch(cell) and not _COMMA.fullmatch(cell):
            self.grouped = True
        elif len(signs) == 2:
            self.doubt = cell
        self._signs &= signs
        if not self._signs:
            self.numeric = False

    def _add_whole(self, cell: str) -> None:
        if self.whole and _WHOLE.fullmatch(cell):
            size = abs(int(cell))
            self.least_size, self.most_size = min(self.least_size, size), max(self.most_size, size)
        else:
            self.whole = False

    def _add_date(self, cell: str) -> None:
        split = split_date(cell)
        if split is None:
            self.dated, self.odd, self.orders = False, cell, set()
            return
        first, second, third = split[:3]
        if len(first) == 4:
            self.orders &= {YEAR_FIRST}
        else:
            self.orders -= {YEAR_FIRST}
            if int(first) > 12 or "." in cell[:3]:
                self.orders -= {MONTH_FIRST}
            if int(second) > 12:
                self.orders -= {DAY_FIRST}
            if len(third) == 1 or len(third) == 3:
                self.orders.clear()
        if not self.orders:
            self.dated, self.odd = False, cell

    @property
    def dates(self) -> bool:
        return bool(self.values) and (self.dated or self.rfc3339)

    @property
    def may_be_time(self) -> bool:
        return bool(self.values) and (
            self.dated or self.rfc3339 or (self.whole and self.numeric and self.least_size >= 1e8)
        )

    @property
    def doubtful(self) -> bool:
        """All values allow both separators, and at least one would be another number."""
        return bool(self.doubt) and len(self._signs) == 2

    def only(self, sign: str) -> bool:
        return self.numeric and self._signs == {sign}

    def comma_only(self, doubtful: str) -> bool:
        """Whether the numbers have decimal commas; `doubtful`: what those have that allow both."""
        return self._signs == {","} or (len(self._signs) == 2 and doubtful == ",")

    def kind(self, *, words: bool = True) -> str:
        """The type of the field. `words`: those for nothing are no values."""
        if not self.values or (self._words and not words):
            return TEXT
        if self.boolean:
            return "boolean"
        return "double" if self.numeric else TEXT
