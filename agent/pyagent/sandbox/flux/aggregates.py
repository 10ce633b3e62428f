"""Functions from a table to one value or to one of its rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, duration
from pyagent.sandbox.flux.source import TYPES, Grouped, Source, Windowed, check_types, decode_all
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, FLUX_NAMES, LONG, STRING, TIME, UNSIGNED, Stream, Table
from pyagent.sandbox.flux.values import Duration

AGGREGATES: Registry = {}

NUMBERS = (LONG, UNSIGNED, DOUBLE)
SECOND = Duration(0, 10**9)


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
            types = {"_start": TIME, "_stop": TIME, column: kind} | {
                name: STRING for name in stream.names if name in types
            }
        elif isinstance(stream, Windowed) and function.name in ("count", "sum", "mean"):
            types = {"_start": TIME, "_stop": TIME, column: kind, **types}
        data: dict[str, list[Any]] = {name: [table.key[name]] for name in types if name != column}
        return Table(table.key, {**types, column: kind}, {**data, column: [function.of(values, kind)]}, 1)

    return stream.each(work)


def _from_sql(stream: Source, function: Aggregate) -> Stream:
    tables = []
    if function.name == "count":
        for column, row, ((count,),) in stream.rows("count(*)"):
            if count:
                tables.append(stream.table(column, row, None, [count], LONG))
        return Stream(tables)
    for column, row, found in stream.rows("value", "ORDER BY time"):
        kind = function.kind(TYPES[column.type])
        values = decode_all(column.type, [value for (value,) in found])
        tables.append(stream.table(column, row, None, [function.of(values, kind)], kind))
    return Stream(check_types(tables))


def select(stream: Stream, name: str, column: str) -> Stream:
    """One row per table: the selected one, whole; no row of a table in which the column is null."""
    if isinstance(stream, Source) and column == "_value" and not stream.selection.of_rows:
        tables = []
        for of, row, ((time, value),) in stream.rows("time, value", _SQL_ORDER[name]):
            _selectable(name, TYPES[of.type])
            tables.append(stream.table(of, row, [time], decode_all(of.type, [value])))
        return Stream(check_types(tables))

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


def _declare_aggregate(name: str) -> None:
    @builtin(AGGREGATES, name)
    def run(context: Context, tables: Stream, column: str = "_value") -> Stream:
        return aggregate(tables, SIMPLE[name], column)


def _declare_selector(name: str) -> None:
    @builtin(AGGREGATES, name)
    def run(context: Context, tables: Stream, column: str = "_value") -> Stream:
        return select(tables, name, column)


for _name in SIMPLE:
    _declare_aggregate(_name)
for _name in SELECTORS:
    _declare_selector(_name)


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
    unit: Any = SECOND,
    column: str = "_value",
    timeColumn: str = "_time",
    interpolate: str = "",
) -> Stream:
    ns = duration(unit, "integral: unit").ns

    def work(table: Table) -> Table:
        if table.types.get(column, DOUBLE) not in NUMBERS:
            raise invalid(f"cannot perform integral over {FLUX_NAMES[table.types[column]]}")
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
