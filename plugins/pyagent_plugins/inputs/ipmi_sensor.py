"""Sensors of servers by IPMI.

Runs `ipmitool`. Names and types are those of Telegraf 1.40.
"""

import asyncio
import os
import re
import tempfile
from dataclasses import dataclass
from typing import Annotated

from pyagent.api import (
    Accumulator,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    Secret,
    option,
)
from pyagent.kit.command import Commands, find_program, shown
from pyagent.kit.each import for_each
from pyagent.kit.numbers import parse_finite

__all__ = ["IpmiSensor", "IpmiSensorOptions"]

_SENSORS = {
    "sdr": ["sdr"],
    "chassis_power_status": ["chassis", "power", "status"],
    "dcmi_power_reading": ["dcmi", "power", "reading"],
}


class IpmiSensorOptions(Options, frozen=True):
    path: Annotated[str, option("the program, where it is not in PATH", executes=True)] = ""
    privilege: Annotated[str, option("CALLBACK, USER, OPERATOR or ADMINISTRATOR")] = ""
    hex_key: Annotated[Secret, option("key of the connection, in hexadecimal digits")] = Secret("")
    servers: Annotated[list[Secret], option("USER:PASSWORD@lan(HOST) or lanplus(HOST) ([]: this host)")] = []
    sensors: Annotated[list[str], option("sdr, chassis_power_status, dcmi_power_reading ([]: sdr)")] = []
    timeout: Annotated[Duration, option("how long ipmitool may take")] = Duration("20s")
    metric_version: Annotated[int, option("2: also entities and states of the sensors")] = 1
    use_sudo: Annotated[bool, option("run it by sudo")] = False
    use_cache: Annotated[bool, option("keep the list of sensors in a file")] = False
    cache_path: Annotated[str, option("the folder of that file (default: that of temporary files)", writes=True)] = ""


_REFUSED = "ipmitool needs /dev/ipmi0: give the agent's group the right to it by a udev rule, or set `use_sudo`"
_DESCRIPTION = re.compile(r"(-?[0-9.]+)\s(.*)", re.ASCII)
_UNIT = re.compile(r"([^,]+)(?:,\s*(.*))?", re.ASCII)
_POWER = re.compile("([^|]*):(.* Watts)?")


@dataclass(frozen=True, slots=True)
class _Server:
    """One of `servers`; all empty is this host."""

    host: str = ""
    user: str = ""
    password: str = ""
    interface: str = ""

    @classmethod
    def of(cls, text: str) -> "_Server":
        before, at, address = text.rpartition("@")
        user, colon, password = before.partition(":")
        interface, bracket, rest = address.partition("(")
        host, closing, _ = rest.partition(")")
        if not at:
            user = colon = ""
        if bracket and not closing:
            raise ConfigError("cannot read an address in servers: write USER:PASSWORD@lan(HOST)", option="servers")
        if not bracket:
            raise ConfigError("an address in servers names no host: write USER:PASSWORD@lan(HOST)", option="servers")
        return cls(host, user if colon else "", password if colon else "", interface or "lan")


class IpmiSensor(Input[IpmiSensorOptions]):
    measurements = (
        Measurement(
            "ipmi_sensor",
            "A sensor. `value` is what it measures, 0 without a number; of chassis_power_status 1 (an integer): it is on.",
            tags={
                "name": "of the sensor",
                "server": "the host, of those in `servers`",
                "unit": "of the value",
                "entity_id": "what the sensor belongs to (version 2)",
                "status_code": "such as ok, nc, cr (version 2)",
                "status_desc": "the state in words (version 2)",
            },
            # `value` is an integer of chassis_power_status, and a float of all others: its type is not pinned.
            fields={"status": Field("int", "1", "1: ok (version 1)")},
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._program = options.path or find_program("ipmitool", "path", package="ipmitool", in_path=True)
        self._sensors = options.sensors or ["sdr"]
        for sensor in self._sensors:
            if sensor not in _SENSORS:
                raise ConfigError(f"sensors has {sensor!r}; there are {', '.join(_SENSORS)}", option="sensors")
        self._servers = [_Server.of(server.reveal()) for server in options.servers]
        self._commands = {
            server: Commands(
                timeout=options.timeout.seconds,
                use_sudo=options.use_sudo,
                sudo_options=("-n",),
                refused=_REFUSED,
                hidden=(server.password, options.hex_key.reveal()),
                # In an argument every account of the host could read it; sudo hands no variables on.
                environment={"IPMI_PASSWORD": server.password, "IPMITOOL_PASSWORD": server.password}
                if server.password
                else {},
            )
            for server in self._servers or [_Server()]
        }

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self._commands, lambda server: asyncio.to_thread(self._server, acc, server))

    async def stop(self) -> None:
        for commands in self._commands.values():
            commands.stop()

    def _server(self, acc: Accumulator, server: _Server) -> None:
        failures = []
        for sensor in self._sensors:
            try:
                self._sensor(acc, server, sensor)
            except PyagentError as error:
                failures.append(str(error))
        if failures:
            raise PyagentError("; ".join(dict.fromkeys(failures)))

    def _sensor(self, acc: Accumulator, server: _Server, sensor: str) -> None:
        commands = self._commands[server]
        command = [self._program, *self._connection(server), *_SENSORS[sensor]]
        if self.options.use_cache:
            folder = self.options.cache_path or tempfile.gettempdir()
            cache = os.path.join(folder, f"{server.host.replace('/', '_')}_ipmi_cache")
            if not os.path.exists(cache):
                commands.run([self._program, *self._connection(server), "sdr", "dump", cache])
            command += ["-S", cache]
        if sensor == "sdr" and self.options.metric_version == 2:
            command.append("elist")
        lines = commands.run(command).text.split("\n")
        if sensor == "chassis_power_status":
            for line in lines:
                if state := next((one for one in ("on", "off") if f"Chassis Power is {one}" in line), None):
                    tags = {"name": sensor, "server": server.host}
                    acc.add("ipmi_sensor", {"value": int(state == "on")}, tags)
            return
        read = _power if sensor == "dcmi_power_reading" else _second if self.options.metric_version == 2 else _first
        if not any("|" in line or ":" in line for line in lines):
            words = shown([os.path.basename(self._program), *_SENSORS[sensor]])
            raise PyagentError(f"cannot read the output of `{words}`: it has no sensor")
        for line in lines:
            if found := read(line):
                values, tags = found
                acc.add("ipmi_sensor", values, tags | ({"server": server.host} if server.host else {}))

    def _connection(self, server: _Server) -> list[str]:
        if not self._servers:
            return []
        password = ["-P", server.password] if self.options.use_sudo or not server.password else ["-E"]
        words = ["-H", server.host, "-U", server.user, *password, "-I", server.interface]
        if key := self.options.hex_key.reveal():
            words += ["-y", key]
        return [*words, "-L", self.options.privilege] if self.options.privilege else words


Found = tuple[dict[str, int | float], dict[str, str]] | None


def _first(line: str) -> Found:
    """Planar VBAT      | 3.05 Volts        | ok"""
    parts = [part.strip() for part in line.split("|", 2)]
    if len(parts) < 3:
        return None
    name, description, status = parts
    values: dict[str, int | float] = {"status": int(status.lower() == "ok"), "value": 0.0}
    tags = {"name": _word(name)}
    if description.startswith("0x"):
        digits = description[2:]
        if not re.fullmatch("0*[0-9a-fA-F]{1,16}", digits) or int(digits, 16) >= 1 << 63:
            return None
        values["value"] = float(int(digits, 16))
    elif " " in description:
        number, _, unit = description.partition(" ")
        value = parse_finite(number)
        if value is None:
            return None
        values["value"] = value
        tags["unit"] = _word(unit)
    return values, tags


def _second(line: str) -> Found:
    """Temp             | 0Eh | ok  |  3.1 | 55 degrees C"""
    parts = line.split("|")
    if len(parts) < 5 or not parts[1]:
        return None
    status, description = parts[2].strip(), parts[4].strip()
    tags = {"name": _word(parts[0]), "entity_id": _word(parts[3]), "status_code": status}
    analog = _DESCRIPTION.match(description)
    if analog is None or not analog[2].strip():
        tags["status_desc"] = _word(description) or _word(status)
        return {"value": 0.0}, tags
    value = parse_finite(analog[1])
    if value is None:
        return None
    # Some add a state behind the unit.
    if unit := _UNIT.match(analog[2].strip()):
        tags["unit"] = _word(unit[1])
        if unit[2]:
            tags["status_desc"] = _word(unit[2])
    return {"value": value}, tags


def _power(line: str) -> Found:
    """Instantaneous power reading:                   167 Watts"""
    reading = _POWER.match(line)
    words = (reading[2] or "").strip().split(" ") if reading else []
    value = parse_finite(words[0]) if len(words) == 2 else None
    if reading is None or value is None:
        return None
    return {"value": value}, {"name": _word(reading[1]), "unit": _word(words[1])}


def _word(text: str) -> str:
    return text.strip().lower().replace(" ", "_")
