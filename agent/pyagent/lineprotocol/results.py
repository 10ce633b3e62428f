"""What encoding and parsing give, and the limits of the format."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate
from typing import Literal

from pyagent.api.errors import TooMuch
from pyagent.api.metric import Metric

__all__ = [
    "LINE_BYTES",
    "MAX_ERRORS",
    "MAX_ERROR_BYTES",
    "MAX_FIELDS",
    "MAX_KEY_BYTES",
    "METRIC_BYTES",
    "TIME_MAX",
    "TIME_MIN",
    "Content",
    "Encoded",
    "InvalidLine",
    "Parsed",
    "Precision",
    "Relayed",
    "too_much",
    "unit_ns",
]

Precision = Literal["ns", "us", "ms", "s"]

# InfluxDB keeps the outermost values of int64 for itself and refuses a whole request for one such line.
TIME_MIN, TIME_MAX = -(2**63) + 2, 2**63 - 2
MAX_ERRORS = 1000
"""Bad lines that are told one by one: a body of nothing else must not fill the memory with what is wrong with it."""
MAX_ERROR_BYTES = 4096
"""What is kept of the text of such a line."""
MAX_FIELDS = 2**20
"""Of one line."""
METRIC_BYTES, VALUE_BYTES = 500, 80
"""About what a metric takes in memory, its line's bytes apart, and what each of its tags and fields adds to that."""
LINE_BYTES = 64
"""What goes with each encoded metric."""
MAX_KEY_BYTES = 65535
"""Measurement and tags as written; the same with a field's key behind it, and four bytes between."""

EPOCH = 62_135_596_800_000_000_000
"""ns from the start of year 1, where the rounding of times counts from, to 1970."""

_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def unit_ns(precision: str) -> int:
    """Nanoseconds of one unit of `precision`. Raises ValueError."""
    unit = _UNITS.get(precision)
    if unit is None:
        raise ValueError(f"cannot use the precision {precision!r}: it is unknown; use one of {', '.join(_UNITS)}")
    return unit


def too_much(most: int) -> TooMuch:
    """What is raised where the metrics of a text take more than `most` bytes."""
    return TooMuch(f"it holds too many metrics: they take more than {most >> 20} MiB; divide it")


class Content(IntEnum):
    """What encoded metrics are made of. The numbers are on disk: a form that changes gets a new one."""

    LINES = 0
    """Line protocol."""
    METRICS = 1
    """The lossless form of pyagent.lineprotocol.lossless, version 1."""
    RECORDS = 2
    """What a serializer made, which only the receiver can read."""


class Encoded:
    """Encoded metrics: lines of line protocol, where `content` does not say otherwise.

    `data`: the lines, each ended by LF, in the order of the metrics. `ends`: for each encoded metric the offset behind its
    last line (a metric is several lines where `max_line_bytes` asks for that). `count`: number of encoded metrics.
    `oldest`, `newest`: ns since the epoch, over the encoded metrics; 0 when there is none. `rejected`: the metrics that
    cannot be encoded, each with the reason.
    """

    __slots__ = ("content", "count", "data", "ends", "newest", "oldest", "rejected")

    def __init__(
        self,
        data: bytes,
        ends: "array[int]",
        oldest: int,
        newest: int,
        rejected: list[tuple[Metric, str]],
        content: Content = Content.LINES,
    ) -> None:
        self.data = data
        self.ends = ends
        self.count = len(ends)
        self.oldest = oldest
        self.newest = newest
        self.rejected = rejected
        self.content = content

    @classmethod
    def of(
        cls,
        data: bytes,
        lengths: Iterable[int],
        oldest: int,
        newest: int,
        *,
        rejected: Iterable[tuple[Metric, str]] = (),
        content: Content = Content.LINES,
    ) -> "Encoded":
        """Of what is encoded already: `lengths` are those of the metrics' texts in `data`, one behind the other."""
        return cls(data, array("Q", accumulate(lengths)), oldest, newest, list(rejected), content)

    def part(self, start: int, stop: int) -> "Encoded":
        """The metrics from index `start` up to, not including, `stop`; `oldest` and `newest` are those of all, and `rejected`
        goes with the first."""
        first = self.ends[start - 1] if start else 0
        ends = array("Q", [end - first for end in self.ends[start:stop]])
        data = self.data[first : first + ends[-1]] if ends else b""
        return Encoded(data, ends, self.oldest, self.newest, [] if start else self.rejected, self.content)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Encoded):
            return NotImplemented
        return all(getattr(self, slot) == getattr(other, slot) for slot in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # mutable, so unhashable; mypy knows no other spelling

    def __repr__(self) -> str:
        return f"Encoded({self.data!r}, {list(self.ends)!r}, {self.oldest}, {self.newest}, {self.rejected!r})"


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """One line that is not line protocol.

    `line`, `column`: where it went wrong, from 1, the column in characters. `text`: the line, which is several
    where a string field holds newlines; no more than its first MAX_ERROR_BYTES.
    """

    line: int
    column: int
    reason: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.reason}"


@dataclass(slots=True)
class Parsed:
    """The metrics of all good lines, in order, one error for each bad line (the first MAX_ERRORS), and their number."""

    metrics: list[Metric]
    errors: list[InvalidLine]
    bad: int


@dataclass(slots=True)
class Relayed:
    """The good lines, encoded anew, one error for each bad line (the first MAX_ERRORS), and their number."""

    encoded: Encoded
    errors: list[InvalidLine]
    bad: int
