"""What the cells of one column can be, told from all of them."""

import re
from collections import Counter
from collections.abc import Sequence

from pyagent.importer.times import DAY_FIRST, MONTH_FIRST, YEAR_FIRST, split_date
from pyagent.importer.values import MISSING

__all__ = ["TEXT", "Content"]

TEXT = "string"
_PLAIN = re.compile(r"[+-]?[0-9]+(?:[eE][+-]?[0-9]+)?")
_POINT = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
_ZEROS = re.compile(r"[+-]?0[0-9]+")
_ANY_ZEROS = re.compile(r"^[+-]?0[0-9]+$", re.MULTILINE)
_GROUP = "[ '\u2019\u00a0\u202f]"
_POINT_GROUPED = re.compile(rf"[+-]?[0-9]{{1,3}}(?:(?:,[0-9]{{3}})+|(?:{_GROUP}[0-9]{{3}})+)(?:\.[0-9]*)?")
_COMMA_GROUPED = re.compile(rf"[+-]?[0-9]{{1,3}}(?:(?:\.[0-9]{{3}})+|(?:{_GROUP}[0-9]{{3}})+)(?:,[0-9]*)?")
_BOOLEANS = frozenset(("true", "false"))
_TRUTH = (
    "yes:no", "on:off", "wahr:falsch", "ja:nein", "vrai:faux", "oui:non", "vero:falso", "verdadero:falso", "s\u00ed:no",
    "si:no", "sim:n\u00e3o", "verdadeiro:falso", "waar:onwaar", "ja:nee", "tak:nie", "y:n", "t:f", "j:n",
)  # fmt: skip
_MONEY = "[$\u20ac\u00a3\u00a5\u20b9%\u2030]|kr|z\u0142|[A-Z]{3}"
_DRESSED = re.compile(rf"\(?[+-]?\s?({_MONEY})?\s?[+-]?[0-9][0-9.,' \u00a0\u202f\u2019]*({_MONEY})?\)?")
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.,]+(?:[Zz]|[+-][0-9]{2}:[0-9]{2})")
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")

_TIME_OF_DAY = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?[AaPp]\.?[Mm]\.?)?")
_FEW = 20
"""One of so many values may be of another kind: its row is refused, and the others are what they are."""
_SURE = 100
"""So many are looked at before it is certain that they are more than a few."""

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
    """`values`: cells that are neither empty nor a word for nothing, about."""

    def __init__(self) -> None:
        self.values = 0
        self.example = self.date = self.doubt = self.no_number = self.no_date = ""
        """A value; a date; a number that can be read in two ways; what is no number, or no date, where others are."""
        self.zeros = ""
        """A whole number with zeros before it, such as a postcode: it would be another as a number."""
        self.no_numbers = self.no_dates = 0
        """How many are none."""
        self.boolean = self.whole = self.rfc3339 = True
        """All values are of that."""
        self.orders: set[str] = {YEAR_FIRST, DAY_FIRST, MONTH_FIRST}
        self.least_size, self.most_size = float("inf"), 0.0
        self.grouped = False
        self._may_be_number = self._may_be_date = True
        self._signs: set[str] = {".", ","}
        """The decimal separators that all numbers allow."""
        self._words = False

    def add(self, cells: Sequence[str]) -> None:
        if self.values and self._is_settled(cells):
            self.values += len(cells)
            return
        for raw, count in Counter(cells).items():
            cell = raw.strip()
            if not cell:
                continue
            if cell.lower() in MISSING:
                self._words = True
                continue
            if not self.values:
                self.example = cell
            self.values += count
            if self.boolean and cell.lower() not in _BOOLEANS:
                self.boolean = False
            if not self.zeros and _ZEROS.fullmatch(cell):
                self.zeros = cell
            if self._may_be_number and not self._add_number(cell):
                self.no_numbers, self.no_number = self.no_numbers + count, cell
            if self._may_be_date and not self._add_date(cell):
                self.no_dates, self.no_date = self.no_dates + count, cell
            if self.rfc3339 and not _RFC3339.fullmatch(cell):
                self.rfc3339 = False
        least = self.values // _FEW + _SURE
        self._may_be_number = self._may_be_number and self.no_numbers <= least
        self._may_be_date = self._may_be_date and self.no_dates <= least

    def _is_settled(self, cells: Sequence[str]) -> bool:
        """Whether these cells change nothing: they are all of the one kind that is left."""
        if not (self.boolean or self._may_be_number or self._may_be_date or self.rfc3339):
            return True
        kind = ""
        if self.rfc3339:
            kind = "rfc3339"
        elif self.dated and len(self.orders) == 1:
            (kind,) = self.orders
        elif self.numeric and not self.boolean and not self.dated:
            kind = "whole" if self.whole else "".join(self._signs) if len(self._signs) == 1 else ""
        joined = "\n".join(cells) + "\n"
        if not kind or not _MANY[kind].fullmatch(joined):
            return False
        if self.numeric and not self.zeros and _ANY_ZEROS.search(joined):
            return False
        if kind == "whole" and (sizes := [*map(abs, map(int, filter(None, cells)))]):
            self.least_size, self.most_size = min(self.least_size, *sizes), max(self.most_size, *sizes)
        return True

    def _add_number(self, cell: str) -> bool:
        if _PLAIN.fullmatch(cell):
            self._add_whole(cell)
            return True
        signs = set()
        if _POINT.fullmatch(cell) or _POINT_GROUPED.fullmatch(cell):
            signs.add(".")
        if _COMMA.fullmatch(cell) or _COMMA_GROUPED.fullmatch(cell):
            signs.add(",")
        if not self._signs & signs:
            return False
        self.whole = False
        if not _POINT.fullmatch(cell) and not _COMMA.fullmatch(cell):
            self.grouped = True
        elif len(signs) == 2:
            self.doubt = cell
        self._signs &= signs
        return True

    def _add_whole(self, cell: str) -> None:
        if self.whole and _WHOLE.fullmatch(cell):
            size = abs(int(cell))
            self.least_size, self.most_size = min(self.least_size, size), max(self.most_size, size)
        else:
            self.whole = False

    def _add_date(self, cell: str) -> bool:
        split = split_date(cell)
        if split is None:
            return False
        first, second, third = split[:3]
        orders = {YEAR_FIRST} if len(first) == 4 else {DAY_FIRST, MONTH_FIRST}
        if len(first) < 4:
            if int(first) > 12 or "." in cell[:3]:
                orders.discard(MONTH_FIRST)
            if int(second) > 12:
                orders.discard(DAY_FIRST)
            if len(third) in (1, 3):
                orders.clear()
        if not self.orders & orders:
            # Others say that the day is first, this one that the month is: nothing is certain then.
            self._may_be_date = self._may_be_date and not orders
            return False
        self.orders &= orders
        self.date = cell
        return True

    @property
    def numeric(self) -> bool:
        """All values are numbers, but for a few."""
        return self._may_be_number and self.no_numbers * _FEW <= self.values

    @property
    def dress(self) -> str:
        """What stands around the numbers of a text: a currency, a unit, or a percent sign; empty where they are no numbers."""
        match = _DRESSED.fullmatch(self.example)
        return (match[1] or match[2]).strip() if match and (match[1] or match[2]) else ""

    @property
    def words_of_truth(self) -> str:
        """`WAHR:FALSCH`, where the first value is one of such a pair; empty where it is no word for true or false."""
        word = self.example
        pair = next((pair for pair in _TRUTH if word.lower() in pair.split(":")), "")
        return pair.upper() if word.isupper() else pair.title() if word.istitle() else pair

    @property
    def dated(self) -> bool:
        """All values are dates of one order, but for a few."""
        return self._may_be_date and self.no_dates * _FEW <= self.values and bool(self.date)

    @property
    def dates(self) -> bool:
        return bool(self.values) and (self.dated or self.rfc3339)

    @property
    def may_be_time(self) -> bool:
        return bool(self.values) and (
            self.dated or self.rfc3339 or (self.whole and self.numeric and self.least_size >= 1e8)
        )

    @property
    def clock(self) -> bool:
        """It looks like times of the day."""
        return _TIME_OF_DAY.fullmatch(self.example) is not None

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
        return "double" if self.numeric and not self.zeros else TEXT
