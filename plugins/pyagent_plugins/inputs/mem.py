"""Memory of the host.

Linux: /proc/meminfo (proc(5)), read directly. Elsewhere: psutil. Names, types and formulas are those of Telegraf 1.40, which
takes them from gopsutil: `used` is `total - available`, and `cached` includes reclaimable slab.
"""

import os
import sys
from typing import Annotated, Any

from pyagent.api import (
    Accumulator,
    Chart,
    Field,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    Uint,
    fields,
    option,
)
from pyagent.kit.procfs import cannot_read, host_path


class MemOptions(Options, frozen=True):
    collect_extended: Annotated[bool, option("add anonymous, file, unevictable and percpu memory (Linux)")] = False


# Field -> its name in /proc/meminfo and its meaning. All are kB there and bytes here, but for the two counts below.
_MEMINFO = {
    "active": ("Active", "used more recently, not reclaimed unless necessary"),
    "buffered": ("Buffers", "raw block device cache"),
    "commit_limit": ("CommitLimit", "most that may be allocated with strict overcommit"),
    "committed_as": ("Committed_AS", "allocated by processes, used or not"),
    "dirty": ("Dirty", "waiting to be written to disk"),
    "free": ("MemFree", "not used for anything"),
    "high_free": ("HighFree", "free high memory (32-bit kernels)"),
    "high_total": ("HighTotal", "high memory (32-bit kernels)"),
    "huge_page_size": ("Hugepagesize", "size of a huge page"),
    "inactive": ("Inactive", "used less recently, first to be reclaimed"),
    "low_free": ("LowFree", "free low memory (32-bit kernels)"),
    "low_total": ("LowTotal", "low memory (32-bit kernels)"),
    "mapped": ("Mapped", "files mapped into processes, such as libraries"),
    "page_tables": ("PageTables", "page tables of processes"),
    "shared": ("Shmem", "shared memory and tmpfs"),
    "slab": ("Slab", "kernel data structures"),
    "sreclaimable": ("SReclaimable", "slab that can be reclaimed, such as caches"),
    "sunreclaim": ("SUnreclaim", "slab that cannot be reclaimed"),
    "swap_cached": ("SwapCached", "in memory and still in swap as well"),
    "swap_free": ("SwapFree", "swap that is not used"),
    "swap_total": ("SwapTotal", "swap space"),
    "total": ("MemTotal", "usable memory"),
    "vmalloc_chunk": ("VmallocChunk", "largest free block of the vmalloc area"),
    "vmalloc_total": ("VmallocTotal", "size of the vmalloc area"),
    "vmalloc_used": ("VmallocUsed", "used of the vmalloc area"),
    "write_back": ("Writeback", "being written to disk"),
    "write_back_tmp": ("WritebackTmp", "temporary buffers of FUSE for writing"),
}
_COUNTS = {
    "huge_pages_free": ("HugePages_Free", "huge pages that are not allocated"),
    "huge_pages_total": ("HugePages_Total", "size of the pool of huge pages"),
}
_EXTENDED = {
    "active_anon": ("Active(anon)", "anonymous and tmpfs, used more recently"),
    "active_file": ("Active(file)", "file cache, used more recently"),
    "inactive_anon": ("Inactive(anon)", "anonymous and tmpfs, used less recently"),
    "inactive_file": ("Inactive(file)", "file cache, used less recently"),
    "percpu": ("Percpu", "allocated per processor by the kernel"),
    "unevictable": ("Unevictable", "cannot be reclaimed, such as locked memory"),
}
_MOST_DIGITS = 16
"""So many kB are always a number of bytes of 64 bits."""
_KEYS = {"MemAvailable", "Cached", *(key for key, _ in (_MEMINFO | _COUNTS | _EXTENDED).values())}

# Field -> psutil's name, where there is no /proc/meminfo. A platform gives those that it has.
_PSUTIL = {
    "active": "active",
    "buffered": "buffers",
    "cached": "cached",
    "free": "free",
    "inactive": "inactive",
    "wired": "wired",
}


class Mem(Input[MemOptions]):
    measurements = (
        Measurement(
            "mem",
            "Memory and swap of the host. A field that the kernel does not report is 0 on Linux, absent elsewhere.",
            fields={name: Field("uint", "bytes", text) for name, (_, text) in (_MEMINFO | _EXTENDED).items()}
            | {name: Field("uint", "1", text) for name, (_, text) in _COUNTS.items()}
            | fields(
                "uint",
                "bytes",
                available="can be given to programs without swapping",
                cached="page cache and reclaimable slab",
                used="total less available",
                wired="may not be moved to disk (macOS, BSD)",
            )
            | fields("float", "percent", available_percent="available of total", used_percent="used of total"),
            charts=(
                Chart("Memory used, last 24 h", ("used",), overview=True, span="24h"),
                Chart("Memory used of the total", ("used_percent",), overview=True),
                Chart("Memory used, cached, buffered, free", ("used", "cached", "buffered", "free")),
                Chart("Memory that programs can have", ("available", "total")),
                Chart("Swap", ("swap_free", "swap_total", "swap_cached")),
                Chart("Waiting to be written to disk", ("dirty", "write_back")),
                Chart("Kernel", ("slab", "sreclaimable", "sunreclaim", "page_tables")),
                Chart("Allocated by processes, and the limit", ("committed_as", "commit_limit")),
            ),
        ),
    )

    def setup(self) -> None:
        self._linux = sys.platform == "linux"
        if self.options.collect_extended and not self._linux:
            self.log.warning("collect_extended is not supported on this platform; it is ignored")

    async def gather(self, acc: Accumulator) -> None:
        values = _linux(self.options.collect_extended) if self._linux else _portable()
        total = values["total"]
        available = min(values["available"], total)
        values["used"] = total - available
        result: dict[str, Any] = {name: Uint(value) for name, value in values.items()}
        result["used_percent"] = 100 * values["used"] / total
        result["available_percent"] = 100 * available / total
        acc.add("mem", result, kind=MetricType.GAUGE)


def _linux(extended: bool) -> dict[str, int]:
    info = _read_meminfo(host_path("proc", "meminfo"))

    def kilobytes(key: str) -> int:
        return info.get(key, 0) * 1024

    wanted = _MEMINFO | _EXTENDED if extended else _MEMINFO
    values = {name: kilobytes(key) for name, (key, _) in wanted.items()}
    values |= {name: info.get(key, 0) for name, (key, _) in _COUNTS.items()}
    values["cached"] = kilobytes("Cached") + values["sreclaimable"]
    if "MemAvailable" in info:
        values["available"] = kilobytes("MemAvailable")
    else:
        values["available"] = _estimate_available(info, values["free"], values["cached"])
    return values


def _read_meminfo(path: str) -> dict[str, int]:
    """The lines of interest as numbers, in kB or a count. Raises PyagentError naming the line that is not readable."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise cannot_read(path, error) from None
    info: dict[str, int] = {}
    # What is behind the last end of a line is a line that was cut.
    cut = lines.pop()
    for number, line in enumerate(lines, start=1):
        key, _, rest = line.partition(":")
        if key in _KEYS:
            text = rest.removesuffix(" kB").strip()
            if not (text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS):
                raise PyagentError(f"cannot read {path}: line {number} is not 'name: number kB' but {line[:80]!r}")
            info[key] = int(text)
    if not info.get("MemTotal"):
        raise PyagentError(f"cannot read {path}: it has no MemTotal")
    if cut:
        raise PyagentError(f"cannot read {path}: line {len(lines) + 1}: the file ends within it: {cut[:80]!r}")
    return info


def _estimate_available(info: dict[str, int], free: int, cached: int) -> int:
    """Bytes available on kernels before 3.14, which do not report MemAvailable: the kernel's own later formula."""
    low = _low_watermark()
    if low is None or not info.keys() >= {"Active(file)", "Inactive(file)", "SReclaimable"}:
        return free + cached
    page_cache = (info["Active(file)"] + info["Inactive(file)"]) * 1024
    reclaimable = info["SReclaimable"] * 1024
    available = free - low + page_cache - min(page_cache // 2, low) + reclaimable - min(reclaimable // 2, low)
    return max(available, 0)


def _low_watermark() -> int | None:
    """Bytes that the kernel keeps free, None where it does not say."""
    try:
        with open(host_path("proc", "zoneinfo"), encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return None
    pages = sum(int(row[1]) for row in rows if len(row) == 2 and row[0] == "low" and row[1].isdecimal())
    return pages * os.sysconf("SC_PAGE_SIZE")


def _portable() -> dict[str, int]:
    import psutil  # type: ignore[import-untyped]  # it comes without type information

    memory = psutil.virtual_memory()
    values = {name: getattr(memory, attribute, None) for name, attribute in _PSUTIL.items()}
    return {
        "total": int(memory.total),
        "available": int(memory.available),
        **{name: int(value) for name, value in values.items() if value is not None},
    }
