"""How far an import has come, on disk, so that a broken one can go on."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this machine: slower, the same number
    from zlib import crc32

from pyagent.importer.pieces import ImportFailure

__all__ = ["InputProgress", "Progress", "Record", "state_directory"]

_SYNC_SECONDS = 1.0
_VERSION = 1


@dataclass(slots=True)
class InputProgress:
    """Of one input: `done` bytes of its text (UTF-8, unpacked) are settled, whose CRC is `crc`. `size`, `digest`: of the bytes
    as they are, and of their head."""

    name: str
    size: int = 0
    digest: str = ""
    done: int = 0
    crc: int = 0
    line: int = 0
    complete: bool = False

    def passed(self, text: bytes) -> None:
        self.done += len(text)
        self.crc = crc32(text, self.crc)
        self.line += text.count(b"\n")


@dataclass(slots=True)
class Progress:
    """`start`: ns since the epoch, when the import began: the time of rows without one. `errors_size`: of the errors file."""

    start: int
    inputs: list[InputProgress] = field(default_factory=list)
    written: int = 0
    rejected: int = 0
    errors_size: int | None = None


def state_directory(given: str, environ: Mapping[str, str]) -> Path | None:
    """Where the records are; None where this user has no such place."""
    if given:
        return Path(given) / "write"
    if base := environ.get("XDG_STATE_HOME", ""):
        return Path(base) / "pyagent" / "write"
    home = environ.get("HOME", "")
    return Path(home) / ".local" / "state" / "pyagent" / "write" if home else None


class Record:
    """The record of one import, which is known by where it writes, what it reads, and how that is read. `path`: of its file;
    None where there is no place for it. `problem`: why it cannot be kept, empty where it can."""

    def __init__(self, directory: Path | None, identity: Mapping[str, Any]) -> None:
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        self.path = directory / f"{key}.json" if directory is not None else None
        self._synced = 0.0
        self.problem = "" if directory is not None else "there is no HOME"

    def load(self) -> Progress | None:
        """What an earlier import that was broken off has left; None where there is none."""
        if self.path is None:
            return None
        try:
            found = json.loads(self.path.read_text("utf-8"))
            if found.pop("version") != _VERSION:
                return None
            found["inputs"] = [InputProgress(**one) for one in found["inputs"]]
            return Progress(**found)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, progress: Progress, *, sync: bool = False) -> None:
        """Outlasts kill -9; a loss of power up to a second of it, or nothing with `sync`."""
        if self.path is None or self.problem:
            return
        now = time.monotonic()
        sync = sync or now - self._synced >= _SYNC_SECONDS
        temporary = self.path.with_suffix(f".{os.getpid()}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump({"version": _VERSION, **asdict(progress)}, file)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
                    self._synced = now
            temporary.replace(self.path)
            if sync:
                _sync_directory(self.path.parent)
        except OSError as error:
            self.problem = f"{error.filename or self.path}: {(error.strerror or str(error)).lower()}"
            with contextlib.suppress(OSError):
                temporary.unlink()

    def remove(self) -> None:
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()


def _sync_directory(path: Path) -> None:
    """A new name outlasts a loss of power only when its directory is on disk as well."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def check_same(before: InputProgress, name: str, size: int, digest: str) -> None:
    """Raises ImportFailure where an input is not what it was."""
    if before.digest and (before.digest != digest or (before.size and size and before.size != size)):
        raise ImportFailure(f"cannot resume: {name} has changed since; start without --resume")
