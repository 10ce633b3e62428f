"""How far inputs have read: small records that outlast a reload, kill -9 and, with a state directory, the process.

    self._positions = Positions("tail", identity)
    self._positions.put(path, {"offset": 17})
    ...
    self._positions.get(path)

A record is written at once (two places of its file in turn, so that the one before is there when a write is torn by a loss of
power). It is not synced: kill -9 loses nothing of it, a loss of power perhaps the last seconds.
"""

import hashlib
import json
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyagent.api.files import make_private_directory

__all__ = ["Positions", "keep_positions_in"]

Record = dict[str, Any]

_SLOT = 8192
"""Bytes of each of the two places. A record that is longer, as for a path of thousands of characters, is not kept."""
_folder: Path | None = None
_known: dict[tuple[str, str], dict[str, Record]] = {}
"""Of this process, by kind and key: records by the identity of who wrote them, the newest last."""


def keep_positions_in(folder: Path | None) -> None:
    """Of the engine, before inputs start: where records are kept. None: in this process alone."""
    global _folder
    _folder = folder


class Positions:
    """Records of one input, by a key such as a path. `kind`: the plugin's name; `identity`: what tells this input from others
    of its kind; where it has no record of its own, the newest of any other counts, as after a change of its options."""

    def __init__(self, kind: str, identity: str) -> None:
        self._kind = kind
        self._identity = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._turn: dict[str, int] = {}

    @property
    def outlast(self) -> bool:
        """They are kept on disk."""
        return _folder is not None

    def get(self, key: str) -> Record | None:
        records = _known.setdefault((self._kind, key), {})
        if self._identity not in records and _folder is not None:
            for found in self._stored(key):
                records.setdefault(found["identity"], found["record"])
        if not records:
            return None
        return records.get(self._identity) or records[next(reversed(records))]

    def put(self, key: str, record: Record) -> str | None:
        """An error, where it could not be written; in this process it counts all the same."""
        records = _known.setdefault((self._kind, key), {})
        records.pop(self._identity, None)
        records[self._identity] = record
        if _folder is None:
            return None
        turn = self._turn[key] = self._turn.get(key, self._last_turn(key)) + 1
        text = json.dumps({"key": key, "turn": turn, "identity": self._identity, "record": record}).encode()
        line = b"%08x %s" % (zlib.crc32(text), text)
        if len(line) >= _SLOT:
            return "its path is too long"
        try:
            path = self._file(key)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            try:
                make_private_directory(path.parent)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                return error.strerror or str(error)
        except OSError as error:
            return error.strerror or str(error)
        try:
            os.pwrite(descriptor, line.ljust(_SLOT - 1) + b"\n", _SLOT * (turn % 2))
        except OSError as error:
            return error.strerror or str(error)
        finally:
            os.close(descriptor)
        return None

    def forget(self, key: str) -> None:
        _known.get((self._kind, key), {}).pop(self._identity, None)
        self._turn.pop(key, None)
        if _folder is not None:
            with suppress(OSError):
                self._file(key).unlink()

    def _file(self, key: str) -> Path:
        assert _folder is not None
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return _folder / self._kind / f"{name}-{self._identity}"

    def _last_turn(self, key: str) -> int:
        return max((one["turn"] for one in _read(self._file(key))), default=0)

    def _stored(self, key: str) -> list[Any]:
        """The newest of each identity, the newest of all last."""
        path = self._file(key)
        prefix = path.name.partition("-")[0]
        found = []
        with suppress(OSError):
            files = [one for one in path.parent.iterdir() if one.name.startswith(f"{prefix}-")]
            for file in sorted(files, key=lambda one: one.stat().st_mtime_ns):
                records = [one for one in _read(file) if one["key"] == key]
                if records:
                    found.append(max(records, key=lambda one: one["turn"]))
        return found


def _read(path: Path) -> list[Any]:
    """The records of a file that are whole."""
    try:
        data = path.read_bytes()[: 2 * _SLOT]
    except OSError:
        return []
    found = []
    for start in (0, _SLOT):
        checksum, _, text = data[start : start + _SLOT].rstrip().partition(b" ")
        with suppress(ValueError, KeyError, TypeError):
            if int(checksum, 16) == zlib.crc32(text):
                one = json.loads(text)
                _ = (one["key"], one["turn"] + 0, one["identity"], one["record"])
                found.append(one)
    return found
