"""Reading the files that a person or a configuration names: never for ever, and never more than there is room for.

The standard library is all that this imports: the unit runs some of it as root before the agent.
"""

import errno
import os
import select
import stat
import time
from typing import BinaryIO

__all__ = ["check_file", "limit_files", "open_regular", "read_file"]

_PIECE, _FIRST_PIECE = 1 << 20, 16 << 10
"""The first one of a file that tells no size: below /proc/sys the kernel clears as much memory as it is asked for."""
_PIPE_SECONDS = 5.0
_most = 128 << 20


def limit_files(most: int) -> None:
    """Let so many bytes of a file be read; 128 MiB where this is never called."""
    global _most
    _most = most


def check_file(path: str) -> None:
    """Raises OSError for what is there and is no file, before something opens it that would wait for its end."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # whoever opens it says why it cannot be
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _no_file()


def open_regular(path: str) -> BinaryIO:
    """Open a file to read. Raises OSError, with words of its own for what is no file: a device or a pipe may never end."""
    descriptor, found = _open(path)
    try:
        if not stat.S_ISREG(found.st_mode):
            raise _no_file()
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: str | os.PathLike[str], most: int | None = None, *, pipes: bool = False) -> bytes:
    """All of a file; of /proc and /sys, too, where files have no size. `most`: bytes that it may have. `pipes`: one may be
    read as well, whose writer has five seconds. Raises OSError."""
    descriptor, found = _open(os.fspath(path))
    try:
        is_pipe = pipes and stat.S_ISFIFO(found.st_mode)
        if not (stat.S_ISREG(found.st_mode) or is_pipe):
            raise _no_file()
        limit = _most if most is None else most
        parts, received, size = list[bytes](), 0, found.st_size
        deadline = time.monotonic() + _PIPE_SECONDS
        length = _PIECE if size else _FIRST_PIECE
        while size <= limit:
            if is_pipe and not select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise TimeoutError(errno.ETIMEDOUT, f"its writer has not ended within {_PIPE_SECONDS:g} s")
            piece = os.read(descriptor, length)
            if not piece:
                return b"".join(parts)
            parts.append(piece)
            received += len(piece)
            size = max(size, received)
            length = min(4 * length, _PIECE) if len(piece) == length else length
        raise OSError(errno.EFBIG, _too_large(limit, own=most is None))
    except BlockingIOError:
        raise OSError(errno.EAGAIN, "it has nothing to read, and would be waited for") from None
    finally:
        os.close(descriptor)


def _open(path: str) -> tuple[int, os.stat_result]:
    """A descriptor, and what it is of."""
    try:
        # Without waiting: a pipe that nobody writes to would be waited for, here or when it is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise _no_file() from None
        raise
    found = os.fstat(descriptor)
    if stat.S_ISDIR(found.st_mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return descriptor, found


def _no_file() -> OSError:
    return OSError(errno.EINVAL, "it is a device, a pipe or a socket; name a file")


def _too_large(limit: int, *, own: bool) -> str:
    text = f"it is larger than {limit >> 20} MiB" if limit >= 1 << 20 else f"it is larger than {limit} bytes"
    return f"{text}; PYAGENT_MAX_FILE_SIZE allows more" if own else text
