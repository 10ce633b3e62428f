"""The form of what is on disk: segment files, each a head, and frames one behind the other.

Frame:

    magic  4   "PYA1"            length  4   bytes of the payload      newest  8   ns since the epoch
    flags   1                    number  8   of its first metric       payload's CRC-32  4
    content 1  see Content       count   4   of metrics                header's CRC-32   4
    -       2  zero              oldest  8   ns since the epoch        payload

Little-endian. The payload is the size of an index (4), the index (the length of each metric's record, 4 bytes each), and
the records; index and records are compressed where COMPRESSED is set, the records as one gzip member that can be sent as it is.
Records are lines of line protocol where the content is 0, as it is in all frames of the versions before there were others.

Metrics are numbered one by one, so what is missing between two frames is known exactly. The header has a checksum of its
own: where only the payload is damaged, the length still leads to the next frame.

Head of a segment (those of earlier versions have none):

    magic    4  "PYSG"           log      8  a random number      first         8  number of its first metric
    version  1                   follows  8  the number behind    committed  8  as the cursor was then
    -        3  zero                         the last metric      CRC-32        4
                                             that was safe

The version is 1 where all records are line protocol, which earlier versions of the agent can read, and 2 where they are not:
those set such a segment aside.

The numbers from `follows` to `first` were given up after a write that failed, and what is missing there is no loss.
"""

import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from pyagent.buffer.batch import QueueBatch
from pyagent.buffer.block import CompressedBlock
from pyagent.lineprotocol import Content

__all__ = [
    "HEADER_SIZE",
    "HEAD_SIZE",
    "PINNED",
    "VERSION",
    "VERSION_LINES",
    "Head",
    "Header",
    "StoredBlock",
    "begins_frame",
    "frames_in",
    "headers_in",
    "next_frame",
    "pack",
    "unpack",
]

MAGIC = b"PYA1"
PINNED, COMPRESSED, RENUMBERED = 1, 2, 4
"""Flags: somebody was told that these metrics are safe; the payload is compressed; the numbers before were given up on
purpose, and what is missing there is no loss (in a segment without a head, which says more)."""

_HEADER = struct.Struct("<4sBB2xIQIqqI")
_CRC = struct.Struct("<I")
HEADER_SIZE = _HEADER.size + _CRC.size
MAX_PAYLOAD = 1 << 30
_WORTH_COMPRESSING = 64
"""Metrics; fewer are kept as they are."""
_HEAD_MAGIC = b"PYSG"
_HEAD = struct.Struct("<4sB3xQQQQ")
HEAD_SIZE = _HEAD.size + _CRC.size
VERSION_LINES, VERSION = 1, 2
"""Of segments: see above. Those of a later one keep magic, version and checksum where they are."""


@dataclass(frozen=True, slots=True)
class Head:
    """Of a segment: see above."""

    log: int
    follows: int
    first: int
    committed: int
    version: int = VERSION_LINES

    @classmethod
    def at(cls, data: "bytes | memoryview") -> "Head | None":
        """That of a segment that begins with `data`; None where there is none, or a damaged one."""
        if len(data) < HEAD_SIZE or bytes(data[:4]) != _HEAD_MAGIC:
            return None
        if zlib.crc32(data[: _HEAD.size]) != _CRC.unpack_from(data, _HEAD.size)[0]:
            return None
        _, version, log, follows, first, committed = _HEAD.unpack_from(data)
        return cls(log, follows, first, committed, version)

    def pack(self) -> bytes:
        head = _HEAD.pack(_HEAD_MAGIC, self.version, self.log, self.follows, self.first, self.committed)
        return head + _CRC.pack(zlib.crc32(head))


@dataclass(frozen=True, slots=True)
class Header:
    flags: int
    length: int
    number: int
    count: int
    oldest: int
    newest: int
    payload_crc: int
    content: int = 0

    @property
    def end(self) -> int:
        """The number behind its last metric."""
        return self.number + self.count

    @property
    def size(self) -> int:
        """Bytes of the whole frame."""
        return HEADER_SIZE + self.length

    @classmethod
    def at(cls, data: "bytes | memoryview", offset: int = 0) -> "Header | None":
        """The header at `offset`; None where there is none, or a damaged one."""
        if len(data) - offset < HEADER_SIZE or bytes(data[offset : offset + 4]) != MAGIC:
            return None
        text = data[offset : offset + _HEADER.size]
        if zlib.crc32(text) != _CRC.unpack_from(data, offset + _HEADER.size)[0]:
            return None
        _, flags, content, length, number, count, oldest, newest, crc = _HEADER.unpack(text)
        if not 0 < length <= MAX_PAYLOAD or not count:
            return None
        return cls(flags, length, number, count, oldest, newest, crc, content)

    def fits(self, payload: "bytes | memoryview") -> bool:
        return len(payload) == self.length and zlib.crc32(payload) == self.payload_crc


class StoredBlock:
    """Records that lie on disk, too: the metric at index i has the number `number` + i in the log `log`."""

    __slots__ = ("content", "count", "data", "ends", "log", "newest", "number", "oldest")

    def __init__(
        self,
        data: bytes,
        ends: "array[int]",
        oldest: int,
        newest: int,
        number: int,
        content: Content = Content.LINES,
        log: int = 0,
    ) -> None:
        self.data = data
        self.ends = ends
        self.count = len(ends)
        self.oldest = oldest
        self.newest = newest
        self.number = number
        self.content = content
        self.log = log


class StoredCompressedBlock(CompressedBlock):
    """The same, compressed."""

    __slots__ = ("log", "number")

    def __init__(
        self,
        packed: bytes,
        ends: "array[int]",
        oldest: int,
        newest: int,
        number: int,
        content: Content = Content.LINES,
        log: int = 0,
    ) -> None:
        super().__init__(packed, ends, oldest, newest, content)
        self.number = number
        self.log = log


def pack(batch: QueueBatch, number: int, flags: int = 0) -> bytes:
    """The frame of a batch whose first metric has this number."""
    lengths = array("I", batch.lengths())
    if sys.byteorder == "big":
        lengths.byteswap()
    index = lengths.tobytes()
    if batch.count >= _WORTH_COMPRESSING:
        flags |= COMPRESSED
        index, text = zlib.compress(index, 1), batch.stored("gzip")
    else:
        text = batch.stored()
    payload = b"".join((_CRC.pack(len(index)), index, text))
    header = _HEADER.pack(
        MAGIC, flags, batch.content, len(payload), number, batch.count, batch.oldest, batch.newest, zlib.crc32(payload)
    )
    return b"".join((header, _CRC.pack(zlib.crc32(header)), payload))


def unpack(header: Header, payload: bytes, log: int = 0) -> "StoredBlock | StoredCompressedBlock | None":
    """What a frame of the log with this number holds; None where it is damaged."""
    if not header.fits(payload) or len(payload) < _CRC.size:
        return None
    split = _CRC.size + _CRC.unpack_from(payload)[0]
    index, text = payload[_CRC.size : split], payload[split:]
    compressed = bool(header.flags & COMPRESSED)
    try:
        content = Content(header.content)
        lengths = array("I", zlib.decompress(index) if compressed else index)
    except (zlib.error, ValueError):
        return None
    if sys.byteorder == "big":
        lengths.byteswap()
    ends = array("I", accumulate(lengths))
    if len(ends) != header.count or (not compressed and ends[-1] != len(text)):
        return None
    kind = StoredCompressedBlock if compressed else StoredBlock
    return kind(text, ends, header.oldest, header.newest, header.number, content, log)


def next_frame(data: "bytes | memoryview", offset: int) -> "tuple[int, Header] | None":
    """Where the first whole frame at or behind `offset` begins, whatever lies before it."""
    whole = bytes(data)
    while (offset := whole.find(MAGIC, offset)) >= 0:
        header = Header.at(whole, offset)
        if header is not None and header.fits(memoryview(whole)[offset + HEADER_SIZE : offset + header.size]):
            return offset, header
        offset += 1
    return None


def frames_in(data: bytes, offset: int = 0) -> "Iterator[tuple[int, Header]]":
    """The whole frames of a segment from `offset` on: where each begins, and its header. What is damaged between them is
    passed over."""
    view = memoryview(data)
    while offset < len(data):
        header = Header.at(data, offset)
        end = offset + header.size if header else 0
        if header is None or end > len(data):
            found = next_frame(data, offset + 1)
            if found is None:
                return
            offset, header = found
            end = offset + header.size
        elif not header.fits(view[offset + HEADER_SIZE : end]):
            offset = end  # its length is known to be right
            continue
        yield offset, header
        offset = end


def headers_in(data: bytes) -> "Iterator[Header]":
    """All whole headers in `data`, whatever became of their payloads."""
    offset = -1
    while (offset := data.find(MAGIC, offset + 1)) >= 0:
        if header := Header.at(data, offset):
            yield header


def begins_frame(data: bytes) -> bool:
    """Whether `data` may be what is left of a write that was cut off: its beginning, or the zeroes of a file that was made
    longer before it was written."""
    start = data[: len(MAGIC)]
    return not data.strip(b"\0") or any(magic.startswith(start) for magic in (MAGIC, _HEAD_MAGIC))
