"""Temporary folders that go in the end, also when the process that made them was killed: the next one sees to it."""

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["ScratchFolder"]

_YOUNG = 60.0
"""Seconds in which a folder may not be locked yet."""


class ScratchFolder:
    """A new folder `PREFIX...`, locked while this process lives. Those of this prefix that nobody has locked are removed, where
    this account may do that.

    `parent`: None: where temporary files are kept. Raises OSError.
    """

    def __init__(self, prefix: str, parent: str | None = None) -> None:
        _remove_abandoned(Path(parent or tempfile.gettempdir()), prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self._lock = _locked(self.path)

    def close(self) -> None:
        """Remove it."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for old in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            lock = _locked(old)
            try:
                status = os.fstat(lock)
                if os.geteuid() in (0, status.st_uid) and time.time() - status.st_mtime > _YOUNG:
                    shutil.rmtree(old, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(folder: Path) -> int:
    """Raises OSError where another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
