"""from(bucket:) |> range() |> filter(): read when it is needed, and only what is needed.

A filter is taken apart at its `and`s. What asks for measurement, field and tags alone is answered from the list of series;
the rest is asked of each row. Aggregates over what is read are left to SQL where SQL computes the same.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, STRING, TIME, UNSIGNED, Row, Stream, Table
from pyagent.sandbox.flux.values import truth
from pyagent.sandbox.store import Column, PointStore, decode

TYPES: Final = {"integer": LONG, "unsigned": UNSIGNED, "float": DOUBLE, "boolean": BOOLEAN, "string": STRING}

Predicate = Callable[[Row], Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """What a query may read: `bucket` finds a bucket that its token may read, by name or id, or raises InfluxError."""

    store: PointStore
    bucket: Callable[[str, str], Document]


@dataclass(frozen=True, slots=True)
class Selection:
    bucket: str = ""
    bucket_id: str = ""
    start: int | None = None
    stop: int = 0
    of_series: tuple[Predicate, ...] = ()
    of_rows: tuple[Predicate, ...] = ()


class Source(Stream):
    def __init__(self, reader: Reader, selection: Selection) -> None:
        self._tables = None
        self.reader = reader
        self.selection = selection

    def narrow(self, **changes: Any) -> "Source":
        return Source(self.reader, replace(self.selection, **changes))

    def columns(self) -> list[tuple[Column, Row]]:
        """The selected columns, in InfluxDB's order of series, each with its measurement, field and tags.

        Raises:
            InfluxError: no range, or no such bucket for this token.
        """
        chosen = self.selection
        if chosen.start is None:
            name = chosen.bucket or chosen.bucket_id
            if not name:
                raise _no_bucket()
            raise invalid(
                f'error in building plan while starting program: cannot submit unbounded read to "{name}"; '
                "try bounding 'from' with a call to 'range'"
            )
        if not chosen.bucket and not chosen.bucket_id:
            raise _no_bucket()
        bucket = self.reader.bucket(chosen.bucket, chosen.bucket_id)
        found = [(column, labels(column)) for column in self.reader.store.columns(bucket["id"])]
        if chosen.of_series:
            found = [(column, row) for column, row in found if all(truth(asks(row)) for asks in chosen.of_series)]
        found.sort(key=lambda pair: (*pair[0].series.order, (b"\xff", pair[0].field)))
        return found

    @property
    def bounds(self) -> tuple[int, int]:
        assert self.selection.start is not None
        return self.selection.start, self.selection.stop

    def load(self) -> list[Table]:
        tables = [
            self.table(column, row, [time for time, _ in found], decode_all(column.type, [value for _, value in found]))
            for column, row, found in self.rows("time, value", "ORDER BY time")
        ]
        tables = check_types(tables)
        for asks in self.selection.of_rows:
            tables = [kept for table in tables if (kept := filter_rows(table, asks)).size]
        return tables

    def table(
        self, column: Column, row: Row, times: list[int] | None, values: list[Any], kind: str | None = None
    ) -> Table:
        """A table with the columns in the order in which InfluxDB's storage gives them; `times` None: without _time."""
        start, stop = self.bounds
        size = len(values)
        types = {"_start": TIME, "_stop": TIME, "_time": TIME, "_value": kind or TYPES[column.type]}
        data: dict[str, list[Any]] = {
            "_start": [start] * size,
            "_stop": [stop] * size,
            "_time": times or [],
            "_value": values,
        }
        if times is None:
            del types["_time"], data["_time"]
        for name in ("_field", "_measurement", *sorted(name for name in row if name not in ("_field", "_measurement"))):
            types[name] = STRING
            data[name] = [row[name]] * size
        return Table({"_start": start, "_stop": stop, **row}, types, data, size)

    def rows(self, sql: str, tail: str = "") -> Iterator[tuple[Column, Row, list[Any]]]:
        """Each selected column with what `SELECT sql ... tail` gives over its points in the range, if that is anything."""
        selected = self.columns()
        db = self.reader.store.reader()
        query = f"SELECT {sql} FROM stored WHERE column = ? AND time >= ? AND time < ? {tail}"  # noqa: S608  (constants)
        for column, row in selected:
            found = db.execute(query, (column.id, *self.bounds)).fetchall()
            if found:
                yield column, row, found


class Windowed(Stream):
    """Windows directly behind a read: an aggregate keeps the order of the storage's columns."""


class Grouped(Stream):
    """What InfluxDB's storage gives for a group directly behind a read: start and stop stay in the key, tags are sorted."""

    def __init__(self, tables: Iterable[Table], names: list[str]) -> None:
        super().__init__(self._laid_out(table) for table in tables)
        self.names = names

    @staticmethod
    def _laid_out(table: Table) -> Table:
        first = [name for name in ("_start", "_stop", "_time", "_value") if name in table.types]
        order = [*first, *sorted(name for name in table.types if name not in first)]
        key = {name: table.key[name] for name in order if name in table.key}
        return Table(key, {name: table.types[name] for name in order}, table.data, table.size)


def _no_bucket() -> InfluxError:
    return invalid("failed to initialize execute state: no bucket name or id have been specified")


def labels(column: Column) -> Row:
    """Measurement, field and tags of a column, as text."""
    row = {"_measurement": _text(column.series.measurement), "_field": _text(column.field)}
    for name, value in column.series.tags:
        row[_text(name)] = _text(value)
    return row


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def decode_all(kind: str, values: Any) -> list[Any]:
    if kind in ("integer", "float"):
        return list(values)
    return [decode(kind, value) for value in values]


def filter_rows(table: Table, asks: Predicate) -> Table:
    positions = [position for position, row in enumerate(table.rows()) if truth(asks(row))]
    return table if len(positions) == table.size else table.take(positions)


def check_types(tables: list[Table]) -> list[Table]:
    """Refuse a series that has two types in the range, as InfluxDB's reads do."""
    seen: dict[tuple[tuple[str, Any], ...], str] = {}
    for table in tables:
        key = tuple(table.key.items())
        known = seen.setdefault(key, table.types["_value"])
        if known != table.types["_value"]:
            raise InfluxError(
                "internal error",
                "schema collision: cannot group {} and {} types together".format(known, table.types["_value"]),
            )
    return tables
