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
from zoneinfo import ZoneInfo

from pyagent.api.metric import INT64_MAX, INT64_MIN

__all__ = ["layout_elements", "load_zone", "parse_timestamp"]

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
    unit = _UNITS.get(layout)
    if unit is not None:
        return _checked(_unix(value, unit))
    if layout.startswith("timestamp_tz") and (unit := _UNITS.get("unix" + layout.removeprefix("timestamp_tz"))):
        time = _unix(value, unit)
        return _checked(time - _offset(zone, time // 1_000_000_000) * 1_000_000_000)
    if not isinstance(value, str):
        raise ValueError(f"cannot read the time {value!r} by the layout {layout!r}: it is not text")
    layout = _NAMED.get(layout.lower(), layout)
    try:
        return _checked(_Reading(value).read(layout_elements(layout), zone))
    except _Mismatch as error:
        raise ValueError(f"cannot read the time {value!r} by the layout {layout!r}: {error}") from None


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
        try:
            fraction = Fraction(value)
        except (ValueError, OverflowError):
            raise ValueError(f"cannot read the time {value!r}: invalid number") from None
    return fraction.numerator * unit // fraction.denominator


def _checked(time: int) -> int:
    if not INT64_MIN <= time <= INT64_MAX:
        raise ValueError("the time is out of range: from 1677 to 2262 can be kept")
    return time


def _offset(zone: Zone, seconds: int) -> int:
    """Seconds east of UTC at a point in time."""
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
_LONG_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ZONE_NAME = re.compile(
    r"ChST|MeST|GMT([+-]\d+)?|([+-]\d+)|[A-Z]{4}T(?![A-Z])|(?:[A-Z]{3}T|WITA)(?![A-Z])|[A-Z]{3}(?![A-Z])"
)


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


class _Reading:
    """One text while it is read by a layout."""

    def __init__(self, text: str) -> None:
        self._rest = text
        self._year = 0
        self._month = self._day = self._year_day = -1
        self._hour = self._minute = self._second = self._nanosecond = 0
        self._afternoon: bool | None = None
        self._has_year = False
        self._utc = False
        self._east: int | None = None
        self._zone_name = ""

    def read(self, chunks: tuple[tuple[str, str], ...], zone: Zone) -> int:
        for number, (prefix, element) in enumerate(chunks):
            self._skip(prefix)
            if element[:1] in (".", ","):
                self._fraction(element)
            elif element[:1] in ("-", "Z"):
                self._numeric_zone(element)
            elif element:
                _READERS[element](self)
                if element in ("05", "5"):
                    self._unannounced_fraction(chunks[number + 1])
        if self._rest:
            raise _Mismatch(f"there is more: {self._rest!r}")
        return self._result(zone)

    def _result(self, zone: Zone) -> int:
        if self._afternoon and self._hour < 12:
            self._hour += 12
        elif self._afternoon is False and self._hour == 12:
            self._hour = 0
        local = self._date() * 86400 + self._hour * 3600 + self._minute * 60 + self._second
        if self._utc:
            seconds = local
        elif self._east is not None:
            seconds = local - self._east
        elif self._zone_name:
            seconds = _at(_named_zone(self._zone_name), local)
        else:
            seconds = _at(zone, local)
        return seconds * 1_000_000_000 + self._nanosecond

    def _date(self) -> int:
        """Days since the epoch."""
        year = self._year
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        if self._year_day >= 0:
            if not 1 <= self._year_day <= 365 + leap:
                raise _Mismatch("there is no such day in the year")
            first = _days(self._this_year(), 1, 1)
            month, day = _month_and_day(self._year_day, leap)
            if self._month >= 0 and self._month != month:
                raise _Mismatch("the day of the year is not in this month")
            if self._day >= 0 and self._day != day:
                raise _Mismatch("the day of the year is another day")
            return first + self._year_day - 1
        month, day = max(self._month, 1), 1 if self._day < 0 else self._day
        if not 1 <= day <= (28 + leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31):
            raise _Mismatch("there is no such day in the month")
        return _days(self._this_year(), month, day)

    def _this_year(self) -> int:
        return self._year if self._year else datetime.now(UTC).year

    def _skip(self, prefix: str) -> None:
        """Plain text of the layout; a run of spaces stands for any run of them."""
        rest = self._rest
        while prefix:
            if prefix[0] == " ":
                if rest and rest[0] != " ":
                    raise _Mismatch(f"there is no space before {rest!r}")
                prefix, rest = prefix.lstrip(" "), rest.lstrip(" ")
                continue
            if not rest or rest[0] != prefix[0]:
                raise _Mismatch(f"{rest!r} does not begin with {prefix!r}")
            prefix, rest = prefix[1:], rest[1:]
        self._rest = rest

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._rest)
        if match is None:
            raise _Mismatch(f"{self._rest!r} is not as the layout says")
        self._rest = self._rest[match.end() :]
        return match[0]

    def _number(self, pattern: re.Pattern[str], low: int, high: int) -> int:
        number = int(self._take(pattern))
        if not low <= number <= high:
            raise _Mismatch(f"{number} is out of range")
        return number

    def _name(self, names: tuple[str, ...]) -> int:
        text = self._rest.lower()
        for index, name in enumerate(names):
            if text.startswith(name):
                self._rest = self._rest[len(name) :]
                return index
        raise _Mismatch(f"{self._rest!r} does not begin with the name of a month or day")

    # What an element of the layout reads.

    def year(self) -> None:
        self._year = int(self._take(_FOUR))

    def short_year(self) -> None:
        year = int(self._take(_TWO))
        self._year = year + (1900 if year >= 69 else 2000)

    def month(self) -> None:
        self._month = self._number(_ONE_OR_TWO, 1, 12)

    def month_of_two(self) -> None:
        self._month = self._number(_TWO, 1, 12)

    def month_name(self) -> None:
        self._month = self._name(_MONTHS) + 1

    def long_month_name(self) -> None:
        self._month = self._name(_LONG_MONTHS) + 1

    def weekday(self) -> None:
        self._name(_DAYS)

    def long_weekday(self) -> None:
        self._name(_LONG_DAYS)

    def day(self) -> None:
        self._day = self._number(_ONE_OR_TWO, 0, 99)

    def day_of_two(self) -> None:
        self._day = self._number(_TWO, 0, 99)

    def padded_day(self) -> None:
        self._rest = self._rest.removeprefix(" ")
        self.day()

    def year_day(self) -> None:
        self._year_day = self._number(_THREE, 0, 999)

    def padded_year_day(self) -> None:
        self._year_day = int(self._take(_PADDED_THREE))

    def hour(self) -> None:
        self._hour = self._number(_ONE_OR_TWO, 0, 23)

    def hour_of_twelve(self) -> None:
        self._hour = self._number(_ONE_OR_TWO, 0, 12)

    def two_of_twelve(self) -> None:
        self._hour = self._number(_TWO, 0, 12)

    def minute(self) -> None:
        self._minute = self._number(_ONE_OR_TWO, 0, 59)

    def minute_of_two(self) -> None:
        self._minute = self._number(_TWO, 0, 59)

    def second(self) -> None:
        self._second = self._number(_ONE_OR_TWO, 0, 59)

    def second_of_two(self) -> None:
        self._second = self._number(_TWO, 0, 59)

    def half(self) -> None:
        self._afternoon = self._take(_AM_PM) == "PM"

    def small_half(self) -> None:
        self._afternoon = self._take(_SMALL_AM_PM) == "pm"

    def zone_name(self) -> None:
        if self._rest.startswith("UTC"):
            self._utc, self._rest = True, self._rest[3:]
        else:
            self._zone_name = self._take(_ZONE_NAME)

    def _unannounced_fraction(self, following: tuple[str, str]) -> None:
        """Seconds may have a fraction where the layout shows none."""
        if _FRACTION.match(self._rest) and following[1][:1] not in (".", ","):
            self._set_fraction(self._take(_FRACTION))

    def _fraction(self, element: str) -> None:
        if element[1] == "0":
            text = self._rest[: len(element)]
            if len(text) < len(element) or text[0] not in ".," or not (text[1:].isascii() and text[1:].isdigit()):
                raise _Mismatch(f"{self._rest!r} is not a fraction of {len(element) - 1} digits")
            self._rest = self._rest[len(element) :]
            self._set_fraction(text)
        elif _FRACTION.match(self._rest):
            self._set_fraction(self._take(_FRACTION))

    def _set_fraction(self, text: str) -> None:
        self._nanosecond = int(text[1:10].ljust(9, "0"))

    def _numeric_zone(self, element: str) -> None:
        if element[0] == "Z" and self._rest.startswith("Z"):
            self._utc, self._rest = True, self._rest[1:]
            return
        text = self._take(_OFFSETS[element[1:]])
        digits = text[1:].replace(":", "").ljust(6, "0")
        hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
        if hours > 24 or minutes >= 60 or seconds >= 60:
            raise _Mismatch(f"the zone {text} is out of range")
        east = hours * 3600 + minutes * 60 + seconds
        self._east = -east if text[0] == "-" else east


_TWO, _ONE_OR_TWO, _THREE, _FOUR = (re.compile(p) for p in ("[0-9]{2}", "[0-9]{1,2}", "[0-9]{3}", "[0-9]{4}"))
_PADDED_THREE = re.compile(" {0,2}[0-9]{1,3}")
_FRACTION = re.compile("[.,][0-9]+")
_AM_PM, _SMALL_AM_PM = re.compile("AM|PM"), re.compile("am|pm")
_OFFSETS = {
    "07": re.compile("[+-][0-9]{2}"),
    "0700": re.compile("[+-][0-9]{4}"),
    "07:00": re.compile("[+-][0-9]{2}:[0-9]{2}"),
    "070000": re.compile("[+-][0-9]{6}"),
    "07:00:00": re.compile("[+-][0-9]{2}:[0-9]{2}:[0-9]{2}"),
}
_READERS: dict[str, Callable[[_Reading], None]] = {
    "2006": _Reading.year,
    "06": _Reading.short_year,
    "1": _Reading.month,
    "01": _Reading.month_of_two,
    "Jan": _Reading.month_name,
    "January": _Reading.long_month_name,
    "Mon": _Reading.weekday,
    "Monday": _Reading.long_weekday,
    "2": _Reading.day,
    "_2": _Reading.padded_day,
    "02": _Reading.day_of_two,
    "002": _Reading.year_day,
    "__2": _Reading.padded_year_day,
    "15": _Reading.hour,
    "3": _Reading.hour_of_twelve,
    "03": _Reading.two_of_twelve,
    "4": _Reading.minute,
    "04": _Reading.minute_of_two,
    "5": _Reading.second,
    "05": _Reading.second_of_two,
    "PM": _Reading.half,
    "pm": _Reading.small_half,
    "MST": _Reading.zone_name,
}


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
