"""A queue's log on disk: frames in segment files, a cursor behind what is done with, and recovery from whatever is found.

- `append` returns when its frames are synced. After an error of the disk nothing is trusted that was under way: the segment
  is left behind, and the same frames are written once more to a new one; where that fails too, they count as not written.
- `acknowledge` moves the cursor first, durably, and then removes whole segments: neither needs room on the disk. A segment
  that is missing is one that was acknowledged.
- `open` cuts a torn end, passes over damaged frames, and sets aside in `corrupt/` what it cannot understand. It removes
  nothing that could hold a metric, and refuses nothing.

Blocking, and for one thread at a time.
"""

import contextlib
import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyagent.buffer.batch import Batch
from pyagent.buffer.cursor import Cursor
from pyagent.buffer.files import Files
from pyagent.buffer.frames import ACKNOWLEDGED, HEADER_SIZE, MAGIC, RENUMBERED, Header, frames_in, pack

__all__ = ["InUse", "Recovery", "Segment", "SegmentLog"]

SEGMENT_SIZE = 8 << 20
_NAME = re.compile(r"(\d{10})\.seg")
_OURS = {"lock", "cursor", "identity", "corrupt"}


class InUse(OSError):
    """Another process holds the log."""


@dataclass(slots=True)
class Segment:
    """One file. `end`: the number behind its last metric; `size`: bytes that are durable, behind which nothing is read."""

    path: Path
    first: int
    end: int
    size: int


@dataclass(slots=True)
class Recovery:
    """What was found: metrics that wait, those of them that somebody was told are safe, the numbers of metrics known to be
    lost (from, to), bytes that hold no frame, and files set aside."""

    waiting: int = 0
    acknowledged_waiting: int = 0
    oldest: int = 0
    """The first one's time, ns since the epoch."""
    lost: list[tuple[int, int]] = field(default_factory=list)
    damaged_bytes: int = 0
    set_aside: list[str] = field(default_factory=list)


class SegmentLog:
    def __init__(
        self, directory: Path, *, segment_size: int = SEGMENT_SIZE, sync: bool = True, files: Files | None = None
    ) -> None:
        self.directory = directory
        self.files = files or Files()
        self.segments: list[Segment] = []
        self.next = 0
        """The number of the next metric."""
        self.abandoned = 0
        """Segments left behind after an error of the disk."""
        self._segment_size = segment_size
        self._sync = sync
        self._cursor = Cursor(directory / "cursor", self.files, sync=sync)
        self._lock = -1
        self._last_file = 0
        self._active: int | None = None
        """Descriptor of the last segment, where it is being written."""
        self._renumbered = False
        self._cuts: list[tuple[Path, int]] = []

    @property
    def acknowledged(self) -> int:
        return self._cursor.number

    @property
    def size(self) -> int:
        """Bytes of the segments."""
        return sum(segment.size for segment in self.segments)

    # Opening ----------------------------------------------------------------------------------------------------------

    def open(self, identity: str = "") -> Recovery:
        """Lock it and find what is there. Raises InUse, or OSError where the disk does not let us."""
        self.files.make_directory(self.directory)
        try:
            self._lock = self.files.lock(self.directory / "lock")
        except BlockingIOError:
            raise InUse(errno.EBUSY, f"{self.directory} is used by another agent") from None
        try:
            return self._recover(identity)
        except BaseException:
            self.close()
            raise

    def _recover(self, identity: str) -> Recovery:
        recovery = Recovery()
        known = self._cursor.open()
        found = []
        for name in sorted(self.files.names(self.directory)):
            if match := _NAME.fullmatch(name):
                found.append((int(match[1]), self.directory / name))
            elif name not in _OURS and not name.endswith(".new"):
                self._set_aside(self.directory / name, recovery)
        if identity:
            self._identify(identity)
        expected = self.acknowledged if known else None
        for file, path in found:
            self._last_file = file
            expected = self._recover_segment(path, expected, recovery, last=(file, path) == found[-1])
        if not known and self.segments:
            self._cursor.number = self.segments[0].first  # all that is there may be due
        self.next = max(self.acknowledged, expected or 0)
        # Numbers of a damaged end are told as lost here; the reader need not wonder about them.
        self._renumbered = self.next > max((segment.end for segment in self.segments), default=self.acknowledged)
        self._remove_acknowledged()
        self.files.sync_directory(self.directory)
        return recovery

    def _recover_segment(self, path: Path, expected: int | None, recovery: Recovery, *, last: bool) -> int | None:
        """Returns the number that the next frame should have, as far as known. Raises OSError for a segment that cannot be read
        now: it may be read later, so the log is not used until then."""
        try:
            with self.files.opened(path) as descriptor:
                data = self.files.read(descriptor, self.files.size(descriptor), 0)
                if last and self._sync:
                    self.files.sync(descriptor)  # killed before it did so, the agent before us may have left this to us
        except FileNotFoundError:
            return expected
        segment, offset = None, 0
        for start, header in frames_in(data):
            recovery.damaged_bytes += start - offset
            offset = start + header.size
            if expected is not None and header.number > expected and not header.flags & RENUMBERED:
                recovery.lost.append((expected, header.number))
            new = header.end - max(header.number, expected or header.number, self.acknowledged)
            if new > 0:
                recovery.oldest = recovery.oldest or header.oldest
                recovery.waiting += new
                recovery.acknowledged_waiting += new if header.flags & ACKNOWLEDGED else 0
            expected = max(expected or 0, header.end)
            if segment is None:
                segment = Segment(path, header.number, header.end, 0)
            segment.end, segment.size = max(segment.end, header.end), offset
        rest = data[offset:]
        torn = _torn(rest)
        if not torn and (broken := Header.at(rest)) and broken.end > (expected or 0):
            # The last frame is damaged, but it says how many metrics it had.
            # What should have stood before it is missing as well, unless its numbers were given up.
            known = expected is not None and not broken.flags & RENUMBERED
            start = expected if known and expected is not None else max(expected or 0, broken.number)
            recovery.lost.append((start, broken.end))
            expected = broken.end
        if segment is None and rest and not torn:
            self._set_aside(path, recovery)
        elif segment is None:
            self.files.unlink(path)
        else:
            if rest and torn and last:
                with contextlib.suppress(OSError):
                    self.files.truncate(path, segment.size)
            elif rest:
                recovery.damaged_bytes += len(rest)
            self.segments.append(segment)
        return expected

    def _set_aside(self, path: Path, recovery: Recovery) -> None:
        corrupt = self.directory / "corrupt"
        with contextlib.suppress(OSError):
            self.files.make_directory(corrupt)
            taken, number = set(self.files.names(corrupt)), 1
            name = path.name
            while name in taken:
                number += 1
                name = f"{path.name}.{number}"
            self.files.rename(path, corrupt / name)
        recovery.set_aside.append(path.name)

    def _identify(self, identity: str) -> None:
        """Say whose queue it is. Raises OSError: without that, the next start may not find what is promised to be here."""
        path = self.directory / "identity"
        if path.name in self.files.names(self.directory):
            return
        temporary = path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            self.files.unlink(temporary)
        descriptor = self.files.create(temporary)
        try:
            self.files.write(descriptor, identity.encode(), 0)
            self.files.sync(descriptor)
        finally:
            self.files.close(descriptor)
        self.files.rename(temporary, path)

    # Writing ----------------------------------------------------------------------------------------------------------

    def append(self, batches: Sequence[tuple[Batch, bool]]) -> int:
        """Write batches, each with whether somebody is told that it is safe; returns the bytes written, when they are
        durable. Raises OSError, and then none of them counts as written."""
        self._cut()
        number = self.next
        frames: list[bytes] = []
        for batch, acknowledged in batches:
            flags = (ACKNOWLEDGED if acknowledged else 0) | (0 if frames or not self._renumbered else RENUMBERED)
            frames.append(pack(batch, number, flags))
            number += batch.count
        data = b"".join(frames)
        try:
            try:
                self._write(data, number)
            except OSError:
                # Not trusted any more: what a failed sync has dropped, a second one would not tell.
                self._abandon()
                self._write(data, number)
        except OSError:
            self._abandon()
            # A part may be there all the same: its numbers are not given to others.
            self.next, self._renumbered = number, True
            raise
        self.next, self._renumbered = number, False
        return len(data)

    def _write(self, data: bytes, end: int) -> None:
        segment = self.segments[-1] if self._active is not None else None
        if segment is not None and segment.size + len(data) > self._segment_size:
            self._finish()
            segment = None
        if segment is None:
            self._last_file += 1
            path = self.directory / f"{self._last_file:010d}.seg"
            self._active = self.files.create(path)
            segment = Segment(path, self.next, self.next, 0)
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
                    self.files.truncate(path, size) if size else self.files.unlink(path)
                self._cuts.remove((path, size))

    # Done with --------------------------------------------------------------------------------------------------------

    def acknowledge(self, number: int) -> None:
        """Metrics with a lower number are done with. Raises OSError; then some may be sent again after a crash."""
        if number > self.acknowledged:
            self._cursor.write(number)
            self._remove_acknowledged()

    def _remove_acknowledged(self) -> None:
        while self.segments and self.segments[0].end <= self.acknowledged:
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
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                self._remove_acknowledged()
            self.files.close(self._lock)
            self._lock = -1
        self._cursor.close()


def _torn(rest: bytes) -> bool:
    """Whether the end of a segment is a write that was cut off: the beginning of a frame, or a file's zeroes."""
    if not rest.strip(b"\0"):
        return True
    header = Header.at(rest)
    if header is not None:
        return header.size > len(rest) or not rest[-1:].strip(b"\0")
    return len(rest) < HEADER_SIZE and (rest.startswith(MAGIC) or MAGIC.startswith(rest))
