"""Windows of time: where they start and end, in UTC or by the clock of a place."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.values import NANOSECONDS, UTC_LOCATION, Duration, Location, Time, add_duration
from pyagent.sandbox.limits import check
from pyagent.sandbox.times import civil, days_of

INF: Final = Duration(0, 2**63 - 1)
ZERO: Final = Duration(0, 0)
MAX_WINDOWS: Final = 1_000_000
_DAY: Final = NANOSECONDS["d"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(64)
def zone(name: str) -> ZoneInfo:
    """A zone of the machine's time-zone database.

    Raises:
        InfluxError: it has no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):
        raise invalid(f"unknown time zone {name}") from None
    except KeyError:  # ZoneInfoNotFoundError
        raise invalid(f"unknown time zone {name}") from None


def to_local(time: int, place: Location) -> int:
    """What the place's clocks show at that time, as ns since their epoch."""
    if place == UTC_LOCATION:
        return time
    shifted = time + place.offset.ns
    if place.zone == "UTC":
        return shifted
    seconds = shifted // 10**9
    try:
        offset = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone(place.zone)).utcoffset()
    except OverflowError:
        return shifted
    return shifted + int((offset or timedelta()).total_seconds()) * 10**9


def from_local(shown: int, place: Location) -> int:
    """The time at which the place's clocks show that; in a gap the time at which it begins."""
    if place == UTC_LOCATION:
        return shown
    if place.zone == "UTC":
        return shown - place.offset.ns
    seconds, rest = divmod(shown, 10**9)
    tz = zone(place.zone)
    try:
        naive = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None)
        early, late = naive.replace(tzinfo=tz, fold=0).utcoffset(), naive.replace(tzinfo=tz, fold=1).utcoffset()
    except OverflowError:
        return shown - place.offset.ns
    offset = early or timedelta()
    if early is not None and late is not None and early < late:  # the clocks skip this: the later offset starts here
        before = shown - int(late.total_seconds()) * 10**9
        after = shown - int(early.total_seconds()) * 10**9
        rest = 0
        low, high = before // 10**9, after // 10**9
        while low < high:  # the second from which the later offset holds
            middle = (low + high) // 2
            if (_EPOCH + timedelta(seconds=middle)).astimezone(tz).utcoffset() == late:
                high = middle
            else:
                low = middle + 1
        return low * 10**9 - place.offset.ns
    return seconds * 10**9 - int(offset.total_seconds()) * 10**9 + rest - place.offset.ns


def check_every(every: Duration) -> None:
    """Refuse what cannot be the distance of windows.

    Raises:
        InfluxError: zero, negative, or months and nanoseconds together.
    """
    if every == ZERO:
        raise invalid("duration used as an interval cannot be zero")
    if every.months and every.ns:
        raise invalid("duration used as an interval cannot mix month and nanosecond units")
    if every.months < 0 or every.ns < 0:
        raise invalid("duration used as an interval cannot be negative")


def windows(
    start: int, stop: int, every: Duration, period: Duration, offset: Duration, place: Location = UTC_LOCATION
) -> Iterator[tuple[int, int]]:
    """The windows that touch the time from start to stop, in order; (first ns, ns behind the last).

    Raises:
        InfluxError: `every` is not usable, or there are too many windows.
    """
    check_every(every)
    if place == UTC_LOCATION and not every.months and not offset.months and not period.months and period.ns > 0:
        yield from _plain(start, stop, every.ns, period.ns, offset.ns)
        return
    index = _index(to_local(start, place), every, offset)
    if every.months:
        index -= 1 + (max(period.months, 0) + abs(period.ns) // (27 * _DAY) + 1) // every.months
    else:
        index -= 1 + (abs(period.ns) + period.months * 31 * _DAY) // every.ns
    count = 0
    while True:
        check()
        low, high = _bounds(index, every, period, offset, place)
        if low >= stop:
            return
        if high > start:
            yield low, high
            count += 1
            if count > MAX_WINDOWS:
                raise too_many()
        index += 1


def _plain(start: int, stop: int, every: int, period: int, offset: int) -> Iterator[tuple[int, int]]:
    first = start - (start - offset) % every
    first -= max(0, -(-period // every) - 1) * every
    if (stop - first) // every > MAX_WINDOWS:
        raise too_many()
    while first < stop:
        if first + period > start:
            yield first, first + period
        first += every


def count_windows(start: int, stop: int, every: Duration) -> int:
    """About how many windows there are."""
    return (stop - start) // (every.ns or every.months * 28 * _DAY)


def too_many() -> InfluxError:
    return invalid(f"window: more than {MAX_WINDOWS} windows; choose a longer `every` or a shorter range")


def _index(local: int, every: Duration, offset: Duration) -> int:
    if not every.months:
        return (local - add_duration(0, offset)) // every.ns
    year, month, _, _ = civil(local - offset.ns)
    return ((year - 1970) * 12 + month - 1 - offset.months) // every.months


def _bounds(index: int, every: Duration, period: Duration, offset: Duration, place: Location) -> tuple[int, int]:
    if every.months:
        months = index * every.months
        first = days_of(1970 + months // 12, months % 12 + 1, 1) * _DAY
    else:
        first = index * every.ns
    low = add_duration(first, offset)
    high = add_duration(low, period)
    if high < low:
        low, high = high, low
    return from_local(low, place), from_local(high, place)


def truncate(time: int, unit: Duration, place: Location = UTC_LOCATION) -> Time:
    """The start of the unit that a time lies in.

    Raises:
        InfluxError: the unit is not usable.
    """
    check_every(unit)
    return Time(_bounds(_index(to_local(time, place), unit, ZERO), unit, unit, ZERO, place)[0])
