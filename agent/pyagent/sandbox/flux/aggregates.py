"""Functions from a table to one value or to one of its rows."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin
from pyagent.sandbox.flux.source import TYPES, Grouped, Source, Windowed, check_types
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, FLUX_NAMES, LONG, STRING, TIME, UNSIGNED, Row, Stream, Table
from pyagent.sandbox.series import Column

AGGREGATES: Registry = {}

NUMBERS = (LONG, UNSIGNED, DOUBLE)


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
            raise invalid(f"unsupported aggregate column type {self.shown(column)}")
        return self.result or column

    @staticmethod
    def shown(kind: str) -> str:
        return FLUX_NAMES[kind]

    def of(self, values: list[Any], kind: str) -> Any:
        if self.name == "count":
            return len(values)
        found = [value for value in values if value is not None] if None in values else values
        return self.of_present(found, kind) if found else self.empty

    def of_present(self, values: list[Any], kind: str) -> Any:
        """Of values of which none is null, and there is one."""
        value = self.work(values)
        if self.result is None and kind in (LONG, UNSIGNED):
            return value % 2**64 if kind == UNSIGNED else (value + 2**63) % 2**64 - 2**63
        return value


def type_refused(name: str, kind: str) -> str:
    """The storage's words for a type that its function does not take."""
    return f"unsupported input type for {name} aggregate: {FLUX_NAMES[kind]}"


def total(values: list[Any]) -> Any:
    """The sum from left to right, without the compensation that newer versions of sum() apply to floats."""
    if sys.version_info >= (3, 12) and type(values[0]) is float:
        return reduce(add, values)
    return sum(values)


def _mean(values: list[Any]) -> float:
    return float(total(values) / len(values))


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


def aggregate(stream: Stream, function: Aggregate, column: str) -> Stream:
    """One row per table: the key's columns, and the value."""
    if isinstance(stream, Source) and column == "_value" and function.name in ("count", "sum", "mean"):
        return _from_storage(stream, function)
    if isinstance(stream, Grouped) and column == "_value" and function.name in ("count", "sum"):
        return _stored(stream.each(lambda table: _of_group(table, function)))
    in_window = isinstance(stream, Windowed) and function.name in ("count", "sum", "mean")

    def work(table: Table) -> Table:
        if column not in table.types:
            raise invalid(f'column "{column}" does not exist')
        if column in table.key:
            raise invalid("cannot aggregate columns that are part of the group key")
        kind = function.kind(table.types[column])
        types = {name: table.key_type(name) for name in table.key}
        if in_window:
            types = {"_start": TIME, "_stop": TIME, column: kind, **types}
        data: dict[str, list[Any]] = {name: [table.key[name]] for name in types if name != column}
        value = function.of(table.data[column], kind)
        return Table(table.key, {**types, column: kind}, {**data, column: [value]}, 1)

    return _stored(stream.each(work)) if in_window else stream.each(work)


def _stored(stream: Stream) -> Stream:
    stream.stored = True
    return stream


def _of_group(table: Table, function: Aggregate) -> Table:
    """The storage gives a value per series, which the engine adds up."""
    kind = function.kind(table.types["_value"])
    values, start = [], 0
    for size in table.chunks or [table.size]:
        values.append(function.of(table.data["_value"][start : start + size], kind))
        start += size
    key = {name: value for name, value in table.key.items() if name not in ("_start", "_stop")}
    types = {"_start": TIME, "_stop": TIME, "_value": kind, **{name: table.key_type(name) for name in key}}
    data: dict[str, list[Any]] = {name: [table.key[name]] for name in types if name != "_value"}
    data["_value"] = [SIMPLE["sum"].of(values, kind)]
    return Table(table.key, types, {name: data[name] for name in types}, 1)


def _from_storage(stream: Source, function: Aggregate) -> Stream:
    tables: list[Table] = []
    try:
        if function.name == "count" and not stream.selection.of_rows:
            for column, row, times, _ in stream.read():
                tables.append(stream.table(column, row, None, [len(times)], LONG))
            return _stored(Stream(tables))
        for table in stream.tables:
            kind = table.types["_value"]
            if kind not in function.takes:
                raise invalid(type_refused(function.name, kind))
            value = function.of(table.data["_value"], kind)
            types = {name: kind for name, kind in table.types.items() if name != "_time"}
            types["_value"] = function.result or kind
            data = {name: table.data[name][:1] for name in types}
            data["_value"] = [value]
            tables.append(Table(table.key, types, data, 1))
    except InfluxError as error:
        error.partial, error.final = error.partial or tables, True
        raise
    return _stored(Stream(tables))


def select(stream: Stream, name: str, column: str) -> Stream:
    """One row per table: the selected one, whole; no row of a table in which the column is null."""
    if isinstance(stream, Source) and column == "_value" and not stream.selection.of_rows:
        tables: list[Table] = []
        try:
            for of, row, time, value in _selected(stream, name):
                tables.append(stream.table(of, row, [time], [value]))
            return _stored(Stream(check_types(tables)))
        except InfluxError as error:
            error.partial, error.final = error.partial or tables, True
            raise
    choose = SELECTORS[name]
    if isinstance(stream, Grouped) and column == "_value" and name in ("first", "last"):
        return _stored(stream.each(lambda table: table.take(_by_time(table, name))))

    def work(table: Table) -> Table:
        if column not in table.types:
            raise invalid(f'no column "{column}" exists')
        kind = table.types[column]
        if name in ("min", "max") and kind not in (*NUMBERS, TIME):
            raise invalid(
                f"invalid use of function: *universe.{name.title()}Selector has no implementation for type {FLUX_NAMES[kind]}"
            )
        position = choose(table.data[column])
        return table.take([] if position is None else [position])

    by_storage = column == "_value" and isinstance(stream, Source | Grouped | Windowed)
    return _stored(stream.each(work)) if by_storage else stream.each(work)


def _selected(source: Source, name: str) -> Iterator[tuple[Column, Row, int, Any]]:
    """The point that the storage selects of each column."""
    if name in ("first", "last"):
        yield from source.ends(last=name == "last")
        return
    choose = min if name == "min" else max
    for column, row, times, values in source.read():
        if TYPES[column.type] not in NUMBERS:
            raise invalid(type_refused(name, TYPES[column.type]))
        value = choose(values)
        yield column, row, times[values.index(value)], value


def _by_time(table: Table, name: str) -> list[int]:
    """The first or last row of a group of series by time; of rows at one time the first one or the last one."""
    times = table.data["_time"]
    ends, start = [], 0
    for size in table.chunks or [table.size]:
        ends.append(start if name == "first" else start + size - 1)
        start += size
    return [min(ends, key=times.__getitem__) if name == "first" else max(reversed(ends), key=times.__getitem__)]


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
