"""Changes of open files, as Linux tells of them (inotify)."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Notify"]

_MODIFY, _ATTRIB, _DELETE_SELF, _MOVE_SELF, _IGNORED = 0x2, 0x4, 0x400, 0x800, 0x8000
_EVENT = struct.Struct("iIII")


class Notify:
    """Calls what was given for a file when it changes, and `moved` when one is renamed or removed. Raises OSError where there
    is no inotify."""

    def __init__(self, moved: Callable[[], object]) -> None:
        self._moved = moved
        try:
            self._library = ctypes.CDLL(None, use_errno=True)
            self._descriptor = int(self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except (AttributeError, OSError):
            raise OSError("this system has no inotify") from None
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._calls: dict[int, Callable[[], object]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read)

    def add(self, descriptor: int, changed: Callable[[], object]) -> int:
        """Watch the file that `descriptor` has open, whatever its name is by now. Raises OSError."""
        path = f"/proc/self/fd/{descriptor}".encode()
        number = int(
            self._library.inotify_add_watch(self._descriptor, path, _MODIFY | _ATTRIB | _DELETE_SELF | _MOVE_SELF)
        )
        if number < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        self._calls[number] = changed
        return number

    def remove(self, number: int) -> None:
        if self._calls.pop(number, None) is not None:
            self._library.inotify_rm_watch(self._descriptor, number)

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            data = os.read(self._descriptor, 1 << 16)
            position = 0
            while position < len(data):
                number, mask, _, length = _EVENT.unpack_from(data, position)
                position += _EVENT.size + length
                if mask & _IGNORED:
                    self._calls.pop(number, None)
                elif (call := self._calls.get(number)) is not None:
                    call()
                    if mask & ~_MODIFY:
                        self._moved()
                elif number == -1:  # some were lost
                    for call in list(self._calls.values()):
                        call()
