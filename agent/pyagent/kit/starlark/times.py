"""`time.star`: times and durations, as Go's module `time` of Starlark has them."""

import re
import time as clock
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from pyagent.api import Duration
from pyagent.api.metric import INT64_MAX, INT64_MIN
from pyagent.kit.layouts import TimeLayout
from pyagent.kit.starlark.values import Bound, Builtin, Host, Module, StarlarkError, type_of
from pyagent.kit.timestamps import Zone, layout_elements, load_zone, parse_timestamp

__all__ = ["TIME"]

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {
    "nanosecond": 1,
    "microsecond": 1_000,
    "millisecond": 1_000_000,
    "second": _SECOND,
    "minute": 60 * _SECOND,
    "hour": 3600 * _SECOND,
}
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")
_RFC3339 = "2006-01-02T15:04:05Z07:00"


def _within(ns: int) -> int:
    if not INT64_MIN <= ns <= INT64_MAX:
        raise StarlarkError("the time is out of range")
    return ns


class DurationValue(Host):
    __slots__ = ("ns",)

    kind = "time.duration"

    def __init__(self, ns: int) -> None:
        self.ns = _within(ns)

    def __bool__(self) -> bool:
        return self.ns != 0

    def attribute(self, name: str) -> Any:
        ns = self.ns
        match name:
            case "hours" | "minutes" | "seconds":
                return ns / _UNITS[name[:-1]]
            case "milliseconds" | "microseconds":
                return int(ns / _UNITS[name[:-1]])
            case "nanoseconds":
                return ns
        raise KeyError(name)

    def attributes(self) -> list[str]:
        return ["hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"]

    def text(self) -> str:
        return str(Duration(self.ns)).replace("us", "µs")

    def binary(self, op: str, other: Any, *, swapped: bool) -> Any:
        ns = self.ns
        match op, other:
            case "neg", None:
                return DurationValue(-ns)
            case "+", DurationValue():
                return DurationValue(ns + other.ns)
            case "-", DurationValue():
                return DurationValue(ns - other.ns)
            case "/" | "//", DurationValue() if other.ns == 0:
                raise StarlarkError("time.duration division by zero")
            case "/", DurationValue():
                return ns / other.ns
            case "//", DurationValue():
                return int(ns / other.ns)
            case "*", int():
                return DurationValue(ns * other)
            case "/", int() | float() if not swapped:
                if other == 0:
                    raise StarlarkError("time.duration division by zero")
                return DurationValue(int(ns / other))
        return NotImplemented

    def compare(self, other: Any) -> int | None:
        return self.ns - other.ns if isinstance(other, DurationValue) else None


class TimeValue(Host):
    """A point in time, ns since the epoch, and the zone that it is shown in."""

    __slots__ = ("ns", "zone")

    kind = "time.time"

    def __init__(self, ns: int, zone: Zone = UTC) -> None:
        self.ns = _within(ns)
        self.zone = zone

    def _local(self) -> datetime:
        seconds = self.ns // _SECOND
        if self.zone is None:
            return datetime.fromtimestamp(seconds).astimezone()
        return (_EPOCH + timedelta(seconds=seconds)).astimezone(self.zone)

    def attribute(self, name: str) -> Any:
        match name:
            case "year" | "month" | "day" | "hour" | "minute" | "second":
                return getattr(self._local(), name)
            case "nanosecond":
                return self.ns % _SECOND
            case "unix":
                return self.ns // _SECOND
            case "unix_nano":
                return self.ns
            case "in_location":
                return Bound(self, name, _in_location)
            case "format":
                return Bound(self, name, _format)
        raise KeyError(name)

    def attributes(self) -> list[str]:
        return [
            "year",
            "month",
            "day",
            "hour",
            "minute",
            "second",
            "nanosecond",
            "unix",
            "unix_nano",
            "in_location",
            "format",
        ]

    def text(self) -> str:
        return self.format("2006-01-02 15:04:05.999999999 -0700 MST")

    def format(self, layout: str) -> str:
        local = self._local()
        offset = local.utcoffset() or timedelta()
        shifted = self.ns + int(offset.total_seconds()) * _SECOND
        name = local.tzname() or "UTC"
        return "".join([text + _element(part, shifted, offset, name) for text, part in layout_elements(layout)])

    def binary(self, op: str, other: Any, *, swapped: bool) -> Any:
        match op, other:
            case "+", DurationValue():
                return TimeValue(self.ns + other.ns, self.zone)
            case "-", DurationValue() if not swapped:
                return TimeValue(self.ns - other.ns, self.zone)
            case "-", TimeValue() if not swapped:
                return DurationValue(self.ns - other.ns)
        return NotImplemented

    def compare(self, other: Any) -> int | None:
        return self.ns - other.ns if isinstance(other, TimeValue) else None


_layout = lru_cache(maxsize=64)(TimeLayout)


def _element(element: str, shifted: int, offset: timedelta, name: str) -> str:
    if element == "MST":
        return name
    if element[:1] not in ("Z", "-"):
        return _layout(element).format(shifted)
    if element[0] == "Z" and not offset:
        return "Z"
    minutes = abs(int(offset.total_seconds())) // 60
    digits = iter(f"{minutes // 60:02d}{minutes % 60:02d}00")
    sign = "-" if offset < timedelta() else "+"
    return sign + "".join([next(digits) if character.isdigit() else character for character in element[1:]])


def _in_location(value: Any, name: Any, /) -> TimeValue:
    return TimeValue(value.ns, _zone(name))


def _format(value: Any, layout: Any, /) -> str:
    return str(value.format(_text(layout, "format")))


def _text(value: Any, what: str) -> str:
    if type(value) is not str:
        raise StarlarkError(f"{what}: got {type_of(value)}, want string")
    return value


def _whole(value: Any, what: str) -> int:
    if type(value) is not int:
        raise StarlarkError(f"{what}: got {type_of(value)}, want int")
    return value


def _zone(name: Any) -> Zone:
    try:
        return load_zone(_text(name, "location"))
    except ValueError:
        raise StarlarkError(f"unknown time zone {name}") from None


def _from_timestamp(sec: Any, nsec: Any = 0, /) -> TimeValue:
    return TimeValue(_whole(sec, "from_timestamp") * _SECOND + _whole(nsec, "from_timestamp"), None)


def _is_valid_timezone(location: Any, /) -> bool:
    try:
        _zone(location)
    except StarlarkError:
        return False
    return True


def _parse_duration(text: Any, /) -> DurationValue:
    if isinstance(text, DurationValue):
        return text
    if type(text) is not str:
        raise StarlarkError(f"parse_duration: got {type_of(text)}, want a duration, string, or int")
    try:
        return DurationValue(int(Duration.from_common(text)))
    except ValueError:
        raise StarlarkError(f'time: invalid duration "{text}"') from None


def _own_zone(text: str, layout: str) -> Zone:
    """The zone that a time itself has, as hours and minutes; None where it has none."""
    if not any(element[:1] in ("Z", "-") for _, element in layout_elements(layout)):
        return None
    found = _OFFSET.findall(text)
    if not found or text.endswith("Z"):
        return UTC
    sign, hours, minutes = found[-1]
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return timezone(-offset if sign == "-" else offset, f"{sign}{hours}{minutes or '00'}") if offset else UTC


def _parse_time(x: Any, format: Any = _RFC3339, location: Any = "UTC") -> TimeValue:  # its name there
    zone = _zone(location)
    try:
        ns = parse_timestamp(_text(format, "parse_time"), _text(x, "parse_time"), zone)
        return TimeValue(ns, _own_zone(x, format) or zone)
    except ValueError as error:
        raise StarlarkError(f'parsing time "{x}" as "{format}": {error}') from None


def _time(
    year: Any = 0,
    month: Any = 0,
    day: Any = 0,
    hour: Any = 0,
    minute: Any = 0,
    second: Any = 0,
    nanosecond: Any = 0,
    location: Any = "UTC",
) -> TimeValue:
    """Months and days out of their range count on, as in Go: the month 0 is December of the year before."""
    for number in (year, month, day, hour, minute, second, nanosecond):
        _whole(number, "time")
    zone = _zone(location)
    years, months = divmod(month - 1, 12)
    try:
        local = datetime(year + years, months + 1, 1) + timedelta(day - 1, second, 0, 0, minute, hour)
        seconds = int(local.astimezone().timestamp() if zone is None else local.replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError, OSError):
        raise StarlarkError("time: the date is out of range") from None
    return TimeValue(seconds * _SECOND + nanosecond, zone)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "from_timestamp": _from_timestamp,
    "is_valid_timezone": _is_valid_timezone,
    "now": lambda: TimeValue(clock.time_ns(), None),
    "parse_duration": _parse_duration,
    "parse_time": _parse_time,
    "time": _time,
}
TIME = Module(
    "time",
    {name: Builtin(f"time.{name}", function) for name, function in _FUNCTIONS.items()}
    | {name: DurationValue(ns) for name, ns in _UNITS.items()},
)
