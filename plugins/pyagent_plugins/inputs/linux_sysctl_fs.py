"""Open files, inodes and other counts of the kernel.

/proc/sys/fs. Names and types are those of Telegraf 1.40.
"""

import os

from pyagent.api import About, Accumulator, Chart, Input, Measurement, PyagentError, Uint, fields
from pyagent.kit.numbers import parse_unsigned
from pyagent.kit.procfs import host_path, read_bytes

__all__ = ["LinuxSysctlFs"]

_ONE = ("aio-nr", "aio-max-nr", "dquot-nr", "dquot-max", "super-nr", "super-max")
"""Files with one number, which is the field of that name."""
_FILES = {
    **{name: (name,) for name in _ONE},
    "inode-state": ("inode-nr", "inode-free-nr", "inode-preshrink-nr"),
    "dentry-state": ("dentry-nr", "dentry-unused-nr", "dentry-age-limit", "dentry-want-pages"),
    "file-nr": ("file-nr", "", "file-max"),
}
"""File -> the fields of its numbers, from the left."""
_MEANINGS = {
    "aio-nr": "requests for asynchronous input and output",
    "aio-max-nr": "how many there may be",
    "dquot-nr": "quotas in use",
    "dquot-max": "quotas that there may be",
    "super-nr": "superblocks, one for each mounted file system",
    "super-max": "superblocks that there may be",
    "inode-nr": "inodes in memory",
    "inode-free-nr": "of these, not in use",
    "inode-preshrink-nr": "not 0: there are too many of them",
    "dentry-nr": "names of files in memory",
    "dentry-unused-nr": "of these, not in use",
    "dentry-want-pages": "pages that the kernel wants back",
    "file-nr": "open files",
    "file-max": "how many there may be",
}


class LinuxSysctlFs(Input):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "linux_sysctl_fs",
            "Counts of the file systems; a kernel without a file leaves out what it says.",
            fields=fields("uint", "1", **_MEANINGS)
            | fields("uint", "s", **{"dentry-age-limit": "after this a name that is not in use may be forgotten"}),
            charts=(Chart("Open files", ("file-nr",)), Chart("Inodes in memory", ("inode-nr", "inode-free-nr"))),
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        found: dict[str, Uint] = {}
        for name, names in _FILES.items():
            path = host_path("proc", "sys", "fs", name)
            if os.path.exists(path):
                found |= _numbers(path, names)
        if not found:
            raise PyagentError(f"cannot read {host_path('proc', 'sys', 'fs')}: it has none of the files; see HOST_PROC")
        acc.add("linux_sysctl_fs", found)


def _numbers(path: str, names: tuple[str, ...]) -> dict[str, Uint]:
    data = read_bytes(path)
    words = data.rstrip(b"\n").decode("utf-8", "backslashreplace").split("\t")
    found = {}
    for name, word in zip(names, words, strict=False):
        if not name:
            continue
        value = parse_unsigned(word)
        if value is None:
            raise PyagentError(f"cannot read {path}: line 1: {name} is no number without a sign but {word[:80]!r}")
        found[name] = Uint(value)
    if not data.endswith(b"\n"):
        raise PyagentError(f"cannot read {path}: line 1: the file ends within it")
    return found
