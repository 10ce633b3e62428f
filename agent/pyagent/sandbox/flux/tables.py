"""Streams of tables: what Flux's functions take and give."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.values import Time, Uint, type_name

STRING, LONG, UNSIGNED, DOUBLE, BOOLEAN, TIME = (
    "string",
    "long",
    "unsignedLong",
    "double",
    "boolean",
    "dateTime:RFC3339",
)
"""Column types, as the CSV writes them."""

FLUX_NAMES: Final = {STRING: "string", LONG: "int", UNSIGNED: "uint", DOUBLE: "float", BOOLEAN: "bool", TIME: "time"}

Row = dict[str, Any]


class Table:
    """Columns of equal length, in order, with a type each; `key` holds those, with their values, that define the group.

    Times and unsigned values are plain ints here; `rows` gives them their types.
    """

    __slots__ = ("data", "key", "size", "types")

    def __init__(self, key: Row, types: dict[str, str], data: dict[str, list[Any]], size: int | None = None) -> None:
        self.key = key
        self.types = types
        self.data = data
        self.size = len(next(iter(data.values()), ())) if size is None else size

    def rows(self) -> Iterable[Row]:
        """One record per row, for the functions of a script."""
        names = list(self.types)
        columns = [_typed(self.data[name], self.types[name]) for name in names]
        return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)) if names else iter(())

    def key_record(self) -> Row:
        return {name: _typed([value], self.types[name])[0] for name, value in self.key.items()}

    def take(self, positions: Sequence[int]) -> "Table":
        """The rows at these positions."""
        data = {name: [values[position] for position in positions] for name, values in self.data.items()}
        return Table(self.key, self.types, data, len(positions))

    def slice(self, start: int, stop: int | None = None) -> "Table":
        data = {name: values[start:stop] for name, values in self.data.items()}
        return Table(self.key, self.types, data, len(range(self.size)[start:stop]))

    def with_columns(self, **columns: tuple[str, list[Any]]) -> "Table":
        """A copy in which these columns, (type, values), are replaced or, at the end, added."""
        types, data = dict(self.types), dict(self.data)
        for name, (kind, values) in columns.items():
            types[name], data[name] = kind, values
        return Table(self.key, types, data, self.size)

    def need(self, column: str, what: str) -> list[Any]:
        """A column's values.

        Raises:
            InfluxError: there is no such column.
        """
        if column not in self.data:
            raise invalid(f'{what}: column "{column}" does not exist')
        return self.data[column]


def _typed(values: list[Any], kind: str) -> list[Any]:
    if kind == TIME:
        return [None if value is None else Time(value) for value in values]
    if kind == UNSIGNED:
        return [None if value is None else Uint(value) for value in values]
    return values


def type_of(value: Any, what: str) -> str | None:
    """The column type for a value of a script; None for null.

    Raises:
        InfluxError: a table cannot hold it.
    """
    if value is None:
        return None
    kinds: tuple[tuple[type, str], ...] = (
        (bool, BOOLEAN), (Time, TIME), (Uint, UNSIGNED), (int, LONG), (float, DOUBLE), (str, STRING),
    )  # fmt: skip
    for kind, name in kinds:
        if isinstance(value, kind):
            return name
    raise invalid(f"{what} is {type_name(value)} type which is not supported in a flux table")


class Stream:
    """Tables, or a promise of them."""

    yielded = False

    def __init__(self, tables: Iterable[Table] = ()) -> None:
        self._tables: list[Table] | None = list(tables)

    @property
    def tables(self) -> list[Table]:
        if self._tables is None:
            self._tables = self.load()
        return self._tables

    def load(self) -> list[Table]:
        """Make the tables; for streams that only promise them."""
        return []

    def each(self, work: Callable[[Table], Table | None]) -> "Stream":
        """A stream of what `work` makes of each table."""
        return Stream(made for table in self.tables if (made := work(table)) is not None)


def key_order(table: Table) -> tuple[Any, ...]:
    """Sorts tables by their keys: names first in their order, null before any value."""
    return tuple(
        (name, table.types[name], table.key[name] is not None, table.key[name] if table.key[name] is not None else 0)
        for name in sorted(table.key)
    )


def regroup(tables: Iterable[Table], columns: Callable[[Table], Iterable[str]]) -> list[Table]:
    """Tables anew, by the values of the columns that the function names for each table; in the order of their keys.

    Raises:
        InfluxError: a column has different types in tables that come together.
    """
    groups: dict[tuple[Any, ...], list[Table]] = {}
    for table in tables:
        wanted = set(columns(table))
        names = [name for name in table.types if name in wanted]
        if all(name in table.key for name in names):
            key = {name: table.key[name] for name in names}
            _add(groups, Table(key, table.types, table.data, table.size))
            continue
        positions: dict[tuple[Any, ...], list[int]] = {}
        for position, values in enumerate(zip(*(table.data[name] for name in names), strict=True)):
            positions.setdefault(values, []).append(position)
        for values, some in positions.items():
            part = table.take(some)
            part.key = dict(zip(names, values, strict=True))
            _add(groups, part)
    return sorted((joined(parts) for parts in groups.values()), key=key_order)


def _add(groups: dict[tuple[Any, ...], list[Table]], table: Table) -> None:
    groups.setdefault(tuple(sorted((name, table.types[name], value) for name, value in table.key.items())), []).append(
        table
    )


def joined(parts: list[Table]) -> Table:
    """The rows of tables with the same key, one table after the other.

    Raises:
        InfluxError: a column has different types in them.
    """
    if len(parts) == 1:
        return parts[0]
    types: dict[str, str] = {}
    for part in parts:
        for name, kind in part.types.items():
            known = types.setdefault(name, kind)
            if known != kind:
                raise invalid(
                    f'schema collision detected: column "{name}" is both of type {FLUX_NAMES[kind]} and {FLUX_NAMES[known]}'
                )
    data: dict[str, list[Any]] = {name: [] for name in types}
    size = 0
    for part in parts:
        for name, values in data.items():
            values.extend(part.data[name] if name in part.data else [None] * part.size)
        size += part.size
    return Table(parts[0].key, types, data, size)


def from_rows(key: Row, rows: list[Row], what: str, types: dict[str, str] | None = None) -> Table:
    """A table of records; its columns are theirs, in alphabetical order unless `types` gives an order.

    Raises:
        InfluxError: a value that a table cannot hold, or two types in one column.
    """
    found = dict(types or {})
    for name in sorted({name for row in rows for name in row}):
        for row in rows:
            kind = type_of(row.get(name), f'{what} property "{name}"')
            if kind is not None and found.setdefault(name, kind) != kind:
                raise invalid(
                    f'{what}: type conflict in column "{name}": {FLUX_NAMES[kind]} != {FLUX_NAMES[found[name]]}'
                )
    data = {name: [row.get(name) for row in rows] for name in found}
    return Table(key, found, data, len(rows))
