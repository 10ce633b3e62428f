"""How many processors and cores a Linux host has."""

import os
from collections.abc import Iterator

from pyagent.api.errors import PyagentError
from pyagent.api.files import read_file
from pyagent.kit.procfs import Row, host_path, read_rows

__all__ = ["ProcessorCounts"]

_OF_A_CORE = ("core_cpus_list", "thread_siblings_list")
"""The processors of one core, in /sys; the second is what older kernels call it."""
_MOST_DIGITS = 9


class ProcessorCounts:
    """Counts anew only where other processors are online: /proc/cpuinfo is long, and the kernel takes long to write it."""

    def __init__(self) -> None:
        self._online = b""
        self._last = 0, 0

    def counted(self) -> tuple[int, int]:
        """Processors and cores. Raises PyagentError."""
        try:
            online = read_file(host_path("sys", "devices/system/cpu/online"))
        except OSError:
            online = b""
        if not online or online != self._online:
            self._last = _count()
            self._online = online
        return self._last


def _count() -> tuple[int, int]:
    path = host_path("proc", "cpuinfo")
    if not os.path.exists(path):
        return _of_stat(), _of_topology() or 0
    processors, sockets = set[int](), dict[int, int]()
    rows = list(read_rows(path, whole=True))
    if not rows:
        raise PyagentError(f"cannot read {path}: it is empty")
    socket: int | None = None
    cores: int | None = None
    for row in rows:
        if not row.text.isascii():
            row.fail("it is no text")
        name, _, value = row.text.lower().partition(":")
        match name.strip():
            case "processor":
                socket = cores = None
                if (number := _number(row, value)) is not None:  # else it is the name of a kind, as of old ARM
                    if number in processors:
                        row.fail("this processor is there twice")
                    processors.add(number)
            case "physical id":
                socket = _number(row, value)
            case "cpu cores":
                cores = _number(row, value)
            case _:
                continue
        if socket is not None and cores is not None:
            sockets[socket] = cores
    physical = _of_topology()
    return len(processors) or _of_stat(), sum(sockets.values()) if physical is None else physical


def _of_stat() -> int:
    path = host_path("proc", "stat")
    names = [row.words[0] for row in read_rows(path) if row.words[0].startswith("cpu") and row.words[0][3:].isdecimal()]
    if not names:
        raise PyagentError(f"cannot read {path}: it names no processor")
    return len(set(names))


def _of_topology() -> int | None:
    """Cores by /sys, None where it does not tell."""
    for name in _OF_A_CORE:
        if found := set(_lines(name)):
            return len(found)
    return None


def _lines(name: str) -> Iterator[bytes]:
    folder = host_path("sys", "devices/system/cpu")
    try:
        processors = [one for one in os.listdir(folder) if one.startswith("cpu") and one[3:4].isdecimal()]
    except OSError:
        return
    for processor in processors:
        try:
            lines = read_file(f"{folder}/{processor}/topology/{name}").splitlines()
        except OSError:
            continue
        if len(lines) == 1:
            yield lines[0]


def _number(row: Row, text: str) -> int | None:
    """None for what is no number at all. Raises PyagentError for one that cannot be."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal()):
        return None
    if len(text) > _MOST_DIGITS:
        row.fail("so many there cannot be")
    return int(text)
