"""Files as they lie in their folders: opened, looked at, and found again under another name. All of it waits for the disk."""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pyagent.api.files import open_file, open_pipe
from pyagent_plugins.inputs.tail.follower import Follower, Opened, digest_of

__all__ = ["find_renamed", "open_log", "read_header", "states_of"]


def states_of(paths: Sequence[str]) -> dict[str, tuple[int, ...] | None]:
    """Of each the device and inode, the size and the time of the last change; None where there is none."""
    found: dict[str, tuple[int, ...] | None] = {}
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            found[path] = None
        else:
            found[path] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def open_log(path: str, pipe: bool) -> Opened | None:
    """None for a folder. Raises OSError."""
    if pipe:
        descriptor = open_pipe(path)
        status = os.fstat(descriptor)
        return Opened(path, descriptor, status.st_dev, status.st_ino, lambda: os.close(descriptor), pipe=True)
    if os.path.isdir(path):
        return None
    file = open_file(path)
    status = os.fstat(file.fileno())
    if stat.S_ISDIR(status.st_mode):
        file.close()
        return None
    return Opened(path, file.fileno(), status.st_dev, status.st_ino, file.close)


def find_renamed(path: str, identity: tuple[int, int], length: int, digest: str) -> Opened | None:
    """The file that had this name before, in the same folder."""
    folder = os.path.dirname(path) or "."
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.inode() == identity[1] and entry.is_file(follow_symlinks=False):
                opened = open_log(os.path.join(folder, entry.name), False)
                if opened is not None:
                    if opened.identity == identity and digest_of(opened.descriptor, length) == digest:
                        opened.path = path
                        return opened
                    opened.close()
    return None


def read_header(follower: Follower) -> None:
    """A parser that learns from the first lines of a file is shown them, where reading begins behind them."""
    options: Any = follower.parser.options
    count = sum(getattr(options, name, 0) for name in ("csv_skip_rows", "csv_metadata_rows", "csv_header_row_count"))
    if not count:
        return
    begin = os.pread(follower.opened.descriptor, min(follower.held, 1 << 16), 0)
    lines = begin.split(b"\n")[:count]
    if len(lines) == count:
        with suppress(Exception):  # what it cannot read there it says of the lines that follow
            for line in lines:
                follower.parser.parse(line.rstrip(b"\r"))
