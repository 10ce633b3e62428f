"""How far a log is committed, and how far it was written, in a small file that never grows, so that a full disk cannot
stop it.

Two slots; the one that was synced last is never the one being written, so that it stands whatever becomes of the other:

    magic       4  "PYC1"      CRC-32  4  of what is before    log      8  a random number, as in its segments
    generation  4                                              written  8  the number behind the last metric that was safe
    number      8                                              CRC-32   4  of all before

Earlier versions have magic to the first CRC-32 alone.
"""

import contextlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from pyagent.buffer.log.files import Files

__all__ = ["Cursor"]

_SLOT = struct.Struct("<4sIQ")
_MORE = struct.Struct("<QQ")
_CRC = struct.Struct("<I")
_MAGIC = b"PYC1"
_SHORT = _SLOT.size + _CRC.size
_LONG = _SHORT + _MORE.size
_APART = 4096
"""Bytes between the slots: never in one sector."""


class Cursor:
    """Metrics with a number below `number` are done with, those below `written` were safe once. `log` says whose cursor it
    is. 0: not known."""

    def __init__(self, path: Path, files: Files, *, sync: bool = True) -> None:
        self.number = 0
        self.written = 0
        self.log = 0
        self.found = b""
        """What was in the file when it was opened."""
        self._path = path
        self._files = files
        self._sync = sync
        self._descriptor = -1
        self._generation = 0
        self._slot = 0
        """The one that was synced last."""
        self._marked = False
        """`mark` was called since the last sync."""

    def open(self) -> bool:
        """Read it, or make it; False where there was none that can be read. Raises OSError."""
        try:
            self._descriptor = self._files.open(self._path, write=True)
        except FileNotFoundError:
            self._descriptor = self._files.create(self._path)
        self.found = self._files.read(self._descriptor, 2 * _APART, 0)
        known = self._read(self.found)
        if room := 2 * _APART - len(self.found):
            # Its whole room at once: later there may be none.
            self._files.write(self._descriptor, bytes(room), len(self.found))
        if self._sync and known:
            self._files.sync(self._descriptor)  # what is there may not have been: a slot is written over from now on
        return known

    def write(self, number: int) -> None:
        """Durably. Raises OSError; then what was there before still stands."""
        self._store(number)

    def belongs(self, log: int, number: int, written: int) -> None:
        """The same, with whose cursor it is."""
        before = (self.log, self.number, self.written)
        if before == (log, number, written):
            return
        self.log, self.written = log, written
        try:
            self._store(number)
        except OSError:
            self.log, self.number, self.written = before
            raise

    def mark(self, written: int) -> None:
        """All below `written` is safe in the segments: a log that ends before this number has lost something. Raises OSError.

        It comes to the disk with the next `write`, with `close`, or when the system likes, within half a minute. A sync of its
        own would double the time of each commit, for a disk that at a loss of power forgets what it said was synced, and of
        that only the end of the last segment: the head of each says where the one before it ended.
        """
        self.written = written
        self._marked = True
        # Of the same generation: the greater one of two is the later.
        self._put(1 - self._slot, self._generation, self.number)

    def close(self) -> None:
        if self._descriptor >= 0:
            if self._marked and self._sync:
                with contextlib.suppress(OSError):  # it says less than it could then
                    self._files.sync(self._descriptor)
            self._files.close(self._descriptor)
            self._descriptor = -1

    def _store(self, number: int) -> None:
        # Where it fails, the next one goes to the same slot: the other is the only good one.
        slot, generation = 1 - self._slot, (self._generation + 1) & 0xFFFFFFFF
        self._put(slot, generation, number)
        if self._sync:
            self._files.sync(self._descriptor)
        self._slot, self._generation, self.number, self._marked = slot, generation, number, False

    def _put(self, slot: int, generation: int, number: int) -> None:
        data = _SLOT.pack(_MAGIC, generation, number)
        data += _CRC.pack(zlib.crc32(data)) + _MORE.pack(self.log, self.written)
        self._files.write(self._descriptor, data + _CRC.pack(zlib.crc32(data)), slot * _APART)

    def _read(self, content: bytes) -> bool:
        """Take over what the latest slot says; False where none says anything."""
        found: list[_Slot] = []
        for index in range(2):
            if slot := _Slot.at(content[index * _APART : (index + 1) * _APART], index):
                found.append(slot)
        found.sort(key=lambda slot: slot.written)
        if len(found) == 2 and 0 < (found[0].generation - found[1].generation) & 0xFFFFFFFF < 1 << 31:
            found.reverse()  # generations begin anew after the greatest one
        for slot in found:
            self._slot, self._generation, self.number = slot.index, slot.generation, slot.number
            if slot.log:  # else an earlier version wrote it: what the other one says of these is still true
                self.log, self.written = slot.log, slot.written
        return bool(found)


@dataclass(frozen=True, slots=True)
class _Slot:
    index: int
    generation: int
    number: int
    log: int
    written: int

    @classmethod
    def at(cls, data: bytes, index: int) -> "_Slot | None":
        if len(data) < _SHORT or _CRC.unpack_from(data, _SLOT.size)[0] != zlib.crc32(data[: _SLOT.size]):
            return None
        magic, generation, number = _SLOT.unpack_from(data)
        if magic != _MAGIC:
            return None
        log = written = 0
        if len(data) >= _LONG + _CRC.size and _CRC.unpack_from(data, _LONG)[0] == zlib.crc32(data[:_LONG]):
            log, written = _MORE.unpack_from(data, _SHORT)
        return cls(index, generation, number, log, written)
