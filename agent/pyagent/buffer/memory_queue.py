"""Encoded metrics in memory: bounded by a number of metrics and of bytes, oldest first."""

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby

from pyagent.buffer.batch import QueueBatch, next_chunks
from pyagent.buffer.block import Chunk, EncodedBlock

__all__ = ["Compressor", "MemoryQueue", "batches_of"]

_WORTH_COMPRESSING = 64
"""Fewer metrics are not worth a compressed chunk of their own."""
_WORTH_A_THREAD = 500
"""Fewer are compressed on the spot: that takes half a millisecond."""
Compressor = Callable[[Callable[[], None], Callable[[], None]], None]
"""Runs the first in a thread, then the second where it was called."""


class MemoryQueue:
    """What is encoded and not yet delivered.

    What a listener acknowledges is enqueued pinned, and is never evicted. A batch that was taken stays part of the
    queue (it counts against the limit, but is never evicted) until `complete` says what became of it. Invariant:
    added = delivered + refused (both told by `complete`) + dropped + len(queue).

    `max_bytes` bounds what waits as it lies in memory, compressed or not; 0 is no bound. Where there is no room the oldest
    go, or with `drop_newest` what comes in.

    A backlog is compressed, by `compressor` where there is one, else on the spot.
    """

    def __init__(
        self,
        limit: int,
        batch_size: int = 1000,
        *,
        max_bytes: int = 0,
        drop_newest: bool = False,
        compressor: Compressor | None = None,
        worth_compressing: int = _WORTH_COMPRESSING,
        worth_a_thread: int = _WORTH_A_THREAD,
    ) -> None:
        """`worth_compressing`: metrics of a part of the backlog that is compressed. `worth_a_thread`: metrics that are
        handed to `compressor`; fewer are compressed here."""
        if limit < 1 or batch_size < 1:
            raise ValueError("a queue holds at least one metric, and a batch has at least one")
        self.limit = limit
        self.max_bytes = max_bytes
        self.added = 0
        self.dropped = 0
        """Metrics that there was no room for."""
        self._batch_size = batch_size
        self._drop_newest = drop_newest
        self._worth_compressing = worth_compressing
        self._worth_a_thread = worth_a_thread
        self._waiting: deque[Chunk] = deque()
        self._backlog: deque[Chunk] = deque()
        """Older ones that others go ahead of, after `split_backlog`."""
        self._waiting_count = 0
        """Metrics in both."""
        self._pinned_count = 0
        """Those of them that are never evicted."""
        self._bytes = 0
        self._uncompressed = 0
        """Metrics put in since the backlog was last compressed."""
        self._compressor = compressor
        self._compressing = False
        """A thread is at it."""
        self._in_flight: list[tuple[QueueBatch, deque[Chunk]]] = []
        """Each with where it came from."""
        self._taken_count = 0

    def __len__(self) -> int:
        return self._waiting_count + self._taken_count

    @property
    def waiting(self) -> int:
        """Metrics that are not in a batch just being written."""
        return self._waiting_count

    @property
    def pinned(self) -> int:
        """Metrics that no eviction can remove."""
        return self._pinned_count + self._taken_count

    @property
    def evictable(self) -> int:
        """Metrics that `evict` can remove."""
        return self._waiting_count - self._pinned_count

    @property
    def fresh(self) -> bool:
        """Whether what `next_batch` gives next is no backlog that `split_backlog` put behind."""
        return bool(self._waiting)

    @property
    def size(self) -> int:
        """Bytes of encoded text held."""
        return sum(chunk.size for chunk in self._all()) + sum(batch.size for batch, _ in self._in_flight)

    @property
    def bytes(self) -> int:
        """Bytes that what waits takes as it is held."""
        return self._bytes

    def held(self) -> Iterator[EncodedBlock]:
        """What is kept in memory, each piece once or more; queues of equal outputs hold the same pieces."""
        taken = chain.from_iterable(batch.chunks for batch, _ in self._in_flight)
        return (chunk.block for chunk in chain(self._all(), taken))

    @property
    def oldest(self) -> int:
        """The earliest time held, ns since the epoch; 0 when empty."""
        first = next(self._all(), None)
        found = [batch.oldest for batch, _ in self._in_flight] + ([first.block.oldest] if first else [])
        return min(found, default=0)

    def enqueue(self, block: EncodedBlock, *, pinned: bool = False) -> int:
        """Take in encoded metrics; `pinned`: they stay whatever comes (ask `can_admit` first). Returns how many had no room:
        the oldest of those waiting that may go, or of these."""
        if block.count:
            self.added += block.count
            self._put(Chunk(block, pinned=pinned))
        return self.evict()

    def can_admit(self, count: int) -> bool:
        """Whether so many may be pinned. An empty queue takes any number, else a large body would never fit."""
        held = self.pinned
        return held == 0 or (held + count <= self.limit and not (self.max_bytes and self._bytes > self.max_bytes))

    def next_batch(self, most: int) -> QueueBatch | None:
        """Up to `most` of the oldest metrics, fewer where they are large, or None. `complete` it in the end."""
        source = self._waiting or self._backlog
        chunks = next_chunks(source, most, lambda chunk, sign: self._count((chunk,), sign))
        if not chunks:
            return None
        batch = QueueBatch(chunks)
        self._in_flight.append((batch, source))
        self._taken_count += batch.count
        return batch

    def complete(self, batch: QueueBatch, requeue: Iterable[QueueBatch] = ()) -> None:
        """End a batch that was taken: `requeue`, parts of it in order, go back to the front; all else has left the queue."""
        index = next(i for i, (taken, _) in enumerate(self._in_flight) if taken is batch)
        _, source = self._in_flight.pop(index)
        self._taken_count -= batch.count
        chunks: list[Chunk] = []
        for part in requeue:
            # What was compressed to be sent stays so: the next attempt finds it ready.
            chunks += [part.compress()] if part.is_compressed and part.uniform else part.chunks
        source.extendleft(reversed(chunks))
        self._count(chunks, 1)

    def split_backlog(self) -> None:
        """From now on what comes in is taken before what waits now."""
        self._backlog.extend(self._waiting)
        self._waiting.clear()

    def adopt(self, older: "MemoryQueue") -> int:
        """Put another queue's metrics in front of this one's, which empties it; returns how many metrics had to go."""
        if older._in_flight:
            raise RuntimeError("BUG: a queue was adopted while a batch of it is being written")
        chunks = older.drain()
        older.added -= sum(map(len, chunks))
        self.added += sum(map(len, chunks))
        self.put_back(chunks)
        return self.evict()

    def drain(self, most: int = 0) -> list[Chunk]:
        """Take out all that waits, the oldest first, for another place; `most`: about so many bytes of it, as they are held."""
        chunks: list[Chunk] = []
        size = 0
        for source in (self._backlog, self._waiting):
            while source and not 0 < most <= size:
                chunks.append(source.popleft())
                size += chunks[-1].memory_size
        self._count(chunks, -1)
        self._uncompressed = min(self._uncompressed, self._waiting_count)
        return chunks

    def put_back(self, chunks: Iterable[Chunk]) -> None:
        """Put back what `drain` took out, in front."""
        chunks = list(chunks)
        (self._backlog or self._waiting).extendleft(reversed(chunks))
        self._count(chunks, 1)

    def evict(self, least: int = 0) -> int:
        """Make room: down to the limits, and of at least so many metrics; returns how many went."""
        evictable = self.evictable
        excess = min(max(len(self) - self.limit, least), evictable)
        dropped = 0
        while dropped < evictable and (dropped < excess or self._heavy()):
            dropped += self._evict_chunk(excess - dropped)
        self.dropped += dropped
        return dropped

    def _evict_chunk(self, most: int) -> int:
        """The first chunk that may go, or so many of its metrics (0: all of them); returns how many went."""
        newest = self._drop_newest
        for source in (self._waiting, self._backlog) if newest else (self._backlog, self._waiting):
            for index in range(len(source) - 1, -1, -1) if newest else range(len(source)):
                chunk = source[index]
                if chunk.pinned:
                    continue
                self._count((chunk,), -1)
                if 0 < most < len(chunk):
                    rest = len(chunk) - most
                    source[index] = chunk.cut(0, rest) if newest else chunk.cut(most, len(chunk))
                    self._count((source[index],), 1)
                    return most
                del source[index]
                return len(chunk)
        raise AssertionError("BUG: there was nothing to evict")

    def _heavy(self) -> bool:
        return 0 < self.max_bytes < self._bytes

    def _all(self) -> Iterator[Chunk]:
        return chain(self._backlog, self._waiting)

    def _put(self, chunk: Chunk) -> None:
        self._waiting.append(chunk)
        self._count((chunk,), 1)
        self._uncompressed += len(chunk)
        if self._compressing or self._uncompressed < self._batch_size or self._waiting_count < 2 * self._batch_size:
            return
        self._compress_backlog()

    def _compress_backlog(self) -> None:
        """Compress what waits behind others, in batches as they will be sent."""
        loose: list[Chunk] = []
        for chunk in reversed(self._waiting):
            if chunk.compressed_block is not None:
                break
            loose.append(chunk)
        loose.reverse()
        self._uncompressed = 0
        made: list[Chunk] = []

        def work() -> None:
            for part in batches_of(loose, self._batch_size):
                worth = part.count >= min(self._batch_size, self._worth_compressing)
                made.extend([part.compress()] if worth else part.chunks)

        def done() -> None:
            self._compressing = False
            self._replace(loose, made)

        if self._compressor is None or sum(map(len, loose)) < self._worth_a_thread:
            work()
            done()
        else:
            self._compressing = True
            self._compressor(work, done)

    def _replace(self, old: list[Chunk], new: list[Chunk]) -> None:
        """Put `new` in the place of `old`, unless some of those have left it meanwhile."""
        for source in (self._waiting, self._backlog):
            start = next((at for at, chunk in enumerate(source) if chunk is old[0]), None)
            if start is None:
                continue
            behind = [source.pop() for _ in range(len(source) - start)][::-1]
            whole = len(behind) >= len(old) and all(map(operator.is_, behind, old))
            source.extend([*new, *behind[len(old) :]] if whole else behind)
            if whole:
                self._count(old, -1)
                self._count(new, 1)

    def _count(self, chunks: Iterable[Chunk], sign: int) -> None:
        for chunk in chunks:
            self._waiting_count += sign * len(chunk)
            self._bytes += sign * chunk.memory_size
            if chunk.pinned:
                self._pinned_count += sign * len(chunk)


def batches_of(chunks: Iterable[Chunk], size: int) -> Iterator[QueueBatch]:
    """Batches of at most `size` metrics and BATCH_BYTES, in order. What may be evicted and what may not stay apart, and so do
    contents."""
    for _, run in groupby(chunks, key=lambda chunk: chunk.pinned):
        rest = deque(run)
        while rest:
            yield QueueBatch(next_chunks(rest, size))
