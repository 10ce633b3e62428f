"""Points in time and spans of it: what they are made from, and the parts of them."""

import re
import time as clock
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from pyagent.api import Duration
from pyagent.api.units import format_number
from pyagent.cel.conversions import unconvertible
from pyagent.cel.functions import Library
from pyagent.cel.operators import checked_time
from pyagent.cel.values import Failure, Timestamp
from pyagent.kit.timestamps import Zone, load_zone

__all__ = ["LIBRARY", "text_of_duration", "text_of_time"]

LIBRARY = Library()
function, method = LIBRARY.function, LIBRARY.method

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND, _MILLISECOND = 1_000_000_000, 1_000_000
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_OFFSET = re.compile(r"([+-]?)([0-9]{1,2}):([0-9]{1,2})")


@function("now", "-> timestamp")
def now() -> Timestamp:
    return Timestamp(clock.time_ns())


@function("timestamp", "int -> timestamp")
def time_of_seconds(seconds: int) -> Timestamp:
    return checked_time(seconds * _SECOND)


@function("timestamp", "string -> timestamp")
def time_of_text(text: str) -> Timestamp:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise _no_time(text, "write it like 2006-01-02T15:04:05Z")
    try:
        whole = datetime.fromisoformat(match[1]).replace(tzinfo=UTC) - _EPOCH
    except ValueError as error:
        raise _no_time(text, str(error)) from None
    seconds = whole.days * 86_400 + whole.seconds
    if match[3]:
        hours, minutes = int(match[4]), int(match[5])
        if hours > 24 or minutes > 59:
            raise _no_time(text, "its offset is out of range")
        seconds -= (hours * 3600 + minutes * 60) * (-1 if match[3] == "-" else 1)
    return checked_time(seconds * _SECOND + int((match[2] or "").ljust(9, "0")[:9]))


def _no_time(text: str, reason: str) -> Failure:
    return unconvertible(text, "google.protobuf.Timestamp", reason)


@function("duration", "string -> duration")
def duration_of_text(text: str) -> Duration:
    try:
        return Duration.from_common(text)
    except ValueError:
        reason = "write numbers with the units h, m, s, ms, us and ns, as in 1h30m"
        raise unconvertible(text, "google.protobuf.Duration", reason) from None


@function("string", "duration -> string")
def text_of_duration(value: Duration) -> str:
    """In seconds: 90s, 0.25s."""
    seconds, rest = divmod(abs(value), _SECOND)
    return format_number((seconds + rest / 1e9) * (-1 if value < 0 else 1)) + "s"


@function("string", "timestamp -> string")
def text_of_time(value: Timestamp) -> str:
    seconds, rest = divmod(value, _SECOND)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]}{fraction}Z"


# Parts. Of a time they are those of UTC, or of the zone that is named: "Europe/Berlin", "+02:00".


def _part(name: str, part: Callable[[datetime], int]) -> None:
    def of_utc(value: Timestamp) -> int:
        return part(_EPOCH + timedelta(seconds=value // _SECOND))

    def in_zone(value: Timestamp, zone: str) -> int:
        try:
            return part((_EPOCH + timedelta(seconds=value // _SECOND)).astimezone(_zone(zone)))
        except (ValueError, OverflowError) as error:
            raise Failure(str(error)) from None

    method(name, "timestamp -> int")(of_utc)
    method(name, "timestamp, string -> int")(in_zone)


@lru_cache(maxsize=100)
def _zone(name: str) -> Zone:
    match = _OFFSET.fullmatch(name)
    if match is None:
        return load_zone(name)
    if int(match[3]) > 59:
        raise ValueError(f"the zone {name!r} is out of range")
    return timezone((-1 if match[1] == "-" else 1) * timedelta(hours=int(match[2]), minutes=int(match[3])))


_part("getFullYear", lambda time: time.year)
_part("getMonth", lambda time: time.month - 1)
_part("getDayOfYear", lambda time: time.timetuple().tm_yday - 1)
_part("getDayOfMonth", lambda time: time.day - 1)
_part("getDate", lambda time: time.day)
_part("getDayOfWeek", lambda time: time.isoweekday() % 7)
_part("getHours", lambda time: time.hour)
_part("getMinutes", lambda time: time.minute)
_part("getSeconds", lambda time: time.second)


@method("getMilliseconds", "timestamp -> int", "timestamp, string -> int")
def milliseconds(value: Timestamp, zone: str = "") -> int:
    _zone(zone)
    return value % _SECOND // _MILLISECOND


def _whole(name: str, unit: int) -> None:
    def whole(value: Duration) -> int:
        units = abs(value) // unit
        return units if value >= 0 else -units

    method(name, "duration -> int")(whole)


_whole("getHours", 3600 * _SECOND)
_whole("getMinutes", 60 * _SECOND)
_whole("getSeconds", _SECOND)
_whole("getMilliseconds", _MILLISECOND)
