"""Points in time as a program has them, to nanoseconds since the epoch."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

__all__ = [
    "EARLIEST",
    "LATEST",
    "UNITS",
    "Nanoseconds",
    "microseconds",
    "milliseconds",
    "nanoseconds",
    "seconds",
    "time_ns",
]

UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
EARLIEST, LATEST = 315_532_800_000_000_000, 4_102_444_800_000_000_000
"""1980 and 2100: a bare number outside of them is one of another unit."""
_INT64_MIN, _INT64_MAX = -(2**63) + 2, 2**63 - 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION = re.compile(r"(?<=:\d\d)[.,](\d{1,9})\d*")


class Nanoseconds(int):
    """A time whose unit is known: any that can be stored is taken."""

    __slots__ = ()


def seconds(value: float) -> Nanoseconds:
    """A number of seconds since 1970."""
    return _scaled(value, UNITS["s"])


def milliseconds(value: float) -> Nanoseconds:
    """A number of milliseconds since 1970."""
    return _scaled(value, UNITS["ms"])


def microseconds(value: float) -> Nanoseconds:
    """A number of microseconds since 1970."""
    return _scaled(value, UNITS["us"])


def nanoseconds(value: int) -> Nanoseconds:
    """A number of nanoseconds since 1970."""
    return _scaled(value, 1)


def time_ns(value: Any, unit: str = "ns") -> int:
    """Nanoseconds since the epoch.

    | given | is |
    |---|---|
    | datetime, pandas.Timestamp | that time; without a zone it is local time, as everywhere in Python |
    | date | its midnight, local time |
    | int | a number of `unit`; it must lie between 1980 and 2100 |
    | float | seconds, as of time.time(); it must lie between 1980 and 2100 |
    | `seconds(...)`, `milliseconds(...)`, `microseconds(...)`, `nanoseconds(...)` | that time, any |
    | str | ISO 8601; without a zone it is local time |
    | numpy.datetime64 | that time, UTC |

    Raises TypeError for another type, ValueError for what is no time.
    """
    kind = type(value)
    if kind is Nanoseconds:
        return _storable(int(value), value)
    if isinstance(value, bool):
        raise TypeError("a bool is no time")
    if isinstance(value, datetime):
        return _storable(_of_datetime(value), value)
    if isinstance(value, date):
        return _storable(_of_datetime(datetime.combine(value, time())), value)
    if isinstance(value, int):
        return _plausible(int(value) * UNITS[unit], int(value), unit)
    if isinstance(value, float):
        return _plausible(_scaled(float(value), UNITS["s"]), value, "s")
    if isinstance(value, str):
        return _of_text(value)
    if kind.__name__ == "datetime64":
        number = int(value.astype("datetime64[ns]").astype("int64"))
        if number == -(2**63):
            raise ValueError("NaT is no time")
        return _storable(number, value)
    if hasattr(value, "__index__"):  # numpy's integers
        return time_ns(int(value), unit)
    raise TypeError(
        f"{value!r:.60} of type {kind.__name__} is no time; give a datetime, seconds as a float, or nanoseconds as an int"
    )


def _of_datetime(value: datetime) -> int:
    if value != value:  # pandas.NaT is a datetime
        raise ValueError("NaT is no time")
    extra = int(getattr(value, "nanosecond", 0))
    if type(value) is not datetime:  # pandas.Timestamp has methods of the same names that do something else
        value = datetime(
            value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond,
            value.tzinfo, fold=value.fold,
        )  # fmt: skip
    try:
        aware = value if value.tzinfo is not None else value.astimezone()
        # Whole numbers all the way: a float has no microseconds in 2026. pandas.Timestamp knows nanoseconds, too.
        since = aware.astimezone(UTC) - _EPOCH
    except (OverflowError, OSError) as error:
        raise ValueError(f"{value} cannot be converted: {error}") from None
    whole = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return whole * 1000 + extra


def _of_text(value: str) -> int:
    nanoseconds = 0
    text = value.strip()
    if fraction := _FRACTION.search(text):
        digits = fraction[1].ljust(9, "0")
        nanoseconds = int(digits)
        text = text[: fraction.start()] + text[fraction.end() :]
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{value!r:.60} is no time; give ISO 8601, such as 2026-01-31T12:00:00Z") from None
    return _storable(_of_datetime(parsed) + nanoseconds, value)


def _scaled(value: float, unit: int) -> Nanoseconds:
    if isinstance(value, int):
        return Nanoseconds(int(value) * unit)
    try:
        numerator, denominator = float(value).as_integer_ratio()
    except (ValueError, OverflowError):
        raise ValueError(f"{value} is no time") from None
    return Nanoseconds((2 * numerator * unit + denominator) // (2 * denominator))


def _storable(ns: int, value: object) -> int:
    if not _INT64_MIN <= ns <= _INT64_MAX:
        raise ValueError(f"the time {value!s:.60} is out of range: from 1677 to 2262 can be stored")
    return ns


def _plausible(ns: int, value: object, unit: str) -> int:
    if EARLIEST <= ns <= LATEST:
        return int(ns)
    number = ns // UNITS[unit]
    meant = [name for name, size in UNITS.items() if EARLIEST <= number * size <= LATEST]
    names = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}
    if meant:
        advice = f"it looks like {names[meant[0]]}: give {names[meant[0]]}({value})"
    else:
        advice = f"if it is meant, give {names[unit]}({value})"
    raise ValueError(f"the time {value!s:.40} is {_shown(ns)} as {names[unit]}; {advice}")


def _shown(ns: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=ns // 1000)).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        return "beyond the year 9999"
