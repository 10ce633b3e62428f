"""from(bucket:) |> range() |> filter(): read when it is needed, and only what is needed.

What a filter asks for measurement, field and tags alone is answered from the list of series; what it asks for the value, of
each row."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux.gosort import go_sorted
from pyagent.sandbox.flux.predicates import VALUE, Part, Predicate
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, STRING, TIME, UNSIGNED, Row, Stream, Table
from pyagent.sandbox.flux.values import truth
from pyagent.sandbox.limits import ROW, account, check, take
from pyagent.sandbox.series import Column
from pyagent.sandbox.store import PointStore

TYPES: Final = {"integer": LONG, "unsigned": UNSIGNED, "float": DOUBLE, "boolean": BOOLEAN, "string": STRING}


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
    """What InfluxDB's storage reads."""

    def __init__(self, reader: Reader, selection: Selection) -> None:
        super().__init__()
        self._tables = None
        self.reader = reader
        self.selection = selection
        self._repeated: dict[tuple[Any, int], list[Any]] = {}
        self.within(None if selection.start is None else (selection.start, selection.stop))

    def narrow(self, **changes: Any) -> "Source":
        return Source(self.reader, replace(self.selection, **changes))

    def filtered(self, parts: Iterable[Part]) -> "Source":
        """With what the storage answers of these parts."""
        of_series, of_rows = list(self.selection.of_series), list(self.selection.of_rows)
        for part in parts:
            if part.stored is not None:
                (of_rows if part.columns is None or VALUE in part.columns else of_series).append(part.stored)
        return self.narrow(of_series=tuple(of_series), of_rows=tuple(of_rows))

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
            raise InfluxError(
                "invalid",
                f'error in building plan while starting program: cannot submit unbounded read to "{name}"; '
                "try bounding 'from' with a call to 'range'",
                final=True,
            )
        if not chosen.bucket and not chosen.bucket_id:
            raise _no_bucket()
        bucket = self.reader.bucket(chosen.bucket, chosen.bucket_id)
        found = [(column, labels(column)) for column in self.reader.store.columns(bucket["id"])]
        if chosen.of_series:
            found = [(column, row) for column, row in found if all(asks(row) for asks in chosen.of_series)]
        found.sort(key=lambda pair: (*pair[0].series.order, pair[0].field))
        return [(column, row.copy()) for column, row in found]

    @property
    def limits(self) -> tuple[int, int]:
        assert self.selection.start is not None
        return self.selection.start, self.selection.stop

    def load(self) -> list[Table]:
        tables: list[Table] = []
        for column, row, times, values in self.read():
            if self.selection.of_rows:
                kept = self._kept(row, values)
                times, values = [times[at] for at in kept], [values[at] for at in kept]
            if times:
                tables.append(self.table(column, row, times, values))
        return check_types(tables)

    def series_tables(self) -> list[Table]:
        """The tables that are read, unchecked: a series may have two types."""
        return self.load()

    def _kept(self, row: Row, values: list[Any]) -> list[int]:
        asked = self.selection.of_rows
        row, kept = dict(row), []
        for at, value in enumerate(values):
            row[VALUE] = value
            if all(asks(row) for asks in asked):
                kept.append(at)
        return kept

    def table(
        self, column: Column, row: Row, times: list[int] | None, values: list[Any], kind: str | None = None
    ) -> Table:
        """A table with the columns in the order in which InfluxDB's storage gives them; `times` None: without _time."""
        start, stop = self.limits
        size = len(values)
        types = {"_start": TIME, "_stop": TIME, "_time": TIME, "_value": kind or TYPES[column.type]}
        data: dict[str, list[Any]] = {
            "_start": self._repeat(start, size),
            "_stop": self._repeat(stop, size),
            "_time": [] if times is None else times,
            "_value": values,
        }
        if times is None:
            del types["_time"], data["_time"]
        for name in ("_field", "_measurement", *sorted(name for name in row if name not in ("_field", "_measurement"))):
            types[name] = STRING
            data[name] = self._repeat(row[name], size)
        made = Table({"_start": start, "_stop": stop, **row}, types, data, size)
        account((made,))
        return made

    def _repeat(self, value: Any, size: int) -> list[Any]:
        """A column of one value; tables share it."""
        known = self._repeated.get((value, size))
        if known is None:
            known = self._repeated[value, size] = [value] * size
        return known

    def is_plain(self) -> bool:
        """Whether what is read needs no look at the values, and no series has two types."""
        found = [(column.series.id, column.field) for column, _ in self.columns()]
        return not self.selection.of_rows and len(set(found)) == len(found)

    def read(self) -> Iterator[tuple[Column, Row, list[int], list[Any]]]:
        """Each selected column with its times and values in the range, if there are any; lists that may not be changed."""
        selected = self.columns()
        view = self.reader.store.view()
        for column, row in selected:
            times, values = view.read(column, *self.limits)
            take(ROW * len(times))
            if times:
                yield column, row, times, values

    def ends(self, *, last: bool) -> Iterator[tuple[Column, Row, int, Any]]:
        """Each selected column with the time and value of its first or last point in the range, if there is one."""
        selected = self.columns()
        view = self.reader.store.view()
        for column, row in selected:
            check()
            found = view.last(column, *self.limits) if last else view.first(column, *self.limits)
            if found is not None:
                yield column, row, *found

    def filled(self) -> list[Row]:
        """Measurement, field and tags of each selected column that has a point in the range."""
        selected = self.columns()
        view = self.reader.store.view()
        return [row for column, row in selected if view.any(column, *self.limits)]


class Unanswered(Stream):
    """A read, and what of its filters the storage does not answer."""

    def __init__(self, source: Source, parts: list[Part]) -> None:
        super().__init__()
        self._tables = None
        self.source = source
        self.parts = parts
        self.within(source.bounds)

    def filtered(self, parts: Iterable[Part]) -> "Unanswered":
        """With what the storage answers of these parts."""
        return Unanswered(self.source.filtered(parts), self.parts)

    def load(self) -> list[Table]:
        return self.source.each(lambda table: keep_rows(table, self.parts)).tables


class GroupedStream(Stream):
    """A group, and what was grouped."""

    flushed = True

    def __init__(self, tables: Iterable[Table], source: Stream) -> None:
        super().__init__(tables)
        self.source = source
        self.within(source.bounds)


class Windowed(Stream):
    """Windows directly behind a read, table by table: what the storage aggregates keeps its order of tables and columns."""


class Grouped(Stream):
    """A group directly behind a read: what InfluxDB's storage gives for it.

    Its tables are in the order of the tags' values, a missing one last; a table's key has start, stop and all the tags that
    were named, its rows those of one series after the other (`chunks`), its columns the tags that they have, sorted.
    """

    def __init__(self, source: Source, names: list[str]) -> None:
        super().__init__()
        self._tables = None
        self.source = source
        self.names = [name for name in dict.fromkeys(names) if name not in ("_start", "_stop")]
        self.within(source.bounds)

    def load(self) -> list[Table]:
        groups: dict[tuple[Any, ...], list[Table]] = {}
        for table in go_sorted(self.source.series_tables(), self._sort_key):
            groups.setdefault(tuple(table.key.get(name) for name in self.names), []).append(table)
        made: list[Table] = []
        for values, parts in groups.items():
            self._group(values, parts, made)
        return made

    def _sort_key(self, table: Table) -> bytes:
        values = (table.key.get(name) for name in self.names)
        return b"".join((value.encode("utf-8", "surrogateescape") if value else b"\xff") + b"\0" for value in values)

    def _group(self, values: tuple[Any, ...], parts: list[Table], made: list[Table]) -> None:
        first, last = self.source.limits
        key = {"_start": first, "_stop": last, **dict(zip(self.names, values, strict=True))}
        tags = sorted({name for part in parts for name in part.types if name not in _ROW_COLUMNS})
        kind = parts[0].types["_value"]
        types = {"_start": TIME, "_stop": TIME, "_time": TIME, "_value": kind, **dict.fromkeys(tags, STRING)}
        data: dict[str, list[Any]] = {name: [] for name in types}
        table = Table(key, types, data, 0)
        table.chunks = []
        made.append(table)
        for part in parts:
            if part.types["_value"] != kind:
                raise _collision(kind, part.types["_value"], made)
            for name, into in data.items():
                into.extend(part.data[name] if name in part.data else [None] * part.size)
            table.size += part.size
            table.chunks.append(part.size)
            check()
        account((table,))


_ROW_COLUMNS: Final = frozenset(("_start", "_stop", "_time", "_value"))


def _collision(known: str, found: str, partial: list[Table]) -> InfluxError:
    names = {LONG: "integer", UNSIGNED: "unsigned", DOUBLE: "float", BOOLEAN: "boolean", STRING: "string"}
    error = InfluxError(
        "internal error",
        f"schema collision: cannot group {names[known]} and {names[found]} types together",
        final=True,
    )
    error.partial = partial
    return error


def _no_bucket() -> InfluxError:
    message = "failed to initialize execute state: no bucket name or id have been specified"
    return InfluxError("invalid", message, final=True)


@lru_cache(1 << 14)
def labels(column: Column) -> Row:
    """Measurement, field and tags of a column, as text. To be copied: each query asks for those of all columns."""
    row = {"_field": _text(column.field), "_measurement": _text(column.series.measurement)}
    for name, value in column.series.tags:
        row[_text(name)] = _text(value)
    return row


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def keep_rows(table: Table, parts: Iterable[Part], on_empty: str = "drop") -> Table | None:
    """The rows that all the parts take; what asks for columns of the key alone is asked once."""
    record = table.key_record()
    for part in parts:
        if part.columns is not None and part.columns <= table.key.keys():
            if not truth(part.asks(record)):
                table = table.slice(0, 0)
        elif table.size:
            positions = [position for position, row in enumerate(table.rows()) if truth(part.asks(row))]
            if len(positions) < table.size:
                table = table.pick(positions)
    return table if table.size or on_empty == "keep" else None


def check_types(tables: list[Table]) -> list[Table]:
    """Refuse a series that has two types in the range, as InfluxDB's reads do."""
    seen: dict[tuple[tuple[str, Any], ...], str] = {}
    for position, table in enumerate(tables):
        key = tuple(table.key.items())
        known = seen.setdefault(key, table.types["_value"])
        if known != table.types["_value"]:
            raise _collision(known, table.types["_value"], tables[:position])
    return tables
