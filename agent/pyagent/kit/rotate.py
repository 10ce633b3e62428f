"""Files that are kept small: what is full or old becomes an archive, and the oldest archives are removed, as Telegraf does it
(its internal/rotate). An archive of `x.log` is called `x.YYYY-MM-DD-SECONDS.log`.

    rotation = Rotation(interval=86400.0, max_size=0, max_archives=5)
    rotation.began(os.fstat(descriptor).st_mtime)      # whenever the file is opened
    if rotation.is_due(size):
        archive(path)
        ...                                            # open it anew
        remove_archives(path, rotation.max_archives)
"""

import os
import re
import time
from collections.abc import Callable

__all__ = ["Rotation", "archive", "remove_archives"]


class Rotation:
    """When a file is due. `interval`: seconds after which; `max_size`: bytes at which; 0: never. `max_archives`: how many are
    kept; -1: all."""

    def __init__(
        self, *, interval: float, max_size: int, max_archives: int, now: Callable[[], float] = time.time
    ) -> None:
        self.max_archives = max_archives
        self._interval = interval
        self._max_size = max_size
        self._now = now
        self._expires = 0.0

    def began(self, changed: float) -> None:
        """The file was opened. `changed`: when it was changed last; so restarts do not put a rotation off for ever."""
        self._expires = changed + self._interval

    def is_due(self, size: int) -> bool:
        """An empty file never is."""
        expired = self._interval > 0 and self._now() > self._expires
        return size > 0 and (expired or 0 < self._max_size <= size)


def archive(path: str, now: float | None = None) -> None:
    """Rename a file. Nothing is overwritten: a second archive within a second gets the next one's name. Raises OSError."""
    folder, stem, extension = _parts(path)
    second = max(int(time.time() if now is None else now), max(_archives(path), default=0) + 1)
    date = time.strftime("%Y-%m-%d", time.localtime(second))
    os.rename(path, os.path.join(folder, f"{stem}.{date}-{second}{extension}"))


def remove_archives(path: str, kept: int) -> None:
    """All but the newest `kept`; none where that is negative. Raises OSError."""
    found = _archives(path)
    for second in sorted(found)[: max(len(found) - kept, 0)] if kept >= 0 else ():
        os.remove(os.path.join(os.path.dirname(path), found[second]))


def _archives(path: str) -> dict[int, str]:
    """Names by the second."""
    folder, stem, extension = _parts(path)
    pattern = re.compile(re.escape(stem) + r"\.\d{4}-\d\d-\d\d-(\d{1,11})" + re.escape(extension))
    found = filter(None, map(pattern.fullmatch, os.listdir(folder or ".")))
    return {int(match[1]): match[0] for match in found}


def _parts(path: str) -> tuple[str, str, str]:
    before, extension = os.path.splitext(path)
    folder, stem = os.path.split(before)
    return folder, stem, extension
