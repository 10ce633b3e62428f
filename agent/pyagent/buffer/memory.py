"""An output's queue in memory: bounded by a number of metrics, oldest first."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, groupby

from pyagent.buffer.batch import Batch, Chunk, Lines

__all__ = ["MemoryQueue"]

_WORTH_SEALING = 64
"""Fewer metrics are not worth a compressed chunk of their own."""


class MemoryQueue:
    """What is encoded and not yet delivered.

    What a listener has acknowledged comes in by `admit` and is never evicted. A batch that was taken stays part of the
    queue (it counts against the limit, but is never evicted) until `settle` says what became of it. Invariant:
    added = delivered + refused (both told by `settle`) + dropped + len(queue).
    """

    def __init__(self, limit: int, batch_size: int = 1000) -> None:
        if limit < 1 or batch_size < 1:
            raise ValueError("a queue holds at least one metric, and a batch has at least one")
        self.limit = limit
        self._batch_size = batch_size
        self.added = 0
        self.dropped = 0
        """Metrics evicted to make room for newer ones."""
        self._waiting: deque[Chunk] = deque()
        self._waiting_count = 0
        self._kept_count = 0
        """Those of the waiting metrics that are never evicted."""
        self._unsealed = 0
        """Metrics put in since the backlog was last sealed."""
        self._taken: Batch | None = None

    def __len__(self) -> int:
        return self._waiting_count + (self._taken.count if self._taken else 0)

    @property
    def size(self) -> int:
        """Bytes of encoded text held."""
        return sum(chunk.size for chunk in self._waiting) + (self._taken.size if self._taken else 0)

    def held(self) -> Iterator[Lines]:
        """What is kept in memory, each piece once or more; queues of equal outputs hold the same pieces."""
        chunks = chain(self._waiting, self._taken.chunks if self._taken else ())
        return (chunk.lines for chunk in chunks)

    @property
    def oldest(self) -> int:
        """The earliest time held, ns since the epoch; 0 when empty."""
        if self._taken:
            return self._taken.oldest
        return self._waiting[0].lines.oldest if self._waiting else 0

    def append(self, lines: Lines) -> int:
        """Take encoded metrics; returns how many had to go: the oldest of those waiting that may go."""
        if lines.count:
            self.added += lines.count
            self._put(Chunk(lines))
        return self._evict()

    def has_room(self, count: int) -> bool:
        """Whether `admit` may take so many. An empty queue takes any number, else a large body would never fit."""
        held = self._kept_count + (self._taken.count if self._taken else 0)
        return held == 0 or held + count <= self.limit

    def admit(self, lines: Lines) -> int:
        """Take metrics that stay whatever comes (ask `has_room` first); returns how many others had to go."""
        if lines.count:
            self.added += lines.count
            self._put(Chunk(lines, kept=True))
        return self._evict()

    def take(self, most: int) -> Batch | None:
        """Up to `most` of the oldest metrics, or None. One batch at a time: `settle` it before the next."""
        if self._taken is not None:
            raise RuntimeError("BUG: a batch was taken before the last one was settled")
        chunks: list[Chunk] = []
        room = most
        while room and self._waiting:
            chunk = self._waiting.popleft()
            if len(chunk) > room:
                self._waiting.appendleft(chunk.cut(room, len(chunk)))
                chunk = chunk.cut(0, room)
            chunks.append(chunk)
            room -= len(chunk)
        if not chunks:
            return None
        self._taken = Batch(chunks)
        self._count(chunks, -1)
        return self._taken

    def settle(self, kept: Iterable[Batch] = ()) -> None:
        """End the taken batch: `kept`, parts of it in order, go back to the front; all else has left the queue."""
        self._taken = None
        chunks: list[Chunk] = []
        for batch in kept:
            # What was compressed to be sent is kept so: the next attempt finds it ready.
            chunks += [batch.seal()] if batch.compressed and batch.uniform else batch.chunks
        self._waiting.extendleft(reversed(chunks))
        self._count(chunks, 1)

    def adopt(self, older: "MemoryQueue") -> int:
        """Put another queue's metrics in front of this one's, which empties it; returns how many metrics had to go."""
        if older._taken is not None:
            raise RuntimeError("BUG: a queue was adopted while a batch of it is being written")
        chunks = list(older._waiting)
        older._waiting.clear()
        older._count(chunks, -1)
        older.added -= sum(map(len, chunks))
        self.added += sum(map(len, chunks))
        self._waiting.extendleft(reversed(chunks))
        self._count(chunks, 1)
        return self._evict()

    def _put(self, chunk: Chunk) -> None:
        self._waiting.append(chunk)
        self._count((chunk,), 1)
        self._unsealed += len(chunk)
        if self._unsealed >= self._batch_size and self._waiting_count >= 2 * self._batch_size:
            self._seal_backlog()

    def _seal_backlog(self) -> None:
        """Compress what waits behind others, in batches as they will be sent."""
        loose: deque[Chunk] = deque()
        while self._waiting and self._waiting[-1].sealed is None:
            loose.appendleft(self._waiting.pop())
        self._count(loose, -1)
        chunks: list[Chunk] = []
        # What may be evicted and what may not stay apart.
        for _, run in groupby(loose, key=lambda chunk: chunk.kept):
            batch, size = Batch(list(run)), self._batch_size
            for start in range(0, batch.count, size):
                part = batch.lines(start, start + size)
                chunks += [part.seal()] if part.count >= min(size, _WORTH_SEALING) else part.chunks
        self._waiting.extend(chunks)
        self._count(chunks, 1)
        self._unsealed = 0

    def _count(self, chunks: Iterable[Chunk], sign: int) -> None:
        for chunk in chunks:
            self._waiting_count += sign * len(chunk)
            if chunk.kept:
                self._kept_count += sign * len(chunk)

    def _evict(self) -> int:
        excess = dropped = min(max(len(self) - self.limit, 0), self._waiting_count - self._kept_count)
        spared: list[Chunk] = []
        while excess:
            chunk = self._waiting.popleft()
            if chunk.kept:
                spared.append(chunk)
            elif len(chunk) > excess:
                self._waiting.appendleft(chunk.cut(excess, len(chunk)))
                excess = 0
            else:
                excess -= len(chunk)
        self._waiting.extendleft(reversed(spared))
        self._waiting_count -= dropped
        self.dropped += dropped
        return dropped
