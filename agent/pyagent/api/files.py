"""Reading files. A path of a configuration from a URL, a HostedPath, is read past its guard only."""

import codecs
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pyagent import reading
from pyagent.api.hosted import HostedPath
from pyagent.api.moved import moved
from pyagent.reading import check_file, open_regular

__all__ = [
    "make_private_directory",
    "open_file",
    "open_pipe",
    "path_of",
    "read_file",
    "readable_path",
    "without_mark",
]


def open_file(path: str) -> BinaryIO:
    """Open a file to read. Raises OSError: for a device, a pipe and a socket, too, which may never end, and where a
    configuration from a URL may not read it."""
    with _held(path) as found:
        return open_regular(found)


def open_pipe(path: str) -> int:
    """A descriptor of a named pipe, which does not block, and which no end of a writer ends. Raises OSError, for all that is
    no pipe, too."""
    with _held(path) as found:
        descriptor = os.open(found, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no named pipe")
    return descriptor


def read_file(path: str) -> bytes:
    """All of a file. Raises OSError as `open_file`, and for one that is larger than the agent may read (128 MiB where the
    administrator allows no more)."""
    with _held(path) as found:
        return reading.read_file(found)


def path_of(path: str, *given: str) -> str:
    """A path that was made of others, or was found in a file that others name: it is read past their guard."""
    guard = next((one.guard for one in given if isinstance(one, HostedPath)), None)
    return path if guard is None else HostedPath(path, guard)


@contextmanager
def readable_path(path: str) -> Iterator[str]:
    """A path for a library that opens files itself, good until the end of the `with`. Raises OSError for what is there and
    must not be read, as `open_file` does."""
    with _held(path) as found:
        check_file(found)
        yield found


@contextmanager
def _held(path: str) -> Iterator[str]:
    if not isinstance(path, HostedPath):
        yield path
        return
    with path.guard.held(path) as found:
        yield found


_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before that of UTF-16, which it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def without_mark(text: bytes) -> bytes:
    """Text in UTF-8, where it begins with a byte order mark, of UTF-16 and UTF-32, too; any other as it is."""
    mark = next(filter(text.startswith, _MARKS), None)
    if mark is None:
        return text
    if mark == codecs.BOM_UTF8:
        return text[len(mark) :]
    return text[len(mark) :].decode(_MARKS[mark], "replace").encode()


def make_private_directory(path: Path) -> None:
    """Make a folder, with what is missing above it, for the owner alone. Raises OSError."""
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        make_private_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        if not path.is_dir():
            raise


__getattr__ = moved(__name__, dict.fromkeys(("check_readable", "match_files"), "pyagent.kit.globpath"))
