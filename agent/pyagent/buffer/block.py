"""Encoded metrics as they are held: a block is what one append gave, a chunk a part of one."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import Protocol

from pyagent.lineprotocol import Content

try:
    from isal import isal_zlib as _deflate

    _LEVEL = 1  # of ISA-L's 0 to 3: about zlib's ratio at a tenth of its cost
except ImportError:  # no wheel for this machine: slower, the same format
    import zlib as _deflate  # type: ignore[no-redef]

    _LEVEL = 1

__all__ = ["Chunk", "CompressedBlock", "EncodedBlock", "gzip", "memory_of"]

_GZIP_WBITS = 31


def gzip(data: bytes) -> bytes:
    """`data` as one gzip member."""
    compressed: bytes = _deflate.compress(data, _LEVEL, _GZIP_WBITS)
    return compressed


class EncodedBlock(Protocol):
    """What encoding gives for a list of metrics: their records one behind the other, and where each ends. A `content` (see
    Content) says what they are made of where it is not line protocol."""

    @property
    def data(self) -> bytes: ...
    @property
    def ends(self) -> "array[int]": ...
    @property
    def count(self) -> int: ...
    @property
    def oldest(self) -> int: ...
    @property
    def newest(self) -> int: ...


class CompressedBlock:
    """A block kept compressed: a backlog takes a tenth of its size in memory, and is sent without being touched again.

    `packed` is one or more gzip members; receivers read them all as one text (RFC 1952, 2.2).
    """

    __slots__ = ("content", "count", "ends", "newest", "oldest", "packed")

    def __init__(
        self, packed: bytes, ends: "array[int]", oldest: int, newest: int, content: Content = Content.LINES
    ) -> None:
        self.packed = packed
        self.ends = ends
        self.count = len(ends)
        self.oldest = oldest
        self.newest = newest
        self.content = content

    @property
    def data(self) -> bytes:
        """The text, inflated anew each time."""
        text, rest = b"", self.packed
        while rest:
            member = _deflate.decompressobj(_GZIP_WBITS)
            text += member.decompress(rest)
            rest = member.unused_data
        return text


def memory_of(pieces: Iterable[EncodedBlock]) -> int:
    """Bytes that these take in memory, text and offsets, each piece counted once however often it is held."""
    distinct = {id(block): block for block in pieces}.values()
    texts = (len(block.packed if isinstance(block, CompressedBlock) else block.data) for block in distinct)
    return sum(texts) + sum(block.ends.itemsize * block.count for block in distinct)


class Chunk:
    """A run of metrics, `start` to `stop`, of what one append gave. Cutting it copies nothing.

    `pinned`: somebody was promised that these are safe; they are never evicted to make room.
    """

    __slots__ = ("block", "pinned", "start", "stop")

    def __init__(self, block: EncodedBlock, start: int = 0, stop: int | None = None, *, pinned: bool = False) -> None:
        self.block = block
        self.start = start
        self.stop = block.count if stop is None else stop
        self.pinned = pinned

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def content(self) -> Content:
        return getattr(self.block, "content", Content.LINES)

    @property
    def size(self) -> int:
        """Bytes of encoded text."""
        first, last = self.span()
        return last - first

    @property
    def memory_size(self) -> int:
        """Bytes that it takes as it is held, about: its share where it was cut."""
        block = self.block
        if isinstance(block, CompressedBlock):
            return len(block.packed) * len(self) // block.count
        return self.size

    @property
    def compressed_block(self) -> "CompressedBlock | None":
        """The compressed form, where there is one of just these metrics."""
        block = self.block
        return block if isinstance(block, CompressedBlock) and len(self) == block.count else None

    def cut(self, start: int, stop: int) -> "Chunk":
        """The part from index `start` up to, not including, `stop`, counted within this chunk."""
        return Chunk(self.block, self.start + start, self.start + stop, pinned=self.pinned)

    def fitting(self, most: int, space: int) -> int:
        """How many of the first metrics, up to `most`, have no more than `space` bytes of text together."""
        first, _ = self.span()
        stop = min(self.start + most, self.stop)
        return bisect_right(self.block.ends, first + space, self.start, stop) - self.start

    def text(self) -> memoryview:
        first, last = self.span()
        return memoryview(self.block.data)[first:last]

    def span(self) -> tuple[int, int]:
        """Where its text begins and ends in the block's."""
        ends = self.block.ends
        return (ends[self.start - 1] if self.start else 0), (ends[self.stop - 1] if self.stop else 0)
