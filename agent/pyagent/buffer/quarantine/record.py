r"""The form of the quarantine's files: JSON, one refusal a line, which people and their tools can read.

    {"check":"5d1f02aa","id":12,"time":1790000000.5,"output":"...","partition":null,"reason":"...","suspected":false,
     "lines":["cpu usage=1 1790000000000000000\n"]}

`check` is the CRC-32 of all that stands behind it, line break included. Where it is `dropped-` the entry has been removed:
this is written over it in place, which takes no room on a full disk. No text of an entry can hold what a record begins
with (JSON escapes the quotes), so the next record is found whatever is damaged before it.
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["DROPPED", "DROPPED_AT", "QuarantineEntry", "pack", "records", "unpack"]

_BEGIN = b'{"check":"'
DROPPED_AT, DROPPED = len(_BEGIN), b"dropped-"
_BEHIND = DROPPED_AT + len(DROPPED)


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One refusal: metrics that a receiver refused for good, for one reason."""

    id: int
    time: float
    """Of the refusal, seconds since the epoch."""
    output: str
    """The identity of the output's queue."""
    partition: str | None
    reason: str
    """The receiver's words."""
    suspected: bool
    """The receiver stored a part of what was sent and did not say which: these match what it said."""
    lines: tuple[bytes, ...]
    """Each metric as it was encoded, with its line break."""


def pack(entry: QuarantineEntry) -> bytes:
    """The record of an entry: pure ASCII, what is not UTF-8 by surrogateescape."""
    document = {
        "id": entry.id,
        "time": entry.time,
        "output": entry.output,
        "partition": entry.partition,
        "reason": entry.reason,
        "suspected": entry.suspected,
        "lines": [line.decode("utf-8", "surrogateescape") for line in entry.lines],
    }
    rest = b'",' + json.dumps(document, separators=(",", ":")).encode()[1:] + b"\n"
    return _BEGIN + b"%08x" % zlib.crc32(rest) + rest


def unpack(record: bytes) -> QuarantineEntry | None:
    """The entry of a record; None where it was removed or is damaged."""
    rest = record[_BEHIND:]
    if not record.startswith(_BEGIN) or record[DROPPED_AT:_BEHIND] != b"%08x" % zlib.crc32(rest):
        return None
    try:
        document = json.loads(b"{" + rest[2:])
        lines = tuple(line.encode("utf-8", "surrogateescape") for line in document.pop("lines"))
        return QuarantineEntry(**document, lines=lines)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # whole, but of another version


def records(data: bytes) -> Iterator[tuple[int, int, QuarantineEntry | None]]:
    """What a file holds: where each record begins, its size, its entry; None stands for what cannot be read.

    Removed entries are passed over.
    """
    start = 0
    while start < len(data):
        end = data.find(_BEGIN, start + 1)
        piece = data[start : end if end >= 0 else len(data)]
        record = piece[: piece.find(b"\n") + 1]
        if record and record[:_BEHIND] != _BEGIN + DROPPED:
            yield start, len(record), unpack(record)
        if len(record) < len(piece):
            yield start + len(record), len(piece) - len(record), None
        start += len(piece)
