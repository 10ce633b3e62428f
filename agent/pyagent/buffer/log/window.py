"""A part of a log on its way out: read from disk, taken for writing, and given back."""

from collections import deque
from dataclasses import dataclass, field

from pyagent.buffer.batch import BATCH_BYTES, Batch, Chunk, take_chunks
from pyagent.buffer.log.reader import LogReader

__all__ = ["Loaded", "Stretch"]


@dataclass(slots=True)
class Loaded:
    """What `Stretch.load` read. `passed`: the numbers (from, to) that it went over without finding a metric that is due."""

    chunks: list[Chunk] = field(default_factory=list)
    passed: list[tuple[int, int]] = field(default_factory=list)
    lost: int = 0
    ended: bool = False
    error: OSError | None = None
    """Why it does not hold more."""


class Stretch:
    """Read from its beginning on. `load` is blocking, all else belongs to the main loop."""

    def __init__(self, reader: LogReader, unread: int = 0, oldest: int = 0) -> None:
        self.reader = reader
        self._oldest_unread = oldest
        """About, ns since the epoch."""
        self.unread = unread
        """Metrics in the log from where the reader is."""
        self._loaded: deque[Chunk] = deque()
        self._loaded_count = 0
        self._returned: deque[Batch] = deque()
        """What was taken and not delivered, the oldest first; compressed already, it is sent again as it is."""

    def __len__(self) -> int:
        return self.unread + self.held

    @property
    def held(self) -> int:
        """Metrics in memory."""
        return self._loaded_count + sum(batch.count for batch in self._returned)

    def suffices(self, least: int) -> bool:
        """Whether so many metrics are in memory, or as much text as a batch has."""
        return self.held >= least or sum(chunk.size for chunk in self.chunks) >= BATCH_BYTES

    @property
    def chunks(self) -> list[Chunk]:
        return [*(chunk for batch in self._returned for chunk in batch.chunks), *self._loaded]

    @property
    def oldest(self) -> int:
        """The earliest time known, ns since the epoch; 0 when empty."""
        if self._returned:
            return self._returned[0].oldest
        if self._loaded:
            return self._loaded[0].lines.oldest
        return self._oldest_unread if self.unread else 0

    def appended(self, chunks: list[Chunk]) -> None:
        """These are in the log now."""
        if not self.unread and chunks:
            self._oldest_unread = chunks[0].lines.oldest
        self.unread += sum(map(len, chunks))

    def skipped(self, count: int) -> None:
        self.unread = max(self.unread - count, 0)

    def load(self, least: int) -> Loaded:
        """Blocking: read frames until there are so many metrics, or enough for a batch, or the log ends or cannot be read. Give
        it to `loaded`."""
        result = Loaded()
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
                lines, skip, acknowledged = found
                result.passed.append((before, lines.number + skip))
                result.chunks.append(Chunk(lines, skip, kept=acknowledged))
                count += lines.count - skip
                size += result.chunks[-1].size
        result.lost = self.reader.take_lost()
        return result

    def loaded(self, result: Loaded) -> None:
        count = sum(map(len, result.chunks))
        self._loaded.extend(result.chunks)
        self._loaded_count += count
        if result.chunks:
            self._oldest_unread = result.chunks[-1].lines.newest
        self.unread = 0 if result.ended else max(self.unread - count - result.lost, 0)

    def take(self, most: int) -> Batch | None:
        """Up to `most` metrics of those in memory."""
        if self._returned:
            batch = self._returned.popleft()
            if batch.count > most:
                self._returned.appendleft(batch.lines(most, batch.count))
                batch = batch.lines(0, most)
            return batch
        chunks = take_chunks(self._loaded, most)
        self._loaded_count -= sum(map(len, chunks))
        return Batch(chunks) if chunks else None

    def give_back(self, parts: list[Batch]) -> None:
        self._returned.extendleft(reversed(parts))
