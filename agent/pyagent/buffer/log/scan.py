"""One look at the segments of a log: what they hold, what is missing between and behind them, which cannot be of one log."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyagent.api.asking import how_to_ask
from pyagent.api.units import counted
from pyagent.buffer.log.files import Files
from pyagent.buffer.log.frames import (
    HEAD_SIZE,
    PINNED,
    RENUMBERED,
    Head,
    Header,
    begins_frame,
    frames_in,
    headers_in,
)

__all__ = ["Recovery", "Scan", "Segment", "SegmentFile"]


@dataclass(slots=True)
class Segment:
    """One file. `end`: the number behind its last metric; `size`: bytes that are durable, behind which nothing is read;
    `given_up`: numbers before its first metric (from, to) that no metric has."""

    path: Path
    first: int
    end: int
    size: int
    given_up: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Recovery:
    """What was found: metrics that wait, those of them that somebody was told are safe, the numbers of metrics known to be
    lost (from, to), bytes that hold no metric though they should, and what was set aside."""

    waiting: int = 0
    pinned_waiting: int = 0
    oldest: int = 0
    """The first one's time, ns since the epoch."""
    lost: list[tuple[int, int]] = field(default_factory=list)
    absent: list[tuple[int, int]] = field(default_factory=list)
    """Those, and numbers of metrics that were done with; a reader need not wonder about them."""
    damaged_bytes: int = 0
    damaged: list[str] = field(default_factory=list)
    """Files that metrics or bytes are missing in, or behind."""
    incomplete: str = ""
    """A file whose end was a write that did not come through; it was cut off."""
    incomplete_metrics: int = 0
    """Metrics in it, as far as headers say so."""
    set_aside: list[str] = field(default_factory=list)
    """Files put into `corrupt/`."""
    left: list[str] = field(default_factory=list)
    """Files that should have been set aside, and could not be."""
    foreign: list[tuple[str, list[str], int]] = field(default_factory=list)
    """Folders that segments of other logs were put into: each with them, and the metrics in them."""
    aside: int = 0
    """All files that are in `corrupt/`, or were put elsewhere just now, or should have been."""
    cursor: str = ""
    """Why the cursor was not believed."""

    @property
    def lost_metrics(self) -> int:
        return sum(stop - start for start, stop in self.lost)

    def messages(self, directory: Path) -> Iterator[tuple[int, str]]:
        """For the log: levels and texts."""
        if self.cursor:
            yield logging.WARNING, f"the cursor of the buffer {directory} {self.cursor}"
        if self.lost or self.damaged_bytes:
            lost, size, files = self.lost_metrics, self.damaged_bytes, ", ".join(self.damaged) or "segments are gone"
            yield (
                logging.ERROR,
                f"the buffer {directory} is damaged: {counted(lost, 'metric is', 'metrics are')} lost, "
                f"{counted(size, 'byte')} cannot be read: {files}",
            )
        if self.incomplete:
            yield (
                logging.WARNING,
                f"{directory / self.incomplete} ends with a write that was broken off, of {self.incomplete_metrics} metrics or"
                " more; it is removed. Nobody was told that they are safe, unless the disk has lost what it had synced",
            )
        if self.set_aside:
            names = ", ".join(self.set_aside)
            yield logging.ERROR, f"cannot understand {names} in {directory}; put into corrupt/ there"
        if self.left:
            names = ", ".join(self.left)
            yield (
                logging.ERROR,
                f"cannot understand {names} in {directory}, or put them elsewhere; they are left where they are",
            )
        for folder, segments, count in self.foreign:
            adopt = how_to_ask(f"buffer adopt {shlex.quote(Path(folder).name)} --to OUTPUT")
            yield (
                logging.ERROR,
                f"{', '.join(segments)} in {directory} {'belong' if len(segments) > 1 else 'belongs'} to another buffer; "
                f"put into {folder}, with {counted(count, 'metric')}{f': {adopt} delivers them' if adopt else ''}",
            )


@dataclass(frozen=True, slots=True, eq=False)
class SegmentFile:
    """A segment by what it begins with. `head`: None where it has none, or a damaged one."""

    path: Path
    head: Head | None


@dataclass(frozen=True, slots=True)
class _Rest:
    """The end of a file, behind its last whole frame, at `offset` (0: it has none)."""

    file: SegmentFile
    data: bytes
    offset: int


class Scan:
    """`start`: the number of the first metric that is due, None: all are. `written`: the number behind the last metric that
    was safe, None: not known. `done`: metrics with a lower number were committed once."""

    def __init__(
        self,
        files: Files,
        kept: Sequence[SegmentFile],
        *,
        start: int | None,
        written: int | None,
        done: int,
        sync: bool,
    ) -> None:
        self.recovery = Recovery()
        self.segments: list[Segment] = []
        self.strange: list[SegmentFile] = []
        """Segments that cannot be of the same log as the others; then nothing else here is of use."""
        self.useless: list[Path] = []
        """Files that hold something, but no metric."""
        self.empty: list[Path] = []
        """Files that hold nothing."""
        self.cut: tuple[Path, int] | None = None
        """Where the last segment is to be cut: a write behind it was broken off before it was safe."""
        self.end = start or 0
        """The number behind all that was ever written, as far as it is known."""
        self._files = files
        self._kept = kept
        self._start = start
        self._written = written
        self._done = done
        self._sync = sync
        self._expected = start
        self._before: SegmentFile | None = None
        """The last one that has metrics."""
        self._seen: SegmentFile | None = None
        """The last one."""
        self._rests: list[_Rest] = []
        """Of which it is not known yet whether anything is missing behind them."""

    def run(self) -> None:
        """Raises OSError for what cannot be read now."""
        for file in self._kept:
            self._read(file)
            if self.strange:
                return
            self._seen = file
        self._end()

    # One segment ------------------------------------------------------------------------------------------------------

    def _data(self, file: SegmentFile) -> bytes:
        with self._files.opened(file.path) as descriptor:
            data = self._files.read(descriptor, self._files.size(descriptor), 0)
            if file is self._kept[-1] and self._sync:
                self._files.sync(descriptor)  # the process before may have died between write and sync
        return data

    def _read(self, file: SegmentFile) -> None:
        try:
            data = self._data(file)
        except FileNotFoundError:
            return
        segment: Segment | None = None
        offset = begin = HEAD_SIZE if file.head else 0
        for start, header in frames_in(data, begin):
            if segment is None:
                segment = Segment(file.path, header.number, header.end, 0, _given_up(file, header))
                if self._is_strange(file, segment, header):
                    return
            self._gap(header.number, segment.given_up, file if start > begin or self._seen is None else self._seen)
            if start > offset:
                self.recovery.damaged_bytes += start - offset
                self._damaged(file)
            offset = start + header.size
            self._count(header)
            segment.end, segment.size = max(segment.end, header.end), offset
        if segment is not None:
            self.segments.append(segment)
            self._before = file
        if offset < len(data):
            self._rests.append(_Rest(file, data[offset:], offset if segment else 0))
        elif segment is None:
            self.empty.append(file.path)

    def _is_strange(self, file: SegmentFile, segment: Segment, header: Header) -> bool:
        """Whether this segment or the one before is of another log, by their numbers."""
        if self._before is None:
            return False
        last, headless = self.segments[-1], self._before.head is None
        # What is written a second time after a failure may be in two segments, the same with the same numbers.
        if header.number < last.end and not self._again(header):
            self.strange = [self._before if headless else file]
        # Nothing says that this one belongs to the cursor.
        elif headless and last.end <= (self._start or 0) and any(_without(last.end, header.number, segment.given_up)):
            self.strange = [self._before]
        return bool(self.strange)

    def _again(self, header: Header) -> bool:
        """Whether the segment before has this frame, too, or has lost it."""
        assert self._before is not None
        for _, other in frames_in(self._data(self._before), HEAD_SIZE if self._before.head else 0):
            if other.number < header.end and header.number < other.end:
                same = (header.number, header.count, header.payload_crc)
                return (other.number, other.count, other.payload_crc) == same
        return header.number >= self.segments[-1].first

    def _gap(self, number: int, given_up: tuple[int, int], file: SegmentFile) -> None:
        """What lies before `number`, and was not given up, is lost; `file` is where it should be."""
        lost = False
        if self._expected is not None:
            lost = self._lose(self._expected, number, given_up, file)
        self._judge(lost=lost)

    def _lose(self, start: int, stop: int, given_up: tuple[int, int], file: SegmentFile | None) -> bool:
        """Returns whether anything is lost there."""
        lost = list(_without(max(start, min(self._done, stop)), stop, given_up))
        self.recovery.lost += lost
        if start < stop:
            self.recovery.absent.append((start, stop))
        if lost and not self._rests and file is not None:
            self._damaged(file)
        return bool(lost)

    def _count(self, header: Header) -> None:
        expected = self._expected
        new = header.end - max(header.number, expected if expected is not None else 0)
        if new > 0:
            recovery = self.recovery
            recovery.oldest = recovery.oldest or header.oldest
            recovery.waiting += new
            recovery.pinned_waiting += new if header.flags & PINNED else 0
        self._expected = max(expected or 0, header.end)
        self.end = max(self.end, header.end)

    # Ends -------------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Nothing follows any more: what was written, or else the last headers, say what should be there."""
        lost = False
        if self._written is not None:
            if self._expected is not None or self._rests or self.empty:
                lost = self._lose(self._expected or 0, self._written, (0, 0), self._seen)
            self.end = max(self.end, self._written)
        else:
            for rest in self._rests:
                for header in headers_in(rest.data):
                    expected = header.number if self._expected is None else self._expected
                    if header.end > expected:
                        lost |= self._lose(expected, header.end, _given_up(rest.file, header), None)
                        self._expected = header.end
                        self.end = max(self.end, header.end)
        self._judge(lost=lost or self._written is None, last=True)

    def _judge(self, *, lost: bool, last: bool = False) -> None:
        """Say what the ends of files are, now that it is known whether metrics are missing there."""
        for rest in self._rests:
            if not lost and begins_frame(rest.data):
                # A write that was broken off before it was safe.
                if not rest.offset:
                    self.empty.append(rest.file.path)
                elif last:
                    ends = (header.end for header in headers_in(rest.data))
                    self.recovery.incomplete_metrics = max(max(ends, default=0) - self.end, 0)
                    self.cut = (rest.file.path, rest.offset)
                continue
            if not rest.offset:
                (self.useless if rest.data.strip(b"\0") else self.empty).append(rest.file.path)
                if not lost:
                    continue  # it was never a part of the log
            self.recovery.damaged_bytes += len(rest.data)
            self._damaged(rest.file)
        self._rests = []

    def _damaged(self, file: SegmentFile) -> None:
        if file.path.name not in self.recovery.damaged:
            self.recovery.damaged.append(file.path.name)


def _given_up(file: SegmentFile, header: Header) -> tuple[int, int]:
    """Numbers before the frame, which is the first of its segment, that no metric has."""
    if file.head is not None:
        return file.head.follows, file.head.first
    return (0, header.number) if header.flags & RENUMBERED else (0, 0)


def _without(start: int, stop: int, left_out: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The numbers from `start` to `stop` that are not in `left_out`."""
    for first, last in ((start, min(stop, left_out[0])), (max(start, left_out[1]), stop)):
        if first < last:
            yield first, last
