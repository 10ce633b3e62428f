"""How far a log is acknowledged: one number in a small file that never grows, so that a full disk cannot stop it.

Two slots, written in turn; where a crash damages the one being written, the other one stands.
"""

import struct
import zlib
from pathlib import Path

from pyagent.buffer.files import Files

__all__ = ["Cursor"]

_SLOT = struct.Struct("<4sIQ")  # magic, generation, number
_CRC = struct.Struct("<I")
_MAGIC = b"PYC1"
_APART = 4096
"""Bytes between the slots: never in one sector."""


class Cursor:
    """Metrics with a number below `number` are done with."""

    def __init__(self, path: Path, files: Files, *, sync: bool = True) -> None:
        self._path = path
        self._files = files
        self._sync = sync
        self._descriptor = -1
        self._generation = 0
        self.number = 0

    def open(self) -> bool:
        """Read it, or make it; False where there was none that can be read. Raises OSError."""
        try:
            self._descriptor = self._files.open(self._path, write=True)
        except FileNotFoundError:
            self._descriptor = self._files.create(self._path)
        found = []
        for slot in range(2):
            data = self._files.read(self._descriptor, _SLOT.size + _CRC.size, slot * _APART)
            if len(data) == _SLOT.size + _CRC.size:
                magic, generation, number = _SLOT.unpack_from(data)
                if magic == _MAGIC and _CRC.unpack_from(data, _SLOT.size)[0] == zlib.crc32(data[: _SLOT.size]):
                    found.append((generation, number))
        if found:
            self._generation, self.number = max(found)
        if self._files.size(self._descriptor) < 2 * _APART:
            # Its whole room at once: later there may be none.
            self._files.write(self._descriptor, bytes(_APART), _APART)
            self.write(self.number)
        return bool(found)

    def write(self, number: int) -> None:
        """Raises OSError; then what was there before still stands."""
        generation = self._generation + 1
        slot = _SLOT.pack(_MAGIC, generation & 0xFFFFFFFF, number)
        slot += _CRC.pack(zlib.crc32(slot))
        # Where it fails, the next one goes to the same slot: the other is the only good one.
        self._files.write(self._descriptor, slot, generation % 2 * _APART)
        if self._sync:
            self._files.sync(self._descriptor)
        self._generation, self.number = generation, number

    def close(self) -> None:
        if self._descriptor >= 0:
            self._files.close(self._descriptor)
            self._descriptor = -1
