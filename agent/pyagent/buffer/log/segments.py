"""A queue's log on disk: frames in segment files, a cursor behind what is done with, and recovery from whatever is found.

- `append` returns when its frames are synced. After an error of the disk nothing is trusted that was under way: the segment
  is left behind, and the same frames are written once more to a new one; where that fails too, they count as not written.
- `commit` moves the cursor first, durably, and then removes whole segments: neither needs room on the disk. A segment
  that is missing is one that was committed.
- `open` cuts off a write that was broken off, passes over damaged frames, and sets aside what it cannot understand and what
  is another log's. It removes nothing that could hold a metric. What cannot be read now is no damage: it raises OSError.

Blocking, and for one thread at a time.
"""

import contextlib
import errno
from collections.abc import Sequence
from pathlib import Path

from pyagent.buffer.batch import QueueBatch
from pyagent.buffer.log.cursor import Cursor
from pyagent.buffer.log.files import Files
from pyagent.buffer.log.frames import PINNED, RENUMBERED, VERSION, VERSION_LINES, Head, pack
from pyagent.buffer.log.recovery import Finder, write_identity
from pyagent.buffer.log.scan import Recovery, Segment
from pyagent.lineprotocol import Content

__all__ = ["InUse", "Recovery", "Segment", "SegmentLog"]

SEGMENT_SIZE = 8 << 20
_FOLDER = ("cursor", "identity", "lock")
"""What lies beside the segments."""


class InUse(OSError):
    """Another process holds the log."""


class SegmentLog:
    def __init__(
        self,
        directory: Path,
        *,
        segment_size: int = SEGMENT_SIZE,
        sync: bool = True,
        passing: bool = False,
        files: Files | None = None,
    ) -> None:
        """`passing`: it may never be wanted again, so an empty one leaves no folder behind."""
        self.directory = directory
        self.files = files or Files()
        self.segments: list[Segment] = []
        self.next = 0
        """The number of the next metric."""
        self._safe = 0
        """The number behind the last metric that was ever safe here: what lies between these two was given up."""
        self.abandoned = 0
        """Segments left behind after an error of the disk."""
        self._segment_size = segment_size
        self._sync = sync
        self._passing = passing
        self._cursor = Cursor(directory / "cursor", self.files, sync=sync)
        self._lock = -1
        self._last_file = 0
        self._active: int | None = None
        """Descriptor of the last segment, where it is being written."""
        self._version = VERSION
        """Of that segment."""
        self._renumbered = False
        self._cuts: list[tuple[Path, int]] = []

    @property
    def committed(self) -> int:
        return self._cursor.number

    @property
    def number(self) -> int:
        """Of the log itself: random, and its own for as long as its folder is there."""
        return self._cursor.log

    @property
    def size(self) -> int:
        """Bytes of the segments."""
        return sum(segment.size for segment in self.segments)

    # Opening ----------------------------------------------------------------------------------------------------------

    def open(self, identity: str = "") -> Recovery:
        """Lock it and find what is there. Raises InUse, or OSError where the disk does not let us."""
        try:
            self._lock = self._locked()
        except BlockingIOError:
            raise InUse(errno.EBUSY, f"{self.directory} is used by another agent") from None
        try:
            return self._recover(identity)
        except BaseException:
            self.close()
            raise

    def _locked(self) -> int:
        for _ in range(3):
            self.files.make_directory(self.directory)
            with contextlib.suppress(FileNotFoundError):  # whoever had it has just removed it
                return self.files.lock(self.directory / "lock")
        return self.files.lock(self.directory / "lock")

    def _recover(self, identity: str) -> Recovery:
        finder = Finder(self.directory, self.files, self._cursor, sync=self._sync, identity=identity)
        found = finder.find()
        if identity:
            write_identity(self.files, self.directory, identity)
        start = found.start if found.recovery.waiting else found.end
        self._cursor.belongs(found.log, start, found.end)
        self.files.sync_directory(self.directory)
        finder.settle(found.recovery)
        self._cursor.found = b""  # there may be a thousand logs
        self.segments, self._last_file = found.segments, found.last_file
        self.next = self._safe = found.end
        # Numbers of a damaged end are told as lost here; the reader need not wonder about them.
        self._renumbered = self.next > max((segment.end for segment in self.segments), default=self.committed)
        self._remove_committed()
        with contextlib.suppress(OSError):
            self.files.sync_directory(self.directory)
        return found.recovery

    # Writing ----------------------------------------------------------------------------------------------------------

    def append(self, batches: Sequence[tuple[QueueBatch, bool]]) -> int:
        """Write batches, each with whether somebody is told that it is safe; returns the bytes written, when they are
        durable. Raises OSError, and then none of them counts as written."""
        self._cut()
        number = self.next
        frames: list[bytes] = []
        for batch, pinned in batches:
            flags = (PINNED if pinned else 0) | (0 if frames or not self._renumbered else RENUMBERED)
            frames.append(pack(batch, number, flags))
            number += batch.count
        data = b"".join(frames)
        lines = all(batch.content is Content.LINES for batch, _ in batches)
        version = VERSION_LINES if lines else VERSION
        try:
            try:
                self._write(data, number, version)
            except OSError:
                # Not trusted any more: what a failed sync has dropped, a second one would not tell.
                self._abandon()
                self._write(data, number, version)
        except OSError:
            self._abandon()
            # A part may be there all the same: its numbers are not given to others.
            self.next, self._renumbered = number, True
            raise
        self.next, self._safe, self._renumbered = number, number, False
        with contextlib.suppress(OSError):  # then the cursor says less than it could
            self._cursor.mark(number)
        return len(data)

    def _write(self, data: bytes, end: int, version: int) -> None:
        segment = self.segments[-1] if self._active is not None else None
        if segment is not None and (segment.size + len(data) > self._segment_size or version > self._version):
            self._finish()
            segment = None
        if segment is None:
            self._last_file += 1
            path = self.directory / f"{self._last_file:010d}.seg"
            self._active = self.files.create(path)
            data = Head(self._cursor.log, self._safe, self.next, self.committed, version).pack() + data
            self._version = version
            segment = Segment(path, self.next, self.next, 0, (self._safe, self.next))
            self.segments.append(segment)
            if self._sync:
                self.files.sync_directory(self.directory)
        assert self._active is not None
        self.files.write(self._active, data, segment.size)
        if self._sync:
            self.files.sync(self._active)
        segment.size, segment.end = segment.size + len(data), end

    def _finish(self) -> None:
        """The active segment is written no further."""
        if self._active is not None:
            descriptor, self._active = self._active, None
            with contextlib.suppress(OSError):
                self.files.close(descriptor)

    def _abandon(self) -> None:
        if self._active is None:
            return
        self._finish()
        self.abandoned += 1
        segment = self.segments[-1]
        if not segment.size:
            self.segments.pop()
        self._cuts.append((segment.path, segment.size))
        self._cut()

    def _cut(self) -> None:
        """Remove what segments hold that were left behind: it gives room back, and a restart must not find what is, or will
        be, somewhere else."""
        for path, size in self._cuts.copy():
            with contextlib.suppress(OSError):
                with contextlib.suppress(FileNotFoundError):
                    self._cut_off(path, size) if size else self.files.unlink(path)
                self._cuts.remove((path, size))

    def _cut_off(self, path: Path, size: int) -> None:
        self.files.truncate(path, size)
        if self._sync:
            with self.files.opened(path) as descriptor:
                self.files.sync(descriptor)

    # Done with --------------------------------------------------------------------------------------------------------

    def commit(self, number: int) -> None:
        """Metrics with a lower number are done with. Raises OSError; then some may be sent again after a crash."""
        if number > self.committed:
            if all(segment.end <= number for segment in self.segments):
                number = max(number, self._safe)  # what was lost at its end is not to be missed once more
            self._cursor.write(number)
            self._remove_committed()

    def _remove_committed(self) -> None:
        while self.segments and self.segments[0].end <= self.committed:
            if len(self.segments) == 1:
                if self._active is not None and self.segments[0].size < self._segment_size // 2:
                    return  # it is written on
                self._finish()
            segment = self.segments.pop(0)
            with contextlib.suppress(OSError):
                self.files.unlink(segment.path)

    def close(self) -> None:
        """Safe at any time, and twice. An empty log leaves no segment behind."""
        self._finish()
        self._cursor.close()
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                self._remove_committed()
                if self._passing:
                    self._remove_folder()
            self.files.close(self._lock)
            self._lock = -1

    def _remove_folder(self) -> None:
        # What was set aside, or is not understood, stays: nobody has looked at it yet. The lock goes last.
        found = set(self.files.names(self.directory))
        if found <= set(_FOLDER):
            for name in _FOLDER:
                if name in found:
                    self.files.unlink(self.directory / name)
            self.files.remove_directory(self.directory)
