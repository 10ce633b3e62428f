"""What one write takes: a batch, made of chunks of blocks."""

import time
import warnings
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Protocol

from pyagent.api import LineOptions, Metric, Reject
from pyagent.buffer.block import Chunk, CompressedBlock, gzip
from pyagent.lineprotocol import Content, encode, parse, unpack

__all__ = ["BATCH_BYTES", "Body", "QueueBatch", "next_chunks"]

BATCH_BYTES = 16 << 20
"""Most text of a batch of several metrics: each may have megabytes, and a receiver has seconds."""


class Body(Protocol):
    """How an output wants a batch."""

    @property
    def content(self) -> Content | None:
        """What is sent as it is queued; None: nothing is."""

    def write(self, metrics: Sequence[Metric]) -> bytes:
        """The body of metrics that are queued in another form. Raises Reject for what it cannot hold."""


def next_chunks(
    source: deque[Chunk], most: int, moved: Callable[[Chunk, int], None] = lambda chunk, sign: None
) -> list[Chunk]:
    """Take up to `most` metrics from the front, all of one content: at most BATCH_BYTES of text, or one metric that has more.
    `moved` is told of chunks that leave (-1), and of those that come back because they were cut (1)."""
    chunks: list[Chunk] = []
    space = BATCH_BYTES
    while most and source:
        chunk = source[0]
        if chunks and chunk.content is not chunks[0].content:
            break
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
    """`pyagent.api.Batch` over chunks of one content. Its times are the chunks': bounds, exact where no chunk was cut."""

    __slots__ = ("_bodies", "_payloads", "body", "chunks", "count", "partition")

    def __init__(self, chunks: Sequence[Chunk], partition: str | None = None, body: Body | None = None) -> None:
        """`body`: how the output wants it; None: as it is queued."""
        self.chunks = tuple(chunks)
        self.partition = partition
        self.body = body
        self.count = sum(map(len, self.chunks))
        self._payloads: dict[str, bytes] = {}
        """As it is queued, by content encoding."""
        self._bodies: dict[str, bytes] = {}
        """The same in the output's form, where it is another."""

    @property
    def content(self) -> Content:
        return self.chunks[0].content if self.chunks else Content.LINES

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
        """All of it as one body in the output's form; kept, so that a retry joins and compresses nothing again."""
        # What only its receiver can read goes as it is, whatever was configured since.
        if self.body is None or self.content in (self.body.content, Content.RECORDS):
            return self.stored(encoding)
        body = self._bodies.get(encoding)
        if body is None:
            if encoding not in ("identity", "gzip"):
                raise ValueError(f"unknown content encoding {encoding!r}")
            body = self._bodies.get("identity") or self.body.write(self.metrics())
            if encoding == "gzip":
                body = gzip(body)
            self._bodies[encoding] = body
        return body

    def metrics(self) -> list[Metric]:
        """The metrics, decoded. Raises Reject where they cannot be."""
        data = self.stored()
        if self.content is Content.METRICS:
            return unpack(data)
        if self.content is Content.LINES:
            # Lines of an output that wants no times get the present.
            return parse(data, time.time_ns()).metrics
        raise Reject("cannot read metrics from the queue: they were serialized for another output")

    def records(self) -> list[bytes]:
        """Each metric as a body of its own, in the output's form. Raises Reject for those that it cannot hold."""
        if self.body is None or self.content in (self.body.content, Content.RECORDS):
            data, ends = self.stored(), self._ends()
            return [data[start:end] for start, end in pairwise([0, *ends])]
        bodies: list[bytes] = []
        refused: dict[int, Reject] = {}
        for index, metric in enumerate(self.metrics()):
            try:
                bodies.append(self.body.write([metric]))
            except Reject as error:
                refused[index] = error
        if refused:
            raise Reject(str(next(iter(refused.values()))), tuple(refused))
        return bodies

    @property
    def position(self) -> tuple[int, int] | None:
        """See `pyagent.api.Batch`."""
        chunk = self.chunks[0]
        log: int | None = getattr(chunk.block, "log", None)
        number: int = getattr(chunk.block, "number", 0)
        return None if log is None else (log, number + chunk.start)

    def parts(self) -> "list[QueueBatch]":
        """See `pyagent.api.Batch`."""
        found: list[list[Chunk]] = []
        for chunk in self.chunks:
            if found and not hasattr(chunk.block, "log") and not hasattr(found[-1][0].block, "log"):
                found[-1].append(chunk)
            else:
                found.append([chunk])
        return [QueueBatch(chunks, self.partition, self.body) for chunks in found]

    def texts(self) -> list[bytes]:
        """For people: each metric as it is queued, or as line protocol where that is no text."""
        if self.content is not Content.METRICS:
            data, ends = self.stored(), self._ends()
            return [data[start:end] for start, end in pairwise([0, *ends])]
        lines = LineOptions(uint_support=True)
        return [encode([metric], lines).data or f"{metric!r}\n".encode("utf-8", "replace") for metric in self.metrics()]

    def stored(self, encoding: str = "identity") -> bytes:
        """All of it as it is queued; kept."""
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
        return QueueBatch(chunks, self.partition, self.body)

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
        return [QueueBatch(chunks, self.partition, self.body)] if chunks else []

    def compress(self) -> Chunk:
        """The whole batch, which must be `uniform`, as one compressed chunk."""
        block = CompressedBlock(self.stored("gzip"), self._ends(), self.oldest, self.newest, self.content)
        return Chunk(block, pinned=self.chunks[0].pinned)

    def _ends(self) -> "array[int]":
        """For each metric the offset behind it in what is stored."""
        ends, end = array("I"), 0
        for chunk in self.chunks:
            first, last = chunk.span()
            ends.extend([offset - first + end for offset in chunk.block.ends[chunk.start : chunk.stop]])
            end += last - first
        return ends

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
