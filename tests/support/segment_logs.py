"""Batches of a segment log, and a disk that cannot be read."""

import errno
from array import array
from pathlib import Path

from pyagent.buffer import Chunk, QueueBatch
from pyagent.buffer.log.files import Files
from pyagent.buffer.log.reader import LogReader
from pyagent.buffer.log.segments import Recovery, SegmentLog


class NumberedBlock:
    def __init__(self, first: int, count: int) -> None:
        rows = [b"m n=%di\n" % number for number in range(first, first + count)]
        self.data = b"".join(rows)
        self.ends = array("I")
        for row in rows:
            self.ends.append(len(row) + (self.ends[-1] if self.ends else 0))
        self.count, self.oldest, self.newest = count, first, first + count


def batch(first: int, count: int) -> QueueBatch:
    return QueueBatch([Chunk(NumberedBlock(first, count))])


def read(folder: Path) -> tuple[list[int], Recovery, int]:
    """The numbers found, what recovery says, and what the reader misses beyond that."""
    log = SegmentLog(folder)
    recovery = log.open()
    reader = LogReader(log, log.committed, recovery.absent)
    found: list[int] = []
    while (frame := reader.read()) is not None:
        lines, skip, _ = frame
        found += [int(row[4:-1]) for row in lines.data.splitlines()][skip:]
    reader.close()
    log.close()
    return found, recovery, reader.lost


class Unreadable(Files):
    """A disk whose call `broken` fails for now."""

    def __init__(self, broken: str) -> None:
        self.broken = broken

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        if self.broken == "read" and size > 100:
            raise OSError(errno.EIO, "on purpose")
        return super().read(descriptor, size, offset)

    def sync(self, descriptor: int) -> None:
        if self.broken == "sync":
            raise OSError(errno.EIO, "on purpose")
        super().sync(descriptor)

    def open(self, path: Path, *, write: bool = False) -> int:
        if self.broken == "open" and path.suffix == ".seg":
            raise OSError(errno.EMFILE, "on purpose")
        return super().open(path, write=write)
