"""Values of captures by their modifiers. All raise ValueError."""

import re
from collections.abc import Callable

from pyagent.kit.numbers import INT64_MAX, INT64_MIN, parse_float, parse_integer
from pyagent.kit.timestamps import Zone, parse_timestamp

__all__ = ["UniqueTimes", "duration", "fraction", "integer", "time_reader"]

_OCTAL = re.compile("[+-]?0[0-7_]+")
_ANY_BASE = re.compile("[+-]?[0-9][0-9a-zA-Z_]*")
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(f"([0-9]{{0,40}})(?:(\\.)([0-9]{{0,40}}))?({'|'.join(sorted(_UNITS, key=len, reverse=True))})")


def integer(text: str) -> int:
    """Of any base, as Go writes them: 42, -7, 0x1f, 0b11, 017, 1_000."""
    if text.isdigit() and text.isascii() and len(text) < 19 and (text[0] != "0" or len(text) == 1):
        return int(text)
    if len(text) > 100 or not _ANY_BASE.fullmatch(text):
        raise ValueError("it is no integer")
    number = int(text.replace("_", ""), 8) if _OCTAL.fullmatch(text) and "__" not in text else int(text, 0)
    if not INT64_MIN <= number <= INT64_MAX:
        raise ValueError("it is out of range")
    return number


def fraction(text: str) -> float:
    number = parse_float(text)
    if number is None:
        raise ValueError("it is no number")
    return number


def duration(text: str) -> int:
    """Nanoseconds, of a duration as Go writes it: 5ms, 1h3m, 1.5µs."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total, position = 0, 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None or not (part[1] or part[3]):
            raise ValueError("it is no duration; one is like 1h3m or 2.5ms")
        unit = _UNITS[part[4]]
        total += int(part[1] or 0) * unit + (int(part[3]) * unit // 10 ** len(part[3]) if part[3] else 0)
        position = part.end()
    if not rest or total > INT64_MAX + (text[0] == "-"):
        raise ValueError("it is no duration, or out of range")
    return -total if text[0] == "-" else total


_LAYOUTS = {
    "ts-ansic": "Mon Jan _2 15:04:05 2006",
    "ts-unix": "Mon Jan _2 15:04:05 MST 2006",
    "ts-ruby": "Mon Jan 02 15:04:05 -0700 2006",
    "ts-rfc822": "02 Jan 06 15:04 MST",
    "ts-rfc822z": "02 Jan 06 15:04 -0700",
    "ts-rfc850": "Monday, 02-Jan-06 15:04:05 MST",
    "ts-rfc1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "ts-rfc1123z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "ts-rfc3339": "2006-01-02T15:04:05Z07:00",
    "ts-rfc3339nano": "2006-01-02T15:04:05.999999999Z07:00",
    "ts-httpd": "02/Jan/2006:15:04:05 -0700",
}


def time_reader(modifier: str, zone: Zone) -> Callable[[str], int]:
    """From a text to nanoseconds since the epoch. `modifier`: `ts-NAME`, `ts-"LAYOUT"`, `ts`."""
    match modifier:
        case "ts":
            return _any_layout(zone)
        case "ts-epoch":
            return _epoch
        case "ts-epochmilli":
            return lambda text: _whole(text) * 1_000_000
        case "ts-epochnano":
            return _whole
        case "ts-syslog":
            return lambda text: parse_timestamp("Jan _2 15:04:05", text, zone)
        case "ts-httpd":
            return _httpd()
    layout = _LAYOUTS.get(modifier) or modifier.removeprefix('ts-"').removesuffix('"')
    return lambda text: parse_timestamp(layout, text.replace(",", "."), zone)


def _whole(text: str) -> int:
    number = parse_integer(text)
    if number is None:
        raise ValueError("it is no integer")
    return number


def _epoch(text: str) -> int:
    seconds, point, rest = text.partition(".")
    return _whole(seconds) * 1_000_000_000 + (_whole(rest[:9].ljust(9, "0")) if point else 0)


def _any_layout(zone: Zone) -> Callable[[str], int]:
    layouts = list(_LAYOUTS.values())

    def read(text: str) -> int:
        for index, layout in enumerate(layouts):
            try:
                time = parse_timestamp(layout, text, zone)
            except ValueError:
                continue
            if index:
                layouts.insert(0, layouts.pop(index))  # the next one is most likely like this
            return time
        raise ValueError("it is written in none of the known ways")

    return read


_CLOCK = re.compile(
    r"([0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}):([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])( [+-][0-9]{4})", re.ASCII
)


def _httpd() -> Callable[[str], int]:
    """The times of web servers: the lines of a log share the day, whose start is kept."""
    known: dict[tuple[str, str], int] = {}

    def read(text: str) -> int:
        match = _CLOCK.fullmatch(text)
        if match is None:
            return parse_timestamp(_LAYOUTS["ts-httpd"], text.replace(",", "."))
        day, hour, minute, second, east = match.groups()
        start = known.get((day, east))
        if start is None:
            start = parse_timestamp(_LAYOUTS["ts-httpd"], f"{day}:00:00:00{east}")
            if len(known) > 100:
                known.clear()
            known[day, east] = start
        return start + (int(hour) * 3600 + int(minute) * 60 + int(second)) * 1_000_000_000

    return read


class UniqueTimes:
    """Moves equal times of metrics that follow each other apart: by the unit below the last one that the time shows."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._repeated: int | None = None
        self._step = self._count = self._over = 0

    def of(self, time: int) -> int:
        last, self._last = self._last, time
        if last is None:
            return time
        if time not in (last, self._repeated):
            self._step = self._count = self._over = 0
            return time
        if time == last:
            self._repeated = time
        if not self._step:
            digits, power = 1, 10
            while time and time % power == 0:
                digits, power = digits + 1, power * 10
            self._step = 1 if digits <= 6 else 1_000 if digits <= 9 else 1_000_000
        self._count += 1
        if self._count == 999 and self._step > 1:
            self._over = self._step * self._count
            self._count = 1
            self._step //= 1000
        return time + self._step * self._count + self._over
