"""A log file that is kept small: old parts become archives, the oldest of which are removed (reference: telegraf 1.2)."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from pyagent.kit.rotate import Rotation, archive, remove_archives

__all__ = ["LogFile"]


class LogFile:
    """Appends to `path`, which is made with its folder where it is not there.

    `interval`: seconds after which a new file is begun, counted from the last change of the one that was found; `max_size`:
    bytes at which it is; 0: never. `max_archives`: how many old ones are kept; -1: all. They are called
    `stem.YYYY-MM-DD-SECONDS.ext`. A file that was moved away (logrotate) is made anew at the next line.
    """

    def __init__(
        self,
        path: str,
        *,
        interval: float = 0.0,
        max_size: int = 0,
        max_archives: int = 5,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Raises OSError."""
        self._path = Path(path)
        self._rotation = Rotation(interval=interval, max_size=max_size, max_archives=max_archives, now=now)
        self._now = now
        self._descriptor = -1
        self._open()

    def write(self, data: bytes) -> None:
        """Append, in one piece. Raises OSError; what goes wrong in keeping the file small does not, it is tried again."""
        with contextlib.suppress(OSError):
            if self._moved():
                self._open()
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self._size += written
            view = view[written:]
        if self._rotation.is_due(self._size):
            with contextlib.suppress(OSError):
                self._rotate()

    def close(self) -> None:
        """May be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self) -> None:
        """Open the file anew; on failure the one that is open stays."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        status = os.fstat(descriptor)
        self.close()
        self._descriptor = descriptor
        self._identity = (status.st_dev, status.st_ino)
        self._size = status.st_size
        self._rotation.began(status.st_mtime)

    def _moved(self) -> bool:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def _rotate(self) -> None:
        archive(str(self._path), self._now())
        self._open()
        remove_archives(str(self._path), self._rotation.max_archives)
