"""The folder of the quarantine: which files there are, what of them is still wanted, and what becomes of damaged ones.

Nothing stays open but the lock. Methods raise OSError for a disk that does not let them; what was there before is there then.
"""

import contextlib
import errno
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyagent.api.units import counted
from pyagent.buffer.log.files import Files
from pyagent.buffer.quarantine.record import DROPPED, DROPPED_AT, records

__all__ = ["Place", "QuarantineFiles", "Stored"]

_NAME = re.compile(r"(\d{10})\.jsonl")


@dataclass(slots=True, eq=False)
class _File:
    path: Path
    size: int = 0
    wanted: int = 0
    """Entries in it that can be read and were not removed."""
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where the record of an entry stands."""

    file: _File
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry that was found."""

    number: int
    count: int
    """Of its metrics."""
    place: Place


class QuarantineFiles:
    """`file_size`: about the bytes after which a new file is begun; `most`: a larger file cannot be one of ours.

    What an earlier process wrote is never appended to. A file goes when none of its entries is wanted any more; one that
    has damaged parts is kept in `corrupt/` then.
    """

    def __init__(
        self, directory: Path, *, file_size: int, most: int, log: logging.Logger, files: Files | None = None
    ) -> None:
        self.directory = directory
        self._files = files or Files()
        self.dead_bytes = 0
        """Of removed entries and damaged parts, in files that hold others."""
        self.last_number = 0
        """No entry or file that was found has a greater one."""
        self._file_size = file_size
        self._most = most
        self._log = log
        self._file: _File | None = None
        self._unsynced: set[Path] = set()
        self._doubtful: set[Path] = set()
        """Files that could not be synced: the system may have forgotten since what of them is not on disk."""
        self._lock = -1

    @property
    def is_open(self) -> bool:
        return self._lock >= 0

    @property
    def exists(self) -> bool:
        """Or no saying so: then the attempt to open it tells why."""
        try:
            return self._files.is_directory(self.directory)
        except OSError:
            return True

    def open(self) -> list[Stored]:
        """Lock the folder, which is made where it is missing; returns what is in it, oldest first."""
        self._files.make_directory(self.directory)
        try:
            lock = self._files.lock_directory(self.directory)
        except BlockingIOError:
            raise OSError(None, "another agent of this instance uses it") from None
        self.dead_bytes = 0
        try:
            names = sorted(self._files.names(self.directory))
            found = [stored for name in names for stored in self._load(self.directory / name)]
        except BaseException:
            self._files.close(lock)
            raise
        self._lock = lock
        self.last_number = max([self.last_number, *(stored.number for stored in found)])
        return sorted(found, key=lambda stored: stored.number)

    def append(self, number: int, record: bytes) -> Place:
        """Write the record of the entry of this number."""
        file = self._file
        # Somebody may have emptied the folder.
        if file is None or file.size + len(record) > self._file_size or not self._files.is_file(file.path):
            self._files.make_directory(self.directory)
            file = _File(self.directory / f"{number:010}.jsonl")
        self._write(file.path, record, file.size)
        self._unsynced |= {file.path, self.directory}
        self._file = file
        place = Place(file, file.size, len(record))
        file.size += len(record)
        file.wanted += 1
        return place

    def read(self, place: Place) -> bytes:
        """The record; nothing where the file has gone."""
        try:
            with self._files.opened(place.file.path) as descriptor:
                return self._files.read(descriptor, place.size, place.offset)
        except FileNotFoundError:
            return b""

    def drop(self, place: Place) -> None:
        """The entry there is not wanted any more."""
        file = place.file
        file.wanted -= 1
        self.dead_bytes += place.size
        with contextlib.suppress(FileNotFoundError):  # somebody was quicker
            if file.wanted:
                self._write(file.path, DROPPED, place.offset + DROPPED_AT)
            else:
                self._done_with(file)

    def damaged(self, place: Place) -> None:
        """The entry there cannot be read. It stays as it is, for those who may want to know why."""
        file = place.file
        self._tell_damage(file, 1)
        file.wanted -= 1
        self.dead_bytes += place.size
        if not file.wanted:
            with contextlib.suppress(OSError):
                self._done_with(file)

    def sync(self) -> None:
        """Make what was appended outlast a loss of power. Blocking; another thread may do it."""
        while self._unsynced:
            path = self._unsynced.pop()
            try:
                self._sync(path)
            except FileNotFoundError:
                self._doubtful.discard(path)  # done with in the meantime
            except OSError:
                self._unsynced.add(path)
                raise

    def close(self) -> None:
        """Give the lock back."""
        if self.is_open:
            self._files.close(self._lock)
            self._lock = -1

    def _load(self, path: Path) -> Iterator[Stored]:
        name = _NAME.fullmatch(path.name)
        if name is None:
            return
        self.last_number = max(self.last_number, int(name[1]))
        file = _File(path)
        try:
            if not self._files.is_file(path):
                return
            data = self._content(file)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise  # it is not the file's fault
            self._log.warning(
                "cannot read %s: %s; it stays there, and the next start tries it again", path, error.strerror or error
            )
            return
        damaged = 0
        found = []
        for offset, size, entry in records(data):
            if entry is None:
                damaged += 1
            else:
                found.append(Stored(entry.id, len(entry.lines), Place(file, offset, size)))
        file.wanted = len(found)
        self.dead_bytes += file.size - sum(stored.place.size for stored in found)
        if damaged:
            self._tell_damage(file, damaged)
        if not found:
            with contextlib.suppress(OSError):
                self._done_with(file)
        yield from found

    def _content(self, file: _File) -> bytes:
        with self._files.opened(file.path) as descriptor:
            file.size = self._files.size(descriptor)
            if file.size > self._most:
                self._log.warning("cannot use %s: it is too large; it is put into corrupt/", file.path)
                file.damaged = True
                return b""
            return self._files.read(descriptor, file.size, 0)

    def _tell_damage(self, file: _File, count: int) -> None:
        file.damaged = True
        self._log.warning(
            "%s of the quarantine in %s cannot be read; all others are kept, and the file goes to corrupt/ in the end",
            counted(count, "entry", "entries"),
            file.path,
        )

    def _done_with(self, file: _File) -> None:
        self.dead_bytes -= file.size
        if file is self._file:
            self._file = None
        if not file.damaged:
            self._files.unlink(file.path)
            return
        corrupt = file.path.parent / "corrupt"
        self._files.make_directory(corrupt)
        there, name, number = set(self._files.names(corrupt)), file.path.name, 1
        while name in there:
            number += 1
            name = f"{file.path.name}.{number}"
        self._files.rename(file.path, corrupt / name)

    def _write(self, path: Path, data: bytes, offset: int) -> None:
        """All of it, or OSError and the file as long as before; a new file where `offset` is 0."""
        descriptor = self._create(path) if offset == 0 else self._files.open(path, write=True)
        try:
            size = self._files.size(descriptor)
            try:
                self._files.write(descriptor, data, offset)
            except OSError:
                with contextlib.suppress(OSError):
                    self._files.truncate(path, size)
                raise
        finally:
            self._files.close(descriptor)

    def _create(self, path: Path) -> int:
        try:
            return self._files.create(path)
        except FileExistsError:  # empty: nothing of it could be written
            return self._files.open(path, write=True)

    def _sync(self, path: Path) -> None:
        if path == self.directory:
            self._files.sync_directory(path)
            return
        descriptor = self._files.open(path, write=True)
        try:
            if path in self._doubtful:
                # A second sync alone proves nothing: after a failure the system takes what it could not write for written.
                self._files.write(descriptor, self._files.read(descriptor, self._files.size(descriptor), 0), 0)
            self._doubtful.add(path)
            self._files.sync(descriptor)
            self._doubtful.discard(path)
        finally:
            self._files.close(descriptor)
