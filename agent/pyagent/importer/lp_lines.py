"""Blocks of line protocol to pieces of checked line protocol."""

import re
from array import array

from pyagent.api.plugin import LineOptions
from pyagent.importer.pieces import Piece, Rejected, Warnings
from pyagent.importer.rejects import is_comment
from pyagent.lineprotocol import ParseError, Precision, relay
from pyagent.lineprotocol.results import MAX_ERROR_BYTES, TIME_MIN, unit_ns
from pyagent.lineprotocol.text import to_bytes

__all__ = ["LpConverter"]

_OPTIONS = LineOptions(uint_support=True)
_STATEMENT = re.compile(rb"CREATE (?:DATABASE|RETENTION POLICY) ")
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
        data = self._with_times(data)
        if len(data) != (ends[-1] if ends else 0) or self._longest:
            data, ends = self._measured(piece, data)
        parts.append(data)
        piece.ends.extend(ends if not size else array("Q", [size + one for one in ends]))
        self.points += len(ends)

    def _with_times(self, data: bytes) -> bytes:
        """What stands for "no time" is taken out, or becomes a time for each line."""
        needle = b" %d\n" % (TIME_MIN if self._start is None else self._start)
        pieces = data.split(needle)
        if len(pieces) == 1:
            return data
        if self._start is None:
            return b"\n".join(pieces)
        made = [pieces[0]]
        for number, part in enumerate(pieces[1:]):
            made += (b" %d\n" % (self._start + self.points + number), part)
        return b"".join(made)

    def _measured(self, piece: Piece, data: bytes) -> tuple[bytes, "array[int]"]:
        """The lines, without those that are too long, and their ends."""
        kept, ends, size = [], array("Q"), 0
        for line in _points(data):
            if self._longest and len(line) > self._longest:
                reason = f"the line is longer than {self._longest:,} bytes (--max-line-length)"
                piece.rejected.append(Rejected(0, 0, reason, line.rstrip(b"\n")))
                continue
            kept.append(line)
            size += len(line)
            ends.append(size)
        return b"".join(kept), ends


def _points(data: bytes) -> list[bytes]:
    """Lines with their ends; a string may have line breaks."""
    found: list[bytes] = []
    waiting = b""
    for line in (
        data.splitlines(keepends=True) if b"\r" not in data else [part + b"\n" for part in data.split(b"\n")[:-1]]
    ):
        waiting += line
        if waiting.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"') % 2 == 0:
            found.append(waiting)
            waiting = b""
    return [*found, waiting] if waiting else found


def _rejected(error: ParseError, before: int, text: bytes) -> Rejected:
    raw = to_bytes(error.text)
    if len(raw) >= MAX_ERROR_BYTES and (at := text.find(raw)) >= 0:
        end = text.find(b"\n", at + len(raw))
        raw = text[at : end if end >= 0 else len(text)]
    return Rejected(before + error.line, error.column, error.reason, raw.rstrip(b"\r\n"))


def _open_string(text: bytes, errors: list[ParseError]) -> int:
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
