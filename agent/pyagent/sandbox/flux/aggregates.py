"""Functions from a table to one value or one row, and those along a table's rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, duration, natural, text_list
from pyagent.sandbox.flux.source import TYPES, Grouped, Source, decode_all
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, FLUX_NAMES, LONG, STRING, TIME, UNSIGNED, Stream, Table
from pyagent.sandbox.flux.universe import group, limit, sort
from pyagent.sandbox.flux.values import Duration

AGGREGATES: Registry = {}

NUMBERS = (LONG, UNSIGNED, DOUBLE)
_SECOND = Duration(0, 10**9)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """From a column's values without null to one value; an empty column gives null, or `empty`."""

    name: str
    work: Callable[[list[Any]], Any]
    result: str | None
    """The result's type; None: that of the column."""
    takes: tuple[str, ...]
    empty: Any = None

    def kind(self, column: str) -> str:
        if column not in self.takes:
            raise invalid(f"unsupported input type for {self.name} aggregate: {FLUX_NAMES[column]}")
        return self.result or column

    def of(self, values: list[Any], kind: str) -> Any:
        if self.name == "count":
            return len(values)
        found = [value for value in values if value is not None]
        if not found:
            return self.empty
        value = self.work(found)
        if self.result is None and kind in (LONG, UNSIGNED):
            return value % 2**64 if kind == UNSIGNED else (value + 2**63) % 2**64 - 2**63
        return value


def total(values: list[Any]) -> Any:
    """The sum from left to right, without the compensation that newer versions of sum() apply."""
    return reduce(add, values)


def _mean(values: list[Any]) -> float:
    return float(total(values) / len(values))


def _stddev(mode: str) -> Callable[[list[Any]], float]:
    def work(values: list[Any]) -> float:
        if mode == "sample" and len(values) < 2:
            return math.nan
        count, mean, squares = 0, 0.0, 0.0
        for value in values:
            count += 1
            delta = value - mean
            mean += delta / count
            squares += delta * (value - mean)
        return math.sqrt(squares / (count if mode == "population" else count - 1))

    return work


def quantile_of(values: list[Any], q: float) -> float:
    """What a t-digest whose centroids hold one value each gives."""
    ordered = sorted(float(value) for value in values)
    count = len(ordered)
    index = q * count
    if count == 1 or index <= 0.5:
        return ordered[0]
    lower = math.ceil(index - 0.5)
    if lower >= count:
        return ordered[-1]
    weight = index - (lower - 0.5)
    return ordered[lower - 1] * (1 - weight) + ordered[lower] * weight


SIMPLE = {
    one.name: one
    for one in (
        Aggregate("count", len, LONG, (*NUMBERS, BOOLEAN, STRING, TIME), 0),
        Aggregate("sum", total, None, NUMBERS),
        Aggregate("mean", _mean, DOUBLE, NUMBERS),
        Aggregate("spread", lambda values: max(values) - min(values), None, NUMBERS),
    )
}


def first_of(values: list[Any]) -> int | None:
    return next((position for position, value in enumerate(values) if value is not None), None)


def last_of(values: list[Any]) -> int | None:
    return next((position for position in range(len(values) - 1, -1, -1) if values[position] is not None), None)


def min_of(values: list[Any]) -> int | None:
    found = [position for position, value in enumerate(values) if value is not None]
    return min(found, key=values.__getitem__, default=None)


def max_of(values: list[Any]) -> int | None:
    found = [position for position, value in enumerate(values) if value is not None]
    return max(found, key=values.__getitem__, default=None)


SELECTORS: dict[str, Callable[[list[Any]], int | None]] = {
    "first": first_of,
    "last": last_of,
    "min": min_of,
    "max": max_of,
}
"""From a column's values to the position of the row that is selected."""

_SQL_ORDER = {
    "first": "ORDER BY time LIMIT 1",
    "last": "ORDER BY time DESC LIMIT 1",
    "min": "ORDER BY value, time LIMIT 1",
    "max": "ORDER BY value DESC, time LIMIT 1",
}


def aggregate(stream: Stream, function: Aggregate, column: str) -> Stream:
    """One row per table: the key's columns, and the value."""
    if (
        isinstance(stream, Source)
        and column == "_value"
        and not stream.selection.of_rows
        and function.name in ("count", "sum", "mean")
    ):
        return _from_sql(stream, function)

    def work(table: Table) -> Table:
        values = table.need(column, function.name)
        if column in table.key:
            raise invalid("cannot aggregate columns that are part of the group key")
        kind = function.kind(table.types[column])
        types = {name: table.types[name] for name in table.types if name in table.key}
        if isinstance(stream, Grouped) and function.name in ("count", "sum"):
            types = {
                "_start": TIME,
                "_stop": TIME,
                column: kind,
                **{name: STRING for name in stream.names if name in types},
            }
        data: dict[str, list[Any]] = {name: [table.key[name]] for name in types if name != column}
        return Table(table.key, {**types, column: kind}, {**data, column: [function.of(values, kind)]}, 1)

    return stream.each(work)


def _from_sql(stream: Source, function: Aggregate) -> Stream:
    tables = []
    if function.name == "count":
        for column, row, (count,) in stream.aggregate("count(*)"):
            if count:
                tables.append(stream.table(column, row, None, [count], LONG))
        return Stream(tables)
    start, stop = stream.bounds if stream.selection.start is not None else (0, 0)
    for column, row in stream.columns():
        kind = function.kind(TYPES[column.type])
        query = "SELECT value FROM points WHERE column = ? AND time >= ? AND time < ? ORDER BY time"
        found = [value for (value,) in stream.reader.store.reader().execute(query, (column.id, start, stop))]
        if found:
            values = decode_all(column.type, found)
            tables.append(stream.table(column, row, None, [function.of(values, kind)], kind))
    return Stream(tables)


def select(stream: Stream, name: str, column: str) -> Stream:
    """One row per table: the selected one, whole; no row of a table in which the column is null."""
    if isinstance(stream, Source) and column == "_value" and not stream.selection.of_rows:
        tables = []
        for of, row, (time, value) in stream.aggregate("time, value", _SQL_ORDER[name]):
            _selectable(name, TYPES[of.type])
            tables.append(stream.table(of, row, [time], decode_all(of.type, [value])))
        return Stream(tables)

    def work(table: Table) -> Table:
        _selectable(name, table.types.get(column, STRING))
        position = SELECTORS[name](table.need(column, name))
        return table.take([] if position is None else [position])

    return stream.each(work)


def _selectable(name: str, kind: str) -> None:
    if name in ("min", "max") and kind not in (*NUMBERS, TIME):
        raise invalid(
            f"unsupported aggregate column type {FLUX_NAMES[kind]}"
            if kind != BOOLEAN
            else f"unsupported column type bool for {name}"
        )


@builtin(AGGREGATES, "count")
def count(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return aggregate(tables, SIMPLE["count"], column)


@builtin(AGGREGATES, "sum")
def sum_(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return aggregate(tables, SIMPLE["sum"], column)


@builtin(AGGREGATES, "mean")
def mean(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return aggregate(tables, SIMPLE["mean"], column)


@builtin(AGGREGATES, "spread")
def spread(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return aggregate(tables, SIMPLE["spread"], column)


@builtin(AGGREGATES, "first")
def first(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return select(tables, "first", column)


@builtin(AGGREGATES, "last")
def last(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return select(tables, "last", column)


@builtin(AGGREGATES, "min")
def min_(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return select(tables, "min", column)


@builtin(AGGREGATES, "max")
def max_(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return select(tables, "max", column)


@builtin(AGGREGATES, "stddev")
def stddev(context: Context, tables: Stream, column: str = "_value", mode: str = "sample") -> Stream:
    if mode not in ("sample", "population"):
        raise invalid(f'stddev: mode must be sample or population, got "{mode}"')
    return aggregate(tables, Aggregate("stddev", _stddev(mode), DOUBLE, NUMBERS), column)


@builtin(AGGREGATES, "quantile")
def quantile(
    context: Context,
    tables: Stream,
    q: float,
    column: str = "_value",
    method: str = "estimate_tdigest",
    compression: float = 0.0,
) -> Stream:
    if not 0 <= q <= 1:
        raise invalid("quantile must be between 0 and 1")
    if method == "exact_selector":

        def work(table: Table) -> Table:
            values = table.need(column, "quantile")
            order = sorted(
                (position for position, value in enumerate(values) if value is not None), key=values.__getitem__
            )
            return table.take([order[max(0, math.ceil(q * len(order)) - 1)]] if order else [])

        return tables.each(work)
    if method == "exact_mean":
        return aggregate(tables, Aggregate("quantile", lambda values: _exact(values, q), DOUBLE, (DOUBLE,)), column)
    if method != "estimate_tdigest":
        raise invalid(f"unknown quantile method {method}")
    return aggregate(tables, Aggregate("quantile", lambda values: quantile_of(values, q), DOUBLE, NUMBERS), column)


def _exact(values: list[Any], q: float) -> float:
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    low, high = math.floor(position), math.ceil(position)
    if low == high:
        return float(ordered[low])
    return float(ordered[low] * (high - position) + ordered[high] * (position - low))


@builtin(AGGREGATES, "median")
def median(
    context: Context, tables: Stream, column: str = "_value", method: str = "estimate_tdigest", compression: float = 0.0
) -> Stream:
    found: Stream = quantile(context, tables, q=0.5, column=column, method=method, compression=compression)
    return found


@builtin(AGGREGATES, "mode")
def mode(context: Context, tables: Stream, column: str = "_value") -> Stream:
    def most(values: list[Any]) -> Any:
        counts: dict[Any, int] = {}
        for value in values:
            counts[value] = counts.get(value, 0) + 1
        most = max(counts.values())
        return min(value for value, count in counts.items() if count == most)

    return aggregate(tables, Aggregate("mode", most, None, (*NUMBERS, STRING, BOOLEAN, TIME)), column)


@builtin(AGGREGATES, "integral")
def integral(
    context: Context,
    tables: Stream,
    unit: Any = _SECOND,
    column: str = "_value",
    timeColumn: str = "_time",
    interpolate: str = "",
) -> Stream:
    ns = duration(unit, "integral: unit").ns

    def work(table: Table) -> Table:
        pairs = [
            pair
            for pair in zip(table.need(timeColumn, "integral"), table.need(column, "integral"), strict=True)
            if None not in pair
        ]
        area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(pairs)) / ns
        types = {name: table.types[name] for name in table.types if name in table.key}
        data: dict[str, list[Any]] = {name: [table.key[name]] for name in types}
        return Table(table.key, {**types, column: DOUBLE}, {**data, column: [float(area) if pairs else None]}, 1)

    return tables.each(work)


def _along(table: Table, names: list[str], skip: int, work: Callable[[list[Any], str], tuple[str, list[Any]]]) -> Table:
    """The table with these columns replaced by what `work` makes of (values, type), and without its first `skip` rows."""
    changed = {
        name: work(table.data[name], table.types[name])
        for name in names
        if name in table.data and name not in table.key
    }
    made = table.with_columns(**{name: (kind, values) for name, (kind, values) in changed.items()})
    return made.slice(skip) if skip else made


@builtin(AGGREGATES, "derivative")
def derivative(
    context: Context, tables: Stream, unit: Any = _SECOND, nonNegative: bool = True, columns: Any = None,
    timeColumn: str = "_time", initialZero: bool = False,
) -> Stream:  # fmt: skip
    names, ns = (
        text_list(columns if columns is not None else ["_value"], "derivative: columns"),
        duration(unit, "derivative: unit").ns,
    )

    def of(table: Table) -> Table:
        times = table.need(timeColumn, "derivative")

        def work(values: list[Any], kind: str) -> tuple[str, list[Any]]:
            if kind not in NUMBERS:
                raise invalid(f"unsupported derivative column type {FLUX_NAMES[kind]}")
            made: list[float | None] = [None]
            at, before = (times[0], values[0]) if times else (0, None)
            for time, value in zip(times[1:], values[1:], strict=True):
                if value is None or time == at:
                    made.append(None)
                    continue
                rate = None
                if before is not None:
                    change, seconds = value - before, (time - at) / ns
                    reset = change < 0 and nonNegative
                    rate = (value / seconds if initialZero else None) if reset else change / seconds
                made.append(rate)
                at, before = time, value
            return DOUBLE, made[: len(values)]

        return _along(table, names, 1, work)

    return tables.each(of)


@builtin(AGGREGATES, "difference")
def difference(
    context: Context,
    tables: Stream,
    nonNegative: bool = False,
    columns: Any = None,
    keepFirst: bool = False,
    initialZero: bool = False,
) -> Stream:
    names = text_list(columns if columns is not None else ["_value"], "difference: columns")

    def work(values: list[Any], kind: str) -> tuple[str, list[Any]]:
        if kind not in NUMBERS:
            raise invalid(f"difference: column is not numeric but {FLUX_NAMES[kind]}")
        made: list[Any] = []
        before = None
        for value in values:
            if value is None or before is None:
                made.append(None)
            elif value < before and nonNegative:
                made.append(value if initialZero else None)
            else:
                made.append(value - before)
            before = value if value is not None else before
        return (LONG if kind == UNSIGNED else kind), made

    return tables.each(lambda table: _along(table, names, 0 if keepFirst else 1, work))


@builtin(AGGREGATES, "cumulativeSum")
def cumulative_sum(context: Context, tables: Stream, columns: Any = None) -> Stream:
    names = text_list(columns if columns is not None else ["_value"], "cumulativeSum: columns")

    def work(values: list[Any], kind: str) -> tuple[str, list[Any]]:
        sum_so_far: Any = 0.0 if kind == DOUBLE else 0
        made = []
        for value in values:
            sum_so_far += value or 0
            made.append(sum_so_far)
        return kind, made

    return tables.each(lambda table: _along(table, names, 0, work))


@builtin(AGGREGATES, "increase")
def increase(context: Context, tables: Stream, columns: Any = None) -> Stream:
    changes = difference(context, tables, nonNegative=True, columns=columns, keepFirst=True, initialZero=True)
    made: Stream = cumulative_sum(context, changes, columns=columns)
    return made


@builtin(AGGREGATES, "elapsed")
def elapsed(
    context: Context,
    tables: Stream,
    unit: Any = _SECOND,
    timeColumn: str = "_time",
    columnName: str = "elapsed",
) -> Stream:
    ns = duration(unit, "elapsed: unit").ns

    def work(table: Table) -> Table:
        times = table.need(timeColumn, "elapsed")
        steps = [0, *((b - a) // ns for a, b in pairwise(times))]
        return table.with_columns(**{columnName: (LONG, steps[: table.size])}).slice(1)

    return tables.each(work)


@builtin(AGGREGATES, "movingAverage")
def moving_average(context: Context, tables: Stream, n: int) -> Stream:
    count = natural(n, "movingAverage: n", 1)

    def work(values: list[Any], kind: str) -> tuple[str, list[Any]]:
        made: list[Any] = []
        for stop in range(1, len(values) + 1):
            window = [value for value in values[max(0, stop - count) : stop] if value is not None]
            made.append(total(window) / len(window) if window else None)
        return DOUBLE, made

    return tables.each(lambda table: _along(table, ["_value"], min(count, table.size) - 1 if table.size else 0, work))


def _ranked(context: Context, tables: Stream, n: int, columns: Any, desc: bool) -> Stream:
    ordered = sort(context, tables, columns=columns, desc=desc)
    made: Stream = limit(context, ordered, n=n)
    return made


@builtin(AGGREGATES, "top")
def top(context: Context, tables: Stream, n: int, columns: Any = None) -> Stream:
    return _ranked(context, tables, n, columns, True)


@builtin(AGGREGATES, "bottom")
def bottom(context: Context, tables: Stream, n: int, columns: Any = None) -> Stream:
    return _ranked(context, tables, n, columns, False)


def _extreme(
    context: Context, tables: Stream, n: int, column: str, groups: Any, of: Callable[[Stream], Stream], desc: bool
) -> Stream:
    reduced = of(group(context, tables, columns=groups or []))
    return _ranked(context, group(context, reduced, columns=[]), n, [column], desc)


@builtin(AGGREGATES, "highestMax")
def highest_max(context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None) -> Stream:
    return _extreme(context, tables, n, column, groupColumns, lambda stream: select(stream, "max", column), True)


@builtin(AGGREGATES, "highestAverage")
def highest_average(
    context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None
) -> Stream:
    return _extreme(
        context, tables, n, column, groupColumns, lambda stream: aggregate(stream, SIMPLE["mean"], column), True
    )


@builtin(AGGREGATES, "highestCurrent")
def highest_current(
    context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None
) -> Stream:
    return _extreme(context, tables, n, column, groupColumns, lambda stream: select(stream, "last", column), True)


@builtin(AGGREGATES, "lowestMin")
def lowest_min(context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None) -> Stream:
    return _extreme(context, tables, n, column, groupColumns, lambda stream: select(stream, "min", column), False)
