"""Values with their units as people read them: 23.8 GB, 5.98 %, 1,234, 12.3 ms, 1.2 MB/s.

A unit is a word of the plugins' declarations (`bytes`, `percent`, `ms`, `1` for a plain count, ...), with `/s` behind it for a
rate. Everything is ASCII.
"""

import math

from pyagent.cli.terminal import harmless, span

__all__ = ["readable", "scale", "signed", "unit_of"]

# The last words of a field's name -> its unit, for fields whose plugin declares none.
_SUFFIXES = {
    "bytes": "bytes",
    "byte": "bytes",
    "octets": "bytes",
    "percent": "percent",
    "percentage": "percent",
    "pct": "percent",
    "bytes per second": "bytes/s",
    "bytes sec": "bytes/s",
    "per second": "1/s",
    "per sec": "1/s",
    "ns": "ns",
    "nanoseconds": "ns",
    "us": "us",
    "microseconds": "us",
    "ms": "ms",
    "milliseconds": "ms",
    "s": "s",
    "sec": "s",
    "secs": "s",
    "seconds": "s",
    "uptime": "s",
    "total": "1",
    "count": "1",
}
# The first word, where the last ones say nothing: bytes_sent, usage_idle.
_PREFIXES = {"bytes": "bytes", "percent": "percent", "usage": "percent"}
_LONGEST = 3
"""Words of the longest suffix."""

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_BYTES = ((1e18, "EB"), (1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_COUNTS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1.0, ""))
_TIMES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_WRITTEN_OUT = 10_000_000
"""Counts below it are shown with all their digits."""
_NEXT = 0.9995
"""So near to the next unit that three digits would be 1000."""


def unit_of(field: str, declared: str = "") -> str:
    """The unit of a field: the declared one, else what its name says; empty where nothing is known."""
    if declared:
        return declared
    words = field.lower().split("_")
    for length in range(min(_LONGEST, len(words)), 0, -1):
        if unit := _SUFFIXES.get(" ".join(words[-length:])):
            return unit
    return _PREFIXES.get(words[0], "")


def readable(value: object, unit: str = "") -> str:
    """`value` in three digits with the unit that suits its size, counts with all their digits; texts as they are."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | float):
        return harmless(str(value))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        return str(number)
    base = unit.removesuffix("/s")
    per = unit[len(base) :]
    if base in _SECONDS and not per and abs(number) * _SECONDS[base] >= 59.95:
        return ("-" if number < 0 else "") + span(abs(number) * _SECONDS[base])
    if base not in ("bytes", "percent", *_SECONDS):
        return _count(value, number, "" if base == "1" else base, per)
    factor, name = scale(abs(number), base)
    exact = name == "B" and number.is_integer()
    return f"{f'{number:.0f}' if exact else _three(number / factor)} {name}{per}"


def signed(difference: float, unit: str = "") -> str:
    """A change, with its sign: +12.4 MB; empty for none."""
    if not difference:
        return ""
    return f"+{readable(difference, unit)}" if difference > 0 else readable(difference, unit)


def scale(magnitude: float, unit: str) -> tuple[float, str]:
    """What to divide values of about `magnitude` by, and the name of the unit that they have then."""
    if unit == "percent":
        return 1.0, "%"
    if unit in _SECONDS:
        seconds = _SECONDS[unit]
        factor, name = _largest(_TIMES, magnitude * seconds)
        return factor / seconds, name
    if unit == "bytes":
        return _largest(_BYTES, magnitude)
    return _largest(_COUNTS, magnitude) if magnitude >= _WRITTEN_OUT else (1.0, "")


def _largest(steps: tuple[tuple[float, str], ...], magnitude: float) -> tuple[float, str]:
    return next((step for step in steps if magnitude >= step[0] * _NEXT), steps[-1] if magnitude else _one(steps))


def _one(steps: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    return next(step for step in steps if step[0] == 1.0)


def _count(value: float, number: float, name: str, per: str) -> str:
    factor, letter = scale(abs(number), "1")
    if letter:
        text = f"{_three(number / factor)} {letter}"
    elif isinstance(value, int):
        text = f"{value:,}"
    else:
        text = f"{number:,.0f}" if abs(number) >= 1000 else _three(number)
    return f"{text} {name}{per}" if name else f"{text}{per}"


def _three(number: float) -> str:
    """Three digits, and never an exponent: 1,234, 123, 12.3, 1.23, 0.012, 0."""
    size = abs(number)
    if size >= 99.95 or not size:
        return f"{number:,.0f}"
    if size >= 0.1:
        return f"{number:.1f}" if size >= 9.995 else f"{number:.2f}"
    digits = min(1 - math.floor(math.log10(size)), 6)
    return f"{number:.{digits}f}".rstrip("0").rstrip(".") if size >= 5e-7 else "0"
