"""What a buffer on disk asks of the operating system, in one place: tests put a disk that fails or forgets in its stead."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pyagent.api.files import make_private_directory

__all__ = ["Files"]


class Files:
    """The real ones. Every method may raise OSError; what was not synced may be gone after a loss of power."""

    _open: ClassVar[set[int]] = set()
    """Descriptors of this process."""

    @classmethod
    def let_go(cls) -> None:
        """In a forked child: close what is the parent's. A lock would else be held for as long as the child lives."""
        while cls._open:
            with contextlib.suppress(OSError):
                os.close(cls._open.pop())

    def make_directory(self, path: Path) -> None:
        """With what lies above it, for the owner alone."""
        make_private_directory(path)

    def remove_directory(self, path: Path) -> None:
        """An empty one."""
        os.rmdir(path)

    def lock(self, path: Path) -> int:
        """Hold `path` locked until `close`. Raises BlockingIOError where somebody else holds it, FileNotFoundError where
        they have removed it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        except BaseException:
            os.close(descriptor)
            raise
        return self._opened(descriptor)

    def lock_directory(self, path: Path) -> int:
        """The same for a folder that is there."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        return self._opened(descriptor)

    def is_directory(self, path: Path) -> bool:
        return path.is_dir()

    def is_file(self, path: Path) -> bool:
        """A regular one."""
        return path.is_file()

    def names(self, directory: Path) -> list[str]:
        return os.listdir(directory)

    def create(self, path: Path) -> int:
        """A new file."""
        return self._opened(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def open(self, path: Path, *, write: bool = False) -> int:
        return self._opened(os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC))

    def append_to(self, path: Path) -> int:
        """Of which each write goes to the end."""
        return self._opened(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """All of it."""
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """As much of it as there is."""
        return os.pread(descriptor, size, offset)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def truncate(self, path: Path, size: int) -> None:
        os.truncate(path, size)

    def sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Makes creations and renames in it last."""
        with self.opened(path) as descriptor:
            os.fsync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def close(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        os.close(descriptor)

    def _opened(self, descriptor: int) -> int:
        self._open.add(descriptor)
        return descriptor

    @contextlib.contextmanager
    def opened(self, path: Path) -> Iterator[int]:
        descriptor = self.open(path)
        try:
            yield descriptor
        finally:
            self.close(descriptor)
