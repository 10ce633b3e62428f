"""What a command prints while it changes something: a reader that goes does not stop the work."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

__all__ = ["output_may_end"]

_LOST = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""The reader has gone, or the file that the output was led to has no room."""


@contextlib.contextmanager
def output_may_end() -> Iterator[None]:
    """While this lasts, output that cannot be written is dropped from then on, and no print raises OSError.

    Raises OSError after the work where standard output had no room: a result is missing in a file. A reader that has gone,
    as that of `| head`, has seen enough, and is no failure.
    """
    before = sys.stdout, sys.stderr
    out, err = (None if stream is None else _Kept(stream) for stream in before)
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield
    finally:
        for stream in filter(None, (out, err)):
            stream.flush()
        sys.stdout, sys.stderr = before
    if out is not None and out.lost is not None and out.lost.errno != errno.EPIPE:
        raise out.lost


class _Kept:
    """A stream of text whose writes do not fail for want of a reader or of room."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)
        except ValueError:
            pass  # it was closed

    def _drop(self, error: OSError) -> None:
        """What the stream still holds, and all that follows, goes nowhere."""
        if error.errno not in _LOST:
            raise error
        self.lost = error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
