"""Work of the disks.

Linux: /proc/diskstats, and for names and tags of your own the properties that udev keeps in /run/udev/data. Elsewhere: psutil.
Names, types and formulas are those of Telegraf 1.40.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pyagent.api import (
    Accumulator,
    Chart,
    Input,
    Measurement,
    MetricType,
    Options,
    Uint,
    counters,
    fields,
    option,
)
from pyagent.kit.filter import name_filter
from pyagent.kit.once import Once
from pyagent.kit.procfs import Row, host_path, read_rows
from pyagent.kit.since import Change, Since
from pyagent_plugins.inputs.diskio.devices import Devices

__all__ = ["Diskio", "DiskioOptions"]


class DiskioOptions(Options, frozen=True):
    devices: Annotated[
        list[str],
        option("report these, such as sda, vd* or /dev/disk/by-id/wwn-0x5000c500a1b2c3d4 (no wildcards in that form)"),
    ] = []
    skip_serial_number: Annotated[bool, option("leave out the tag serial")] = True
    device_tags: Annotated[list[str], option("properties of udev that become tags (Linux)")] = []
    name_templates: Annotated[
        list[str],
        option(
            "the name, such as $ID_FS_LABEL or ${DM_VG_NAME}/$DM_LV_NAME; the first whose properties are all there counts"
        ),
    ] = []


_FIELDS = (
    "reads",
    "merged_reads",
    "read_bytes",
    "read_time",
    "writes",
    "merged_writes",
    "write_bytes",
    "write_time",
    "iops_in_progress",
    "io_time",
    "weighted_io_time",
)
"""In the order of /proc/diskstats."""
_SECTORS = ("read_bytes", "write_bytes")
_SECTOR = 512
_NAME, _FIRST = 2, 3
"""Words of a line."""
_COMPARED = ("reads", "writes", "read_time", "write_time", "io_time")
_PSUTIL = {
    "reads": "read_count",
    "writes": "write_count",
    "read_bytes": "read_bytes",
    "write_bytes": "write_bytes",
    "read_time": "read_time",
    "write_time": "write_time",
    "io_time": "busy_time",
    "merged_reads": "read_merged_count",
    "merged_writes": "write_merged_count",
}
_WILDCARDS = "*?["
_PROPERTY = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)
_UNKNOWN = "unknown"


@dataclass(slots=True)
class _Found:
    name: str
    number: tuple[int, int]
    """Major and minor."""
    values: dict[str, int]


class Diskio(Input[DiskioOptions]):
    measurements = (
        Measurement(
            "diskio",
            "Work of one disk or partition since the start; the values of /proc/diskstats.",
            tags={
                "name": "its name, or what name_templates make of it",
                "serial": "serial number, or unknown; with skip_serial_number = false",
                "wwid": "world wide identifier, where it has one (Linux)",
            },
            fields=counters("uint", "1", reads="reads", writes="writes")
            | counters("uint", "bytes", read_bytes="read", write_bytes="written")
            | counters(
                "uint",
                "ms",
                read_time="spent with reading, by all requests together",
                write_time="spent with writing, by all requests together",
                io_time="with requests under way",
                weighted_io_time="waited, by all requests together",
            )
            | counters("uint", "1", merged_reads="reads merged into others", merged_writes="writes merged into others")
            | fields("uint", "1", iops_in_progress="requests under way")
            | fields("float", "percent", io_util="of the time since the gather before with requests under way")
            | fields(
                "float",
                "ms",
                io_await="that a request took, since the gather before",
                io_svctm="with requests under way for each of them, since the gather before",
            ),
            open=True,
            charts=(
                Chart("Disk traffic", ("read_bytes", "write_bytes"), overview=True),
                Chart("Reads and writes", ("reads", "writes")),
                Chart("Disks busy", ("io_util",)),
                Chart("Time of a request", ("io_await", "io_svctm")),
            ),
        ),
    )

    def setup(self) -> None:
        wanted = self.options.devices
        with_wildcards = any(sign in one for one in wanted for sign in _WILDCARDS)
        self._matches = name_filter(wanted, names=("devices", "")) if with_wildcards else None
        self._since = Since[str]()
        self._devices = Devices()
        self._once = Once()
        self._asks_udev = bool(self.options.device_tags or self.options.name_templates or self._matches)

    async def gather(self, acc: Accumulator) -> None:
        linux = sys.platform == "linux"
        named = None if self._matches or not self.options.devices else self._named()
        with self._since.gather():
            for found in self._linux(named) if linux else _portable(named):
                tags = self._tags(found) if linux else self._portable_tags(found)
                if tags is None:
                    continue
                values: dict[str, float] = dict(found.values)
                change = self._since.change(found.name, found.values)
                if change is not None and all(name in found.values for name in _COMPARED):
                    values |= _rates(change)
                acc.add("diskio", values, tags, kind=MetricType.COUNTER)
        self._devices.forget_others()

    def _named(self) -> set[str]:
        """The names that the option `devices` means; its paths may be links."""
        return {os.path.basename(self._devices.resolved(name)) for name in self.options.devices}

    def _linux(self, named: set[str] | None) -> Iterator[_Found]:
        seen = set[str]()
        for row in read_rows(host_path("proc", "diskstats"), whole=True):
            if len(row.words) < _FIRST + len(_FIELDS):
                self._warn(row)
                continue
            name = row.words[_NAME]
            if name in seen:
                row.fail("this device is there twice")
            seen.add(name)
            if named is not None and name not in named:
                continue
            values = row.all_unsigned(_FIRST, _FIRST + len(_FIELDS))
            if not any(values):
                continue  # one that nobody uses
            found: dict[str, int] = dict(zip(_FIELDS, values, strict=True))
            for field in _SECTORS:
                found[field] = Uint(found[field] * _SECTOR)
                if found[field] >> 64:
                    row.fail(f"its {field} are no number of 64 bits")
            yield _Found(name, (row.integer(0), row.integer(1)), found)

    def _warn(self, row: Row) -> None:
        """A line with less is that of a partition before Linux 2.6.25."""
        if self._once(row.text):
            self.log.warning(
                "cannot read %s: line %d: it has fewer than %d words; this device is left out: %.80r",
                row.path,
                row.number,
                _FIRST + len(_FIELDS),
                row.text.strip(),
            )

    def _tags(self, found: _Found) -> dict[str, str] | None:
        """None where the device is none of those wanted."""
        options, device = self.options, self._devices.device(found.name, found.number)
        properties: Mapping[str, str] = {}
        if self._asks_udev:
            properties, problem = device.properties()
            if self._matches and not self._matches(found.name) and not any(map(self._matches, device.links())):
                return None
            if problem and (options.device_tags or options.name_templates):
                self._tell(found.name, problem)
        tags = {"name": _name(found.name, options.name_templates, properties)}
        if wwid := device.wwid():
            tags["wwid"] = wwid
        tags |= {tag: properties[tag] for tag in options.device_tags if tag in properties}
        if not options.skip_serial_number:
            tags["serial"] = device.serial() or _UNKNOWN
        return tags

    def _portable_tags(self, found: _Found) -> dict[str, str] | None:
        if self._matches and not self._matches(found.name):
            return None
        return {"name": found.name} | ({} if self.options.skip_serial_number else {"serial": _UNKNOWN})

    def _tell(self, name: str, problem: str) -> None:
        """Once for each device."""
        if self._once(name):
            self.log.warning("cannot read the properties of %s: %s; it has no tags of them", name, problem)


def _name(name: str, templates: list[str], properties: Mapping[str, str]) -> str:
    for template in templates:
        wanted = [match[1] or match[2] for match in _PROPERTY.finditer(template)]
        if all(one in properties for one in wanted):
            return _PROPERTY.sub(lambda match: properties[match[1] or match[2]], template)
    return name


def _rates(change: Change) -> dict[str, float]:
    """Times of a request and use, unless a counter has gone back: the device is another one then, or began anew."""
    now, before = change.now, change.before
    if any(now[name] < before[name] for name in _COMPARED):
        return {}
    requests, spent, busy = (
        sum(now[name] - before[name] for name in names)
        for names in (("reads", "writes"), ("read_time", "write_time"), ("io_time",))
    )
    rates: dict[str, float] = {"io_await": spent / requests, "io_svctm": busy / requests} if requests else {}
    rates["io_util"] = 100 * busy / (change.seconds * 1000)
    return rates


def _portable(named: set[str] | None) -> Iterator[_Found]:
    import psutil  # type: ignore[import-untyped]  # it comes without type information

    for name, counted in (psutil.disk_io_counters(perdisk=True) or {}).items():
        if named is None or name in named:
            found = {field: getattr(counted, attribute, None) for field, attribute in _PSUTIL.items()}
            yield _Found(name, (0, 0), {field: Uint(value) for field, value in found.items() if value is not None})
