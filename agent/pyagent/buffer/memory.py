"""An output's queue in memory: bounded by a number of metrics, oldest first."""

from collections import deque
from collections.abc import Iterable

from pyagent.buffer.batch import Batch, Chunk, Lines

__all__ = ["MemoryQueue"]


class MemoryQueue:
    """What is encoded and not yet delivered.

    A batch that was taken stays part of the queue (it counts against the limit, but is never evicted) until `settle`
    says what became of it. Invariant: added = delivered + refused (both told by `settle`) + dropped + len(queue).
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError("a queue holds at least one metric")
        self.limit = limit
        self.added = 0
        self.dropped = 0
        """Metrics evicted to make room for newer ones."""
        self._waiting: deque[Chunk] = deque()
        self._waiting_count = 0
        self._taken: Batch | None = None

    def __len__(self) -> int:
        return self._waiting_count + (self._taken.count if self._taken else 0)

    @property
    def size(self) -> int:
        """Bytes of encoded text held."""
        return sum(chunk.size for chunk in self._waiting) + (self._taken.size if self._taken else 0)

    @property
    def oldest(self) -> int:
        """The earliest time held, ns since the epoch; 0 when empty."""
        if self._taken:
            return self._taken.oldest
        return self._waiting[0].lines.oldest if self._waiting else 0

    def append(self, lines: Lines) -> int:
        """Take encoded metrics; returns how many older ones had to go (the oldest of those waiting)."""
        if lines.count == 0:
            return 0
        self.added += lines.count
        self._waiting.append(Chunk(lines))
        self._waiting_count += lines.count
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
        self._waiting_count -= self._taken.count
        return self._taken

    def settle(self, kept: Iterable[Batch] = ()) -> None:
        """End the taken batch: `kept`, parts of it in order, go back to the front; all else has left the queue."""
        self._taken = None
        chunks = [chunk for batch in kept for chunk in batch.chunks]
        self._waiting.extendleft(reversed(chunks))
        self._waiting_count += sum(map(len, chunks))

    def adopt(self, older: "MemoryQueue") -> int:
        """Put another queue's metrics in front of this one's, which empties it; returns how many metrics had to go."""
        if older._taken is not None:
            raise RuntimeError("BUG: a queue was adopted while a batch of it is being written")
        self.added += older._waiting_count
        self._waiting_count += older._waiting_count
        self._waiting.extendleft(reversed(older._waiting))
        older.added -= older._waiting_count
        older._waiting.clear()
        older._waiting_count = 0
        return self._evict()

    def _evict(self) -> int:
        excess = dropped = min(max(len(self) - self.limit, 0), self._waiting_count)
        while excess:
            chunk = self._waiting.popleft()
            if len(chunk) > excess:
                self._waiting.appendleft(chunk.cut(excess, len(chunk)))
                excess = 0
            else:
                excess -= len(chunk)
        self._waiting_count -= dropped
        self.dropped += dropped
        return dropped
