"""Numbers of metrics that are done with, in whatever order they come."""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence

from pyagent.buffer.batch import QueueBatch
from pyagent.buffer.block import Chunk

__all__ = ["OffsetSet", "offsets_done", "uncovered"]


class OffsetSet:
    """All numbers below `until`, and ranges behind it."""

    def __init__(self, until: int = 0) -> None:
        self.until = until
        self._ranges: list[tuple[int, int]] = []

    def add(self, start: int, stop: int) -> None:
        if start < stop:
            insort(self._ranges, (start, stop))
            while self._ranges and self._ranges[0][0] <= self.until:
                self.until = max(self.until, self._ranges.pop(0)[1])


def offsets_done(chunks: Sequence[Chunk], kept: Iterable[QueueBatch]) -> Iterator[tuple[Chunk, int, int]]:
    """The parts of `chunks` that are not in `kept`, parts of them in the same order: each with its chunk, and the indices
    in that chunk's lines."""
    left = iter([chunk for batch in kept for chunk in batch.chunks])
    part = next(left, None)
    for chunk in chunks:
        position = chunk.start
        while part is not None and part.block is chunk.block and chunk.start <= part.start and part.stop <= chunk.stop:
            if position < part.start:
                yield chunk, position, part.start
            position = part.stop
            part = next(left, None)
        if position < chunk.stop:
            yield chunk, position, chunk.stop


def uncovered(start: int, stop: int, ranges: Iterable[tuple[int, int]]) -> int:
    """How many numbers from `start` to `stop` are in none of the ranges (from, to)."""
    count = 0
    for first, last in sorted(ranges):
        if last > max(first, start):
            count += max(min(first, stop) - start, 0)
            start = max(start, last)
    return count + max(stop - start, 0)
