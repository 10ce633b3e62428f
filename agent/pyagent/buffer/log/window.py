"""A part of a log on its way out: read from disk, taken for writing, and given back."""

from collections import deque
from dataclasses import dataclass, field

from pyagent.buffer.batch import BATCH_BYTES, QueueBatch, next_chunks
from pyagent.buffer.block import Chunk
from pyagent.buffer.log.reader import LogReader

__all__ = ["LogWindow", "Prefetched"]


@dataclass(slots=True)
class Prefetched:
    """What `LogWindow.prefetch` read. `passed`: the numbers (from, to) that it went over without a metric that is due."""

    chunks: list[Chunk] = field(default_factory=list)
    passed: list[tuple[int, int]] = field(default_factory=list)
    lost: int = 0
    ended: bool = False
    error: OSError | None = None
    """Why it does not hold more."""


class LogWindow:
    """Read from its beginning on. `prefetch` is blocking, all else belongs to the main loop."""

    def __init__(self, reader: LogReader, unread: int = 0, oldest: int = 0) -> None:
        self.reader = reader
        self._oldest_unread = oldest
        """About, ns since the epoch."""
        self.unread = unread
        """Metrics in the log from where the reader is."""
        self._prefetched: deque[Chunk] = deque()
        self._prefetched_count = 0
        self._returned: deque[QueueBatch] = deque()
        """What was taken and not delivered, the oldest first; compressed already, it is sent again as it is."""

    def __len__(self) -> int:
        return self.unread + self.held

    @property
    def held(self) -> int:
        """Metrics in memory."""
        return self._prefetched_count + sum(batch.count for batch in self._returned)

    def suffices(self, least: int) -> bool:
        """Whether so many metrics are in memory, or as much text as a batch has."""
        return self.held >= least or sum(chunk.size for chunk in self.chunks) >= BATCH_BYTES

    @property
    def chunks(self) -> list[Chunk]:
        return [*(chunk for batch in self._returned for chunk in batch.chunks), *self._prefetched]

    @property
    def oldest(self) -> int:
        """The earliest time known, ns since the epoch; 0 when empty."""
        if self._returned:
            return self._returned[0].oldest
        if self._prefetched:
            return self._prefetched[0].block.oldest
        return self._oldest_unread if self.unread else 0

    def appended(self, chunks: list[Chunk]) -> None:
        """These are in the log now."""
        if not self.unread and chunks:
            self._oldest_unread = chunks[0].block.oldest
        self.unread += sum(map(len, chunks))

    def skipped(self, count: int) -> None:
        self.unread = max(self.unread - count, 0)

    def prefetch(self, least: int) -> Prefetched:
        """Blocking: read frames until there are so many metrics, or enough for a batch, or the log ends or cannot be read. Give
        it to `prefetched`."""
        result = Prefetched()
        count = size = 0
        while count < least and size < BATCH_BYTES and not result.ended:
            before = self.reader.expected
            try:
                found = self.reader.read()
            except OSError as error:
                result.error = error
                break
            if found is None:
                result.ended = True
                result.passed.append((before, self.reader.expected))
            else:
                block, skip, pinned = found
                result.passed.append((before, block.number + skip))
                result.chunks.append(Chunk(block, skip, pinned=pinned))
                count += block.count - skip
                size += result.chunks[-1].size
        result.lost = self.reader.take_lost()
        return result

    def prefetched(self, result: Prefetched) -> None:
        count = sum(map(len, result.chunks))
        self._prefetched.extend(result.chunks)
        self._prefetched_count += count
        if result.chunks:
            self._oldest_unread = result.chunks[-1].block.newest
        self.unread = 0 if result.ended else max(self.unread - count - result.lost, 0)

    def next_batch(self, most: int) -> QueueBatch | None:
        """Up to `most` metrics of those in memory."""
        if self._returned:
            batch = self._returned.popleft()
            if batch.count > most:
                self._returned.appendleft(batch.slice(most, batch.count))
                batch = batch.slice(0, most)
            return batch
        chunks = next_chunks(self._prefetched, most)
        self._prefetched_count -= sum(map(len, chunks))
        return QueueBatch(chunks) if chunks else None

    def give_back(self, parts: list[QueueBatch]) -> None:
        self._returned.extendleft(reversed(parts))
