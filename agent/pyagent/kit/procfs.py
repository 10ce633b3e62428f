"""Files of the host below /proc, /sys and so on: where they are for an agent in a container, and small readers for them.

    for row in read_rows(host_path("proc", "swaps")):
        if row.number > 1:
            acc.add("swaps", {"size": row.unsigned(2)}, {"file": row.words[0]})

The variables are Telegraf's: HOST_PROC, HOST_SYS, HOST_ETC, HOST_VAR, HOST_RUN, HOST_DEV and HOST_ROOT name these folders of
the host, HOST_MOUNT_PREFIX where its file systems are mounted. What cannot be read is a PyagentError with file and line.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from pyagent.api.errors import PyagentError
from pyagent.api.files import read_file
from pyagent.api.metric import INT64_MAX, INT64_MIN, Uint

__all__ = ["Row", "host_path", "mount_path", "read_int", "read_rows", "read_text"]

_ROOTS = {"proc": "/proc", "sys": "/sys", "etc": "/etc", "var": "/var", "run": "/run", "dev": "/dev", "root": "/"}
_UINT64_MAX = (1 << 64) - 1
_SHOWN = 80


def host_path(root: str, *parts: str) -> str:
    """The path of a file of the host: `host_path("proc", "meminfo")` is $HOST_PROC/meminfo, else /proc/meminfo."""
    return os.path.join(os.environ.get(f"HOST_{root.upper()}") or _ROOTS[root], *parts)


def mount_path(path: str) -> str:
    """Where a mount point of the host is for this process: below $HOST_MOUNT_PREFIX, if that is set."""
    prefix = os.environ.get("HOST_MOUNT_PREFIX", "").rstrip("/")
    if not prefix or path == prefix or path.startswith(f"{prefix}/"):
        return path
    return f"{prefix}/{path.lstrip('/')}".rstrip("/") or "/"


def read_text(path: str, *, missing: str = "") -> str:
    """All of a file, without space around it. `missing`: what to do where it is not there, for the message."""
    try:
        return read_file(path).decode("utf-8", "surrogateescape").strip()
    except OSError as error:
        advice = f"; {missing}" if missing and isinstance(error, FileNotFoundError) else ""
        raise PyagentError(f"cannot read {path}: {error.strerror}{advice}") from None


def read_int(path: str, *, missing: str = "") -> int:
    """The one number that a file holds, of 64 bits with a sign."""
    text = read_text(path, missing=missing)
    value = _number(text)
    if value is None or not INT64_MIN <= value <= INT64_MAX:
        raise PyagentError(f"cannot read {path}: it is no whole number but {text[:_SHOWN]!r}")
    return value


def read_rows(path: str, *, missing: str = "") -> "Iterator[Row]":
    """The lines of a file that are not empty."""
    try:
        text = read_file(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        advice = f"; {missing}" if missing and isinstance(error, FileNotFoundError) else ""
        raise PyagentError(f"cannot read {path}: {error.strerror}{advice}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if words := line.split():
            yield Row(path, number, line, words)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file."""

    path: str
    number: int
    """From 1."""
    text: str
    words: list[str] = field(repr=False)

    def integer(self, place: int) -> int:
        """The word at `place`, from 0, as a number of 64 bits with a sign. Raises PyagentError."""
        value = self._number(place)
        if not INT64_MIN <= value <= INT64_MAX:
            self.fail(f"word {place + 1} is no number of 64 bits")
        return value

    def unsigned(self, place: int) -> Uint:
        """The same without a sign."""
        value = self._number(place)
        if not 0 <= value <= _UINT64_MAX:
            self.fail(f"word {place + 1} is no number of 64 bits without a sign")
        return Uint(value)

    def decimal(self, place: int) -> float:
        """The word at `place` as a number that need not be whole."""
        try:
            return float(self.words[place])
        except (IndexError, ValueError):
            self.fail(f"word {place + 1} is no number")

    def fail(self, cause: str) -> NoReturn:
        """Raises PyagentError: `cause` says what is wrong with the line."""
        raise PyagentError(f"cannot read {self.path}: line {self.number}: {cause}: {self.text.strip()[:_SHOWN]!r}")

    def _number(self, place: int) -> int:
        value = _number(self.words[place]) if place < len(self.words) else None
        if value is None:
            self.fail(f"word {place + 1} is no whole number")
        return value


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    # More than any number of 64 bits has: Python's int() refuses thousands of them.
    return int(text) if digits.isdecimal() and digits.isascii() and len(digits) <= 40 else None
