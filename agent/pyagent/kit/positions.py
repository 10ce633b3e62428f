"""How far inputs have read: small records that outlast a reload, kill -9 and, with a state directory, the process.

    self._positions = Positions("tail", identity)
    self._positions.put(path, {"offset": 17})
    ...
    self._positions.get(path)

A record is written at once (two places of its file in turn, so that the one before is there when a write is torn by a loss of
power). It is not synced: kill -9 loses nothing of it, a loss of power perhaps the last seconds.

Who takes a record that cannot be read for one that is not there begins anew somewhere, and loses or repeats what lies between:
`get` raises PositionsUnreadable, and knows `damaged` records.
"""

import hashlib
import json
import os
import pwd
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyagent.api import PyagentError
from pyagent.api.files import make_private_directory

__all__ = ["Positions", "PositionsUnreadable", "keep_positions_in"]

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


class PositionsUnreadable(PyagentError):
    """Whether there are records is not known: their files cannot be read. It says what to do."""


class Positions:
    """Records of one input, by a key such as a path. `kind`: the plugin's name; `identity`: what tells this input from others
    of its kind; where it has no record of its own, the newest of any other counts, as after a change of its options."""

    def __init__(self, kind: str, identity: str) -> None:
        self._kind = kind
        self._identity = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._turn: dict[str, int] = {}
        self.damaged: set[str] = set()
        """Keys that have had records of which `get` found none that is whole; `put` takes them out."""

    @property
    def outlast(self) -> bool:
        """They are kept on disk."""
        return _folder is not None

    def get(self, key: str) -> Record | None:
        """Raises PositionsUnreadable."""
        records = _known.setdefault((self._kind, key), {})
        if self._identity not in records and _folder is not None:
            try:
                for found in self._stored(key):
                    records.setdefault(found["identity"], found["record"])
            except OSError as error:
                raise PositionsUnreadable(_unreadable(error, _folder / self._kind)) from None
        if not records:
            return None
        return records.get(self._identity) or records[next(reversed(records))]

    def all(self) -> Iterator[tuple[str, Record, bool]]:
        """Of all keys and inputs of this kind: the key, the record, and whether it is this input's own. Those that cannot be
        read are left out. Raises PositionsUnreadable where none can be."""
        for (kind, key), records in list(_known.items()):
            if kind == self._kind:
                for identity, record in list(records.items()):
                    yield key, record, identity == self._identity
        if _folder is None:
            return
        try:
            names = os.listdir(_folder / self._kind)
        except FileNotFoundError:
            return
        except OSError as error:
            raise PositionsUnreadable(_unreadable(error, _folder / self._kind)) from None
        for name in names:
            with suppress(OSError, ValueError):
                one = max(_read(_folder / self._kind / name), key=lambda one: one["turn"])
                if one["identity"] not in _known.get((self._kind, one["key"]), {}):
                    yield one["key"], one["record"], one["identity"] == self._identity

    def put(self, key: str, record: Record) -> str | None:
        """An error, where it could not be written; in this process it counts all the same."""
        records = _known.setdefault((self._kind, key), {})
        records.pop(self._identity, None)
        records[self._identity] = record
        self.damaged.discard(key)
        if _folder is None:
            return None
        if key not in self._turn:
            try:
                self._turn[key] = self._last_turn(key)
            except OSError as error:
                return error.strerror or str(error)
        turn = self._turn[key] = self._turn[key] + 1
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
            if os.fstat(descriptor).st_size == 0:  # of a full disk: it would count as damaged
                with suppress(OSError):
                    path.unlink()
            return error.strerror or str(error)
        finally:
            os.close(descriptor)
        return None

    def forget(self, key: str) -> None:
        records = _known.get((self._kind, key), {})
        records.pop(self._identity, None)
        if not records:
            _known.pop((self._kind, key), None)
        self._turn.pop(key, None)
        if _folder is not None:
            with suppress(OSError):
                self._file(key).unlink()

    def keep_newest(self, most: int) -> None:
        """Forget the oldest records of this kind, of all inputs, beyond so many."""
        mine = [key for key in list(_known) if key[0] == self._kind]
        for key in mine[: max(len(mine) - most, 0)]:
            _known.pop(key, None)
        if _folder is None:
            return
        with suppress(OSError):
            entries = list(os.scandir(_folder / self._kind))
            if len(entries) > most:
                entries.sort(key=lambda one: one.stat(follow_symlinks=False).st_mtime_ns)
                for entry in entries[: len(entries) - most]:
                    os.unlink(entry.path)

    def _file(self, key: str) -> Path:
        assert _folder is not None
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return _folder / self._kind / f"{name}-{self._identity}"

    def _last_turn(self, key: str) -> int:
        try:
            return max((one["turn"] for one in _read(self._file(key))), default=0)
        except FileNotFoundError:
            return 0

    def _stored(self, key: str) -> list[Any]:
        """The newest of each identity, the newest of all last; only its own, where there is one. Raises OSError."""
        path = self._file(key)
        own = _newest(path, key)
        if own:
            return own
        prefix = path.name.partition("-")[0]
        try:
            files = [path.parent / name for name in os.listdir(path.parent) if name.startswith(f"{prefix}-")]
        except FileNotFoundError:
            return []
        found: list[tuple[int, Any]] = []
        is_there = False
        for file in files:
            with suppress(FileNotFoundError):
                changed = file.stat().st_mtime_ns
                is_there = True
                found += [(changed, one) for one in _newest(file, key)]
        if is_there and not found:
            self.damaged.add(key)
        return [one for _, one in sorted(found, key=lambda one: one[0])]


def _newest(path: Path, key: str) -> list[Any]:
    """At most one. Raises OSError."""
    try:
        records = [one for one in _read(path) if one["key"] == key]
    except FileNotFoundError:
        return []
    return [max(records, key=lambda one: one["turn"])] if records else []


def _read(path: Path) -> list[Any]:
    """The records of a file that are whole. Raises OSError."""
    with path.open("rb") as file:
        data = file.read(2 * _SLOT)
    found = []
    for start in (0, _SLOT):
        checksum, _, text = data[start : start + _SLOT].rstrip().partition(b" ")
        with suppress(ValueError, KeyError, TypeError):
            if int(checksum, 16) == zlib.crc32(text):
                one = json.loads(text)
                _ = (one["key"], one["turn"] + 0, one["identity"], one["record"])
                found.append(one)
    return found


def _unreadable(error: OSError, folder: Path) -> str:
    """With what to do about it: nearly always files that another account has made."""
    place = error.filename or folder
    text = f"cannot read how far was read before ({str(place)!r}): {error.strerror or error}"
    if not isinstance(error, PermissionError):
        return f"{text}; repair that file system, or remove what cannot be read and begin anew"
    account = _account(os.geteuid())
    for one in (folder.parent.parent, folder.parent, folder, Path(place)):
        with suppress(OSError):
            if (owner := one.stat().st_uid) != os.geteuid():
                return (
                    f"{text}; {str(one)!r} belongs to {_account(owner)}, and the agent runs as {account}: "
                    f"chown -R {account} '{one}'"
                )
    return f"{text}; the account {account} needs the right to read it: chmod -R u+rwX '{folder.parent.parent}'"


def _account(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
