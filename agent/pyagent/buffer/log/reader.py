"""Reads a log from a place on, frame by frame, past whatever is damaged."""

import contextlib
from collections.abc import Sequence

from pyagent.buffer.log.frames import (
    HEADER_SIZE,
    PINNED,
    Header,
    StoredBlock,
    StoredCompressedBlock,
    next_frame,
    unpack,
)
from pyagent.buffer.log.offsets import uncovered
from pyagent.buffer.log.segments import Segment, SegmentLog

__all__ = ["LogReader"]


class LogReader:
    """What `log` holds from the number `start` on; it follows what is appended. Blocking, in the thread of the log.

    `lost` counts metrics that should be there and are not, but for those of `known`, numbers that are not there. What cannot be
    read now is not lost: it raises OSError, and the next call tries it again.
    """

    def __init__(self, log: SegmentLog, start: int, known: Sequence[tuple[int, int]] = ()) -> None:
        self.expected = start
        """The number of the metric to be read next."""
        self.stop: int | None = None
        """The number to end at, where another reader goes on."""
        self.lost = 0
        self._log = log
        self._known = list(known)
        self._segment: Segment | None = None
        self._descriptor = -1
        self._offset = 0

    def read(self) -> "tuple[StoredBlock | StoredCompressedBlock, int, bool] | None":
        """The next frame's lines, how many of its first metrics are to be left out because they were read before, and whether
        somebody was told that they are safe. None at the end. Raises OSError."""
        while (header := self._header()) is not None:
            payload = self._bytes(header.length, self._offset + HEADER_SIZE)
            lines = unpack(header, payload, self._log.number)
            if lines is None:
                self._offset += header.size  # the header is whole, so its length can be trusted
                continue
            skip = self._pass(header)
            return lines, skip, bool(header.flags & PINNED)
        end = max((segment.end for segment in self._log.segments), default=self.expected)
        self._miss(end if self.stop is None else min(end, self.stop))
        return None

    def skip(self, count: int, *, whole_segment: bool = False) -> tuple[int, int, int]:
        """Pass over up to about `count` of the next metrics, in whole frames, or over the rest of the segment; those that
        somebody was told are safe are not passed over, nor what cannot be read now. Returns the numbers passed over, from and
        to, and how many metrics that were."""
        start, skipped = self.expected, 0
        segment: Segment | None = None
        with contextlib.suppress(OSError):  # whoever wants to read it is told
            while (header := self._header()) is not None and not header.flags & PINNED:
                if self._segment is not segment and segment is not None and whole_segment:
                    break
                segment = self._segment
                if skipped >= count and not whole_segment:
                    break
                skipped += header.end - max(self.expected, header.number)
                self._pass(header)
        return start, self.expected, skipped

    def take_lost(self) -> int:
        """How many were lost since this was asked last."""
        lost, self.lost = self.lost, 0
        return lost

    def close(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._log.files.close(self._descriptor)
        self._descriptor, self._segment = -1, None

    def _pass(self, header: Header) -> int:
        """Step over the frame; returns how many of its first metrics were read before."""
        self._miss(header.number)
        skip = max(self.expected - header.number, 0)
        self.expected = header.end
        self._offset += header.size
        return skip

    def _miss(self, number: int) -> None:
        """What lies before `number` cannot be read."""
        if number > self.expected:
            known = [*self._known, self._segment.given_up] if self._segment else self._known
            self.lost += uncovered(self.expected, number, known)
            self.expected = number

    def _header(self) -> Header | None:
        """That of the next frame that was not read before; None at the end."""
        while True:
            if self._segment is None or self._offset >= self._segment.size:
                if not self._next_segment():
                    return None
                continue
            header = Header.at(self._bytes(HEADER_SIZE, self._offset))
            if header is None or self._offset + header.size > self._segment.size:
                self._find_frame()
            elif header.end <= self.expected:
                self._offset += header.size
            else:
                return header if self.stop is None or header.number < self.stop else None

    def _find_frame(self) -> None:
        assert self._segment is not None
        rest = self._bytes(self._segment.size - self._offset, self._offset)
        found = next_frame(rest, 1)
        self._offset += found[0] if found else max(len(rest), 1)
        if found is None:
            self._offset = self._segment.size

    def _next_segment(self) -> bool:
        """Go on to the next segment that has anything new; False where there is none yet."""
        for segment in list(self._log.segments):
            if self._segment is not None and segment.path.name <= self._segment.path.name:
                continue
            if segment.end <= self.expected or not segment.size:
                continue
            try:
                descriptor = self._log.files.open(segment.path)
            except FileNotFoundError:
                # Somebody has removed it: the numbers tell what is missing.
                self.close()
                self._segment, self._offset = segment, segment.size
                continue
            self.close()
            self._descriptor, self._segment, self._offset = descriptor, segment, 0
            return True
        return False

    def _bytes(self, size: int, offset: int) -> bytes:
        return self._log.files.read(self._descriptor, size, offset)
