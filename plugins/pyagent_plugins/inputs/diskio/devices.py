"""What a Linux host knows of a block device besides its counters: properties, links, serial number, world wide identifier."""

import os
from collections.abc import Mapping
from contextlib import suppress

from pyagent.api.errors import PyagentError
from pyagent.api.files import read_file
from pyagent.kit.procfs import read_bytes

__all__ = ["Device", "Devices"]


class _Roots:
    """/dev, /run and /sys of the host: HOST_DEV and so on name them, else they are below HOST_ROOT, or HOST_MOUNT_PREFIX."""

    def __init__(self) -> None:
        above = os.environ.get("HOST_ROOT") or os.environ.get("HOST_MOUNT_PREFIX") or "/"
        self.dev, self.run, self.sys = (
            os.environ.get(f"HOST_{name.upper()}") or os.path.join(above, name) for name in ("dev", "run", "sys")
        )


class Devices:
    """All that a gather meets. Those that the next one does not are forgotten."""

    def __init__(self) -> None:
        self._roots = _Roots()
        self._known: dict[str, Device] = {}
        self._met: dict[str, Device] = {}

    def device(self, name: str, number: tuple[int, int]) -> "Device":
        known = self._known.get(name)
        if known is None or known.number != number:
            known = Device(name, number, self._roots)
        self._met[name] = known
        return known

    def forget_others(self) -> None:
        self._known, self._met = self._met, {}

    def resolved(self, name: str) -> str:
        """The device behind a path, which may be a link: as it stands, or in the host's /dev."""
        for path in (name, f"{self._roots.dev}/{name.removeprefix('/dev/')}"):
            if os.path.exists(path):
                return os.path.realpath(path)
        return name


class Device:
    def __init__(self, name: str, number: tuple[int, int], roots: _Roots) -> None:
        self.name = name
        self.number = number
        self._roots = roots
        self._wwid: str | None = None
        self._changed = 0
        """When the file of the properties was written, ns; 0: it was not read yet."""
        self._properties: dict[str, str] = {}
        self._links: list[str] = []

    def wwid(self) -> str:
        """Empty where it has none."""
        if self._wwid is None:
            self._wwid = _text(f"{self._roots.sys}/block/{self.name}/wwid").removesuffix("\n")
        return self._wwid

    def properties(self) -> tuple[Mapping[str, str], str]:
        """Those that udev keeps, and a few of the kernel; and why there are none, where there are none."""
        try:
            path, changed = self._file()
            if changed != self._changed:
                found, self._links = _of_udev(read_bytes(path))
                self._properties = found | self._of_kernel()
                self._changed = changed
        except PyagentError as error:
            self._changed, self._properties, self._links = 0, {}, []
            return {}, str(error)
        return self._properties, ""

    def links(self) -> list[str]:
        """Its other names, without /dev/, such as disk/by-label/data; those that `properties` found."""
        return self._links

    def serial(self) -> str:
        """Empty where none is known."""
        numbers = [self.number]
        with suppress(OSError):
            device = os.stat(f"{self._roots.dev}/{_file_name(self.name)}").st_rdev
            numbers.insert(0, (os.major(device), os.minor(device)))
        for major, minor in dict.fromkeys(numbers):
            for line in _text(f"{self._roots.run}/udev/data/b{major}:{minor}").split("\n"):
                if line.startswith("E:ID_SERIAL=") and (serial := line.partition("=")[2].strip()):
                    return serial
        # A partition tells nothing of this: ask the disk.
        folder = f"{self._roots.sys}/dev/block/{self.number[0]}:0/device"
        model, serial = _text(f"{folder}/model"), _text(f"{folder}/serial")
        return f"{model}_{serial}".replace("\n", "").replace("\r", "").strip() if model and serial else ""

    def _file(self) -> tuple[str, int]:
        """The file of its properties, and when it was written. Raises PyagentError."""
        numbers = [self.number]
        with suppress(OSError):
            device = os.stat(f"{self._roots.dev}/{self.name}").st_rdev
            numbers.insert(0, (os.major(device), os.minor(device)))
        paths = [f"{self._roots.run}/udev/data/b{major}:{minor}" for major, minor in numbers]
        paths.append(f"{self._roots.dev}/.udev/db/block:{self.name}")  # before systemd
        for path in paths:
            with suppress(OSError):
                return path, os.stat(path).st_mtime_ns
        raise PyagentError(f"there is no {paths[-2]}")

    def _of_kernel(self) -> dict[str, str]:
        folder = f"{self._roots.sys}/class/block/{self.name}"
        found: dict[str, str] = {}
        try:
            text = read_file(f"{folder}/uevent").decode("utf-8", "surrogateescape")
        except OSError:
            return found
        for line in text.split("\n"):
            name, sign, value = line.partition("=")
            if sign and name.startswith("DEV"):
                found[name.strip()] = value.strip()
        if "DEVNAME" in found and not found["DEVNAME"].startswith("/dev"):
            found["DEVNAME"] = f"/dev/{found['DEVNAME']}"
        if os.path.exists(f"{folder}/device"):
            path = os.path.join(os.path.realpath(f"{folder}/device"), self.name)
            found["DEVPATH"] = path.removeprefix(self._roots.sys)
        return found


def _file_name(name: str) -> str:
    """That of the device's file. Of an NVMe disk with several controllers the counters name one: nvme0c1n1 is nvme0n1."""
    controller = name.find("c", 5) if name.startswith("nvme") else -1
    space = name.find("n", controller) if controller > 0 else -1
    return name[:controller] + name[space:] if space > 0 else name


def _of_udev(data: bytes) -> tuple[dict[str, str], list[str]]:
    """Properties and links of a file of udev: `E:NAME=value` and `S:LINK`, a line each."""
    found: dict[str, str] = {}
    links: list[str] = []
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if line.startswith("E:"):
            name, sign, value = line[2:].partition("=")
            if sign and name:
                found[name] = value
        elif line.startswith("S:") and len(line) > 2:
            links.append(line[2:])
    if links:
        found["DEVLINKS"] = " ".join(f"/dev/{link}" for link in links)
    return found, links


def _text(path: str) -> str:
    """Empty where it cannot be read."""
    try:
        return read_file(path).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
