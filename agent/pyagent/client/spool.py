"""Where a writer keeps points on disk: a folder for each process, and a journal before the buffer.

    BUFFER_DIRECTORY/TARGET/0/lock          held by the process that uses this folder
    BUFFER_DIRECTORY/TARGET/0/0.lines       what write() has just taken, two files by turns
    BUFFER_DIRECTORY/TARGET/0/TARGET/...    the buffer, as the agent's

A process takes the first folder that nobody holds, with what a dead process has left in it.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pyagent.api.files import make_private_directory
from pyagent.buffer import QueueName
from pyagent.buffer.log.files import Files

__all__ = ["Journal", "Slot", "anything_left", "check_directory", "orphans", "take_slot"]

_MOST = 10_000
"""Processes that write to one target."""


class Journal:
    """What was taken and is not in the buffer yet: it outlasts a kill, as it is with the system when write() returns.

    Two files by turns. A descriptor stays open until the end: a thread may be about to write to it.
    """

    def __init__(self, directory: Path) -> None:
        """Raises OSError."""
        self.paths = [directory / "0.lines", directory / "1.lines"]
        for path in self.paths:
            # What a process before this one has left.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size:
                    path.rename(directory / f"{time.time_ns()}-{path.name}.left")
        self._files = Files()
        self._descriptors = [self._files.append_to(path) for path in self.paths]
        self._current = 0
        self._cut = False
        self.error: OSError | None = None
        """Why the disk takes nothing, where it does not."""

    def write(self, lines: bytes) -> None:
        """Never raises: what the disk does not take is in memory still."""
        data = b"\n" + lines if self._cut else lines
        try:
            while data:
                data = data[os.write(self._descriptors[self._current], data) :]
        except OSError as error:
            self._cut, self.error = True, error
        else:
            self._cut, self.error = False, None

    def swap(self) -> None:
        """Write to the other file from now on. Call it before the points are taken out: what is written to the first one
        afterwards is among them."""
        self._current = 1 - self._current

    def clear(self) -> None:
        """What is in the file before is safe elsewhere."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptors[1 - self._current], 0)

    def close(self, *, remove: bool) -> None:
        """`remove`: all is safe elsewhere."""
        for descriptor, path in zip(self._descriptors, self.paths, strict=True):
            with contextlib.suppress(OSError):
                self._files.close(descriptor)
                if remove:
                    path.unlink()


class Slot:
    """The folder of this process, locked."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock
        self.journal = Journal(path)

    def left(self) -> Iterator[tuple[Path, bytes]]:
        """The journals that a process before this one has left."""
        for path in sorted(self.path.glob("*.left")):
            yield path, path.read_bytes()

    def release(self, *, removed: bool) -> None:
        self.journal.close(remove=removed)
        Files().close(self._lock)


def take_slot(directory: Path, target: str) -> Slot:
    """Raises OSError."""
    base = directory / QueueName(target).folder
    for number in range(_MOST):
        path = base / str(number)
        make_private_directory(path)
        with contextlib.suppress(BlockingIOError):
            return Slot(path, Files().lock(path / "lock"))
    raise OSError(None, f"{_MOST} processes use it", str(base))


def orphans(directory: Path, target: str) -> Iterator[Slot]:
    """Folders of dead processes that hold anything, one after the other; each is locked."""
    for path in _held(directory, target):
        with contextlib.suppress(BlockingIOError):
            yield Slot(path, Files().lock(path / "lock"))


def anything_left(directory: Path, target: str) -> bool:
    """Whether a dead process has left points. Raises OSError."""
    files = Files()
    for path in _held(directory, target):
        with contextlib.suppress(BlockingIOError):
            files.close(files.lock(path / "lock"))
            return True
    return False


def check_directory(directory: Path) -> None:
    """Make it. Raises OSError where it cannot be used."""
    make_private_directory(directory)
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
        number = errno.EROFS if read_only else errno.EACCES
        raise OSError(number, os.strerror(number), str(directory))


def _held(directory: Path, target: str) -> Iterator[Path]:
    """Folders of processes that hold anything."""
    base = directory / QueueName(target).folder
    for path in sorted(base.iterdir()) if base.is_dir() else ():
        if any(path.glob("*/*.seg")) or any(path.glob("*.left")) or any(_size(one) for one in path.glob("*.lines")):
            yield path


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):  # its owner has just ended
        return path.stat().st_size
    return 0
