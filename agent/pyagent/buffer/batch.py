"""What one write takes: a batch, made of chunks of blocks."""

import warnings
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from pyagent.buffer.block import Chunk, CompressedBlock, gzip

__all__ = ["BATCH_BYTES", "QueueBatch", "next_chunks"]

BATCH_BYTES = 16 << 20
"""Most text of a batch of several metrics: each may have megabytes, and a receiver has seconds."""


def next_chunks(
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


class QueueBatch:
    """`pyagent.api.Batch` over chunks. Its times are the chunks': bounds, exact where no chunk was cut."""

    __slots__ = ("_payloads", "chunks", "count", "partition")

    def __init__(self, chunks: Sequence[Chunk], partition: str | None = None) -> None:
        self.chunks = tuple(chunks)
        self.partition = partition
        self.count = sum(map(len, self.chunks))
        self._payloads: dict[str, bytes] = {}

    @property
    def oldest(self) -> int:
        return min((chunk.block.oldest for chunk in self.chunks), default=0)

    @property
    def newest(self) -> int:
        return max((chunk.block.newest for chunk in self.chunks), default=0)

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

    def slice(self, start: int, stop: int) -> "QueueBatch":
        """The metrics from index `start` up to, not including, `stop`."""
        chunks, position = [], 0
        for chunk in self.chunks:
            first, last = max(start - position, 0), min(stop - position, len(chunk))
            if first < last:
                chunks.append(chunk.cut(first, last))
            position += len(chunk)
        return QueueBatch(chunks, self.partition)

    def lines(self, start: int, stop: int) -> "QueueBatch":
        """The name of `slice` before 0.2."""
        warnings.warn("Batch.lines is called Batch.slice now", DeprecationWarning, stacklevel=2)
        return self.slice(start, stop)

    def without(self, indices: Iterable[int]) -> "list[QueueBatch]":
        """The batch without the metrics at `indices`; empty where none is left."""
        chunks: list[Chunk] = []
        start = 0
        for index in (*sorted(set(indices)), self.count):
            if start < index:
                chunks += self.slice(start, index).chunks
            start = index + 1
        return [QueueBatch(chunks, self.partition)] if chunks else []

    def compress(self) -> Chunk:
        """The whole batch, which must be `uniform`, as one compressed chunk."""
        ends, end = array("I"), 0
        for chunk in self.chunks:
            first, last = chunk.span()
            ends.extend([offset - first + end for offset in chunk.block.ends[chunk.start : chunk.stop]])
            end += last - first
        return Chunk(
            CompressedBlock(self.payload("gzip"), ends, self.oldest, self.newest), pinned=self.chunks[0].pinned
        )

    def lengths(self) -> list[int]:
        """Bytes of each metric's lines."""
        found: list[int] = []
        for chunk in self.chunks:
            first, _ = chunk.span()
            ends = chunk.block.ends[chunk.start : chunk.stop]
            found += [end - start for start, end in pairwise([first, *ends])]
        return found

    @property
    def uniform(self) -> bool:
        """All of it may be evicted, or none."""
        return len({chunk.pinned for chunk in self.chunks}) == 1

    @property
    def is_compressed(self) -> bool:
        """Whether the work of compressing was done."""
        return "gzip" in self._payloads

    def _gzip(self) -> bytes:
        """What is compressed goes as it is, what lies between as members of its own."""
        members: list[bytes] = []
        loose: list[memoryview] = []
        for chunk in self.chunks:
            if (compressed := chunk.compressed_block) is None:
                loose.append(chunk.text())
                continue
            if loose:
                members.append(gzip(b"".join(loose)))
                loose = []
            members.append(compressed.packed)
        if loose or not members:
            members.append(gzip(b"".join(loose)))
        return members[0] if len(members) == 1 else b"".join(members)
