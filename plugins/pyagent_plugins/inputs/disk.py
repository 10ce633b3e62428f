"""Use of the file systems, by mount point.

Linux: /proc/1/mountinfo (proc(5)) and statvfs(3). Elsewhere: psutil. Names and types are those of Telegraf 1.40, and so is what
counts as a mount point.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated

from pyagent.api import (
    Accumulator,
    Chart,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    Uint,
    fields,
    option,
)
from pyagent.api.files import read_file
from pyagent.kit.once import Once
from pyagent.kit.procfs import Row, host_path, mount_path, read_text, rows_of

__all__ = ["Disk", "DiskOptions"]


class DiskOptions(Options, frozen=True):
    mount_points: Annotated[
        list[str], option("report these mount points alone ([]: all of them)", renamed_from="mountpoints")
    ] = []
    ignore_fs: Annotated[list[str], option("types of file systems that are left out, such as tmpfs")] = []
    ignore_mount_opts: Annotated[
        list[str], option("leave out what is mounted with one of these options, such as ro; bind: bind mounts")
    ] = []


_AUTOFS = "autofs"
"""Only a place where something may be mounted: asking for its size would mount it."""
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_WORDS_OF_MOUNTS = 4
_LABELS_KEPT = 60.0
"""Seconds."""
_UINT64 = (1 << 64) - 1


@dataclass(slots=True)
class _Mount:
    device: str
    point: str
    """As the host sees it."""
    fstype: str
    options: list[str]
    place: str = field(init=False)
    """The mount point for this process."""
    tags: dict[str, str] = field(init=False)
    """But for the label."""

    def __post_init__(self) -> None:
        self.place = mount_path(self.point)
        device = self.fstype if self.device in ("none", "") else self.device
        mode = "rw" if "rw" in self.options else "ro" if "ro" in self.options else "unknown"
        self.tags = {
            "path": _path(self.point),
            "device": device.replace("/dev/", ""),
            "fstype": self.fstype,
            "mode": mode,
        }


class Disk(Input[DiskOptions]):
    measurements = (
        Measurement(
            "disk",
            "Use of one file system.",
            tags={
                "path": "where it is mounted",
                "device": "what is mounted, without /dev/",
                "fstype": "type of the file system",
                "mode": "rw or ro",
                "label": "its label, or the device mapper's name; where there is one",
            },
            fields=fields(
                "uint",
                "bytes",
                total="size",
                free="free for all",
                used="used",
            )
            | fields(
                "uint",
                "1",
                inodes_total="files that it may hold",
                inodes_free="files that it may hold besides",
                inodes_used="files that it holds",
            )
            | fields(
                "float",
                "percent",
                used_percent="used of what is used or free for all",
                inodes_used_percent="files of those that it may hold",
            ),
            charts=(
                Chart("Disks used", ("used_percent",), overview=True),
                Chart("Disk space", ("used", "free", "total")),
                Chart("Files", ("inodes_used_percent",)),
            ),
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._points = frozenset(options.mount_points)
        self._fstypes = frozenset(options.ignore_fs) | {_AUTOFS}
        self._ignored = frozenset(options.ignore_mount_opts)
        self._table = _MountTable(self._warn)
        self._labels = _Labels()
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        # In a thread of its own: a file server that does not answer holds whoever asks for its size.
        linux = sys.platform == "linux"
        mounts = self._table.mounts() if linux else list(_portable())
        points = {mount.point for mount in mounts}
        named = set[str]()
        for mount in mounts:
            if not self._ignored.isdisjoint(mount.options):
                continue
            if self._points:
                names = {mount.point, mount.tags["path"]}
                if self._points.isdisjoint(names):
                    continue
                named |= names
            if mount.fstype in self._fstypes:
                continue
            if mount.place != mount.point and mount.place in points:
                continue  # it is there by its other name
            if (found := self._size(mount.place)) is not None:
                label = self._labels.of(mount) if linux else ""
                tags = mount.tags | {"label": label} if label else mount.tags
                acc.add("disk", _values(found), tags, kind=MetricType.GAUGE)
        for point in self._points - named:
            self._warn(f"{point} of mount_points is not mounted")

    def _size(self, place: str) -> os.statvfs_result | None:
        """None for what cannot be read, and for what holds no files, such as proc."""
        try:
            found = os.statvfs(place)
        except (OSError, ValueError) as error:
            text = f"cannot read the size of {place}: {getattr(error, 'strerror', None) or error}"
            if self._points:
                self._warn(text)
            else:
                self.log.debug("%s", text)
            return None
        return found if found.f_blocks else None

    def _warn(self, text: str) -> None:
        if self._once(text):
            self.log.warning("%s", text)


def _values(found: os.statvfs_result) -> dict[str, float]:
    size = found.f_frsize
    free, used = found.f_bavail * size, max(found.f_blocks - found.f_bfree, 0) * size
    inodes, inodes_free = found.f_files, found.f_ffree
    inodes_used = max(inodes - inodes_free, 0)
    return {
        "total": Uint(min(found.f_blocks * size, _UINT64)),
        "free": Uint(min(free, _UINT64)),
        "used": Uint(min(used, _UINT64)),
        "used_percent": used / (used + free) * 100 if used + free else 0.0,
        "inodes_total": Uint(inodes),
        "inodes_free": Uint(inodes_free),
        "inodes_used": Uint(inodes_used),
        "inodes_used_percent": inodes_used / (inodes_used + inodes_free) * 100 if inodes_used + inodes_free else 0.0,
    }


def _path(point: str) -> str:
    """The tag of a mount point: without the prefix by which an agent in a container sees it."""
    prefix = os.environ.get("HOST_MOUNT_PREFIX", "").rstrip("/")
    if prefix and (point == prefix or point.startswith(f"{prefix}/")):
        point = point.removeprefix(prefix)
    return os.path.normpath(f"/{point.lstrip('/')}")


class _MountTable:
    """What is mounted on the host. The kernel's table is read each time, and understood anew only where it has changed."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._last: tuple[str, bytes] | None = None
        self._mounts: list[_Mount] = []

    def mounts(self) -> list[_Mount]:
        """Raises PyagentError."""
        path, data = _table()
        if (path, data) != self._last:
            self._last = None
            rows = rows_of(path, data, whole=True)
            by_number = path.endswith("mountinfo")
            self._mounts = list(_of_mountinfo(rows) if by_number else _of_mounts(rows, self._left_out))
            if not self._mounts:
                raise PyagentError(f"cannot read {path}: it has no mount points")
            self._last = path, data
        return self._mounts

    def _left_out(self, row: Row) -> None:
        text = row.text.strip()[:80]
        self._warn(f"cannot read {row.path}: line {row.number}: it is no mount; it is left out: {text!r}")


def _table() -> tuple[str, bytes]:
    """The path of the table, and what is in it. That of the first process is the host's; where it is hidden, or a container's
    /proc has none, that of this process."""
    if named := os.environ.get("HOST_PROC_MOUNTINFO"):
        folders = [os.path.dirname(named)]
    else:
        folders = [host_path("proc", "1"), host_path("proc", "self")]
    first: OSError | None = None
    for folder in folders:
        for name in ("mountinfo", "mounts"):
            path = os.path.join(folder, name)
            try:
                return path, read_file(path)
            except OSError as error:
                first = first or error
    raise PyagentError(f"cannot read {folders[-1]}/mountinfo: {first.strerror if first else ''}; see HOST_PROC")


def _of_mountinfo(rows: Iterator[Row]) -> Iterator[_Mount]:
    """A line: `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`."""
    devices: dict[str, str] = {}
    """The device of the first mount of each number: that of all of them."""
    seen = set[str]()
    for row in rows:
        before, dash, behind = row.text.partition(" - ")
        left, right = before.split(), behind.split()
        if not dash or len(left) < 6 or len(right) < 2:
            row.fail("it is no mount, as in '36 35 98:0 / /srv rw - ext4 /dev/sda1 rw'")
        identity, _, number, root, point, options = left[:6]
        if not identity.isdecimal() or identity in seen:
            row.fail("its first word is no number of a mount, or that of another one")
        seen.add(identity)
        source = right[1]
        above = right[2].split(",") if len(right) > 2 else []
        device = devices.setdefault(number, source if source.startswith("/") or root == "/" else root)
        combined = _combined(options.split(","), above)
        if source.startswith("/") and root != "/" and f"subvol={root}" not in above:
            combined.append("bind")
        yield _Mount(_device(device, number), _plain(point), right[0], combined)


def _of_mounts(rows: Iterator[Row], left_out: Callable[[Row], None]) -> Iterator[_Mount]:
    """A line: `/dev/sda1 /srv ext4 rw,noatime 0 0`. Equal ones are one; those with fewer words are left out."""
    seen = set[tuple[str, ...]]()
    for row in rows:
        if len(row.words) < _WORDS_OF_MOUNTS:
            left_out(row)
            continue
        device, point, fstype, options = words = tuple(row.words[:_WORDS_OF_MOUNTS])
        if words not in seen:
            seen.add(words)
            yield _Mount(device, _plain(point), fstype, options.split(","))


def _combined(own: list[str], above: list[str]) -> list[str]:
    """The options of a mount, with the mode that holds: it is writable where the mount and the file system both are."""
    mode = "ro" if "ro" in own or "ro" in above else "rw" if "rw" in own and "rw" in above else None
    if mode is None:
        return own
    return [mode, *(one for one in own if one not in ("ro", "rw"))]


def _device(device: str, number: str) -> str:
    if device.startswith("/dev/mapper/"):
        path = host_path("dev", device.removeprefix("/dev/"))
        return os.path.realpath(path) if os.path.exists(path) else device
    if device == "/dev/root":  # a name that the kernel makes up
        try:
            return f"/dev/{os.path.basename(os.readlink(host_path('sys', 'dev/block', number)))}"
        except OSError:
            return device
    return device


def _plain(word: str) -> str:
    """A path as it is: blanks and backslashes in it are octal numbers in the table."""
    if "\\" not in word:
        return word
    data = word.encode("utf-8", "surrogateescape")
    data = _ESCAPED.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), data)
    return data.decode("utf-8", "surrogateescape")


class _Labels:
    """The label of each device: looked for once, and again after a while, as one may be given another."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._until = 0.0

    def of(self, mount: _Mount) -> str:
        now = time.monotonic()
        if now >= self._until:
            self._found.clear()
            self._until = now + _LABELS_KEPT
        device = mount.device
        if device not in self._found:
            self._found[device] = _label(device.removeprefix("/dev/")) if device not in ("none", "") else ""
        return self._found[device]


def _label(name: str) -> str:
    """The device mapper's name of a device, or the label of its file system by udev."""
    name = name.lstrip("/")
    mapped = host_path("sys", "block", name, "dm/name")
    try:
        if os.path.exists(mapped):
            return read_text(mapped)
        number = os.stat(host_path("dev", name)).st_rdev
        data = read_file(host_path("run", f"udev/data/b{os.major(number)}:{os.minor(number)}"))
    except (OSError, PyagentError, ValueError):
        return ""
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if line.startswith("E:ID_FS_LABEL="):
            return line.partition("=")[2]
    return ""


def _portable() -> Iterator[_Mount]:
    import psutil  # type: ignore[import-untyped]  # it comes without type information

    for found in psutil.disk_partitions(all=True):
        yield _Mount(found.device, found.mountpoint, found.fstype, found.opts.split(","))
