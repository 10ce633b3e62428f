"""Files of the host below /proc, /sys and so on: where they are for an agent in a container, and small readers for them.

    for row in read_rows(host_path("proc", "swaps")):
        if row.number > 1:
            acc.add("swaps", {"size": row.unsigned(2)}, {"file": row.words[0]})

The variables are Telegraf's: HOST_PROC, HOST_SYS, HOST_ETC, HOST_VAR, HOST_RUN, HOST_DEV and HOST_ROOT name these folders of
the host, HOST_MOUNT_PREFIX where its file systems are mounted. What cannot be read is a PyagentError with file and line.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from pyagent.api.errors import PyagentError
from pyagent.api.files import read_file
from pyagent.api.metric import INT64_MAX, INT64_MIN, Uint

__all__ = [
    "Row",
    "cannot_read",
    "host_path",
    "mount_path",
    "read_bytes",
    "read_int",
    "read_rows",
    "read_text",
    "rows_of",
]

_ROOTS = {"proc": "/proc", "sys": "/sys", "etc": "/etc", "var": "/var", "run": "/run", "dev": "/dev", "root": "/"}
_UINT64_MAX = (1 << 64) - 1
_SAFE_DIGITS = 19
"""So many always fit 64 bits without a sign."""
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


def read_bytes(path: str, *, missing: str = "") -> bytes:
    """All of a file. `missing`: what to do where it is not there, for the message."""
    try:
        return read_file(path)
    except OSError as error:
        raise cannot_read(path, error, missing=missing) from None


def cannot_read(path: str, error: OSError, *, missing: str = "") -> PyagentError:
    """The error about a file that cannot be read, with what to do: `missing` where it is not there, else what may be meant of
    one below a folder of `host_path`."""
    advice = (missing or _of_root(path)) if isinstance(error, FileNotFoundError) else ""
    return PyagentError(f"cannot read {path}: {error.strerror}{'; ' * bool(advice)}{advice}")


def _of_root(path: str) -> str:
    for root in ("proc", "sys"):
        variable = f"HOST_{root.upper()}"
        given = os.environ.get(variable)
        if path.startswith((given or _ROOTS[root]).rstrip("/") + "/"):
            return f"see {variable}, or the kernel does not have it" if given else "this kernel does not have it"
    return ""


def read_text(path: str, *, missing: str = "") -> str:
    """All of a file, without space around it."""
    return read_bytes(path, missing=missing).decode("utf-8", "surrogateescape").strip()


def read_int(path: str, *, missing: str = "") -> int:
    """The one number that a file holds, of 64 bits with a sign."""
    text = read_text(path, missing=missing)
    value = _number(text)
    if value is None or not INT64_MIN <= value <= INT64_MAX:
        raise PyagentError(f"cannot read {path}: it is no whole number but {text[:_SHOWN]!r}")
    return value


def read_rows(
    path: str, *, missing: str = "", whole: bool = False, only: tuple[bytes, ...] | None = None, most: int = -1
) -> "Iterator[Row]":
    """The lines of a file that are not empty. The options are those of `rows_of`."""
    return rows_of(path, read_bytes(path, missing=missing), whole=whole, only=only, most=most)


def rows_of(
    path: str, data: bytes, *, whole: bool = False, only: tuple[bytes, ...] | None = None, most: int = -1
) -> "Iterator[Row]":
    """The same of what was read of a file.

    `whole`: each line of it ends, as the kernel's do; the last one is refused where it does not, as a number at its end may
    have lost digits. `only`: lines that begin so; the others cost nearly nothing. `most`: words that are told apart,
    the rest of a long line is one.
    """
    lines = data.split(b"\n")
    cut = len(lines) if whole and lines[-1] else 0
    split = most - 1 if most > 0 else -1
    for number, line in enumerate(lines, start=1):
        if only is not None and not line.startswith(only) and number != cut:
            continue
        text = line.decode("utf-8", "surrogateescape")
        if (words := text.split(None, split)) or number == cut:
            row = Row(path, number, text, words)
            if number == cut:
                row.fail("the file ends within it")
            yield row


@dataclass(slots=True)
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

    def all_unsigned(self, start: int, stop: int) -> list[Uint]:
        """The words from `start` up to, not including, `stop`, as `unsigned` reads each of them."""
        words = self.words[start:stop]
        digits = "".join(words)
        plain = len(words) == stop - start and digits.isascii() and digits.isdecimal()
        if plain and max(map(len, words)) <= _SAFE_DIGITS:
            return [Uint(word) for word in words]
        return [self.unsigned(place) for place in range(start, stop)]

    def decimal(self, place: int) -> float:
        """The word at `place` as a number that need not be whole. Raises PyagentError, also for NaN and infinity."""
        value = _decimal(self.words[place]) if place < len(self.words) else None
        if value is None:
            self.fail(f"word {place + 1} is no number")
        return value

    def fail(self, cause: str) -> NoReturn:
        """Raises PyagentError: `cause` says what is wrong with the line."""
        raise PyagentError(f"cannot read {self.path}: line {self.number}: {cause}: {self.text.strip()[:_SHOWN]!r}")

    def _number(self, place: int) -> int:
        value = _number(self.words[place]) if place < len(self.words) else None
        if value is None:
            self.fail(f"word {place + 1} is no whole number")
        return value


def _decimal(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    # The kernel writes neither NaN nor infinity nor "_": a file that holds them is damaged.
    return value if math.isfinite(value) and "_" not in text else None


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    # More than any number of 64 bits has: Python's int() refuses thousands of them.
    return int(text) if digits.isdecimal() and digits.isascii() and len(digits) <= 40 else None
