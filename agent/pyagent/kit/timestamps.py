"""Times as configurations describe them: Unix times, and layouts that spell out Go's reference time.

A layout shows how `Mon Jan 2 15:04:05 MST 2006` would be written: `2006-01-02T15:04:05Z07:00`, `02/01/06 15:04`. Parsing
follows Go's `time.Parse` to the letter, and Telegraf's rules for names of layouts and of zones (its ParseTimestamp).
"""

import re
import time as clock
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from pyagent.api.metric import INT64_MAX, INT64_MIN

__all__ = ["CYCLE", "Zone", "cycles_beyond", "layout_elements", "load_zone", "parse_time", "parse_timestamp"]

_UNITS = {"unix": 1_000_000_000, "unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}
_NAMED = {
    "ansic": "Mon Jan _2 15:04:05 2006",
    "unixdate": "Mon Jan _2 15:04:05 MST 2006",
    "rubydate": "Mon Jan 02 15:04:05 -0700 2006",
    "rfc822": "02 Jan 06 15:04 MST",
    "rfc822z": "02 Jan 06 15:04 -0700",
    "rfc850": "Monday, 02-Jan-06 15:04:05 MST",
    "rfc1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "rfc1123z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "rfc3339": "2006-01-02T15:04:05Z07:00",
    "rfc3339nano": "2006-01-02T15:04:05.999999999Z07:00",
    "stamp": "Jan _2 15:04:05",
    "stampmilli": "Jan _2 15:04:05.000",
    "stampmicro": "Jan _2 15:04:05.000000",
    "stampnano": "Jan _2 15:04:05.000000000",
}
_NUMBER = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]{1,3})?")

Zone = tzinfo | None
"""None is this host's own zone."""


def load_zone(name: str) -> Zone:
    """A zone of the IANA database, `Local` for this host's own; empty is UTC. Raises ValueError."""
    if name in ("", "UTC"):
        return UTC
    if name == "Local":
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}") from None


def parse_timestamp(layout: str, value: str | int | float | bool, zone: Zone = UTC) -> int:
    """A point in time as nanoseconds since the epoch.

    `layout`: `unix`, `unix_ms`, `unix_us`, `unix_ns` (fractions are allowed), the same as `timestamp_tz...` for clock
    time counted as if it were UTC, a name such as `RFC3339`, or a Go layout. `zone`: where the text names none. Raises
    ValueError. A layout without a year means the present one.
    """
    return _checked(parse_time(layout, value, zone, datetime.now(UTC).year))


def parse_time(layout: str, value: str | int | float | bool, zone: Zone = UTC, year: int = 0) -> int:
    """The same for times that a metric cannot have, too. `year`: where the layout has none, or the text has 0."""
    unit = _UNITS.get(layout)
    if unit is not None:
        return _unix(value, unit)
    if layout.startswith("timestamp_tz") and (unit := _UNITS.get("unix" + layout.removeprefix("timestamp_tz"))):
        time = _unix(value, unit)
        return time - _offset(zone, time // 1_000_000_000) * 1_000_000_000
    if not isinstance(value, str):
        raise ValueError(f"cannot read the time {value!r} by the layout {layout!r}: it is not text")
    compiled = _compiled(layout)
    try:
        return compiled.read(value, zone, year)
    except _Mismatch as error:
        raise ValueError(f"cannot read the time {value!r} by the layout {compiled.layout!r}: {error}") from None


def _unix(value: str | int | float | bool, unit: int) -> int:
    if isinstance(value, str):
        # A comma may stand for the point, spaces may group digits.
        text = value.replace(" ", "")
        text = text.replace(",", ".", 1) if "," in text else text
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"cannot read the time {value!r}: invalid number")
        fraction = Fraction(text)
    elif isinstance(value, bool):
        raise ValueError("cannot read a time: unsupported type")
    else:
        if isinstance(value, int) and value > INT64_MAX:
            raise ValueError(f"cannot read the time {value!r}: it is out of range")
        try:
            fraction = Fraction(value)
        except (ValueError, OverflowError):
            raise ValueError(f"cannot read the time {value!r}: invalid number") from None
    return fraction.numerator * unit // fraction.denominator


def _checked(time: int) -> int:
    if not INT64_MIN <= time <= INT64_MAX:
        raise ValueError("the time is out of range: from 1677 to 2262 can be kept")
    return time


CYCLE = 146_097 * 86_400
"""Seconds of 400 years, after which dates fall on the same days of the week: what holds for years that datetime does not have
is asked of those that it has."""
_FIRST, _LAST = -62_000_000_000, 253_000_000_000
"""Seconds since the epoch, of the years 5 and 9987."""


def cycles_beyond(seconds: int) -> int:
    """How many cycles a time, in seconds since the epoch, is before (below 0) or behind those that datetime has."""
    if seconds < _FIRST:
        return (seconds - _FIRST) // CYCLE
    return 0 if seconds < _LAST else (seconds - _LAST) // CYCLE + 1


def _offset(zone: Zone, seconds: int) -> int:
    """Seconds east of UTC at a point in time."""
    seconds -= cycles_beyond(seconds) * CYCLE
    try:
        if zone is None:
            return clock.localtime(seconds).tm_gmtoff
        offset = datetime.fromtimestamp(seconds, zone).utcoffset()
    except (OverflowError, ValueError, OSError):
        return 0
    return int(offset.total_seconds()) if offset else 0


def _at(zone: Zone, local: int) -> int:
    """Seconds since the epoch of a clock's reading in a zone. In a gap the offset before it holds; of an hour that comes
    twice the one that Go takes, which is standard time."""
    guess = _offset(zone, local)
    return local - _offset(zone, local - guess) if guess else local


# Layouts ---------------------------------------------------------------------------------------------------------------

_CHUNK = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|2006|__2|_2(?!006)|PM|pm|[12345]"
    r"|[-Z](?:07:00:00|070000|07:00|0700|07)|[.,](?:0+|9+)(?![0-9])"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class _Mismatch(Exception):
    pass


@lru_cache(maxsize=64)
def layout_elements(layout: str) -> tuple[tuple[str, str], ...]:
    """Pairs of the plain text before an element and the element; the last one's is empty."""
    found, position = [], 0
    while match := _CHUNK.search(layout, position):
        found.append((layout[position : match.start()], match[0]))
        position = match.end()
    return (*found, (layout[position:], ""))


def _within(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not low <= (number := int(text)) <= high:
            raise _Mismatch(f"{number} is out of range")
        return number

    return read


def _short_year(text: str) -> int:
    year = int(text)
    return year + (1900 if year >= 69 else 2000)


def _month_of_name(text: str) -> int:
    return _MONTHS.index(text[:3].lower()) + 1


def _nanoseconds(text: str) -> int:
    """Of a fraction with its point."""
    return int(text[1:10].ljust(9, "0"))


def _east(text: str) -> int:
    """Seconds, of a numeric zone."""
    digits = text[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 24 or minutes >= 60 or seconds >= 60:
        raise _Mismatch(f"the zone {text} is out of range")
    east = hours * 3600 + minutes * 60 + seconds
    return -east if text[0] == "-" else east


# Go reads from left to right and never goes back: no pattern may give back what it took.
_TWO, _ONE_OR_TWO, _FRACTION = "[0-9]{2}", "[0-9]{1,2}+", "[.,][0-9]++"
_ELEMENTS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "2006": ("year", "[0-9]{4}", int),
    "06": ("year", _TWO, _short_year),
    "1": ("month", _ONE_OR_TWO, _within(1, 12)),
    "01": ("month", _TWO, _within(1, 12)),
    "Jan": ("month", f"(?ai:{'|'.join(_MONTHS)})", _month_of_name),
    "January": (
        "month",
        "(?ai:january|february|march|april|may|june|july|august|september|october|november|december)",
        _month_of_name,
    ),
    "Mon": ("weekday", "(?ai:mon|tue|wed|thu|fri|sat|sun)", str),
    "Monday": ("weekday", "(?ai:monday|tuesday|wednesday|thursday|friday|saturday|sunday)", str),
    "2": ("day", _ONE_OR_TWO, int),
    "_2": ("day", f" ?+{_ONE_OR_TWO}", int),
    "02": ("day", _TWO, int),
    "002": ("year_day", "[0-9]{3}", int),
    "__2": ("year_day", " {0,2}+[0-9]{1,3}+", int),
    "15": ("hour", _ONE_OR_TWO, _within(0, 23)),
    "3": ("hour", _ONE_OR_TWO, _within(0, 12)),
    "03": ("hour", _TWO, _within(0, 12)),
    "4": ("minute", _ONE_OR_TWO, _within(0, 59)),
    "04": ("minute", _TWO, _within(0, 59)),
    "5": ("second", _ONE_OR_TWO, _within(0, 59)),
    "05": ("second", _TWO, _within(0, 59)),
    "PM": ("half", "AM|PM", str.upper),
    "pm": ("half", "am|pm", str.upper),
    "MST": (
        "zone_name",
        r"(?>UTC|ChST|MeST|GMT(?:[+-]\d++)?+|[+-]\d++|[A-Z]{4}T(?![A-Z])|(?:[A-Z]{3}T|WITA)(?![A-Z])|[A-Z]{3}(?![A-Z]))",
        str,
    ),
}
_OFFSETS = {
    "07": "[+-][0-9]{2}",
    "0700": "[+-][0-9]{4}",
    "07:00": "[+-][0-9]{2}:[0-9]{2}",
    "070000": "[+-][0-9]{6}",
    "07:00:00": "[+-][0-9]{2}:[0-9]{2}:[0-9]{2}",
}


def _element(element: str) -> tuple[str, str, Callable[[str], Any]]:
    """What it gives, the pattern of its text, and how that is read."""
    if element[0] in ".,":
        return "nanosecond", f"[.,][0-9]{{{len(element) - 1}}}" if element[1] == "0" else _FRACTION, _nanoseconds
    if element[0] == "-":
        return "east", _OFFSETS[element[1:]], _east
    if element[0] == "Z":
        return "east", f"Z|{_OFFSETS[element[1:]]}", lambda text: 0 if text == "Z" else _east(text)
    return _ELEMENTS[element]


def _plain(text: str) -> str:
    """The pattern of plain text in a layout; a run of spaces stands for any run of them, and for the end."""
    return "".join("(?: ++|\\Z)" if part[:1] == " " else re.escape(part) for part in re.split("( +)", text))


class _Layout:
    """A layout as one pattern, in which each element is a group."""

    def __init__(self, layout: str) -> None:
        self.layout = _NAMED.get(layout.lower(), layout)
        self._parts: list[str] = []
        """Patterns of plain text and elements, in turn."""
        self._readers: list[tuple[str, Callable[[str], Any]]] = []
        elements = layout_elements(self.layout)
        for number, (before, element) in enumerate(elements):
            self._parts.append(_plain(before))
            if not element:
                continue
            name, pattern, read = _element(element)
            self._readers.append((name, read))
            self._parts.append(f"({pattern})?+" if name == "nanosecond" and element[1] == "9" else f"({pattern})")
            if name == "second" and elements[number + 1][1][:1] not in (".", ","):
                # Seconds may have a fraction where the layout shows none.
                self._readers.append(("nanosecond", _nanoseconds))
                self._parts[-1] += f"({_FRACTION})?+"
        self._pattern = re.compile("".join(self._parts))

    def read(self, text: str, zone: Zone, year: int) -> int:
        """Nanoseconds since the epoch. `year`: in place of 0, and of none. Raises _Mismatch."""
        match = self._pattern.fullmatch(text)
        if match is None:
            raise _Mismatch(self._difference(text))
        found: dict[str, Any] = {}
        utc = False
        for (name, read), value in zip(self._readers, match.groups(), strict=True):
            if value is not None:
                found[name] = read(value)
                utc = utc or value in ("Z", "UTC")
        get = found.get
        hour, half = get("hour", 0), get("half")
        if half == "PM" and hour < 12:
            hour += 12
        elif half == "AM" and hour == 12:
            hour = 0
        days = _date(get("year", 0), get("month", -1), get("day", -1), get("year_day", -1), year)
        local = days * 86400 + hour * 3600 + get("minute", 0) * 60 + get("second", 0)
        if utc:
            seconds = local
        elif (east := get("east")) is not None:
            seconds = local - east
        else:
            named = get("zone_name")
            seconds = _at(_named_zone(named) if named else zone, local)
        return int(seconds * 1_000_000_000 + get("nanosecond", 0))

    def _difference(self, text: str) -> str:
        """Where the text is another one than the layout says."""
        for count in range(len(self._parts), 0, -1):
            if match := re.match("".join(self._parts[:count]), text):
                rest = text[match.end() :]
                if count == len(self._parts):
                    return f"there is more: {rest!r}"
                return f"{rest!r} is not as the layout says" if rest else "it ends too early"
        return f"{text!r} is not as the layout says"


_compiled = lru_cache(maxsize=64)(_Layout)


def _date(year: int, month: int, day: int, year_day: int, instead: int) -> int:
    """Days since the epoch; -1 for what is not there, and the year 0 for `instead`."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if year_day >= 0:
        if not 1 <= year_day <= 365 + leap:
            raise _Mismatch("there is no such day in the year")
        in_month, in_day = _month_and_day(year_day, leap)
        if month >= 0 and month != in_month:
            raise _Mismatch("the day of the year is not in this month")
        if day >= 0 and day != in_day:
            raise _Mismatch("the day of the year is another day")
        return _days(year or instead, 1, 1) + year_day - 1
    month, day = max(month, 1), 1 if day < 0 else day
    if not 1 <= day <= (28 + leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31):
        raise _Mismatch("there is no such day in the month")
    return _days(year or instead, month, day)


def _named_zone(name: str) -> Zone:
    """The zone of an abbreviation: that of this host, else, as in Telegraf, the IANA database's zone of that name."""
    if offset := re.fullmatch(r"(?:GMT)?([+-]\d+)", name):
        hours = int(offset[1])
        if abs(hours) > 23:
            raise _Mismatch(f"the zone {name} is out of range")
        return timezone(timedelta(hours=hours))
    if name in clock.tzname:
        return timezone(timedelta(seconds=-(clock.timezone, clock.altzone)[clock.tzname.index(name)]))
    try:
        return load_zone(name)
    except ValueError:
        raise _Mismatch(f"the zone {name} is unknown; use a numeric one, or the name of a zone as an option") from None


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970 to a date, which may be one of the year 0 or 1 as well: datetime begins too late."""
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def _month_and_day(year_day: int, leap: bool) -> tuple[int, int]:
    date = datetime(2000 if leap else 2001, 1, 1) + timedelta(days=year_day - 1)
    return date.month, date.day
