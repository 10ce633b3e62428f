"""Blocks of line protocol to pieces of checked line protocol."""

import re
from array import array
from operator import sub

from pyagent.api.line_options import LineOptions
from pyagent.importer.pieces import Piece, Rejected, Warnings, place
from pyagent.importer.rejects import is_comment
from pyagent.importer.values import MAX_STRING, too_long
from pyagent.lineprotocol import InvalidLine, Precision, relay
from pyagent.lineprotocol.results import MAX_ERROR_BYTES, TIME_MIN, unit_ns
from pyagent.lineprotocol.text import to_bytes

__all__ = ["LpConverter"]

_OPTIONS = LineOptions(uint_support=True)
_STATEMENT = re.compile(rb"CREATE (?:DATABASE|RETENTION POLICY) ")
_STRING = re.compile(rb'(?<==)"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(rb'\\["\\]')
_NEVER_CLOSED = "unbalanced quotes"


class LpConverter:
    """Give the blocks of one input to `feed`, in their order.

    `precision`: of the times in it. `start`: ns since the epoch for lines without a time, each a nanosecond later; None leaves
    them without one. `headers`: lines before those of the file; `skip`: lines of the file to pass over. `longest`: bytes of a
    line, 0 for any.
    """

    def __init__(
        self,
        *,
        precision: Precision = "ns",
        start: int | None = None,
        headers: tuple[str, ...] = (),
        skip: int = 0,
        longest: int = 0,
        most_held: int = 16_000_000,
        warnings: Warnings | None = None,
    ) -> None:
        self.points = 0
        self._precision = precision
        self._start = None if start is None else start - start % unit_ns(precision)
        self._skip = skip
        self._longest = longest
        self._warnings = warnings or Warnings()
        self._most_held = most_held
        self._rest = b"".join(to_bytes(line) + b"\n" for line in headers)
        self._line = 1 - len(headers)

    def feed(self, block: bytes, *, final: bool = False) -> Piece:
        """The good lines of this block and of what was left of those before it. `final`: it is the last."""
        if self._skip:
            block = self._behind_skipped(block)
        text = self._rest + block
        end = len(text) if final else text.rfind(b"\n") + 1
        piece = Piece(text[:end], self._line)
        parts: list[bytes] = []
        position = 0
        while position < end:
            position, stop = self._relayed(piece, parts, position, end, final=final)
            if stop:
                break
        piece.text, self._rest = text[:position], text[position:]
        piece.data = b"".join(parts)
        self._line += piece.text.count(b"\n")
        if len(self._rest) > self._most_held:
            piece.failure = (
                f"line {self._line}: the line is longer than {self._most_held:,} bytes; a quote that is never closed may be "
                "the cause, or raise --max-line-length"
            )
        return piece

    def _behind_skipped(self, block: bytes) -> bytes:
        position = 0
        while self._skip:
            end = block.find(b"\n", position)
            if end < 0:
                return b""
            self._skip -= 1
            self._line += 1
            position = end + 1
        return block[position:]

    def _relayed(self, piece: Piece, parts: list[bytes], start: int, end: int, *, final: bool) -> tuple[int, bool]:
        """Check the lines from `start` on; how far, and whether what follows must wait for the next block."""
        text = piece.text[start:end]
        default = TIME_MIN if self._start is None else self._start
        found = relay(text, default, self._precision, _OPTIONS)
        waits = False
        if found.bad:
            last = found.errors[-1]
            cut = len(text)
            if not final and (cut := _open_string(text, found.errors)) < len(text):
                waits = True
            elif found.bad > len(found.errors):
                # No more are told at once: go on behind the last that is.
                cut = _line_start(text, last.line + last.text.count("\n") + 1)
            if cut < len(text):
                text = text[:cut]
                found = relay(text, default, self._precision, _OPTIONS)
        before = piece.first_line + piece.text.count(b"\n", 0, start) - 1
        for error in found.errors:
            rejected = _rejected(error, before, text)
            if is_comment(rejected.text):
                continue
            if _STATEMENT.match(rejected.text):
                self._warnings.add("a statement of an export of InfluxDB 1 is passed over", rejected.line)
            else:
                piece.rejected.append(rejected)
        self._append(piece, parts, found.encoded.data, found.encoded.ends)
        return start + len(text), waits

    def _append(self, piece: Piece, parts: list[bytes], data: bytes, ends: "array[int]") -> None:
        size = sum(map(len, parts))
        untimed = b" %d\n" % (TIME_MIN if self._start is None else self._start)
        bound = min(self._longest or MAX_STRING, MAX_STRING)
        if untimed in data or (len(data) > bound and max(map(sub, ends, [0, *ends])) > bound):
            data, ends = self._looked_at(piece, data, ends, untimed)
        parts.append(data)
        piece.ends.extend(ends if not size else array("Q", [size + one for one in ends]))
        self.points += len(ends)

    def _looked_at(self, piece: Piece, data: bytes, ends: "array[int]", untimed: bytes) -> tuple[bytes, "array[int]"]:
        """The lines without those that are too long, and their ends. What stands for "no time" is taken out, or becomes a time
        for each line."""
        kept: list[bytes] = []
        kept_ends, size, start, without = array("Q"), 0, 0, 0
        for end in ends:
            line, start = data[start:end], end
            if (refused := self._too_long(piece, line)) is not None:
                piece.rejected.append(refused)
                continue
            if line.endswith(untimed):
                time = b"" if self._start is None else b" %d" % (self._start + self.points + without)
                line = b"%b%b\n" % (line.removesuffix(untimed), time)
                without += 1
            kept.append(line)
            size += len(line)
            kept_ends.append(size)
        return b"".join(kept), kept_ends

    def _too_long(self, piece: Piece, line: bytes) -> Rejected | None:
        if self._longest and len(line) > self._longest:
            reason = f"the line is longer than {self._longest:,} bytes (--max-line-length)"
            return Rejected(0, 0, reason, line.rstrip(b"\n"))
        if len(line) > MAX_STRING and (string := next(filter(_is_too_long, _STRING.finditer(line)), None)):
            return _with_place(piece, line, string.start(), too_long(_size(string)))
        return None


def _size(string: "re.Match[bytes]") -> int:
    return len(string[1]) - len(_ESCAPED.findall(string[1]))


def _is_too_long(string: "re.Match[bytes]") -> bool:
    return len(string[1]) > MAX_STRING and _size(string) > MAX_STRING


def _with_place(piece: Piece, line: bytes, at: int, reason: str) -> Rejected:
    start = piece.text.find(line.rstrip(b"\n").rpartition(b" ")[0])
    number, column = place(piece.text, start + at, piece.first_line) if start >= 0 else (0, 0)
    return Rejected(number, column, reason, line.rstrip(b"\n"))


def _rejected(error: InvalidLine, before: int, text: bytes) -> Rejected:
    raw = to_bytes(error.text)
    if len(raw) >= MAX_ERROR_BYTES and (at := text.find(raw)) >= 0:
        end = text.find(b"\n", at + len(raw))
        raw = text[at : end if end >= 0 else len(text)]
    return Rejected(before + error.line, error.column, error.reason, raw.rstrip(b"\r\n"))


def _open_string(text: bytes, errors: list[InvalidLine]) -> int:
    """Where the first line begins whose string is not closed in the text: the next block may close it."""
    for error in errors:
        if error.reason != _NEVER_CLOSED:
            continue
        start = _line_start(text, error.line)
        at = start + len(
            text[start:]
            .partition(b"\n")[0]
            .decode("utf-8", "surrogateescape")[: error.column - 1]
            .encode("utf-8", "surrogateescape")
        )
        rest = text[at + 1 :].replace(b"\\\\", b"").replace(b'\\"', b"")
        if b'"' not in rest:
            return start
    return len(text)


def _line_start(text: bytes, line: int) -> int:
    position = 0
    for _ in range(line - 1):
        end = text.find(b"\n", position)
        if end < 0:
            return len(text)
        position = end + 1
    return position
