"""Load, users, uptime and hardware of the host.

Linux: /proc, /sys, /etc and /var/run/utmp. Elsewhere: psutil. Names and types are those of Telegraf 1.40.
"""

import math
import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pyagent.api import (
    Accumulator,
    Chart,
    Duration,
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
from pyagent.kit.procfs import host_path, read_rows
from pyagent_plugins.inputs.system.processors import ProcessorCounts
from pyagent_plugins.inputs.system.users import logged_in

__all__ = ["System", "SystemOptions"]

Part = Literal["legacy", "cpus", "dmi", "load", "os", "uptime", "users"]
Values = dict[str, Any]


class SystemOptions(Options, frozen=True):
    include: Annotated[
        list[Part],
        option("what to report, in one metric; legacy: load, users, cpus and uptime in three metrics ([]: legacy)"),
    ] = []
    os_cache_ttl: Annotated[Duration, option("how long to keep what os found")] = Duration("8h")
    dmi_cache_ttl: Annotated[Duration, option("how long to keep what dmi found")] = Duration("8h")


_DMI = {
    "bios_vendor": "of the BIOS",
    "bios_version": "version of the BIOS",
    "bios_date": "of the BIOS",
    "board_vendor": "of the main board",
    "board_product": "name of the main board",
    "board_version": "version of the main board",
    "board_serial": "serial number of the main board",
    "board_asset_tag": "asset tag of the main board",
    "chassis_vendor": "of the chassis",
    "chassis_type_code": "of the chassis, as SMBIOS numbers them",
    "chassis_type": "the same in words",
    "chassis_version": "version of the chassis",
    "chassis_serial": "serial number of the chassis",
    "chassis_asset_tag": "asset tag of the chassis",
    "product_vendor": "of the machine",
    "product_name": "name of the machine",
    "product_family": "family of the machine",
    "product_version": "version of the machine",
    "product_serial": "serial number of the machine",
    "product_sku": "stock keeping unit of the machine",
    "product_uuid": "of the machine",
}
_OS = {
    "os": "kernel of the operating system, such as linux",
    "arch": "of the kernel, such as x86_64",
    "platform": "distribution, such as debian",
    "platform_family": "what it stands on, such as rhel",
    "platform_version": "its version",
    "kernel_version": "release of the kernel",
}


class System(Input[SystemOptions]):
    measurements = (
        Measurement(
            "system",
            "Load, users, processors and uptime.",
            fields=fields(
                "float", "1", load1="load of one minute", load5="load of five minutes", load15="load of 15 minutes"
            )
            | fields(
                "int",
                "1",
                n_users="sessions",
                n_unique_users="users with a session",
                n_cpus="processors",
                n_physical_cpus="cores",
            )
            | {"uptime": Field("uint", "s", "since the start of the host")}
            | fields("str", "", uptime_format="the same for people; with legacy")
            | fields("str", "", **{name: f"{text}; with os" for name, text in _OS.items()})
            | fields("str", "", **{name: f"{text}; with dmi (Linux)" for name, text in _DMI.items()}),
            charts=(
                Chart("Load", ("load1", "load5", "load15"), overview=True),
                Chart("Uptime", ("uptime",), overview=True),
                Chart("Users", ("n_users", "n_unique_users")),
                Chart("Processors", ("n_cpus", "n_physical_cpus")),
            ),
        ),
    )

    def setup(self) -> None:
        self._linux = sys.platform == "linux"
        self._counts = ProcessorCounts()
        self._parts = list[str](dict.fromkeys(self.options.include)) or ["legacy"]
        if "dmi" in self._parts and not self._linux:
            self.log.warning("dmi is not supported on this platform; it is ignored")
            self._parts.remove("dmi")
        self._kept: dict[str, tuple[float, Values]] = {}
        self._ways: dict[str, Callable[[], Values]] = {
            "load": self._load,
            "users": self._users,
            "cpus": self._cpus,
            "uptime": self._uptime,
            "os": self._os,
            "dmi": self._dmi,
        }

    async def gather(self, acc: Accumulator) -> None:
        now = time.time_ns()
        problems: list[str] = []
        parts = [part for part in self._parts if part != "legacy"]
        if found := self._found(parts, problems):
            acc.add("system", found, None, now)
        if "legacy" in self._parts:
            if found := self._found(["load", "users", "cpus"], problems):
                acc.add("system", found, None, now, MetricType.GAUGE)
            if found := self._found(["uptime"], problems):
                acc.add("system", found, None, now, MetricType.COUNTER)
                acc.add("system", {"uptime_format": _for_people(found["uptime"])}, None, now)
        if problems:
            # What else there is was reported.
            raise PyagentError("; ".join(dict.fromkeys(problems)))

    def _found(self, parts: list[str], problems: list[str]) -> Values:
        found: Values = {}
        for part in parts:
            try:
                found |= self._ways[part]()
            except PyagentError as error:
                problems.append(str(error))
        return found

    def _load(self) -> Values:
        path = host_path("proc", "loadavg")
        loads: tuple[float, ...] = ()
        if self._linux and os.path.exists(path):
            for row in read_rows(path, whole=True):
                if loads:
                    row.fail("it has more than one line")
                loads = tuple(row.decimal(place) for place in range(3))
                if len(row.words) < 5 or not all(map(math.isfinite, loads)):
                    row.fail("it is not as in '0.52 0.58 0.59 2/345 6789'")
            if not loads:
                raise PyagentError(f"cannot read {path}: it is empty")
        else:
            try:
                loads = os.getloadavg()
            except OSError:
                return {}  # this system has none
        return dict(zip(("load1", "load5", "load15"), loads, strict=True))

    def _users(self) -> Values:
        names = logged_in(host_path("var", "run/utmp")) if self._linux else _portable_users()
        return {} if names is None else {"n_users": len(names), "n_unique_users": len(set(names))}

    def _cpus(self) -> Values:
        logical, physical = self._counts.counted() if self._linux else _portable_processors()
        return {"n_cpus": logical, "n_physical_cpus": physical}

    def _uptime(self) -> Values:
        if self._linux:
            # As sysinfo(2) has it: a second that has begun counts.
            return {"uptime": Uint(-(-time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000_000))}
        import psutil  # type: ignore[import-untyped]  # it comes without type information

        return {"uptime": Uint(max(int(time.time() - psutil.boot_time()), 0))}

    def _os(self) -> Values:
        return self._kept_for(self.options.os_cache_ttl, "os", _operating_system)

    def _dmi(self) -> Values:
        from pyagent_plugins.inputs.system.hardware import read_dmi

        return self._kept_for(self.options.dmi_cache_ttl, "dmi", read_dmi)

    def _kept_for(self, ttl: Duration, part: str, read: Callable[[], Values]) -> Values:
        now = time.monotonic()
        if part not in self._kept or now - self._kept[part][0] > ttl.seconds:
            self._kept[part] = now, read()
        return self._kept[part][1]


def _operating_system() -> Values:
    named = platform.uname()
    found = {"os": sys.platform, "arch": named.machine, "kernel_version": named.release}
    if sys.platform == "linux":
        from pyagent_plugins.inputs.system.distribution import distribution

        name, family, version = distribution()
    else:
        name, family, version = named.system.lower(), "", named.version
    return found | {"platform": name, "platform_family": family, "platform_version": version}


def _portable_users() -> list[str]:
    import psutil

    return [user.name for user in psutil.users()]


def _portable_processors() -> tuple[int, int]:
    import psutil

    return int(psutil.cpu_count() or 0), int(psutil.cpu_count(logical=False) or 0)


def _for_people(seconds: int) -> str:
    minutes, days = seconds // 60, seconds // 86400
    before = f"{days} day{'s' if days > 1 else ''}, " if days else ""
    return f"{before}{minutes // 60 % 24:2d}:{minutes % 60:02d}"
