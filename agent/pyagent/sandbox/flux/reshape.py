"""Functions that make other rows or other columns, and those that take values out of tables."""

from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, text_list
from pyagent.sandbox.flux.tables import (
    FLUX_NAMES,
    STRING,
    TIME,
    Row,
    Stream,
    Table,
    key_order,
    type_of,
)
from pyagent.sandbox.flux.values import Callee, Duration, add_duration, to_text, truth
from pyagent.sandbox.limits import take

RESHAPE: Registry = {}

_ROW_OF_KEY = 200
"""Bytes to find a pivoted row by its key."""


def duplicated(table: Table, column: str, name: str) -> Table:
    """A table with a copy of a column; a copy in place of a column of the key stays in it where the column itself is."""
    if column not in table.types:
        raise invalid(f'duplicate error: column "{column}" doesn\'t exist')
    made = table.with_columns(**{name: (table.types[column], table.data[column])})
    if name in table.key:
        made.key = {
            known: table.key[column] if known == name else value
            for known, value in table.key.items()
            if known != name or column in table.key
        }
    return made


@builtin(RESHAPE, "pivot")
def pivot(context: Context, tables: Stream, rowKey: Any, columnKey: Any, valueColumn: str) -> Stream:
    row_key, column_key = text_list(rowKey, "pivot: rowKey"), text_list(columnKey, "pivot: columnKey")
    groups: dict[tuple[Any, ...], tuple[Table, dict[tuple[Any, ...], int]]] = {}
    for table in tables.tables:
        for name in row_key:
            if name not in table.types:
                raise invalid(f"specified row key column does not exist in table: {name}")
        if valueColumn not in table.types:
            raise invalid(f"specified value column does not exist in table: {valueColumn}")
        for name in column_key:
            if name not in table.types:
                raise invalid(f"specified column does not exist in table: {name}")
        kept = [
            name
            for name in table.types
            if name not in column_key and name != valueColumn and (name in table.key or name in row_key)
        ]
        key = {name: table.key[name] for name in kept if name in table.key}
        group_key = tuple(sorted((name, table.types[name], value) for name, value in key.items()))
        if group_key not in groups:
            types = {name: table.types[name] for name in kept}
            groups[group_key] = (Table(key, types, {name: [] for name in kept}, 0), {})
        _pivot_into(*groups[group_key], table, kept, row_key, column_key, valueColumn)
    return Stream(sorted((made for made, _ in groups.values()), key=key_order))


def _pivot_into(
    made: Table,
    positions: dict[tuple[Any, ...], int],
    table: Table,
    kept: list[str],
    row_key: list[str],
    column_key: list[str],
    value: str,
) -> None:
    labels = [table.data[name] for name in column_key]
    keys = [table.data[name] for name in row_key]
    for at, found in enumerate(table.data[value]):
        label = "_".join(_label(values[at]) for values in labels)
        if label not in made.data:
            made.types[label] = table.types[value]
            take(8 * made.size)
            made.data[label] = [None] * made.size
        elif label in kept:
            raise invalid(
                f'value "{label}" appears in a column key column, but a column named "{label}" already exists; '
                f'consider renaming "{label}" to something else before pivoting'
            )
        row = tuple(values[at] for values in keys)
        position = positions.get(row)
        if position is None:
            take(8 * len(made.data) + _ROW_OF_KEY)
            position = positions[row] = made.size
            made.size += 1
            for name, values in made.data.items():
                values.append(table.data[name][at] if name in kept else None)
        if made.types[label] != table.types[value]:
            raise invalid(
                f'schema collision detected: column "{label}" is both of type {FLUX_NAMES[table.types[value]]} '
                f"and {FLUX_NAMES[made.types[label]]}"
            )
        made.data[label][position] = found


def _label(value: Any) -> str:
    return "null" if value is None else to_text(value)


@builtin(RESHAPE, "fill")
def fill(
    context: Context, tables: Stream, column: str = "_value", value: Any = None, usePrevious: bool = False
) -> Stream:
    if (value is None) != usePrevious:
        raise invalid("fill: exactly one of value and usePrevious must be given")

    def work(table: Table) -> Table:
        if column not in table.data:
            if usePrevious:
                return table
            return table.with_columns(**{column: (type_of(value, "fill: value") or STRING, [value] * table.size)})
        kind, last, filled = table.types[column], value, []
        if value is not None and type_of(value, "fill: value") != kind:
            raise invalid(
                f"fill column type mismatch: {FLUX_NAMES[kind]}/{FLUX_NAMES[type_of(value, 'fill') or STRING]}"
            )
        for found in table.data[column]:
            if usePrevious and found is not None:
                last = found
            filled.append(last if found is None else found)
        return table.with_columns(**{column: (kind, filled)})

    return tables.each(work)


@builtin(RESHAPE, "_fillTable")
def fill_table(context: Context, tables: Stream) -> Stream:
    """A row of the key for each table without rows."""

    def work(table: Table) -> Table:
        if table.size:
            return table
        return Table(table.key, table.types, {name: [table.key.get(name)] for name in table.types}, 1)

    return tables.each(work)


@builtin(RESHAPE, "timeShift")
def time_shift(context: Context, tables: Stream, duration: Duration, columns: Any = None) -> Stream:
    names = text_list(columns if columns is not None else ["_start", "_stop", "_time"], "timeShift: columns")

    def work(table: Table) -> Table:
        def moved(values: list[Any]) -> list[Any]:
            return [None if value is None else int(add_duration(value, duration)) for value in values]

        present = [name for name in names if table.types.get(name) == TIME]
        made = table.with_columns(**{name: (TIME, moved(table.data[name])) for name in present})
        made.key = {name: moved([value])[0] if name in present else value for name, value in table.key.items()}
        return made

    return tables.each(work)


@builtin(RESHAPE, "columns")
def columns(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return tables.each(lambda table: _names_table(table, list(table.types), column))


@builtin(RESHAPE, "keys")
def keys(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return tables.each(lambda table: _names_table(table, sorted(table.key), column))


def _names_table(table: Table, names: list[str], column: str) -> Table:
    types = {name: table.types[name] for name in table.types if name in table.key and name != column}
    data: dict[str, list[Any]] = {name: [table.key[name]] * len(names) for name in types}
    key = {name: value for name, value in table.key.items() if name != column}
    return Table(key, {**types, column: STRING}, {**data, column: names}, len(names))


@builtin(RESHAPE, "findColumn")
def find_column(context: Context, tables: Stream, fn: Callee, column: str) -> list[Any]:
    for table in tables.tables:
        if truth(fn(key=table.key_record())):
            return [row[column] for row in table.rows()] if column in table.types else []
    return []


@builtin(RESHAPE, "findRecord")
def find_record(context: Context, tables: Stream, fn: Callee, idx: int) -> Row:
    for table in tables.tables:
        if truth(fn(key=table.key_record())):
            return next((row for position, row in enumerate(table.rows()) if position == idx), {})
    return {}


@builtin(RESHAPE, "tableFind", at_once=True)
def table_find(context: Context, tables: Stream, fn: Callee) -> Stream:
    for table in tables.tables:
        if truth(fn(key=table.key_record())):
            return Stream([table])
    raise invalid("no table found")


@builtin(RESHAPE, "getColumn", pipe="table")
def get_column(context: Context, table: Stream, column: str) -> list[Any]:
    return [row[column] for one in table.tables for row in one.rows() if column in row]


@builtin(RESHAPE, "getRecord", pipe="table")
def get_record(context: Context, table: Stream, idx: int) -> Row:
    rows = [row for one in table.tables for row in one.rows()]
    if not 0 <= idx < len(rows):
        raise invalid(f"index out of bounds: {idx}")
    return rows[idx]
