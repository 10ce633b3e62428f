"""What converting gives: lines with the place of each in its input, and the rows that are refused."""

from array import array
from dataclasses import dataclass, field

from pyagent.api import PyagentError

__all__ = ["Failure", "ImportFailure", "Piece", "Rejected", "Warnings", "place"]


class ImportFailure(PyagentError):
    """The input cannot be read any further. The message names the input, with line and column where there are any."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is left out. `line`, `column`: from 1, the column in characters, 0 where the row as a whole is meant.
    `name`: the column's label. `text`: the row as it was read."""

    line: int
    column: int
    reason: str
    text: bytes
    name: str = ""

    @property
    def message(self) -> str:
        return f"column {self.name!r}: {self.reason}" if self.name else self.reason


class Failure(Exception):
    """Why a row cannot be converted. `cell`: the index of the cell at fault, -1 where the row as a whole is."""

    def __init__(self, reason: str, cell: int = -1, name: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.cell = cell
        self.name = name


@dataclass(slots=True)
class Piece:
    """The lines of a part of an input.

    `data`, `ends`: as of `pyagent.lineprotocol.Encoded`. `text`: the part; `first_line`: the number of its first line.
    `starts`: where in it the row of each line begins; empty where it is line protocol itself. `rejected`: rows left out, in
    their order. `read`: bytes of the input so far, as they are in the file.
    """

    text: bytes
    first_line: int
    data: bytes = b""
    ends: "array[int]" = field(default_factory=lambda: array("Q"))
    starts: "array[int]" = field(default_factory=lambda: array("Q"))
    rejected: list[Rejected] = field(default_factory=list)
    failure: str = ""
    """Why nothing behind it can be read."""
    skipped: int = 0
    """Rows without a value, left out."""
    read: int = 0

    @property
    def count(self) -> int:
        return len(self.ends)

    def origin(self, index: int) -> tuple[int, bytes]:
        """Where a line of protocol comes from: the number of its line in the input, and its row there."""
        if not self.starts:
            # Line protocol: the line itself, as it may have been written anew.
            line = self.data[self.ends[index - 1] if index else 0 : self.ends[index]].rstrip(b"\n")
            at = self.text.find(line.rpartition(b" ")[0])
            return (self.first_line + self.text.count(b"\n", 0, at) if at >= 0 else 0), line
        start = self.starts[index]
        following = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.text)
        row = self.text[start:following]
        # What stands between two lines may be rows that gave none.
        row = (row if b'"' in row else row.partition(b"\n")[0]).rstrip(b"\r\n")
        return self.first_line + self.text.count(b"\n", 0, start), row


@dataclass(slots=True)
class Warnings:
    """What a person should know, each thing once, with how often it came and where first."""

    found: dict[str, list[int]] = field(default_factory=dict)
    """By text: how often, and the first line."""

    def add(self, text: str, line: int = 0) -> None:
        self.found.setdefault(text, [0, line])[0] += 1

    def texts(self) -> list[str]:
        return [_counted(text, count, line) for text, (count, line) in self.found.items()]


def _counted(text: str, count: int, line: int) -> str:
    if not line:
        return text
    return f"line {line}: {text}" if count == 1 else f"line {line} and {count - 1:,} more: {text}"


def place(text: bytes, at: int, first_line: int) -> tuple[int, int]:
    """Line and column of an offset, from 1, the column in characters."""
    start = text.rfind(b"\n", 0, at) + 1
    return first_line + text.count(b"\n", 0, at), len(text[start:at].decode("utf-8", "replace")) + 1
