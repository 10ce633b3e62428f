"""Health of disks, by what smartctl and nvme print.

Runs `smartctl` of smartmontools, and `nvme` of nvme-cli for attributes of Intel's NVMe disks. Names and types are those of
Telegraf 1.40.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pyagent.api import (
    About,
    Accumulator,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    fields,
    option,
)
from pyagent.kit.command import Commands, find_program
from pyagent.kit.each import for_each_in_threads, joined_failures
from pyagent.kit.numbers import parse_finite, parse_integer
from pyagent_plugins.inputs.smart.intel import attributes

__all__ = ["Smart", "SmartOptions"]


class SmartOptions(Options, frozen=True):
    path_smartctl: Annotated[str, option("the program smartctl (empty: that of PATH)", executes=True)] = ""
    path_nvme: Annotated[str, option("the program nvme (empty: that of PATH, if there is one)", executes=True)] = ""
    enable_extensions: Annotated[
        list[str], option("vendors whose attributes of NVMe disks to add: Intel, or auto-on for all that are known")
    ] = []
    use_sudo: Annotated[bool, option("run the programs by sudo")] = False
    tag_with_device_type: Annotated[bool, option("add the tag device_type, for disks behind a controller")] = False
    nocheck: Annotated[str, option("do not wake disks that sleep so deeply; never: ask all")] = "standby"
    attributes: Annotated[bool, option("report each attribute as well, in smart_attribute")] = False
    excludes: Annotated[list[str], option("devices to leave out of those that a scan finds")] = []
    devices: Annotated[list[str], option("devices, `/dev/sda -d TYPE` ([]: those that a scan finds)")] = []
    timeout: Annotated[Duration, option("how long a program may take")] = Duration("30s")
    read_method: Annotated[
        Literal["concurrent", "sequential"], option("ask all disks at once, or one after the other")
    ] = "concurrent"


_AT_ONCE = 16
_LONGEST_LINE = 1000
"""Characters that are looked at."""
_BY_ID = {
    "1": "read_error_rate",
    "5": "reallocated_sectors_count",
    "7": "seek_error_rate",
    "9": "power_on_hours",
    "10": "spin_retry_count",
    "12": "power_cycle_count",
    "184": "end_to_end_error",
    "187": "uncorrectable_errors",
    "188": "command_timeout",
    "190": "temp_c",
    "194": "temp_c",
    "196": "realloc_event_count",
    "197": "pending_sector_count",
    "198": "uncorrectable_sector_count",
    "199": "udma_crc_errors",
    "201": "soft_read_error_rate",
}
_BY_NAME = {
    "Percent_Lifetime_Remain": "percent_lifetime_remain",
    "Wear_Leveling_Count": "wear_leveling_count",
    "Media_Wearout_Indicator": "media_wearout_indicator",
}
_OF_DEVICE = {
    "Power_Cycle_Count": "power_cycle_count",
    "Power_On_Hours": "power_on_hours",
    "Unsafe_Shutdowns": "unsafe_shutdowns",
    "Available_Spare": "available_spare",
    "Available_Spare_Threshold": "available_spare_threshold",
    "Percentage_Used": "percentage_used",
    "Critical_Warning": "critical_warning",
    "Media_and_Data_Integrity_Errors": "media_errors",
    "Error_Information_Log_Entries": "error_log_entries",
    "Warning_Temperature_Time": "warning_temperature_time",
    "Critical_Temperature_Time": "critical_temperature_time",
}
"""Attributes of SAS and NVMe disks that are fields of smart_device, too."""
_INFO = (
    ("model", re.compile(r"(?:Device Model|Product|Model Number):\s+(.*)$", re.ASCII), ""),
    ("serial_no", re.compile(r"Serial Number:\s+(.*)$", re.ASCII | re.IGNORECASE), ""),
    ("wwn", re.compile(r"LU WWN Device Id:\s+(.*)$", re.ASCII), " "),
    ("capacity", re.compile(r"User Capacity:\s+([0-9,]+)\s+bytes", re.ASCII), ","),
    ("enabled", re.compile(r"SMART support is:\s+(\w+)$", re.ASCII), ""),
)
"""The tag of each, and what is left out of its value."""
_HEALTH = re.compile(r"(?:SMART overall-health self-assessment test result|SMART Health Status):\s+(\w+)", re.ASCII)
_POWER = re.compile(r"(?:Power mode \w+:|Device is in)\s+(\w+)", re.ASCII)
_ATTRIBUTE = re.compile(
    r"\s*([0-9]+)\s(\S+)\s+([-P][-O][-S][-R][-C][-K])\+?\s+([0-9]+)\s+([0-9]+)\s+([0-9-]+)\s+([-\w]+)\s+([\w+./]+)",
    re.ASCII,
)
_OTHER = re.compile(r"([^:]+):\s+(.+)$", re.ASCII)
_PART = re.compile(r"(.*)([hms])", re.ASCII)
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_HEX = re.compile(r"0x([0-9a-fA-F]{1,16})")
_DEGREES = re.compile(r"\s*([+-]?[0-9]+)\s+C")
_TAG_ORDER = ("device", "device_type", "model", "serial_no", "wwn", "capacity", "enabled", "power")
_INTEL = "0x8086"


def _count(text: str) -> int | None:
    return parse_integer(re.sub(r"[^0-9-]+", "", text))


def _units(text: str) -> int | None:
    return _count(text.partition("[")[0])


def _matched(pattern: "re.Pattern[str]", base: int) -> Callable[[str], int | None]:
    def read(text: str) -> int | None:
        found = pattern.match(text)
        value = int(found[1][:40], base) if found else None
        return value if value is not None and -(1 << 63) <= value < 1 << 63 else None

    return read


_degrees, _hexadecimal = _matched(_DEGREES, 10), _matched(_HEX, 16)
_SAS_NVME: dict[str, tuple[str, str, Callable[[str], int | None]]] = {
    "Accumulated start-stop cycles": ("4", "Start_Stop_Count", _count),
    "Accumulated load-unload cycles": ("193", "Load_Cycle_Count", _count),
    "Current Drive Temperature": ("194", "Temperature_Celsius", _degrees),
    "Temperature": ("194", "Temperature_Celsius", _degrees),
    "Power Cycles": ("12", "Power_Cycle_Count", _count),
    "Power On Hours": ("9", "Power_On_Hours", _count),
    "Critical Warning": ("", "Critical_Warning", _hexadecimal),
    "Percentage used endurance indicator": ("", "Percentage_Used", _count),
    "Data Units Read": ("", "Data_Units_Read", _units),
    "Data Units Written": ("", "Data_Units_Written", _units),
    "Warning  Comp. Temperature Time": ("", "Warning_Temperature_Time", _count),
    "Critical Comp. Temperature Time": ("", "Critical_Temperature_Time", _count),
}
_SAS_NVME |= {
    name: ("", name.replace(" ", "_"), _count)
    for name in (
        "Media and Data Integrity Errors",
        "Error Information Log Entries",
        "Available Spare",
        "Available Spare Threshold",
        "Percentage Used",
        "Host Read Commands",
        "Host Write Commands",
        "Controller Busy Time",
        "Unsafe Shutdowns",
    )
}
_SAS_NVME |= {
    f"Thermal Temp. {number} {theirs}": ("", f"Thermal_Management_T{number}_{ours}", _count)
    for number in (1, 2)
    for theirs, ours in (("Transition Count", "Trans_Count"), ("Total Time", "Total_Time"))
}
_SAS_NVME |= {f"Temperature Sensor {n}": ("", f"Temperature_Sensor_{n}", _degrees) for n in range(1, 9)}
"""By what smartctl prints: id and name of the attribute, and how its value is read."""


class Smart(Input[SmartOptions]):
    about = About(platforms=("linux", "darwin", "freebsd"))
    measurements = (
        Measurement(
            "smart_device",
            "Each disk. A field that it does not have is left out.",
            tags={
                "device": "the device, such as sda",
                "device_type": "what stands behind -d, with tag_with_device_type",
                "model": "its model",
                "serial_no": "its serial number",
                "wwn": "its world wide name",
                "capacity": "its size in bytes",
                "enabled": "whether it looks after its health",
                "power": "ACTIVE, STANDBY and so on",
            },
            fields={"health_ok": Field("bool", "", "its own verdict"), "temp_c": Field("int", "C", "its temperature")}
            | fields("int", "1", exit_status="of smartctl: bits of what is wrong; 0 for a disk that is awake")
            | fields("int", "1", **{name: name.replace("_", " ") for name in _OF_DEVICE.values()})
            | fields("int", "1", **{name: name.replace("_", " ") for name in _BY_NAME.values()}),
            open=True,
        ),
        Measurement(
            "smart_attribute",
            "Each attribute of a disk, with attributes = true, and those of enable_extensions.",
            tags={"name": "its name", "id": "its number", "flags": "of which kind it is", "fail": "when it failed"},
            fields=fields(
                "int",
                "1",
                exit_status="as in smart_device",
                value="normalized, the more the better",
                worst="the lowest value so far",
                threshold="below this it fails",
            ),
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._smartctl = _program(options.path_smartctl, "smartctl", "path_smartctl", "smartmontools")
        try:
            self._nvme = _program(options.path_nvme, "nvme", "path_nvme", "nvme-cli")
        except ConfigError as error:
            self._nvme = ""
            if options.enable_extensions:
                self.log.warning("there are no attributes of vendors: %s", error)
        self._commands = Commands(timeout=options.timeout.seconds, use_sudo=options.use_sudo, sudo_options=("-n",))

    def gather(self, acc: Accumulator) -> None:
        options = self.options
        extended = bool(options.enable_extensions and self._nvme)
        if options.devices:
            devices, failures = options.devices, self._each(options.devices, lambda one: self._disk(acc, one))
            if extended:
                found = self._scan("--scan", "--device=nvme")
                nvme = [one for one in devices if any(other in one or one in other for other in found)]
        else:
            nvme = self._without_excluded(self._scan("--scan", "--device=nvme"))
            others = [one for one in self._without_excluded(self._scan("--scan")) if one not in nvme]
            failures = self._each(nvme + others, lambda one: self._disk(acc, one))
        if extended:
            failures += self._each(nvme, lambda one: self._vendor(acc, one))
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        self._commands.stop()

    def _each(self, devices: Sequence[str], work: Callable[[str], None]) -> list[Exception]:
        at_once = 1 if self.options.read_method == "sequential" else _AT_ONCE
        try:
            for_each_in_threads(devices, work, at_once=at_once)
        except Exception as error:
            return [error]
        return []

    def _scan(self, *arguments: str) -> list[str]:
        lines = self._commands.run([self._smartctl, *arguments]).text.split("\n")
        return [words[0].strip() for line in lines if len(words := line.split(" ")) > 1]

    def _without_excluded(self, devices: list[str]) -> list[str]:
        return [device for device in devices if device not in self.options.excludes]

    def _disk(self, acc: Accumulator, device: str) -> None:
        command = [self._smartctl, "--info", "--health", "--attributes", "--tolerance=verypermissive", "-n"]
        command += [self.options.nocheck, "--format=brief", *device.split(" ")]
        # Bits of the status tell of the disk.
        output = self._commands.run(command, expected=None)
        if output.stderr.startswith(b"sudo:"):
            self._commands.run(command)  # not allowed: the error says what to do
        node, _, kind = device.partition(" ")
        tags = {"device": os.path.basename(node.rstrip("/"))}
        if self.options.tag_with_device_type and kind:
            tags["device_type"] = kind.removeprefix("-d ")
        disk = _Disk(tags, max(output.status, -1))
        for line in _lines(output.text):
            attribute = disk.read(line)
            if attribute and self.options.attributes:
                acc.add("smart_attribute", *attribute)
        acc.add("smart_device", disk.fields | {"exit_status": disk.status}, disk.tags)

    def _vendor(self, acc: Accumulator, device: str) -> None:
        words = device.split(" ")
        try:
            known = self._commands.run([self._nvme, "id-ctrl", *words]).text
        except PyagentError as error:
            raise PyagentError(f"cannot ask {device} who made it: {error}") from None
        about = {
            name.strip(): value.strip()
            for line in _lines(known)
            if (found := re.match(r"([\w\s]+):([\s\w]+)", line, re.ASCII))
            for name, value in (found.groups(),)
        }
        wanted = self.options.enable_extensions
        if about.get("vid") != _INTEL or not ("auto-on" in wanted or "Intel" in wanted):
            return
        output = self._commands.run([self._nvme, "intel", "smart-log-add", *words], expected=None)
        tags = {"device": os.path.basename(words[0]), "model": about.get("mn", ""), "serial_no": about.get("sn", "")}
        tags = {name: value for name, value in tags.items() if value}
        for name, value in attributes(_lines(output.text)):
            acc.add("smart_attribute", {"raw_value": value}, tags | {"name": name})


@dataclass(slots=True)
class _Disk:
    tags: dict[str, str]
    status: int
    fields: dict[str, int | float | bool]

    def __init__(self, tags: dict[str, str], status: int) -> None:
        self.tags, self.status, self.fields = tags, status, {}

    def read(self, line: str) -> tuple[dict[str, int | float], dict[str, str]] | None:
        """Takes what a line tells of the disk; of an attribute gives its fields and tags."""
        for tag, pattern, left_out in _INFO:
            if found := pattern.match(line):
                self.tags[tag] = found[1].replace(left_out, "") if left_out else found[1]
        if found := _HEALTH.match(line):
            self.fields["health_ok"] = found[1] in ("PASSED", "OK")
        if found := _POWER.match(line):
            self.tags["power"] = found[1]
            if found[1] in ("ACTIVE", "IDLE"):
                self.status = 0
        tags = {tag: value for tag in _TAG_ORDER if (value := self.tags.get(tag))}
        if found := _ATTRIBUTE.match(line):
            return self._ata(found, tags)
        if (found := _OTHER.match(line)) and (known := _SAS_NVME.get(found[1])):
            number, name, read = known
            count = read(found[2])
            if count is not None:
                if read is _degrees and name == "Temperature_Celsius":
                    self.fields["temp_c"] = count
                if field := _OF_DEVICE.get(name):
                    self.fields[field] = count
                return {"raw_value": count}, tags | {"name": name} | ({"id": number} if number else {})
        return None

    def _ata(self, found: "re.Match[str]", tags: dict[str, str]) -> tuple[dict[str, int | float], dict[str, str]]:
        number, name, flags, *normalized, fail, raw = found.groups()
        values: dict[str, int | float] = {"exit_status": self.status}
        for key, text in zip(("value", "worst", "threshold"), normalized, strict=True):
            if (part := parse_integer(text)) is not None:
                values[key] = part
        if (value := _raw(raw)) is not None:
            values["raw_value"] = value
            if field := _BY_ID.get(number):
                self.fields[field] = value
        if (field := _BY_NAME.get(name)) and "value" in values:
            self.fields[field] = values["value"]
        return values, tags | {"id": number, "name": name, "flags": flags, "fail": fail}


def _raw(text: str) -> int | float | None:
    """12, 7/201, or 65h+33m+09.259s in seconds; 0 for all else, as Telegraf has it: a disk counts in 48 bits."""
    value = parse_integer(text)
    if value is not None:
        return value
    before, slash, behind = text.partition("/")
    if slash:
        numerator, denominator = parse_finite(before), parse_finite(behind)
        if numerator is not None and denominator is not None:
            return numerator / denominator if denominator else None
    seconds = 0
    for part in text.split("+"):
        if found := _PART.fullmatch(part):
            number = found[1].partition(".")[0] if found[2] == "s" else found[1]
            seconds += (parse_integer(number) or 0) * _SECONDS[found[2]]
    return seconds if seconds < 1 << 63 else None


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r")[:_LONGEST_LINE] for line in text.split("\n")]


def _program(path: str, name: str, option_name: str, package: str) -> str:
    if not path:
        return find_program(name, option_name, package=package)
    if not os.path.isfile(path):
        raise ConfigError(f"cannot run {path}: there is no such program; apt install {package}", option=option_name)
    return path
