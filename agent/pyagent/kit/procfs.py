"""Where the host's own files are, as Telegraf finds them (HOST_PROC and friends: an agent in a container)."""

import os

__all__ = ["host_path"]

_ROOTS = {"proc": "/proc", "sys": "/sys", "etc": "/etc", "var": "/var", "run": "/run", "dev": "/dev"}


def host_path(root: str, *parts: str) -> str:
    """The path of a file of the host: `host_path("proc", "meminfo")` is $HOST_PROC/meminfo, else /proc/meminfo."""
    return os.path.join(os.environ.get(f"HOST_{root.upper()}") or _ROOTS[root], *parts)
