"""Windows of time: window() and aggregateWindow()."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.aggregates import NUMBERS, SELECTORS, SIMPLE, aggregate
from pyagent.sandbox.flux.library import Context, Registry, builtin, duration
from pyagent.sandbox.flux.source import TYPES, Source, Windowed, check_types, decode_all
from pyagent.sandbox.flux.tables import LONG, TIME, Stream, Table, regroup
from pyagent.sandbox.flux.values import Callee, Duration, add_duration
from pyagent.sandbox.times import civil, days_of

WINDOWS: Registry = {}

INF = Duration(0, 2**63 - 1)
_ZERO = Duration(0, 0)
_DAY = 86400 * 10**9
MAX_WINDOWS = 1_000_000


def windows(start: int, stop: int, every: Duration, period: Duration, offset: Duration) -> Iterator[tuple[int, int]]:
    """The windows that touch the time from start to stop, in order; (first ns, ns behind the last).

    Raises:
        InfluxError: `every` is not usable.
    """
    if (every.months and every.ns) or every.months < 0 or every.ns < 0 or every == _ZERO:
        raise invalid(
            'window function requires at least one of "every" or "period" to be set and positive, in months or in nanoseconds'
        )
    if every.months:
        year, month, _, _ = civil(start - offset.ns)
        index = (year * 12 + month - 1) // every.months * every.months
        while True:
            first = _month(index)
            first, last = add_duration(first, offset), add_duration(add_duration(first, period), offset)
            if first >= stop:
                return
            if last > start:
                yield first, last
            index += every.months
    first = start - (start - offset.ns) % every.ns
    back = max(0, -(-period.ns // every.ns) - 1) if period.ns else 0
    first -= back * every.ns
    if (stop - first) // every.ns > MAX_WINDOWS:
        raise invalid(f"window: more than {MAX_WINDOWS} windows; choose a longer `every` or a shorter range")
    while first < stop:
        last = add_duration(first, period)
        if last > start:
            yield first, last
        first += every.ns


def _month(index: int) -> int:
    return days_of(index // 12, index % 12 + 1, 1) * _DAY


def bounds(table: Table) -> tuple[int, int]:
    """The range that the table's rows come from.

    Raises:
        InfluxError: nothing says it.
    """
    found = []
    for name in ("_start", "_stop"):
        value = table.key.get(name)
        if value is None and table.types.get(name) == TIME:
            values = [time for time in table.data[name] if time is not None]
            value = (min(values) if name == "_start" else max(values)) if values else None
        if value is None:
            raise invalid("nil bounds passed to window; use range to set the window range")
        found.append(value)
    return found[0], found[1]


@builtin(WINDOWS, "window")
def window(
    context: Context, tables: Stream, every: Any = _ZERO, period: Any = _ZERO, offset: Any = _ZERO, location: Any = None,
    timeColumn: str = "_time", startColumn: str = "_start", stopColumn: str = "_stop", createEmpty: bool = False,
) -> Stream:  # fmt: skip
    step, length, shift = (
        duration(every, "window: every"),
        duration(period, "window: period"),
        duration(offset, "window: offset"),
    )
    step, length = (step if step != _ZERO else length), (length if length != _ZERO else step)
    made = []
    for table in tables.tables:
        made += _windowed(table, step, length, shift, timeColumn, startColumn, stopColumn, createEmpty)
    if isinstance(tables, Source) and step != INF:
        return Windowed(made)
    return Stream(regroup(made, lambda table: table.key) if step == INF else made)


def _windowed(
    table: Table, every: Duration, period: Duration, offset: Duration, time: str, start: str, stop: str, empty: bool
) -> list[Table]:
    first, last = bounds(table)
    if every == INF:
        return [_moved(table, first, last, start, stop)]
    times = table.need(time, "window")
    order = sorted((position for position, value in enumerate(times) if value is not None), key=times.__getitem__)
    ordered = [times[position] for position in order]
    made = []
    for low, high in windows(first, last, every, period, offset):
        low, high = max(low, first), min(high, last)
        some = order[bisect_left(ordered, low) : bisect_left(ordered, high)]
        if some or empty:
            made.append(_moved(table.take(sorted(some)), low, high, start, stop))
    return made


def _moved(table: Table, low: int, high: int, start: str, stop: str) -> Table:
    made = table.with_columns(**{start: (TIME, [low] * table.size), stop: (TIME, [high] * table.size)})
    made.key = {**table.key, start: low, stop: high}
    return made


@builtin(WINDOWS, "aggregateWindow")
def aggregate_window(
    context: Context, tables: Stream, every: Any, fn: Callee, period: Any = _ZERO, offset: Any = _ZERO, location: Any = None,
    column: str = "_value", timeSrc: str = "_stop", timeDst: str = "_time", createEmpty: bool = True,
) -> Stream:  # fmt: skip
    step, length, shift = (
        duration(every, "aggregateWindow: every"),
        duration(period, "period"),
        duration(offset, "offset"),
    )
    length = length if length != _ZERO else step
    plain = (timeSrc in ("_stop", "_start")) and timeDst == "_time" and fn.name in (*SIMPLE, *SELECTORS) and step != INF
    if not plain or (fn.name in SELECTORS and not isinstance(tables, Source)) or fn.name == "spread":
        return _any_function(tables, step, length, shift, fn, column, timeSrc, timeDst, createEmpty)
    if isinstance(tables, Source) and not tables.selection.of_rows and column == "_value" and not step.months:
        by_sql = _by_sql(tables, step, length, shift, fn.name, createEmpty, timeSrc)
        if by_sql is not None:
            return Stream(by_sql)
    made = []
    for table in tables.tables:
        first, last = bounds(table)
        stamps, values = _aggregated(
            table, list(windows(first, last, step, length, shift)), fn.name, column, createEmpty, timeSrc
        )
        if not stamps:
            continue
        kind = SIMPLE[fn.name].kind(table.types[column]) if fn.name in SIMPLE else table.types[column]
        made.append(_laid_out(table, stamps, values, kind, column, isinstance(tables, Source)))
    return Stream(made)


_SQL = {
    "count": "count(*)",
    "min": "min(value)",
    "max": "max(value)",
    "first": "value, min(time)",
    "last": "value, max(time)",
}
"""What SQL computes exactly as InfluxDB does. Sums of floats are left to Python: newer SQLites compensate them."""


def _by_sql(
    source: Source, every: Duration, period: Duration, offset: Duration, name: str, empty: bool, stamp: str
) -> list[Table] | None:
    """The tables of aggregateWindow; None when this is not for SQL."""
    if name not in _SQL or period != every or every.ns <= 0 or source.selection.start is None:
        return None
    first, last = source.bounds
    origin = first - (first - offset.ns) % every.ns
    spans = (last - origin + every.ns - 1) // every.ns
    if empty and spans > MAX_WINDOWS:
        raise invalid(f"window: more than {MAX_WINDOWS} windows; choose a longer `every` or a shorter range")
    made = []
    for column, row, found in source.rows(f"(time - {origin}) / {every.ns} AS number, {_SQL[name]}", "GROUP BY number"):
        if name in ("min", "max") and TYPES[column.type] not in NUMBERS:
            raise invalid(f"unsupported aggregate column type for {name}")
        decoded = decode_all("integer" if name == "count" else column.type, [value for _, value, *_ in found])
        values = dict(zip((number for number, *_ in found), decoded, strict=True))
        numbers = range(spans) if empty else sorted(values)
        lows = [origin + number * every.ns for number in numbers]
        stamps = [max(low, first) for low in lows] if stamp == "_start" else [min(low + every.ns, last) for low in lows]
        kind, nothing = (LONG, 0) if name == "count" else (TYPES[column.type], None)
        made.append(source.table(column, row, stamps, [values.get(number, nothing) for number in numbers], kind))
    return check_types(made)


def _aggregated(
    table: Table, spans: list[tuple[int, int]], name: str, column: str, empty: bool, source: str
) -> tuple[list[int], list[Any]]:
    """Times and values of one row per window."""
    first, last = bounds(table)
    times, values = table.need("_time", "aggregateWindow"), table.need(column, "aggregateWindow")
    if column in table.key:
        raise invalid("cannot aggregate columns that are part of the group key")
    if name in ("min", "max") and table.types[column] not in NUMBERS:
        raise invalid(f"unsupported aggregate column type for {name}")
    if any(a > b for a, b in pairwise(times)):
        order = sorted(range(table.size), key=times.__getitem__)
        times, values = [times[at] for at in order], [values[at] for at in order]
    function = SIMPLE.get(name)
    kind = function.kind(table.types[column]) if function else ""
    stamps: list[int] = []
    found: list[Any] = []
    at = 0
    for low, high in spans:
        low, high = max(low, first), min(high, last)
        begin = bisect_left(times, low, at)
        end = bisect_left(times, high, begin)
        if end == begin and not empty:
            continue
        some = values[begin:end]
        if function is not None:
            value = function.of(some, kind)
        else:
            position = SELECTORS[name](some)
            value = None if position is None else some[position]
        stamps.append(high if source == "_stop" else low)
        found.append(value)
        at = begin
    return stamps, found


def _laid_out(table: Table, stamps: list[int], values: list[Any], kind: str, column: str, from_storage: bool) -> Table:
    """The columns in the order that InfluxDB gives: the storage's own, or time, key and value."""
    first, last = bounds(table)
    size = len(stamps)
    key = {**table.key, "_start": first, "_stop": last}
    data: dict[str, list[Any]] = {name: [value] * size for name, value in key.items()}
    data |= {"_time": stamps, column: values}
    kinds = {**table.types, "_start": TIME, "_stop": TIME, "_time": TIME, column: kind}
    if from_storage:
        names = [name for name in table.types if name in data]
    else:
        names = ["_time", *(name for name in table.types if name in table.key)]
        names += [name for name in ("_start", "_stop") if name not in names]
        names.append(column)
    return Table(key, {name: kinds[name] for name in names}, {name: data[name] for name in names}, size)


def _any_function(
    tables: Stream,
    every: Duration,
    period: Duration,
    offset: Duration,
    fn: Callee,
    column: str,
    source: str,
    target: str,
    empty: bool,
) -> Stream:
    """window() |> fn() |> fill |> duplicate() |> window(every: inf), step by step."""
    made: list[Table] = []
    for table in tables.tables:
        first, last = bounds(table)
        parts = []
        for part in _windowed(table, every, period, offset, "_time", "_start", "_stop", empty):
            for reduced in fn(tables=Stream([part]), column=column).tables:
                if not reduced.size and empty:
                    reduced = Table(
                        reduced.key, reduced.types, {name: [reduced.key.get(name)] for name in reduced.types}, 1
                    )
                stamps = reduced.need(source, "aggregateWindow")
                moved = reduced.with_columns(**{target: (TIME, stamps)})
                parts.append(_moved(moved, first, last, "_start", "_stop"))
        made += regroup(parts, lambda part: part.key)
    return Stream(table for table in made if table.size)


@builtin(WINDOWS, "timedMovingAverage")
def timed_moving_average(context: Context, tables: Stream, every: Any, period: Any, column: str = "_value") -> Stream:
    mean = Callee(
        "mean", {"tables": True, "column": False}, "tables", lambda given: _mean(given["tables"], given["column"])
    )
    step, length = duration(every, "every"), duration(period, "period")
    return _any_function(tables, step, length, _ZERO, mean, column, "_stop", "_time", False)


def _mean(stream: Stream, column: str) -> Stream:
    return aggregate(stream, SIMPLE["mean"], column)
