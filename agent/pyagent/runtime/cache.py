"""The last good configuration of each URL, for a start at which it does not answer."""

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from pyagent.api.files import make_private_directory

__all__ = ["Cached", "ConfigCache"]


@dataclass(frozen=True, slots=True)
class Cached:
    text: str
    age: float
    """Seconds since it was saved."""


class ConfigCache:
    """One file per URL in `directory`/config. Without a directory nothing is kept, and nothing is found.

    Neither saving nor loading raises: the cache is a help, and its lack is no failure. The texts may hold secrets, so
    only the owner may read them.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory / "config" if directory else None

    def save(self, where: str, text: str) -> None:
        path = self._path(where)
        if path is None:
            return
        if (known := self.load(where)) is not None and known.text == text:
            with contextlib.suppress(OSError):
                path.touch()
            return
        temporary = path.with_suffix(".new")
        try:
            make_private_directory(path.parent)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def load(self, where: str) -> Cached | None:
        path = self._path(where)
        if path is None:
            return None
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return Cached(file.read(), max(time.time() - path.stat().st_mtime, 0.0))
        except (OSError, UnicodeDecodeError):
            return None

    def _path(self, where: str) -> Path | None:
        if self._directory is None:
            return None
        return self._directory / f"{hashlib.sha256(where.encode()).hexdigest()[:32]}.toml"
