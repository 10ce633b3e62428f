"""The process's number in a file, for those who supervise without systemd."""

import contextlib
import os
from collections.abc import Iterator

from pyagent.runtime.log import component_logger

__all__ = ["pid_file"]


@contextlib.contextmanager
def pid_file(path: str) -> Iterator[None]:
    """Write the file (0640), and remove it at the end. Without a path nothing is done.

    It is a service to others: where it cannot be written the log says so, and the agent runs as well.
    """
    written = False
    if path:
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640), "w") as file:
                file.write(f"{os.getpid()}\n")
            written = True
        except OSError as error:
            component_logger("agent").error("cannot write the pid file %s: %s", path, error.strerror)
    try:
        yield
    finally:
        if written:
            with contextlib.suppress(OSError):
                os.unlink(path)
