"""How Grafana shows a value: its name for the unit of a declared field, and of the field's rate."""

from typing import NamedTuple

from pyagent.api import Field

__all__ = ["unit_of"]


class _Unit(NamedTuple):
    value: str
    rate: str


_UNITS = {
    "1": _Unit("short", "cps"),
    "bytes": _Unit("bytes", "binBps"),
    "KiB": _Unit("kbytes", "KiBs"),
    "MiB": _Unit("mbytes", "MiBs"),
    "GiB": _Unit("gbytes", "GiBs"),
    "fraction": _Unit("percentunit", "suffix: /s"),
    "bits": _Unit("bits", "bps"),
    "percent": _Unit("percent", "suffix: %/s"),
    "percent s": _Unit("suffix: % s", "percent"),
    "ns": _Unit("ns", "suffix: ns/s"),
    "us": _Unit("µs", "suffix: µs/s"),
    "ms": _Unit("ms", "suffix: ms/s"),
    "s": _Unit("s", "suffix: s/s"),
    "m": _Unit("m", "suffix: min/s"),
    "h": _Unit("h", "suffix: h/s"),
    "d": _Unit("d", "suffix: d/s"),
    "Hz": _Unit("hertz", "suffix: Hz/s"),
    "V": _Unit("volt", "suffix: V/s"),
    "A": _Unit("amp", "suffix: A/s"),
    "W": _Unit("watt", "suffix: W/s"),
    "Wh": _Unit("watth", "suffix: Wh/s"),
    "C": _Unit("celsius", "suffix: °C/s"),
    "rpm": _Unit("rotrpm", "suffix: rpm/s"),
    "dBm": _Unit("dBm", "suffix: dBm/s"),
    "requests": _Unit("short", "reqps"),
    "packets": _Unit("short", "pps"),
}
_SAME = {
    "": "1",
    "count": "1",
    "byte": "bytes",
    "B": "bytes",
    "%": "percent",
    "nanoseconds": "ns",
    "microseconds": "us",
    "µs": "us",
    "milliseconds": "ms",
    "seconds": "s",
    "minutes": "m",
    "hours": "h",
    "days": "d",
    "hertz": "Hz",
    "volts": "V",
    "amperes": "A",
    "watts": "W",
    "°C": "C",
    "celsius": "C",
}


def unit_of(field: Field) -> str:
    """Grafana's unit for what a panel shows of the field: a counter's rate, else its value. A unit that Grafana does not know
    is written behind the number."""
    if field.type == "bool":
        return "bool_yes_no"
    if field.type == "str":
        return "string"
    name = _SAME.get(field.unit, field.unit)
    if name.endswith("/s") and name[:-2] in _UNITS and not field.counter:
        return _UNITS[name[:-2]].rate
    known = _UNITS.get(name) or _Unit(f"suffix: {name}", f"suffix: {name}/s")
    return known.rate if field.counter else known.value
