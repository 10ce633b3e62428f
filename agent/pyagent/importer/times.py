"""Times of CSV cells to nanoseconds since the epoch."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

from pyagent.kit.timestamps import Zone, load_zone, parse_timestamp
from pyagent.lineprotocol.results import TIME_MAX, TIME_MIN

__all__ = [
    "DAY_FIRST",
    "EXCEL",
    "MONTH_FIRST",
    "YEAR_FIRST",
    "earlier_showing",
    "local_offset",
    "reader_of",
    "split_date",
    "zone_of",
]

YEAR_FIRST, DAY_FIRST, MONTH_FIRST, EXCEL = "year-first", "day-first", "month-first", "excel"
"""Formats besides Go's layouts: dates of numbers in that order with whatever stands between them, with or without a time of the
day; and a spreadsheet's day numbers."""

_NUMBER = re.compile(rb"[+-]?[0-9]+")
_RFC3339 = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)
_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})")
_DATE = re.compile(
    r"([0-9]{1,4})([-./ ])([0-9]{1,2})\2([0-9]{1,4})"
    r"(?:(?:[T ]|, )\s*([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9})[0-9]*)?)?\s*([AaPp])?(?:(?<=[AaPp])\.?[Mm]\.?)?"
    r"\s*(Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_DAY_NUMBER = re.compile(rb"[0-9]{1,7}(?:[.,][0-9]+)?")
_FIRST_DAY = -25569
"""Of spreadsheets: 1899-12-30, in days from 1970."""
_SECOND = 1_000_000_000

Reader = Callable[[bytes], int]
"""Gives ns since the epoch. Raises ValueError."""


def zone_of(text: str) -> Zone:
    """`+0200`, `+02:00`, `Local`, or a name of the IANA database. Raises ValueError."""
    if match := _OFFSET.fullmatch(text):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    return load_zone(text)


def reader_of(form: str, zone: Zone, unit: int = 1) -> Reader:
    """What reads times of a form: empty (a number, or RFC 3339), `number`, `RFC3339`, `RFC3339Nano`, one of the names above, or
    a layout of Go. `unit`: ns of a number. `zone`: where the text names none."""
    if form in ("", "number"):
        return lambda text: _number(text, unit, rfc3339=not form)
    if form in ("RFC3339", "RFC3339Nano"):
        return _rfc3339
    if form == EXCEL:
        return lambda text: _day_number(text, zone)
    if form in (YEAR_FIRST, DAY_FIRST, MONTH_FIRST):
        return lambda text: _date(text, form, zone)
    return lambda text: _layout(text, form, zone)


def _number(text: bytes, unit: int, *, rfc3339: bool) -> int:
    if _NUMBER.fullmatch(text):
        return _checked(int(text) * unit if len(text) < 30 else TIME_MAX + 1)
    if rfc3339:
        return _rfc3339(text)
    raise ValueError(f"{_shown(text)} is no whole number, as a time is here")


def _rfc3339(text: bytes) -> int:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{_shown(text)} is no time such as 2024-01-31T12:00:00Z; for other times give their layout")
    offset = 0
    if match[8] is None:
        hours, minutes = int(match[10]), int(match[11])
        if hours > 23 or minutes > 59:
            raise ValueError(f"the zone of {_shown(text)} is out of range")
        offset = (hours * 60 + minutes) * (-60 if match[9] == b"-" else 60)
    year, month, day, hour, minute, second = (int(match[number]) for number in range(1, 7))
    seconds = _seconds(text, year, month, day, hour, minute, second)
    fraction = int((match[7] or b"0")[:9].ljust(9, b"0"))
    return _checked((seconds - offset) * _SECOND + fraction)


def _seconds(text: bytes, year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError as error:
        raise ValueError(f"{_shown(text)} is no time: {error}") from None


def _date(text: bytes, order: str, zone: Zone) -> int:
    split = split_date(text.decode("utf-8", "replace"))
    if split is None:
        raise ValueError(f"{_shown(text)} is no date with a time, or none of the form of the others")
    first, second, third, clock, fraction, offset = split
    try:
        year, month, day = _ordered(first, second, third, order)
    except ValueError:
        raise ValueError(f"{_shown(text)} is no date with the {order.replace('-', ' ')}, as the others are") from None
    seconds = _seconds(text, year, month, day, *clock)
    if offset is not None:
        return _checked((seconds - offset) * _SECOND + fraction)
    return _checked(_in_zone(text, seconds, zone) * _SECOND + fraction)


def _ordered(first: str, second: str, third: str, order: str) -> tuple[int, int, int]:
    if order == YEAR_FIRST:
        if len(first) != 4:
            raise ValueError
        return int(first), int(second), int(third)
    if len(third) not in (2, 4) or len(first) > 2:
        raise ValueError
    year = int(third)
    if len(third) == 2:
        year += 1900 if year >= 69 else 2000
    day, month = (first, second) if order == DAY_FIRST else (second, first)
    return year, int(month), int(day)


Split = tuple[str, str, str, tuple[int, int, int], int, int | None]


@lru_cache(maxsize=4096)
def split_date(text: str) -> Split | None:
    """The three numbers of a date as text, the time of the day, its fraction in ns, and the offset of its zone in seconds,
    where it has one; None where it is no date. The time may have AM or PM."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    hour, minute, second = (int(match[number] or 0) for number in (5, 6, 7))
    if half := match[9]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "Pp" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    offset: int | None = None
    if zone := match[10]:
        digits = zone[1:].replace(":", "").ljust(4, "0") if zone[0] in "+-" else "0000"
        offset = (int(digits[:2]) * 60 + int(digits[2:])) * (-60 if zone[0] == "-" else 60)
    fraction = int((match[8] or "0").ljust(9, "0"))
    return match[1], match[3], match[4], (hour, minute, second), fraction, offset


def _day_number(text: bytes, zone: Zone) -> int:
    """Days since the end of 1899, the time of the day as their fraction, to the microsecond."""
    if not _DAY_NUMBER.fullmatch(text):
        raise ValueError(f"{_shown(text)} is no day number of a spreadsheet, such as 45291.5")
    local = (Decimal(text.replace(b",", b".").decode()) + _FIRST_DAY) * 86400
    microseconds = int((local * 1_000_000).to_integral_value())
    seconds, rest = divmod(microseconds, 1_000_000)
    return _checked(_in_zone(text, seconds, zone) * _SECOND + rest * 1000)


def _layout(text: bytes, layout: str, zone: Zone) -> int:
    value = text.decode("utf-8", "replace")
    try:
        time = parse_timestamp(layout, value, zone)
        if zone is UTC:
            return _checked(time)
        local = parse_timestamp(layout, value, UTC)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("cannot read the time ")) from None
    if local != time:
        _refuse_gap(text, local // _SECOND, time // _SECOND, zone)
    return _checked(time)


def _in_zone(text: bytes, local: int, zone: Zone) -> int:
    """Seconds since the epoch of a clock's reading. Of an hour that comes twice, standard time's. Raises ValueError for a
    reading that the clock never shows."""
    if zone is UTC:
        return local
    offset = _offset(zone, local)
    seconds = local - _offset(zone, local - offset)
    _refuse_gap(text, local, seconds, zone)
    return seconds


def earlier_showing(zone: Zone, time: int) -> int | None:
    """Nanoseconds before `time` when the clock showed the same, because it was set back in between; None where it did not."""
    if zone is UTC:
        return None
    seconds = time // _SECOND
    with suppress(OverflowError, OSError, ValueError):
        later = _offset(zone, seconds)
        for back in (3600, 1800, 7200):
            if _offset(zone, seconds - back) == later + back:
                return back * _SECOND
    return None


def local_offset(zone: Zone, local: int) -> int | None:
    """How far the clock is east of UTC when it shows `local`, seconds counted as if it were UTC; None where it never does."""
    try:
        return local - _in_zone(b"", local, zone)
    except (ValueError, OverflowError, OSError):
        return None


def _refuse_gap(text: bytes, local: int, seconds: int, zone: Zone) -> None:
    # A text with a zone of its own differs from the reading in UTC for that reason.
    if abs(local - seconds) <= 15 * 3600 and _offset(zone, seconds) != local - seconds and _in_gap(zone, local):
        raise ValueError(f"the clock never showed {_shown(text)} there: it was set forward; is it another time zone?")


def _in_gap(zone: Zone, local: int) -> bool:
    return all(
        _offset(zone, local - offset) != offset for offset in {_offset(zone, local - day) for day in (-86400, 86400)}
    )


def _offset(zone: Zone, seconds: int) -> int:
    moment = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    offset = moment.utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _checked(time: int) -> int:
    if not TIME_MIN <= time <= TIME_MAX:
        raise ValueError("the time is out of range: from 1677 to 2262 can be stored")
    return time


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return repr(shown if len(shown) <= 60 else f"{shown[:60]}...")
