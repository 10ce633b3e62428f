"""Encoded metrics on their way: what one append gave (a chunk), and what one write takes (a batch)."""

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Protocol

try:
    from isal import isal_zlib as _deflate

    _LEVEL = 1  # of ISA-L's 0 to 3: about zlib's ratio at a tenth of its cost
except ImportError:  # no wheel for this machine: slower, the same format
    import zlib as _deflate  # type: ignore[no-redef]

    _LEVEL = 1

__all__ = ["BATCH_BYTES", "Batch", "Chunk", "Lines", "Sealed", "gzip", "memory_of", "take_chunks"]

BATCH_BYTES = 16 << 20
"""Most text of a batch of several metrics: each may have megabytes, and a receiver has seconds."""

_GZIP_WBITS = 31


def gzip(data: bytes) -> bytes:
    """`data` as one gzip member."""
    compressed: bytes = _deflate.compress(data, _LEVEL, _GZIP_WBITS)
    return compressed


class Lines(Protocol):
    """What a serializer gives for a list of metrics."""

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


class Sealed:
    """Lines kept compressed: a backlog takes a tenth of its size in memory, and is sent without being touched again.

    `packed` is one or more gzip members; receivers read them all as one text (RFC 1952, 2.2).
    """

    __slots__ = ("count", "ends", "newest", "oldest", "packed")

    def __init__(self, packed: bytes, ends: "array[int]", oldest: int, newest: int) -> None:
        self.packed = packed
        self.ends = ends
        self.count = len(ends)
        self.oldest = oldest
        self.newest = newest

    @property
    def data(self) -> bytes:
        """The text, inflated anew each time."""
        text, rest = b"", self.packed
        while rest:
            member = _deflate.decompressobj(_GZIP_WBITS)
            text += member.decompress(rest)
            rest = member.unused_data
        return text


def memory_of(pieces: Iterable[Lines]) -> int:
    """Bytes that these take in memory, text and offsets, each piece counted once however often it is held."""
    distinct = {id(lines): lines for lines in pieces}.values()
    texts = (len(lines.packed if isinstance(lines, Sealed) else lines.data) for lines in distinct)
    return sum(texts) + sum(lines.ends.itemsize * lines.count for lines in distinct)


class Chunk:
    """A run of metrics, `start` to `stop`, of what one append gave. Cutting it copies nothing.

    `kept`: somebody was told that these are safe; they are never evicted to make room.
    """

    __slots__ = ("kept", "lines", "start", "stop")

    def __init__(self, lines: Lines, start: int = 0, stop: int | None = None, *, kept: bool = False) -> None:
        self.lines = lines
        self.start = start
        self.stop = lines.count if stop is None else stop
        self.kept = kept

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def size(self) -> int:
        """Bytes of encoded text."""
        first, last = self._span()
        return last - first

    @property
    def weight(self) -> int:
        """Bytes that it takes as it is held, about: its share where it was cut."""
        lines = self.lines
        if isinstance(lines, Sealed):
            return len(lines.packed) * len(self) // lines.count
        return self.size

    @property
    def sealed(self) -> "Sealed | None":
        """The compressed form, where there is one of just these metrics."""
        lines = self.lines
        return lines if isinstance(lines, Sealed) and len(self) == lines.count else None

    def cut(self, start: int, stop: int) -> "Chunk":
        """The part from index `start` up to, not including, `stop`, counted within this chunk."""
        return Chunk(self.lines, self.start + start, self.start + stop, kept=self.kept)

    def fitting(self, most: int, space: int) -> int:
        """How many of the first metrics, up to `most`, have no more than `space` bytes of text together."""
        first, _ = self._span()
        stop = min(self.start + most, self.stop)
        return bisect_right(self.lines.ends, first + space, self.start, stop) - self.start

    def text(self) -> memoryview:
        first, last = self._span()
        return memoryview(self.lines.data)[first:last]

    def _span(self) -> tuple[int, int]:
        ends = self.lines.ends
        return (ends[self.start - 1] if self.start else 0), (ends[self.stop - 1] if self.stop else 0)


def take_chunks(
    source: deque[Chunk], most: int, moved: Callable[[Chunk, int], None] = lambda chunk, sign: None
) -> list[Chunk]:
    """Take up to `most` metrics from the front: at most BATCH_BYTES of text, or one metric that has more. `moved` is told of
    chunks that leave (-1), and of those that come back because they were cut (1)."""
    chunks: list[Chunk] = []
    space = BATCH_BYTES
    while most and source:
        chunk = source[0]
        fits = chunk.fitting(most, space) or int(not chunks)
        if not fits:
            break
        source.popleft()
        moved(chunk, -1)
        if fits < len(chunk):
            source.appendleft(chunk.cut(fits, len(chunk)))
            moved(source[0], 1)
            chunk = chunk.cut(0, fits)
        chunks.append(chunk)
        most -= len(chunk)
        space = max(space - chunk.size, 0)
    return chunks


class Batch:
    """`pyagent.api.Batch` over chunks. Its times are the chunks': bounds, exact where no chunk was cut."""

    __slots__ = ("_payloads", "chunks", "count", "partition")

    def __init__(self, chunks: Sequence[Chunk], partition: str | None = None) -> None:
        self.chunks = tuple(chunks)
        self.partition = partition
        self.count = sum(map(len, self.chunks))
        self._payloads: dict[str, bytes] = {}

    @property
    def oldest(self) -> int:
        return min((chunk.lines.oldest for chunk in self.chunks), default=0)

    @property
    def newest(self) -> int:
        return max((chunk.lines.newest for chunk in self.chunks), default=0)

    @property
    def size(self) -> int:
        """Bytes of encoded text."""
        return sum(chunk.size for chunk in self.chunks)

    def payload(self, encoding: str = "identity") -> bytes:
        """All lines as one body; kept, so that a retry of this batch joins and compresses nothing again."""
        body = self._payloads.get(encoding)
        if body is None:
            if encoding == "gzip":
                body = self._gzip()
            elif encoding == "identity":
                body = b"".join(chunk.text() for chunk in self.chunks)
            else:
                raise ValueError(f"unknown content encoding {encoding!r}")
            self._payloads[encoding] = body
        return body

    def lines(self, start: int, stop: int) -> "Batch":
        """The metrics from index `start` up to, not including, `stop`."""
        chunks, position = [], 0
        for chunk in self.chunks:
            first, last = max(start - position, 0), min(stop - position, len(chunk))
            if first < last:
                chunks.append(chunk.cut(first, last))
            position += len(chunk)
        return Batch(chunks, self.partition)

    def without(self, lines: Iterable[int]) -> "list[Batch]":
        """The batch without the metrics at `lines`; empty where none is left."""
        chunks: list[Chunk] = []
        start = 0
        for line in (*sorted(set(lines)), self.count):
            if start < line:
                chunks += self.lines(start, line).chunks
            start = line + 1
        return [Batch(chunks, self.partition)] if chunks else []

    def seal(self) -> Chunk:
        """The whole batch, which must be `uniform`, as one compressed chunk."""
        ends, end = array("I"), 0
        for chunk in self.chunks:
            first, last = chunk._span()
            ends.extend([offset - first + end for offset in chunk.lines.ends[chunk.start : chunk.stop]])
            end += last - first
        return Chunk(Sealed(self.payload("gzip"), ends, self.oldest, self.newest), kept=self.chunks[0].kept)

    def lengths(self) -> list[int]:
        """Bytes of each metric's lines."""
        found: list[int] = []
        for chunk in self.chunks:
            first, _ = chunk._span()
            ends = chunk.lines.ends[chunk.start : chunk.stop]
            found += [end - start for start, end in pairwise([first, *ends])]
        return found

    @property
    def uniform(self) -> bool:
        """All of it may be evicted, or none."""
        return len({chunk.kept for chunk in self.chunks}) == 1

    @property
    def compressed(self) -> bool:
        """Whether the work of compressing was done."""
        return "gzip" in self._payloads

    def _gzip(self) -> bytes:
        """What is sealed goes as it is, what lies between as members of its own."""
        members: list[bytes] = []
        loose: list[memoryview] = []
        for chunk in self.chunks:
            if (sealed := chunk.sealed) is None:
                loose.append(chunk.text())
                continue
            if loose:
                members.append(gzip(b"".join(loose)))
                loose = []
            members.append(sealed.packed)
        if loose or not members:
            members.append(gzip(b"".join(loose)))
        return members[0] if len(members) == 1 else b"".join(members)
