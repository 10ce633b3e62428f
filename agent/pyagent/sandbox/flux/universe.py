"""Sources and the functions that choose, rename and order rows, columns and tables."""

from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.evaluate import conjuncts
from pyagent.sandbox.flux.library import Context, Registry, builtin, natural, text_list, to_time
from pyagent.sandbox.flux.source import Grouped, Selection, Source, filter_rows
from pyagent.sandbox.flux.tables import (
    LONG,
    STRING,
    TIME,
    Row,
    Stream,
    Table,
    from_rows,
    regroup,
)  # fmt: skip
from pyagent.sandbox.flux.values import Callee, Time, truth

UNIVERSE: Registry = {}

_ROW_COLUMNS = {"_value", "_time", "_start", "_stop"}


@builtin(UNIVERSE, "from")
def from_(
    context: Context,
    bucket: str = "",
    bucketID: str = "",
    host: str = "",
    org: str = "",
    orgID: str = "",
    token: str = "",
) -> Stream:
    if host:
        raise invalid("from: reading from another host is not supported by this server")
    return Source(context.reader, Selection(bucket, bucketID))


@builtin(UNIVERSE, "range")
def range_(context: Context, tables: Stream, start: Any, stop: Any = None) -> Stream:
    first = to_time(context, start, "range: start")
    last = context.now if stop is None else to_time(context, stop, "range: stop")
    if last < first:
        raise invalid("error in building plan while starting program: cannot query an empty range")
    if isinstance(tables, Source):
        if tables.selection.start is not None:
            first, last = max(first, tables.selection.start), min(last, tables.selection.stop)
        return tables.narrow(start=first, stop=max(first, last))

    def cut(table: Table) -> Table:
        times = table.need("_time", "range")
        kept = table.take(
            [position for position, time in enumerate(times) if time is not None and first <= time < last]
        )
        moved = kept.with_columns(_start=(TIME, [first] * kept.size), _stop=(TIME, [last] * kept.size))
        moved.key = {**table.key, "_start": first, "_stop": last}
        return moved

    return tables.each(cut)


@builtin(UNIVERSE, "filter")
def filter_(context: Context, tables: Stream, fn: Callee, onEmpty: str = "drop") -> Stream:
    if onEmpty not in ("keep", "drop"):
        raise invalid(f'filter: onEmpty must be keep or drop, got "{onEmpty}"')
    parts = conjuncts(fn)
    if isinstance(tables, Source) and onEmpty == "drop":
        chosen = tables.selection
        of_series = [asks for columns, asks in parts if columns is not None and not columns & _ROW_COLUMNS]
        of_rows = [asks for columns, asks in parts if columns is None or columns & _ROW_COLUMNS]
        return tables.narrow(of_series=(*chosen.of_series, *of_series), of_rows=(*chosen.of_rows, *of_rows))

    def work(table: Table) -> Table | None:
        record = table.key_record()
        for columns, asks in parts:
            if columns is not None and columns <= table.key.keys():
                if not truth(asks(record)):
                    table = table.slice(0, 0)
            elif table.size:
                table = filter_rows(table, asks)
        return table if table.size or onEmpty == "keep" else None

    return tables.each(work)


@builtin(UNIVERSE, "yield")
def yield_(context: Context, tables: Stream, name: str = "_result") -> Stream:
    context.keep(name, tables)
    tables.yielded = True
    return tables


@builtin(UNIVERSE, "buckets")
def buckets(context: Context) -> Stream:
    found = context.buckets()
    rows: list[Row] = [
        {
            "name": bucket["name"],
            "id": bucket["id"],
            "organizationID": bucket["orgID"],
            "retentionPolicy": "",
            "retentionPeriod": bucket["retention"] * 10**9,
        }
        for bucket in found
    ]
    if not rows:
        raise invalid("buckets: no bucket is visible to this token")
    types = {"name": STRING, "id": STRING, "organizationID": STRING, "retentionPolicy": STRING, "retentionPeriod": LONG}
    return Stream(regroup([from_rows({}, rows, "buckets", types)], lambda table: ["organizationID"]))


@builtin(UNIVERSE, "group")
def group(context: Context, tables: Stream, columns: Any = None, mode: str = "by") -> Stream:
    names = text_list(columns or [], "group: columns")
    if mode not in ("by", "except"):
        raise invalid(f'group: invalid option: mode must be "by" or "except", got "{mode}"')
    if isinstance(tables, Source) and mode == "by" and not {"_time", "_value"} & set(names):
        return Grouped(regroup(tables.tables, lambda table: [*names, "_start", "_stop"]), names)
    if mode == "by":
        return Stream(regroup(tables.tables, lambda table: names))
    return Stream(regroup(tables.tables, lambda table: [name for name in table.types if name not in names]))


def _choose(table: Table, kept: list[str]) -> Table:
    types = {name: table.types[name] for name in kept}
    key = {name: value for name, value in table.key.items() if name in types}
    return Table(key, types, {name: table.data[name] for name in kept}, table.size)


def _names(table: Table, columns: Any, fn: Callee | None, what: str) -> set[str]:
    if (columns is None) == (fn is None):
        raise invalid(f"{what}: exactly one of columns and fn must be given")
    if fn is not None:
        return {name for name in table.types if truth(fn(column=name))}
    return set(text_list(columns, f"{what}: columns"))


@builtin(UNIVERSE, "keep")
def keep(context: Context, tables: Stream, columns: Any = None, fn: Callee | None = None) -> Stream:
    def work(table: Table) -> Table:
        wanted = _names(table, columns, fn, "keep")
        return _choose(table, [name for name in table.types if name in wanted])

    return _merged(tables.each(work))


@builtin(UNIVERSE, "drop")
def drop(context: Context, tables: Stream, columns: Any = None, fn: Callee | None = None) -> Stream:
    def work(table: Table) -> Table:
        unwanted = _names(table, columns, fn, "drop")
        return _choose(table, [name for name in table.types if name not in unwanted])

    return _merged(tables.each(work))


def _merged(stream: Stream) -> Stream:
    """Tables whose keys have become equal come together."""
    return Stream(regroup([table for table in stream.tables if table.types], lambda table: table.key))


@builtin(UNIVERSE, "rename")
def rename(context: Context, tables: Stream, columns: Any = None, fn: Callee | None = None) -> Stream:
    if (columns is None) == (fn is None):
        raise invalid("rename: exactly one of columns and fn must be given")

    def work(table: Table) -> Table:
        if fn is not None:
            new = {name: str(fn(column=name)) for name in table.types}
        else:
            for name in columns:
                if name not in table.types:
                    raise invalid(f'rename error: column "{name}" doesn\'t exist')
            new = {name: columns.get(name, name) for name in table.types}
        if len(set(new.values())) < len(new):
            raise invalid("rename: two columns would get the same name")
        types = {new[name]: kind for name, kind in table.types.items()}
        data = {new[name]: values for name, values in table.data.items()}
        return Table({new[name]: value for name, value in table.key.items()}, types, data, table.size)

    return _merged(tables.each(work))


@builtin(UNIVERSE, "duplicate")
def duplicate(context: Context, tables: Stream, column: str, as_: str) -> Stream:
    def work(table: Table) -> Table:
        values = table.need(column, "duplicate")
        made = table.with_columns(**{as_: (table.types[column], values)})
        if as_ in table.key:
            made.key = {**table.key, as_: table.key.get(column, values[0] if values else None)}
        return made

    return tables.each(work)


@builtin(UNIVERSE, "set")
def set_(context: Context, tables: Stream, key: str, value: str) -> Stream:
    def work(table: Table) -> Table:
        made = table.with_columns(**{key: (STRING, [value] * table.size)})
        made.key = {name: value if name == key else old for name, old in table.key.items()}
        return made

    return _merged(tables.each(work))


def sort_key(value: Any) -> tuple[bool, Any]:
    """Orders values with null first."""
    return (value is not None, 0 if value is None else value)


@builtin(UNIVERSE, "sort")
def sort(context: Context, tables: Stream, columns: Any = None, desc: bool = False) -> Stream:
    names = text_list(columns if columns is not None else ["_value"], "sort: columns")

    def work(table: Table) -> Table:
        by = [table.data[name] for name in names if name in table.data]
        order = sorted(
            range(table.size), key=lambda position: [sort_key(values[position]) for values in by], reverse=desc
        )
        if desc:  # equal rows keep their order
            order = sorted(
                range(table.size - 1, -1, -1), key=lambda position: [sort_key(values[position]) for values in by]
            )[::-1]
        return table.take(order)

    return tables.each(work)


@builtin(UNIVERSE, "limit")
def limit(context: Context, tables: Stream, n: int, offset: int = 0) -> Stream:
    first, count = natural(offset, "limit: offset"), natural(n, "limit: n", 1)
    return tables.each(lambda table: table.slice(first, first + count))


@builtin(UNIVERSE, "tail")
def tail(context: Context, tables: Stream, n: int, offset: int = 0) -> Stream:
    count, skip = natural(n, "tail: n", 1), natural(offset, "tail: offset")

    def work(table: Table) -> Table:
        stop = max(0, table.size - skip)
        return table.slice(max(0, stop - count), stop)

    return tables.each(work)


@builtin(UNIVERSE, "distinct")
def distinct(context: Context, tables: Stream, column: str = "_value") -> Stream:
    def work(table: Table) -> Table:
        # A table without the column gives one row with an empty text, as in InfluxDB.
        found = list(dict.fromkeys(table.data[column])) if column in table.data else [""]
        types = {name: kind for name, kind in table.types.items() if name in table.key and name != "_value"}
        types["_value"] = table.types.get(column, STRING)
        data: dict[str, list[Any]] = {name: [table.key[name]] * len(found) for name in types if name != "_value"}
        return Table(
            {name: value for name, value in table.key.items() if name != "_value"},
            types,
            {**data, "_value": found},
            len(found),
        )

    return tables.each(work)


@builtin(UNIVERSE, "unique")
def unique(context: Context, tables: Stream, column: str = "_value") -> Stream:
    def work(table: Table) -> Table:
        first: dict[Any, int] = {}
        for position, value in enumerate(table.need(column, "unique")):
            first.setdefault(value, position)
        return table.take(list(first.values()))

    return tables.each(work)


@builtin(UNIVERSE, "union", pipe=None)
def union(context: Context, tables: list[Stream]) -> Stream:
    if not isinstance(tables, list) or len(tables) < 2:
        raise invalid("union must have at least two streams as input")
    return Stream(regroup([table for stream in tables for table in stream.tables], lambda table: table.key))


@builtin(UNIVERSE, "now")
def now(context: Context) -> Time:
    return Time(context.now)


@builtin(UNIVERSE, "die")
def die(context: Context, msg: str) -> None:
    raise invalid(msg)
