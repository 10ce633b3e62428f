"""Health of disks, by smartctl's JSON.

Runs `smartctl --json` of smartmontools 7 or later. Names and types are those of Telegraf 1.40.
"""

from typing import Annotated, Any, Literal

import msgspec

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
    counters,
    fields,
    option,
)
from pyagent.kit.command import Commands, shown
from pyagent.kit.filter import name_filter

__all__ = ["Smartctl", "SmartctlOptions"]


class SmartctlOptions(Options, frozen=True):
    path: Annotated[str, option("the program smartctl", executes=True)] = "/usr/sbin/smartctl"
    use_sudo: Annotated[bool, option("run it by sudo")] = False
    devices_include: Annotated[list[str], option("devices to ask, wildcards allowed ([]: all)")] = []
    devices_exclude: Annotated[list[str], option("devices to leave out; not together with devices_include")] = []
    no_check: Annotated[
        Literal["", "never", "sleep", "standby", "idle"], option("do not wake disks that sleep so deeply")
    ] = "standby"
    metric_version: Annotated[
        Literal[0, 1, 2],
        option("1: the name of an attribute takes the place of the device's; 2: it is the tag attribute"),
    ] = 1
    timeout: Annotated[Duration, option("how long smartctl may take for a device")] = Duration("30s")


_ALWAYS = {"capacity": ("user_capacity.bytes", int), "health_ok": ("smart_status.passed", bool)} | {
    "temperature": ("temperature.current", int),
    "firmware": ("firmware_version", str),
}
_IF_ANY = {
    "scsi_vendor": ("scsi_vendor", str),
    "scsi_model": ("scsi_model_name", str),
    "scsi_revision": ("scsi_revision", str),
    "scsi_version": ("scsi_version", str),
    "scsi_transport_protocol": ("scsi_transport_protocol.name", str),
    "scsi_protection_type": ("scsi_protection_type", int),
    "scsi_protection_interval_bytes_per_lb": ("scsi_protection_interval_bytes_per_lb", int),
    "scsi_grown_defect_list": ("scsi_grown_defect_list", int),
    "logical_block_size": ("logical_block_size", int),
    "rotation_rate": ("rotation_rate", int),
    "specified_cycle_count_over_device_lifetime": (
        "scsi_start_stop_cycle_counter.specified_cycle_count_over_device_lifetime",
        int,
    ),
    "accumulated_start_stop_cycles": ("scsi_start_stop_cycle_counter.accumulated_start_stop_cycles", int),
    "power_on_hours": ("power_on_time.hours", int),
    "power_on_minutes": ("power_on_time.minutes", int),
}
"""Left out where they are 0 or empty."""
_NVME = (
    "critical_warning",
    "temperature",
    "available_spare",
    "available_spare_threshold",
    "percentage_used",
    "data_units_read",
    "data_units_written",
    "host_reads",
    "host_writes",
    "controller_busy_time",
    "power_cycles",
    "power_on_hours",
    "unsafe_shutdowns",
    "media_errors",
    "num_err_log_entries",
    "warning_temp_time",
    "critical_comp_time",
)
_ATTRIBUTE = {"raw_value": "raw.value", "worst": "worst", "threshold": "thresh", "value": "value"}
_PAGES = ("read", "write", "verify")
_ERRORS = (
    "errors_corrected_by_eccfast",
    "errors_corrected_by_eccdelayed",
    "errors_corrected_by_rereads_rewrites",
    "total_errors_corrected",
    "correction_algorithm_invocations",
    "total_uncorrected_errors",
)
_TAGS = {
    "name": "the device, such as /dev/sda; of an attribute see metric_version",
    "type": "sat, nvme, scsi and so on",
    "serial": "its serial number",
    "model": "its model",
    "vendor": "its vendor",
    "wwn": "its world wide name",
}


class Smartctl(Input[SmartctlOptions]):
    about = About(platforms=("linux", "darwin", "freebsd"))
    measurements = (
        Measurement(
            "smartctl",
            "Each device. Fields that do not concern it are left out.",
            tags=_TAGS,
            fields={
                "capacity": Field("int", "bytes", "its size"),
                "health_ok": Field("bool", "", "its own verdict"),
                "temperature": Field("int", "C", "its temperature"),
                "firmware": Field("str", "", "version of its firmware"),
            }
            | {
                name: Field("str", "", f"{name.replace('scsi_', '').replace('_', ' ')} of a SCSI disk")
                for name in ("scsi_vendor", "scsi_model", "scsi_revision", "scsi_version", "scsi_transport_protocol")
            }
            | fields(
                "int",
                "1",
                scsi_protection_type="type of its protection information",
                scsi_grown_defect_list="defects since it was made",
                critical_warning="bits of what is wrong (NVMe)",
            )
            | fields(
                "int",
                "bytes",
                scsi_protection_interval_bytes_per_lb="protected bytes of a block",
                logical_block_size="size of a block",
            )
            | fields("int", "rpm", rotation_rate="how fast it turns")
            | fields(
                "int",
                "percent",
                available_spare="spare blocks left (NVMe)",
                available_spare_threshold="below this it is worn out (NVMe)",
                percentage_used="of its life (NVMe)",
            )
            | fields("int", "1", specified_cycle_count_over_device_lifetime="starts and stops that it is made for")
            | counters(
                "int",
                "1",
                accumulated_start_stop_cycles="starts and stops",
                data_units_read="read, units of 512,000 bytes",
                data_units_written="written, units of 512,000 bytes",
                host_reads="reads",
                host_writes="writes",
                power_cycles="how often it was switched on",
                unsafe_shutdowns="how often it lost its power",
                media_errors="errors of its medium",
                num_err_log_entries="entries of its error log",
            )
            | counters("int", "h", power_on_hours="switched on")
            | counters(
                "int",
                "min",
                power_on_minutes="besides these hours",
                controller_busy_time="at work",
                warning_temp_time="too warm",
                critical_comp_time="much too warm",
            ),
        ),
        Measurement(
            "smartctl_attributes",
            "Each attribute of an ATA disk.",
            tags=_TAGS | {"attribute": "its name, with metric_version = 2"},
            fields=fields(
                "int",
                "1",
                raw_value="as its vendor counts",
                value="normalized, the more the better",
                worst="the lowest value so far",
                threshold="below this it fails",
            ),
        ),
        Measurement(
            "smartctl_scsi_error_counter_log",
            "Each page of the log of a SCSI disk.",
            tags=_TAGS | {"page": "read, write or verify"},
            fields=counters("int", "1", **{name: name.replace("_", " ") for name in _ERRORS})
            | {"gigabytes_processed": Field("str", "", "as the disk shows it")},
        ),
    )

    def setup(self) -> None:
        options = self.options
        if options.devices_include and options.devices_exclude:
            raise ConfigError(
                "cannot use devices_include and devices_exclude together; remove one of them", option="devices_exclude"
            )
        names = ("devices_include", "devices_exclude")
        self._wanted = name_filter(options.devices_include, options.devices_exclude, names=names)
        self._attribute_tag = "attribute" if options.metric_version == 2 else "name"
        seconds = options.timeout.seconds or 30.0
        missing = "apt install smartmontools, or set `path`"
        self._commands = Commands(timeout=seconds, use_sudo=options.use_sudo, sudo_options=("-n",), missing=missing)
        self._program = options.path or "/usr/sbin/smartctl"

    def gather(self, acc: Accumulator) -> None:
        command = [self._program, "--json", "--scan-open"]
        document = _Document(command, self._commands.run(command).stdout)
        for number in range(len(document.rows("devices"))):
            name, kind = (document.get(f"devices.{number}.{key}", str) for key in ("name", "type"))
            if self._wanted(name):
                self._add_device(acc, name, kind)

    async def stop(self) -> None:
        self._commands.stop()

    def _add_device(self, acc: Accumulator, device: str, kind: str) -> None:
        check = f"--nocheck={self.options.no_check or 'standby'}"
        command = [self._program, "--json", "--all", device, "--device", kind, check]
        # Bits of the status tell of the disk; what it printed says whether it could be asked.
        output = self._commands.run(command, expected=None)
        if output.stderr.startswith(b"sudo:"):
            self._commands.run(command)  # not allowed: the error says what to do
        document = _Document(command, output.stdout)
        if output.status and document.rows("smartctl.messages"):
            severity, text = (document.get(f"smartctl.messages.0.{key}", str) for key in ("severity", "string"))
            if severity == "error" and text:
                raise PyagentError(f"cannot run `{shown(command)}`: {text}; run it as root, or set `use_sudo`")
        get = document.get
        wwn = tuple(get(f"wwn.{part}", int) for part in ("naa", "oui", "id"))
        named = {
            "name": get("device.name", str),
            "type": get("device.type", str),
            "serial": get("serial_number", str),
            "model": get("model_name", str),
            "vendor": get("vendor", str),
            "wwn": "{:01x}{:06x}{:09x}".format(*wwn) if all(wwn) else "",
        }
        tags = {tag: text for tag, text in named.items() if text}
        found = {name: get(path, kind) for name, (path, kind) in _ALWAYS.items()}
        found |= {name: value for name, (path, kind) in _IF_ANY.items() if (value := get(path, kind))}
        if named["type"] == "nvme":
            found |= {name: get(f"nvme_smart_health_information_log.{name}", int) for name in _NVME}
        acc.add("smartctl", found, tags)
        for number in range(len(document.rows("ata_smart_attributes.table"))):
            row = f"ata_smart_attributes.table.{number}"
            values = {name: get(f"{row}.{path}", int) for name, path in _ATTRIBUTE.items()}
            own = {tag: text for tag, text in tags.items() if tag != self._attribute_tag}
            attribute = get(f"{row}.name", str)
            acc.add("smartctl_attributes", values, own | ({self._attribute_tag: attribute} if attribute else {}))
        if named["type"] == "scsi":
            for page in _PAGES:
                log = f"scsi_error_counter_log.{page}"
                counts: dict[str, Any] = {name: get(f"{log}.{name}", int) for name in _ERRORS}
                counts["gigabytes_processed"] = get(f"{log}.gigabytes_processed", str)
                acc.add("smartctl_scsi_error_counter_log", counts, tags | {"page": page})


class _Document:
    """JSON that a command printed. What is not there is 0, False or empty; what is of another type is an error."""

    def __init__(self, command: list[str], data: bytes) -> None:
        self._command = command
        try:
            self._root = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise PyagentError(f"cannot read the output of `{shown(command)}`: {error}: {data[:80]!r}") from None
        if not isinstance(self._root, dict):
            raise PyagentError(f"cannot read the output of `{shown(command)}`: it is no object: {data[:80]!r}")

    def rows(self, path: str) -> list[Any]:
        found: list[Any] = self.get(path, list)
        return found

    def get(self, path: str, kind: Any) -> Any:
        value: Any = self._root
        for part in path.split("."):
            if value is None:
                break
            if isinstance(value, list) and part.isdigit():
                value = value[int(part)]
            elif isinstance(value, dict):
                value = value.get(part)
            else:
                self._fail(path, value)
        if value is None:
            return kind()
        # A boolean is an int for Python.
        fits = type(value) is kind and (kind is not int or -(1 << 63) <= value < 1 << 63)
        return value if fits else self._fail(path, value)

    def _fail(self, path: str, value: Any) -> None:
        raise PyagentError(
            f"cannot read the output of `{shown(self._command)}`: {path} is of another type or too large: {str(value)[:80]!r}"
        )
