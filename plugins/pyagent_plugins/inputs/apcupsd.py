"""APC's uninterruptible power supplies, by apcupsd."""

from typing import Annotated
from urllib.parse import urlsplit

from pyagent.api import (
    Accumulator,
    Chart,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    Options,
    Uint,
    fields,
    option,
)
from pyagent.kit.connection import Connection, ServerAddress, connected
from pyagent.kit.each import for_each
from pyagent.kit.numbers import parse_finite, parse_integer
from pyagent.kit.shown import quoted

__all__ = ["Apcupsd", "ApcupsdOptions"]


class ApcupsdOptions(Options, frozen=True):
    servers: Annotated[list[str], option("daemons, tcp://HOST:PORT ([]: the one of this host)")] = []
    timeout: Annotated[Duration, option("how long a daemon may take")] = Duration("5s")


_PORT = 3551
_MOST_LINES = 1000
_TAGS = {"SERIALNO": "serial", "UPSNAME": "ups_name", "STATUS": "status", "MODEL": "model"}
_TEXTS = {"FIRMWARE": "firmware", "BATTDATE": "battery_date", "LASTXFER": "last_transfer"}
_FLOATS = {
    "LINEV": "input_voltage",
    "LOADPCT": "load_percent",
    "BCHARGE": "battery_charge_percent",
    "OUTPUTV": "output_voltage",
    "ITEMP": "internal_temp",
    "BATTV": "battery_voltage",
    "LINEFREQ": "input_frequency",
    "NOMINV": "nominal_input_voltage",
    "NOMBATTV": "nominal_battery_voltage",
}
_TIMES = {
    "TIMELEFT": "time_left_ns",
    "TONBATT": "time_on_battery_ns",
    "CUMONBATT": "cumulative_time_on_battery_ns",
}
_INTEGERS = {"NOMPOWER": "nominal_power", "NUMXFERS": "number_transfers"}
_UNITS = {"minutes": 60, "seconds": 1, "hours": 3600, "m": 60, "s": 1, "h": 3600}


class Apcupsd(Input[ApcupsdOptions]):
    measurements = (
        Measurement(
            "apcupsd",
            "A device. What the daemon does not tell is 0, or an empty text.",
            tags={
                "serial": "its serial number",
                "ups_name": "its name",
                "status": "ONLINE, ONBATT, COMMLOST, ...",
                "model": "its model",
            },
            fields=fields("float", "V", input_voltage="of the mains", output_voltage="of the device")
            | fields("float", "V", battery_voltage="of the battery", nominal_input_voltage="that is expected")
            | fields("float", "V", nominal_battery_voltage="that a battery should have")
            | fields("float", "percent", load_percent="of the most", battery_charge_percent="charge of the battery")
            | fields("int", "ns", time_left_ns="that the battery will last", time_on_battery_ns="this time")
            | fields("int", "ns", cumulative_time_on_battery_ns="since the daemon was started")
            | {
                "status_flags": Field("uint", "1", "bits of STATFLAG: 3 on line, 4 on battery, 6 battery low, ..."),
                "internal_temp": Field("float", "°C", "inside"),
                "input_frequency": Field("float", "Hz", "of the mains"),
                "nominal_power": Field("int", "W", "that it can give"),
                "number_transfers": Field("int", "1", "times that the battery was needed", counter=True),
                "firmware": Field("str", "", "version of its program"),
                "battery_date": Field("str", "", "when the battery was put in"),
                "last_transfer": Field("str", "", "why the battery was needed the last time"),
            },
            charts=(
                Chart("Load and charge", ("load_percent", "battery_charge_percent")),
                Chart("Voltages", ("input_voltage", "output_voltage")),
                Chart("Time that the battery will last", ("time_left_ns",)),
            ),
        ),
    )

    def setup(self) -> None:
        self._servers = [_address(text) for text in self.options.servers or [f"tcp://127.0.0.1:{_PORT}"]]

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self._servers, lambda server: self._ask(server, acc))

    async def _ask(self, server: ServerAddress, acc: Accumulator) -> None:
        async with connected(server, timeout=self.options.timeout.seconds) as connection:
            await connection.send(b"\0\6status")
            status: dict[str, str] = {}
            for number in range(1, _MOST_LINES + 1):
                length = int.from_bytes(await connection.exactly(2), "big")
                if not length:
                    break
                line = (await connection.exactly(length)).decode("utf-8", "replace")
                name, separator, value = line.partition(":")
                if not separator:
                    connection.fail(f"line {number} of its status is {quoted(line.strip()[:80])}")
                status[name.strip()] = value.strip()
            else:
                connection.fail(f"its status has more than {_MOST_LINES} lines")
            found = _fields(connection, status)
        tags = {tag: status.get(name, "") for name, tag in _TAGS.items()}
        acc.add("apcupsd", found, {name: value for name, value in tags.items() if value})


def _address(text: str) -> ServerAddress:
    try:
        scheme = urlsplit(text).scheme if "://" in text else "tcp"
    except ValueError as error:
        raise ConfigError(f"cannot use the address {text!r}: {error}", option="servers") from None
    _, separator, rest = text.partition("://")
    host = rest if separator else text
    if scheme in ("tcp4", "tcp6"):
        scheme = "tcp"
    if scheme != "unix":
        host = host.partition("/")[0]
    return ServerAddress.of(f"{scheme}://{host}", default_port=_PORT)


def _fields(connection: Connection, status: dict[str, str]) -> dict[str, int | float | str]:
    found: dict[str, int | float | str] = {field: status.get(name, "") for name, field in _TEXTS.items()}

    def wrong(name: str) -> None:
        connection.fail(f"{name} of its status is {quoted(status[name][:40])}")

    flags = _flags(status.get("STATFLAG", ""))
    if flags is None:
        connection.fail(f"STATFLAG of its status is {quoted(status.get('STATFLAG', '')[:40])}")
    found["status_flags"] = Uint(flags)
    for name, field in (_FLOATS | _INTEGERS | _TIMES).items():
        if name not in status:
            found[field] = 0
            continue
        text, _, unit = status[name].partition(" ")
        value: int | float | None
        if name in _FLOATS:
            value = parse_finite(text)
        elif name in _INTEGERS:
            value = parse_integer(status[name] if name == "NUMXFERS" else text)
        else:
            value = _nanoseconds(text, unit)
        if value is None:
            wrong(name)
        else:
            found[field] = value
    return found


def _flags(text: str) -> int | None:
    """The first word, in hexadecimal, octal or decimal."""
    word = (text.split() or [""])[0]
    try:
        number = int(word, 0) if word.isascii() and len(word) < 80 and word[:1].isdigit() else -1
    except ValueError:
        number = int(word, 8) if word.isdigit() and set(word) <= set("01234567") else -1
    return number if 0 <= number < 2**64 else None


def _nanoseconds(text: str, unit: str) -> int | None:
    number, factor = parse_finite(text), _UNITS.get(unit.lower())
    if number is None or factor is None or not abs(number * factor) < 9.2e9:
        return None
    return round(number * factor * 1_000_000_000)
