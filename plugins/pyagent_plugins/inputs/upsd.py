"""Uninterruptible power supplies, by NUT's upsd."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pyagent.api import (
    Accumulator,
    ConfigError,
    Field,
    FieldValue,
    Input,
    Measurement,
    Options,
    PyagentError,
    Secret,
    Uint,
    option,
)
from pyagent.kit.connection import Connection, ServerAddress, connected
from pyagent.kit.each import joined_failures
from pyagent.kit.glob import compile_patterns
from pyagent.kit.numbers import parse_finite, parse_integer, shown_value
from pyagent.kit.once import Once
from pyagent.kit.shown import quoted

__all__ = ["Upsd", "UpsdOptions"]


class UpsdOptions(Options, frozen=True):
    server: Annotated[str, option("host of upsd; an address of IPv6 may have brackets")] = "127.0.0.1"
    port: Annotated[int, option("its port")] = 3493
    username: Annotated[Secret, option("user; counts with a password alone")] = Secret("")
    password: Annotated[Secret, option("password")] = Secret("")
    force_float: Annotated[bool, option("make all numbers floats")] = False
    stringify_ids: Annotated[
        bool | None,
        option(
            "true: identifiers of vendor and product are texts, false: numbers where they look so (not given: false)"
        ),
    ] = None
    additional_fields: Annotated[list[str], option("more variables of NUT as fields, wildcards allowed")] = []
    dump_raw_variables: Annotated[bool, option("log the variables of each device once", deprecated="log_level")] = False


_TIMEOUT = 10.0
_MOST_DEVICES = 1000
_NUMBER = re.compile(r"-?[0-9.]+")
_VARIABLE = re.compile(r'VAR (\S+) (\S+) "((?:[^"\\]|\\.)*+)"')
_ESCAPED = re.compile(r"\\(.)")
_IDENTIFIERS = frozenset(
    {"ups.vendorid", "ups.productid", "driver.parameter.vendorid", "driver.parameter.productid"},
)
_NAMED = {
    "battery.charge": "battery_charge_percent",
    "battery.runtime.low": "battery_runtime_low",
    "battery.voltage": "battery_voltage",
    "battery.voltage.nominal": "nominal_battery_voltage",
    "input.frequency": "input_frequency",
    "input.transfer.high": "input_transfer_high",
    "input.transfer.low": "input_transfer_low",
    "input.voltage": "input_voltage",
    "input.voltage.nominal": "nominal_input_voltage",
    "output.voltage": "output_voltage",
    "ups.delay.shutdown": "ups_delay_shutdown",
    "ups.delay.start": "ups_delay_start",
    "ups.load": "load_percent",
    "ups.realpower": "real_power",
    "ups.realpower.nominal": "nominal_power",
    "ups.temperature": "internal_temp",
}
_STATES = ("CAL", "TRIM", "BOOST", "OL", "OB", "OVER", "LB", "RB")
"""Words of `ups.status`, by the bit of apcupsd that they stand for."""


class Upsd(Input[UpsdOptions]):
    measurements = (
        Measurement(
            "upsd",
            "A device: "
            + ", ".join(f"{field} ({variable})" for variable, field in _NAMED.items())
            + ", and those of additional_fields with _ in place of dots, as integers, floats or texts, as they look; "
            "floats alone with force_float. What a device does not have is left out.",
            tags={
                "ups_name": "the device",
                "model": "its model",
                "serial": "its serial number",
                **{f"status_{word}": f"true while ups.status has {word}" for word in _STATES},
            },
            fields={
                "status_flags": Field(
                    "uint", "1", f"the words of ups.status as bits, the first for 1: {', '.join(_STATES)}"
                ),
                "ups_status": Field("str", "", "ups.status"),
                "firmware": Field("str", "", "ups.firmware"),
                "time_left_ns": Field("int", "ns", "battery.runtime; 0 where it is not known"),
            },
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        if not 0 < options.port <= 65535:
            raise ConfigError(f"cannot use the port {options.port}; it is from 1 to 65535", option="port")
        host = options.server.removeprefix("[").removesuffix("]")
        self._server = ServerAddress("tcp", host, options.port)
        try:
            patterns = options.additional_fields
            self._more = compile_patterns(patterns) if patterns else None
        except ValueError as error:
            raise ConfigError(f"cannot use additional_fields: {error}", option="additional_fields") from None
        self._dumped: set[str] = set()
        self._once = Once()
        if options.stringify_ids is None:
            self.log.warning(
                "stringify_ids is not set: identifiers of vendor and product are numbers where they look so; "
                "Telegraf means to change that, set it"
            )

    async def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        async with connected(self._server, timeout=_TIMEOUT) as connection:
            await self._log_in(connection)
            for line in await _listed(connection, "UPS"):
                words = line.split(" ", 2)
                if words[0] != "UPS" or len(words) < 2:
                    connection.fail(f"the list of devices has {quoted(line[:80])}")
                try:
                    variables = _variables(connection, words[1], await _listed(connection, f"VAR {words[1]}"))
                except _Refused as error:
                    failures.append(error)
                    continue
                self._dump(words[1], variables)
                self._add(words[1], variables, acc)
            await connection.send(b"LOGOUT\n")
        if failures:
            raise joined_failures(failures)

    async def _log_in(self, connection: Connection) -> None:
        options = self.options
        if not options.username or not options.password:
            return
        for word, secret in (("USERNAME", options.username), ("PASSWORD", options.password)):
            await connection.send(f"{word} {secret.reveal()}\n".encode())
            answer = (await connection.line()).decode("utf-8", "replace")
            if answer.startswith("ERR"):
                raise PyagentError(f"cannot log in to {connection.address}: {answer[:80]}; see upsd.users there")

    def _dump(self, name: str, variables: Mapping[str, FieldValue]) -> None:
        if self.options.dump_raw_variables and name not in self._dumped and len(self._dumped) < _MOST_DEVICES:
            self._dumped.add(name)
            text = ", ".join(f"{variable}={value!r}" for variable, value in variables.items())
            self.log.info("variables of %s: %s", name, text)

    def _add(self, name: str, variables: Mapping[str, FieldValue], acc: Accumulator) -> None:
        words = _shown(variables, "ups.status").split()
        tags = {
            "ups_name": name,
            "serial": _shown(variables, "device.serial"),
            "model": _shown(variables, "device.model"),
        }
        tags |= {f"status_{word}": "true" for word in _STATES if word in words}
        found: dict[str, FieldValue] = {
            "status_flags": Uint(sum(1 << bit for bit, word in enumerate(_STATES) if word in words)),
            "firmware": _text(variables.get("ups.firmware", "")),
        }
        for field, variable in (
            ("battery_date", "battery.date"),
            ("battery_mfr_date", "battery.mfr.date"),
            ("ups_status", "ups.status"),
        ):
            if variable in variables:
                found[field] = variables[variable]
        seconds = _float(variables.get("battery.runtime", 0))
        if seconds is not None and -(2.0**63) <= seconds * 1e9 < 2.0**63:
            found["time_left_ns"] = int(seconds * 1e9)
        elif self._once(
            message := f"{name} has a battery.runtime of {quoted(_shown(variables, 'battery.runtime')[:40])}"
        ):
            self.log.warning("%s, which is no time", message)
        for variable, value in variables.items():
            if field := _NAMED.get(variable) or (
                variable.replace(".", "_") if self._more is not None and self._more(variable) else ""
            ):
                found[field] = self._value(variable, value)
        acc.add("upsd", found, tags)

    def _value(self, variable: str, value: FieldValue) -> FieldValue:
        if self.options.stringify_ids and variable in _IDENTIFIERS:
            return _text(value)
        number = _float(value) if self.options.force_float else None
        return value if number is None else number


class _Refused(PyagentError):
    """The server refuses an answer, and may give others."""


async def _listed(connection: Connection, what: str) -> list[str]:
    """The lines of a list."""
    await connection.send(f"LIST {what}\n".encode())
    first = (await connection.line()).decode("utf-8", "replace")
    if first.startswith("ERR"):
        raise _Refused(f"cannot read {connection.address}: the answer to `LIST {what}` is {first[:80]}")
    if first != f"BEGIN LIST {what}":
        connection.fail(f"the answer to `LIST {what}` begins with {quoted(first[:80])}")
    lines = []
    while (line := (await connection.line()).decode("utf-8", "replace")) != f"END LIST {what}":
        lines.append(line)
    return lines


def _variables(connection: Connection, name: str, lines: list[str]) -> dict[str, FieldValue]:
    found = {}
    for line in lines:
        match = _VARIABLE.fullmatch(line)
        if match is None or match[1] != name:
            connection.fail(f"the list of variables has {quoted(line[:80])}")
        text = _ESCAPED.sub(r"\1", match[3]).strip(" ")
        value: FieldValue = {"enabled": True, "disabled": False}.get(text, text)
        if _NUMBER.fullmatch(text):
            number = parse_finite(text) if text.count(".") == 1 else parse_integer(text)
            value = text if number is None else number
        found[match[2]] = value
    return found


def _float(value: FieldValue) -> float | None:
    return parse_finite(value) if isinstance(value, str) else float(value)


def _shown(variables: Mapping[str, FieldValue], name: str) -> str:
    """As Telegraf writes it, also where there is none."""
    value = variables.get(name)
    return "<nil>" if value is None else shown_value(value)


def _text(value: FieldValue) -> str:
    return format(Decimal(repr(value)), "f").removesuffix(".0") if type(value) is float else shown_value(value)
