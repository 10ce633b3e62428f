"""What Prometheus' own libraries show of the process that they run in."""

import os
import resource

__all__ = ["process_lines"]

_MEANINGS = {
    "process_cpu_seconds_total": ("counter", "Total user and system CPU time spent in seconds."),
    "process_max_fds": ("gauge", "Maximum number of open file descriptors."),
    "process_open_fds": ("gauge", "Number of open file descriptors."),
    "process_resident_memory_bytes": ("gauge", "Resident memory size in bytes."),
    "process_start_time_seconds": ("gauge", "Start time of the process since unix epoch in seconds."),
    "process_virtual_memory_bytes": ("gauge", "Virtual memory size in bytes."),
}


def process_lines() -> list[str]:
    """Lines of the page; none on a system without /proc."""
    try:
        values = _values()
    except (OSError, ValueError, IndexError):
        return []
    lines = []
    for name, (kind, meaning) in _MEANINGS.items():
        lines += [f"# HELP {name} {meaning}\n", f"# TYPE {name} {kind}\n", f"{name} {values[name]:.12g}\n"]
    return lines


def _values() -> dict[str, float]:
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    with open("/proc/self/stat", "rb") as file:
        words = file.read().rpartition(b")")[2].split()
    with open("/proc/stat", "rb") as file:
        boot = next(int(line.split()[1]) for line in file if line.startswith(b"btime "))
    return {
        "process_cpu_seconds_total": (int(words[11]) + int(words[12])) / ticks,
        "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "process_open_fds": len(os.listdir("/proc/self/fd")),
        "process_resident_memory_bytes": int(words[21]) * page,
        "process_start_time_seconds": boot + int(words[19]) / ticks,
        "process_virtual_memory_bytes": int(words[20]),
    }
