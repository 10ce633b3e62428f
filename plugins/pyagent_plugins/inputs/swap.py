"""Use of the swap space.

Linux: /proc/meminfo and /proc/vmstat (proc(5)). Elsewhere: psutil. Names and types are those of Telegraf 1.40.
"""

import os
import sys

from pyagent.api import (
    Accumulator,
    Chart,
    Input,
    Measurement,
    MetricType,
    PyagentError,
    Uint,
    counters,
    fields,
)
from pyagent.kit.procfs import Row, host_path, read_rows

__all__ = ["Swap"]

_PAGES = {"pswpin": "in", "pswpout": "out"}
_AFTER = "pgfault"
"""A line of /proc/vmstat behind these two: where it is there and they are not, the kernel has no swap."""
_SIZES = {"SwapTotal:": "total", "SwapFree:": "free"}
_LINES_OF_SIZES = tuple(key.encode() for key in _SIZES)
_LINES_OF_PAGES = tuple(f"{key} ".encode() for key in (*_PAGES, _AFTER))
_UINT64 = (1 << 64) - 1


class Swap(Input):
    measurements = (
        Measurement(
            "swap",
            "Use of the swap space.",
            fields=fields("uint", "bytes", total="swap space", used="used", free="not used")
            | fields("float", "percent", used_percent="used of the total")
            | counters(
                "uint", "bytes", **{"in": "read from swap since the start", "out": "written to swap since then"}
            ),
            charts=(
                Chart("Swap used of the total", ("used_percent",), overview=True),
                Chart("Swap", ("used", "total")),
                Chart("Read from swap, written to swap", ("in", "out")),
            ),
        ),
    )

    async def gather(self, acc: Accumulator) -> None:
        total, free, moved = _linux() if sys.platform == "linux" else _portable()
        used = total - free
        percent = 100 * used / total if total else 0.0
        sizes = {"total": Uint(total), "used": Uint(used), "free": Uint(free), "used_percent": percent}
        acc.add("swap", sizes, kind=MetricType.GAUGE)
        acc.add("swap", {name: Uint(count) for name, count in moved.items()}, kind=MetricType.COUNTER)


def _linux() -> tuple[int, int, dict[str, int]]:
    """Bytes in all, those free, and those moved."""
    moved = _moved(host_path("proc", "vmstat"))
    path = host_path("proc", "meminfo")
    if not os.path.exists(path):
        return *_of_the_kernel(path), moved
    found: dict[str, tuple[int, Row]] = {}
    for row in read_rows(path, whole=True, only=_LINES_OF_SIZES):
        if name := _SIZES.get(row.words[0]):
            if name in found:
                row.fail("it is there twice")
            found[name] = row.unsigned(1) * 1024, row
    if missing := [key for key, name in _SIZES.items() if name not in found]:
        raise PyagentError(f"cannot read {path}: it has no {missing[0].rstrip(':')}")
    (total, _), (free, row) = found["total"], found["free"]
    if free > total:
        row.fail("more is free than there is")
    if total > _UINT64:
        found["total"][1].fail("so many bytes are no number of 64 bits")
    return total, free, moved


def _moved(path: str) -> dict[str, int]:
    """Bytes read from and written to swap."""
    found: dict[str, int] = {}
    behind = False
    size = os.sysconf("SC_PAGE_SIZE")
    for row in read_rows(path, whole=True, only=_LINES_OF_PAGES):
        if name := _PAGES.get(row.words[0]):
            if name in found:
                row.fail("it is there twice")
            found[name] = row.unsigned(1) * size & _UINT64  # the kernel counts pages in 64 bits, as Telegraf does bytes
        elif row.words[0] == _AFTER:
            behind = True
    for key, name in _PAGES.items():
        if name not in found:
            if not behind:
                raise PyagentError(f"cannot read {path}: it has no {key}")
            found[name] = 0
    return found


def _of_the_kernel(path: str) -> tuple[int, int]:
    """What sysinfo(2) says, where the host's /proc has no meminfo: the kernel is the host's, in a container, too."""
    import ctypes

    class Sysinfo(ctypes.Structure):
        _fields_ = (
            ("uptime", ctypes.c_long),
            ("loads", ctypes.c_ulong * 3),
            ("memory", ctypes.c_ulong * 4),
            ("totalswap", ctypes.c_ulong),
            ("freeswap", ctypes.c_ulong),
            ("procs", ctypes.c_ushort),
            ("pad", ctypes.c_ushort),
            ("high", ctypes.c_ulong * 2),
            ("unit", ctypes.c_uint32),
            ("rest", ctypes.c_char * 64),
        )

    found = Sysinfo()
    if ctypes.CDLL(None, use_errno=True).sysinfo(ctypes.byref(found)):
        raise PyagentError(f"cannot read {path}: {os.strerror(ctypes.get_errno())}")
    return found.totalswap * found.unit, found.freeswap * found.unit


def _portable() -> tuple[int, int, dict[str, int]]:
    import psutil  # type: ignore[import-untyped]  # it comes without type information

    memory = psutil.swap_memory()
    return int(memory.total), int(memory.free), {"in": int(memory.sin), "out": int(memory.sout)}
