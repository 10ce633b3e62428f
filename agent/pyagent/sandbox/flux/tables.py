"""Streams of tables: what Flux's functions take and give."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.values import Time, Uint, type_name
from pyagent.sandbox.limits import account, check

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

    __slots__ = ("chunks", "data", "key", "size", "types")

    def __init__(self, key: Row, types: dict[str, str], data: dict[str, list[Any]], size: int | None = None) -> None:
        self.key = key
        self.types = types
        self.data = data
        self.size = len(next(iter(data.values()), ())) if size is None else size
        self.chunks: list[int] | None = None
        """How many rows came together, one series after the other: sums of floats are made of their sums."""

    def key_type(self, name: str) -> str:
        """The type of a column of the key; the storage groups by tags that no row has: these are not in `types`."""
        return self.types.get(name, STRING)

    def rows(self) -> Iterable[Row]:
        """One record per row, for the functions of a script."""
        names = list(self.types)
        columns = [_typed(self.data[name], self.types[name]) for name in names]
        return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)) if names else iter(())

    def typed(self, name: str) -> list[Any]:
        """A column's values as a script has them."""
        return _typed(self.data[name], self.types[name])

    def key_record(self) -> Row:
        return {name: _typed([value], self.key_type(name))[0] for name, value in self.key.items()}

    def take(self, positions: Sequence[int]) -> "Table":
        """The rows at these positions."""
        data = {name: [values[position] for position in positions] for name, values in self.data.items()}
        return Table(self.key, self.types, data, len(positions))

    def slice(self, start: int, stop: int | None = None) -> "Table":
        data = {name: values[start:stop] for name, values in self.data.items()}
        kept = range(self.size)[start:stop]
        made = Table(self.key, self.types, data, len(kept))
        if self.chunks is not None:
            made.chunks = _kept(self.chunks, kept)
        return made

    def pick(self, positions: list[int]) -> "Table":
        """The rows at these positions, which are in order: what came together still does."""
        made = self.take(positions)
        if self.chunks is not None:
            made.chunks = _kept(self.chunks, positions)
        return made

    def with_columns(self, **columns: tuple[str, list[Any]]) -> "Table":
        """A copy in which these columns, (type, values), are replaced or, at the end, added."""
        types, data = dict(self.types), dict(self.data)
        for name, (kind, values) in columns.items():
            types[name], data[name] = kind, values
        made = Table(self.key, types, data, self.size)
        made.chunks = self.chunks
        return made

    def need(self, column: str, refusal: str = "") -> list[Any]:
        """A column's values.

        Raises:
            InfluxError: there is no such column; with the refusal's text, if one is given.
        """
        if column not in self.data:
            raise invalid(refusal or f'column "{column}" does not exist')
        return self.data[column]


def _kept(chunks: list[int], positions: Sequence[int]) -> list[int]:
    """How many of the positions are in each chunk."""
    made, at, stop = [], 0, 0
    for size in chunks:
        stop += size
        begin = at
        while at < len(positions) and positions[at] < stop:
            at += 1
        made.append(at - begin)
    return made


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
    shown = "object" if isinstance(value, dict) else type_name(value)
    raise invalid(f"{what} is {shown} type which is not supported in a flux table")


class Stream:
    """Tables, or a promise of them."""

    yielded = False
    flushed = False
    """Its tables are given when all of them are there: the errors of what reads them come without their place."""
    stored = False
    """The storage made it: its order of tables stays where the engine would sort them by their keys."""

    def __init__(self, tables: Iterable[Table] = ()) -> None:
        self._tables: list[Table] | None = list(tables)
        account(self._tables)
        self._bounds: tuple[int, int] | None = None

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The range (ns) that the rows are from, whatever became of _start and _stop; None: no range was given."""
        return self._bounds

    def within(self, bounds: tuple[int, int] | None) -> "Stream":
        """Say the range that the stream is from."""
        self._bounds = bounds
        return self

    def bounds_from(self, streams: "Iterable[Stream]") -> None:
        """Take the range that spans those of the streams."""
        found = [stream.bounds for stream in streams]
        known = [bounds for bounds in found if bounds is not None]
        if known and len(known) == len(found):
            self._bounds = min(first for first, _ in known), max(last for _, last in known)

    @property
    def tables(self) -> list[Table]:
        if self._tables is None:
            self._tables = self.load()
            account(self._tables)
        return self._tables

    def load(self) -> list[Table]:
        """Make the tables; for streams that only promise them."""
        return []

    def each(self, work: Callable[[Table], Table | None]) -> "Stream":
        """A stream of what `work` makes of each table.

        Raises:
            InfluxError: `work` refuses a table; what it made of those before is in `partial`.
        """
        made: list[Table] = []
        try:
            for table in self.tables:
                check()
                one = work(table)
                if one is not None:
                    made.append(one)
                    account((one,))
        except InfluxError as error:
            error.partial = made
            raise
        return Stream(made).within(self.bounds)


_TYPE_ORDER: Final = {BOOLEAN: 0, LONG: 1, UNSIGNED: 2, DOUBLE: 3, STRING: 4, TIME: 5}


class _Name(str):
    """A name of a key: where two keys differ in a name, the one that lacks the smaller name comes first."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)

    def __gt__(self, other: str) -> bool:
        return str.__lt__(self, other)


def key_order(table: Table) -> tuple[Any, ...]:
    """Sorts tables by their keys as InfluxDB does: by name, type and value of each column, null before any value."""
    return tuple(
        (_Name(name), _TYPE_ORDER[table.key_type(name)], value is not None, 0 if value is None else value)
        for name, value in sorted(table.key.items())
    )


def in_key_order(stream: Stream) -> Stream:
    """A stream's tables in the order of their keys."""
    tables = stream.tables
    if len(tables) > 1:
        tables.sort(key=key_order)
    return stream


def same_key(table: Table) -> tuple[Any, ...]:
    """Equal for tables whose keys are equal."""
    return tuple((name, table.key_type(name), value) for name, value in sorted(table.key.items()))


def regroup(tables: Iterable[Table], columns: Callable[[Table], Iterable[str]], *, ordered: bool = True) -> list[Table]:
    """Tables anew, by the values of the columns that the function names for each table; `ordered`: in the order of their keys.

    Raises:
        InfluxError: a column has different types in tables that come together.
    """
    groups: dict[tuple[Any, ...], list[Table]] = {}
    for table in tables:
        for part in split(table, columns(table)):
            groups.setdefault(same_key(part), []).append(part)
    made = (joined(parts) for parts in groups.values())
    return sorted(made, key=key_order) if ordered else list(made)


def split(table: Table, columns: Iterable[str]) -> list[Table]:
    """A table's rows by the values of these columns, which become the key; in the order of the keys.

    The key's columns are in the order given where all of them were in the table's key, else in the table's order.
    """
    names = [name for name in columns if name in table.types]
    if all(name in table.key for name in names):
        made = Table({name: table.key[name] for name in names}, table.types, table.data, table.size)
        made.chunks = table.chunks
        return [made]
    wanted = set(names)
    names = [name for name in table.types if name in wanted]
    positions: dict[tuple[Any, ...], list[int]] = {}
    for position, values in enumerate(zip(*(table.data[name] for name in names), strict=True)):
        positions.setdefault(values, []).append(position)
    parts = []
    for values, some in positions.items():
        part = table.pick(some)
        part.key = dict(zip(names, values, strict=True))
        parts.append(part)
        account((part,))
    return sorted(parts, key=key_order)


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
    made = Table(parts[0].key, types, data, size)
    for number, part in enumerate(parts):
        for name, values in data.items():
            values.extend(part.data[name] if name in part.data else [None] * part.size)
        size += part.size
        if not number % 64:
            account((made,))
    made.size = size
    made.chunks = [size for part in parts for size in (part.chunks or [part.size])]
    return made


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
