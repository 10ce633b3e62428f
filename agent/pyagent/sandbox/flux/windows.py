"""window() and aggregateWindow()."""

from bisect import bisect_left
from itertools import pairwise
from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.aggregates import SELECTORS, SIMPLE, aggregate
from pyagent.sandbox.flux.calendar import INF, MAX_WINDOWS, ZERO, check_every, count_windows, too_many, windows
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked, duration, place_of
from pyagent.sandbox.flux.plan import concrete
from pyagent.sandbox.flux.reshape import duplicated
from pyagent.sandbox.flux.source import Source, Windowed
from pyagent.sandbox.flux.tables import TIME, Stream, Table, key_order, regroup, same_key
from pyagent.sandbox.flux.values import Callee, Duration, Location
from pyagent.sandbox.flux.windowed import Limits, by_storage, in_place, named_function
from pyagent.sandbox.limits import account

WINDOWS: Registry = {}

_NOTHING_SET = 'window function requires at least one of "every" or "period" to be set and non-zero'


def needed(stream: Stream) -> tuple[int, int]:
    """The range that the rows come from.

    Raises:
        InfluxError: there is none.
    """
    if stream.bounds is None:
        words = "nil bounds passed to window; use range to set the window range"
        raise InfluxError("invalid", f"failed to initialize execute state: {words}", final=True)
    return stream.bounds


def _check_window(every: Any = ZERO, period: Any = ZERO, createEmpty: bool = False, **_: Any) -> None:
    if duration(every, "every") == ZERO and duration(period, "period") == ZERO:
        raise invalid(f'error calling function "_window" @universe/universe.flux|2823:12-2832:10: {_NOTHING_SET}')


@builtin(WINDOWS, "window")
@checked(_check_window)
def window(
    context: Context, tables: Stream, every: Any = ZERO, period: Any = ZERO, offset: Any = ZERO, location: Any = None,
    timeColumn: str = "_time", startColumn: str = "_start", stopColumn: str = "_stop", createEmpty: bool = False,
) -> Stream:  # fmt: skip
    step, length = duration(every, "every"), duration(period, "period")
    shift, place = duration(offset, "offset"), place_of(context, location)
    step, length = (step if step != ZERO else length), (length if length != ZERO else step)
    first, last = needed(tables)
    check_every(step)
    limits = (step, length, shift, place)
    names = (timeColumn, startColumn, stopColumn)
    plain = names == ("_time", "_start", "_stop") and step == length and step != INF
    made: list[Table] = []
    for table in tables.tables:
        made += _in_windows(table, limits, (first, last), *names, createEmpty)
    if isinstance(tables, Source) and plain:
        return Windowed(made)
    return Stream(regroup(made, lambda table: table.key))


def _spans(
    first: int, last: int, every: Duration, period: Duration, offset: Duration, place: Location
) -> list[tuple[int, int]]:
    if count_windows(first, last, every) > MAX_WINDOWS:
        raise too_many()
    return list(windows(first, last, every, period, offset, place))


def _in_windows(
    table: Table, limits: Limits, bounds: tuple[int, int], time: str, start: str, stop: str, empty: bool
) -> list[Table]:
    """A table's rows by windows, each in the order that they had; tables in the order of their keys.

    A window is cut to the range; one that lies outside of it becomes the whole range, as in InfluxDB.
    """
    if time not in table.types:
        raise invalid(f'missing time column "{time}"')
    if limits[0] == INF:
        return [_moved(table, *bounds, start, stop)] if table.size or empty else []
    times = table.data[time]
    order = [at for at, value in enumerate(times) if value is not None]
    if any(times[a] > times[b] for a, b in pairwise(order)):
        order.sort(key=times.__getitem__)
    ordered = [times[at] for at in order]
    found: dict[tuple[int, int], list[int]] = {}
    first, last = bounds
    if empty:
        found = {(max(low, first), min(high, last)): [] for low, high in _spans(first, last, *limits)}
    if ordered:
        for low, high in _spans(ordered[0], ordered[-1] + 1, *limits):
            some = order[bisect_left(ordered, low) : bisect_left(ordered, high)]
            if some:
                inside = low < last and first < high
                found.setdefault((max(low, first), min(high, last)) if inside else bounds, []).extend(some)
    made = []
    for (low, high), some in found.items():
        part = _moved(table.pick(sorted(some)), low, high, start, stop)
        account((part,))
        made.append(part)
    return sorted(made, key=key_order)


def _moved(table: Table, low: int, high: int, start: str, stop: str) -> Table:
    made = table.with_columns(**{start: (TIME, [low] * table.size), stop: (TIME, [high] * table.size)})
    key = {**table.key, start: low, stop: high}
    made.key = {name: key[name] for name in made.types if name in key}
    return made


def _check_aggregate_window(every: Any, period: Any = ZERO, **_: Any) -> None:
    if duration(every, "every") == ZERO and duration(period, "period") == ZERO:
        raise invalid(f'error calling function "window" @universe/universe.flux|3894:12-3900:10: {_NOTHING_SET}')


@builtin(WINDOWS, "aggregateWindow")
@checked(_check_aggregate_window)
def aggregate_window(
    context: Context, tables: Stream, every: Any, fn: Callee, period: Any = ZERO, offset: Any = ZERO, location: Any = None,
    column: str = "_value", timeSrc: str = "_stop", timeDst: str = "_time", createEmpty: bool = True,
) -> Stream:  # fmt: skip
    step, length = duration(every, "every"), duration(period, "period")
    shift, place = duration(offset, "offset"), place_of(context, location)
    step, length = (step if step != ZERO else length), (length if length != ZERO else step)
    if isinstance(tables, Source):
        tables.columns()  # a read without a range or a bucket is refused with its own words
    first, last = needed(tables)
    check_every(step)
    limits = (step, length, shift, place)
    name = named_function(fn)
    plain = timeSrc in ("_stop", "_start") and timeDst == "_time" and step != INF and length.ns >= 0 <= length.months
    if createEmpty and step != INF and count_windows(first, last, step) > MAX_WINDOWS:
        raise too_many()
    by_name = (name in SIMPLE and name != "spread") or name in SELECTORS
    if plain and by_name and isinstance(tables, Source) and column == "_value" and length == step:
        return by_storage(tables, step, shift, place, name, createEmpty, timeSrc)
    if plain and name in ("mean", "sum", "count"):
        made = tables.each(lambda table: in_place(table, (first, last), limits, name, column, createEmpty, timeSrc))
        return Stream(regroup(made.tables, lambda table: table.key, ordered=False))
    parts: list[Table] = []
    for table in tables.tables:
        parts += _in_windows(table, limits, (first, last), "_time", "_start", "_stop", createEmpty)
    parts.sort(key=key_order)
    reduced = concrete(fn(tables=Stream(parts).within((first, last)), column=column)).tables
    return _stamped(reduced, (first, last), timeSrc, timeDst, createEmpty)


def _stamped(reduced: list[Table], bounds: tuple[int, int], source: str, target: str, empty: bool) -> Stream:
    """What follows the function: a row for an empty table, the time, and one table again."""
    groups: dict[tuple[Any, ...], list[Table]] = {}
    for table in reduced:
        if empty and not table.size:
            table = Table(table.key, table.types, {name: [table.key.get(name)] for name in table.types}, 1)
        table = duplicated(table, source, target)
        if table.size:
            moved = _moved(table, *bounds, "_start", "_stop")
            groups.setdefault(same_key(moved), []).append(moved)
    return Stream(regroup([part for parts in groups.values() for part in parts], lambda table: table.key))


@builtin(WINDOWS, "timedMovingAverage")
def timed_moving_average(context: Context, tables: Stream, every: Any, period: Any, column: str = "_value") -> Stream:
    mean = Callee("mean", {"tables": True, "column": False}, "tables", lambda given: _mean(given["tables"], column))
    made: Stream = aggregate_window(
        context, tables, every=every, period=period, fn=mean, column=column, createEmpty=False
    )
    return made


def _mean(stream: Stream, column: str) -> Stream:
    return aggregate(stream, SIMPLE["mean"], column)
