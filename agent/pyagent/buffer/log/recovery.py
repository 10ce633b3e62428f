"""What a log's folder holds when it is opened: which segments are its own, what of them waits, what is missing.

Nothing is removed that could hold a metric. What cannot be understood goes to `corrupt/`; segments of another log go to a
folder of their own beside this one, which is a queue that no output claims. A cursor that cannot be that of these segments
decides nothing: all that is in them is due.
"""

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyagent.buffer.log.cursor import Cursor
from pyagent.buffer.log.files import Files
from pyagent.buffer.log.frames import HEAD_SIZE, VERSION, VERSION_LINES, Head, frames_in
from pyagent.buffer.log.scan import Recovery, Scan, Segment, SegmentFile

__all__ = ["CORRUPT", "Finder", "RecoveredLog", "write_identity"]

CORRUPT = "corrupt"
_NAME = re.compile(r"(\d{10})\.seg")
_OURS = {"lock", "cursor", "identity", CORRUPT, "lost+found"}


@dataclass(slots=True)
class RecoveredLog:
    """`start`: the number of the first metric that is due; `end`: the number behind all that was ever written."""

    recovery: Recovery
    segments: list[Segment]
    last_file: int
    log: int
    start: int
    end: int


class Finder:
    """`find`, make that durable, then `settle`: an attempt that fails before that has moved nothing, and told nothing."""

    def __init__(self, directory: Path, files: Files, cursor: Cursor, *, sync: bool, identity: str) -> None:
        self._directory = directory
        self._files = files
        self._cursor = cursor
        self._sync = sync
        self._identity = identity
        self._aside: list[Path] = []
        """What is not understood."""
        self._foreign: list[tuple[list[SegmentFile], int]] = []
        """Segments of other logs, and the metrics in them."""
        self._doubt = ""
        """Why the cursor is not believed."""
        self._last_file = 0
        self._scan: Scan
        self._known = False
        self._log = 0

    def _open_cursor(self) -> bool:
        """Returns whether there was one that can be read."""
        try:
            return self._cursor.open()
        except (IsADirectoryError, FileExistsError):  # a folder, or a link to nothing
            self._files.rename(path := self._directory / "cursor", self._free(path.name))
            self._doubt = "is no file; all that is in the segments is sent"
            return self._cursor.open()

    def find(self) -> RecoveredLog:
        """Opens the cursor, too. Raises OSError for what cannot be read now: it may be readable later, and the log must not be
        used until then."""
        self._known = self._open_cursor()
        self._log = self._cursor.log
        kept = self._own(self._list())
        start = self._start(kept)
        cursor = self._cursor
        ours = bool(cursor.log) and cursor.log == self._log
        committed = max((file.head.committed for file in kept if file.head), default=0)
        while True:
            scan = Scan(
                self._files,
                kept,
                start=start,
                written=cursor.written if ours else None,
                done=max(committed, cursor.number if ours else 0),
                sync=self._sync,
            )
            scan.run()
            end = max((segment.end for segment in scan.segments), default=None)
            if scan.strange:
                self._leave_out(scan.strange)
                kept = [file for file in kept if file not in scan.strange]
            elif start is not None and end is not None and start > end:
                self._doubt = f"is at {start}, but its segments end at {end}; all that is in them is sent again"
                start = None
            else:
                break
        recovery, self._scan = scan.recovery, scan
        recovery.cursor = self._doubt
        if start is not None and start < committed and scan.segments:
            recovery.cursor = "is older than its segments; what was delivered since then may be sent again"
        # What is missing before the first one is told now.
        start = max(start or 0, min((segment.first for segment in scan.segments), default=0))
        log = self._log or int.from_bytes(os.urandom(8), "little") or 1
        return RecoveredLog(recovery, scan.segments, self._last_file, log, start, max(scan.end, start))

    def settle(self, recovery: Recovery) -> None:
        """Put elsewhere what does not belong here, and say in `recovery` what that was. What cannot be moved is left."""
        for path in [*self._aside, *self._scan.useless]:
            try:
                new = self._free(path.name)
                self._files.rename(path, new)
                self._files.sync_directory(new.parent)
            except OSError:
                recovery.left.append(path.name)
            else:
                recovery.set_aside.append(path.name)
        for others, count in self._foreign:
            self._move_out(others, count, recovery)
        with contextlib.suppress(OSError):
            if self._doubt:
                self._keep_cursor()
        with contextlib.suppress(OSError):
            for path in self._scan.empty:
                self._files.unlink(path)
            if self._scan.cut is not None:
                path, size = self._scan.cut
                recovery.incomplete = path.name
                self._files.truncate(path, size)
        recovery.aside = len(recovery.left) + sum(len(names) for _, names, _ in recovery.foreign)
        with contextlib.suppress(OSError):
            if CORRUPT in self._files.names(self._directory):
                recovery.aside += len(self._files.names(self._directory / CORRUPT))

    # Whose it is ------------------------------------------------------------------------------------------------------

    def _list(self) -> list[SegmentFile]:
        """The segments, in order, with their heads."""
        found = []
        for name in sorted(self._files.names(self._directory)):
            path = self._directory / name
            match = _NAME.fullmatch(name)
            if match is None:
                if name not in _OURS and not name.endswith(".new"):
                    self._aside.append(path)
                continue
            self._last_file = max(self._last_file, int(match[1]))
            try:
                with self._files.opened(path) as descriptor:
                    head = Head.at(self._files.read(descriptor, HEAD_SIZE, 0))
            except FileNotFoundError:
                continue
            except IsADirectoryError:
                self._aside.append(path)
                continue
            if head is not None and head.version not in (VERSION_LINES, VERSION):
                self._aside.append(path)
            else:
                found.append(SegmentFile(path, head))
        return found

    def _own(self, found: Sequence[SegmentFile]) -> list[SegmentFile]:
        """Those of this log; where the cursor is of none, those of the last one."""
        logs = [file.head.log for file in found if file.head]
        if logs and self._cursor.log not in logs:
            self._log = logs[-1]
        for log in dict.fromkeys(logs):
            if log != self._log:
                others = [file for file in found if file.head and file.head.log == log]
                self._leave_out(others)
        return [file for file in found if file.head is None or file.head.log == self._log]

    def _start(self, kept: Sequence[SegmentFile]) -> int | None:
        """Where the cursor is, if it may be that of these segments; None: all that is there is due."""
        cursor = self._cursor
        if not self._known:
            if cursor.found.strip(b"\0"):
                self._doubt = "cannot be read; all that is in the segments is sent"
            return None
        if cursor.log and cursor.log != self._log:
            self._doubt = "belongs to another buffer; all that is in the segments is sent"
            return None
        return cursor.number

    def _leave_out(self, others: list[SegmentFile]) -> None:
        count = 0
        for file in others:
            with self._files.opened(file.path) as descriptor:
                data = self._files.read(descriptor, self._files.size(descriptor), 0)
            count += sum(header.count for _, header in frames_in(data, HEAD_SIZE if file.head else 0))
        self._foreign.append((others, count))

    # Elsewhere --------------------------------------------------------------------------------------------------------

    def _keep_cursor(self) -> None:
        """A copy: the file itself is written over, as a full disk may have no room for another."""
        if content := self._cursor.found:
            descriptor = self._files.create(self._free("cursor"))
            try:
                self._files.write(descriptor, content, 0)
            finally:
                self._files.close(descriptor)

    def _free(self, name: str) -> Path:
        """A path in `corrupt/` that is not taken."""
        corrupt = self._directory / CORRUPT
        self._files.make_directory(corrupt)
        taken, number = set(self._files.names(corrupt)), 1
        free = name
        while free in taken:
            number += 1
            free = f"{name}.{number}"
        return corrupt / free

    def _move_out(self, others: Sequence[SegmentFile], count: int, recovery: Recovery) -> None:
        """Make a queue of its own of segments of another log."""
        names = [file.path.name for file in others]
        try:
            folder = self._folder_for(names, others[0].head.log if others[0].head else 0)
            for file in others:
                self._files.rename(file.path, folder / file.path.name)
            self._files.sync_directory(folder)
        except OSError:
            recovery.left += names
        else:
            recovery.foreign.append((str(folder), names, count))

    def _folder_for(self, names: Sequence[str], log: int) -> Path:
        number = 0
        while True:
            suffix = f"~{log:016x}" + (f".{number}" if number else "")
            folder = self._directory.with_name(self._directory.name + suffix)
            self._files.make_directory(folder)
            if not set(names) & set(self._files.names(folder)):
                break
            number += 1
        if self._identity:
            write_identity(self._files, folder, self._identity)
        return folder


def write_identity(files: Files, directory: Path, identity: str) -> None:
    """Say whose queue it is. Raises OSError: without that, the next start may not find what is promised to be here."""
    path = directory / "identity"
    if path.name in files.names(directory):
        return
    temporary = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        files.unlink(temporary)
    descriptor = files.create(temporary)
    try:
        files.write(descriptor, identity.encode(), 0)
        files.sync(descriptor)
    finally:
        files.close(descriptor)
    files.rename(temporary, path)
