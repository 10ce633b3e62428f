"""Standard output belongs to metrics: what plugins and libraries print there goes into the log, line by line.

`sys.__stdout__` is the standard output that the process was given, for those who write metrics; `sys.stdout` and the
descriptor 1, which anything may write to, are not.
"""

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import cast

from pyagent.runtime.log import thread_logger

__all__ = ["own_stdout"]

_LONGEST = 10_000
"""Characters of a line of the log."""


@contextlib.contextmanager
def own_stdout() -> Iterator[None]:
    """While this lasts."""
    # Of those that were closed at the start the numbers must not come to name something else, such as the event loop's.
    while (null := _null()) <= 2:
        pass
    os.close(null)
    before, given = sys.stdout, sys.__stdout__
    if given is None:
        yield
        return
    own = os.dup(1)
    os.dup2(2, 1)
    stream = open(own, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # closed below
    sys.__stdout__ = stream  # type: ignore[misc]  # it is for this
    sys.stdout = cast("io.TextIOWrapper", _Printed())
    try:
        yield
    finally:
        os.dup2(own, 1)
        try:
            stream.flush()
        except (OSError, ValueError):
            # What is left would be tried again when the stream goes, and since 3.13 Python prints a traceback for that.
            null = _null()
            os.dup2(null, own)
            os.close(null)
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.__stdout__ = before, given  # type: ignore[misc]
        # A thread that hangs may write there yet: its number must not come to name something else.


def _null() -> int:
    """A descriptor of /dev/null; in a container without /dev of a folder, which cannot be written, as one that is closed."""
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:
        return os.open("/", os.O_RDONLY)


class _Printed(io.TextIOBase):
    """Whole lines, each thread's on its own, named after it: that is the plugin."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._rest = threading.local()
        self.buffer = _PrintedBytes(self)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        lines = (getattr(self._rest, "text", "") + text).split("\n")
        self._rest.text = lines.pop()
        for line in lines:
            self._tell(line)
        if len(self._rest.text) >= _LONGEST:
            self.flush()
        return len(text)

    def flush(self) -> None:
        line, self._rest.text = getattr(self._rest, "text", ""), ""
        self._tell(line)

    def _tell(self, line: str) -> None:
        if line.strip():
            thread_logger().info("printed: %s", line if len(line) <= _LONGEST else line[:_LONGEST] + "...")


class _PrintedBytes(io.RawIOBase):
    def __init__(self, printed: _Printed) -> None:
        self._printed = printed

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raw = bytes(memoryview(data))  # type: ignore[arg-type]  # any buffer
        self._printed.write(raw.decode("utf-8", "replace"))
        return len(raw)
