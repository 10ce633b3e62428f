"""The packages date, system, timezone and interpolation of times."""

from collections.abc import Callable
from typing import Any

from pyagent.sandbox.flux import calendar
from pyagent.sandbox.flux.library import Context, Registry, builtin, duration, place_of, to_time
from pyagent.sandbox.flux.tables import LONG, TIME
from pyagent.sandbox.flux.values import NANOSECONDS, Duration, Time, add_duration
from pyagent.sandbox.times import civil, days_of

DATE: Registry = {}
SYSTEM: Registry = {}
TIMEZONE: Registry = {}

_DAY = NANOSECONDS["d"]


def _time(context: Context, value: Any, argument: str) -> int:
    return to_time(context, value, argument)


def _iso_week(local: int) -> int:
    days = local // _DAY
    thursday = days - (days + 3) % 7 + 3
    year = civil(thursday * _DAY)[0]
    return (thursday - days_of(year, 1, 1)) // 7 + 1


_PARTS: dict[str, Callable[[int], int]] = {
    "year": lambda local: civil(local)[0],
    "month": lambda local: civil(local)[1],
    "monthDay": lambda local: civil(local)[2],
    "quarter": lambda local: (civil(local)[1] - 1) // 3 + 1,
    "yearDay": lambda local: local // _DAY - days_of(civil(local)[0], 1, 1) + 1,
    "weekDay": lambda local: (local // _DAY + 4) % 7,
    "week": _iso_week,
    "hour": lambda local: local // NANOSECONDS["h"] % 24,
    "minute": lambda local: local // NANOSECONDS["m"] % 60,
    "second": lambda local: local // 10**9 % 60,
    "millisecond": lambda local: local // 10**6 % 1000,
    "microsecond": lambda local: local // 1000 % 10**6,
    "nanosecond": lambda local: local % 10**9,
}


def _part(name: str, work: Callable[[int], int]) -> None:
    if name in ("second", "millisecond", "microsecond", "nanosecond"):

        @builtin(DATE, name, pipe=None, result=LONG)
        def plain(context: Context, t: Any) -> int | None:
            return None if t is None else work(_time(context, t, "t"))

        return

    @builtin(DATE, name, pipe=None, result=LONG)
    def placed(context: Context, t: Any, location: Any = None) -> int | None:
        return None if t is None else work(calendar.to_local(_time(context, t, "t"), place_of(context, location)))


for _name, _work in _PARTS.items():
    _part(_name, _work)


@builtin(DATE, "time", pipe=None, result=TIME)
def time(context: Context, t: Any, location: Any = None) -> Time:
    return Time(calendar.to_local(_time(context, t, "t"), place_of(context, location)))


@builtin(DATE, "truncate", pipe=None, result=TIME)
def truncate(context: Context, t: Any, unit: Any, location: Any = None) -> Time | None:
    if t is None:
        return None
    return calendar.truncate(_time(context, t, "t"), duration(unit, "unit"), place_of(context, location))


def _moved(time: int, by: Duration, context: Context, location: Any) -> Time:
    place = place_of(context, location)
    return Time(calendar.from_local(add_duration(calendar.to_local(time, place), by), place))


@builtin(DATE, "add", pipe=None, result=TIME)
def add(context: Context, d: Any, to: Any, location: Any = None) -> Time | None:
    return None if to is None else _moved(_time(context, to, "to"), duration(d, "d"), context, location)


@builtin(DATE, "sub", pipe=None, result=TIME)
def sub(context: Context, from_: Any, d: Any, location: Any = None) -> Time | None:
    return None if from_ is None else _moved(_time(context, from_, "from"), -duration(d, "d"), context, location)


@builtin(DATE, "scale", pipe=None)
def scale(context: Context, d: Any, n: int) -> Duration:
    return duration(d, "d").times(n)


def _number(value: int) -> Callable[[Any], Any]:
    return lambda context: value


for _number_of, _names in (
    (0, ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")),
    (1, ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
         "December")),
):  # fmt: skip
    for _at, _name in enumerate(_names, _number_of):
        DATE[_name] = _number(_at)


@builtin(SYSTEM, "time", pipe=None, result=TIME)
def system_time(context: Context) -> Time:
    return Time(context.now)


@builtin(TIMEZONE, "location", pipe=None)
def location(context: Context, name: str) -> dict[str, Any]:
    if name not in ("UTC", "Local"):
        calendar.zone(name)
    return {"zone": "UTC" if name == "Local" else name, "offset": calendar.ZERO}


@builtin(TIMEZONE, "fixed", pipe=None)
def fixed(context: Context, offset: Any) -> dict[str, Any]:
    return {"zone": "UTC", "offset": duration(offset, "offset")}


TIMEZONE["utc"] = lambda context: {"zone": "UTC", "offset": calendar.ZERO}
