"""The real agent on a disk that is slow or fails, as the file FAULTY_DISK says at every call: see `host.Disk`."""

import errno
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyagent.buffer.log.files import Files
from pyagent.cli import main
from pyagent.pipeline.outputs import disk_writer

RULES = os.environ["FAULTY_DISK"]
CALLS = ("lock", "create", "open", "read", "write", "sync", "sync_directory", "truncate", "rename", "unlink")


class _Rules:
    def __init__(self) -> None:
        self._stamp = 0
        self._rules: list[dict[str, Any]] = []

    def meet(self, call: str, target: Any) -> None:
        """Wait, or raise the OSError, as the first rule says that fits."""
        stamp = os.stat(RULES).st_mtime_ns
        if stamp != self._stamp:
            self._stamp, self._rules = stamp, json.loads(Path(RULES).read_text())
        if not self._rules:
            return
        path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else str(target)
        for rule in self._rules:
            if rule["call"] == call and f"/{rule['queue']}" in path:
                time.sleep(rule["seconds"])
                if rule["error"]:
                    number = getattr(errno, rule["error"])
                    raise OSError(number, os.strerror(number))
                return


def _patch(rules: _Rules) -> None:
    def faulty(name: str) -> Callable[..., Any]:
        real = getattr(Files, name)

        def call(self: Files, target: Any, *arguments: Any, **options: Any) -> Any:
            rules.meet(name, target)
            return real(self, target, *arguments, **options)

        return call

    for name in CALLS:
        setattr(Files, name, faulty(name))
    # Attempts at a disk that fails, and at a log that another agent holds: a trial is shorter than the usual pauses.
    assert hasattr(disk_writer, "_PAUSE_FIRST")
    disk_writer._PAUSE_FIRST, disk_writer._PAUSE_MOST = 0.1, 0.3


if __name__ == "__main__":
    _patch(_Rules())
    sys.exit(main())
