"""Sources and the functions that choose, rename and order rows, columns and tables."""

from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked, text_list, to_time
from pyagent.sandbox.flux.ordering import Sorted
from pyagent.sandbox.flux.predicates import one_row, parts_of
from pyagent.sandbox.flux.reshape import duplicated
from pyagent.sandbox.flux.source import Grouped, GroupedStream, Selection, Source, Unanswered, keep_rows
from pyagent.sandbox.flux.tables import STRING, TIME, Stream, Table, regroup
from pyagent.sandbox.flux.values import Callee, Time, truth

UNIVERSE: Registry = {}


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
        raise invalid("reading from another host is not supported by this server")
    return Source(context.reader, Selection(bucket, bucketID))


@builtin(UNIVERSE, "range")
def range_(context: Context, tables: Stream, start: Any, stop: Any = None) -> Stream:
    first = to_time(context, start, "start")
    last = context.now if stop is None else to_time(context, stop, "stop")
    if last <= first:
        message = "error in building plan while starting program: cannot query an empty range"
        raise InfluxError("invalid", message, final=True)
    if isinstance(tables, Source) and tables.selection.start is None:
        return tables.narrow(start=first, stop=last)
    known = tables.bounds
    bounds = (max(first, known[0]), min(last, known[1])) if known and known[0] < last and first < known[1] else None
    return tables.each(lambda table: _cut(table, first, last)).within(bounds or (first, last))


def _cut(table: Table, first: int, last: int) -> Table:
    """The rows of a table in a range. Its columns _start and _stop are cut to the range, where they are in the key."""
    if "_time" not in table.types:
        raise invalid("range error: supplied time column _time doesn't exist")
    if table.types["_time"] != TIME:
        raise invalid("range error: provided time column _time is not of type time")
    positions = [at for at, time in enumerate(table.data["_time"]) if time is not None and first <= time < last]
    kept = table.take(positions)
    low, high = first, last
    if "_start" in table.key and "_stop" in table.key:
        inner = table.key["_start"], table.key["_stop"]
        if None not in inner and first < inner[1] and inner[0] < last:
            low, high = max(first, inner[0]), min(last, inner[1])
        key = {**table.key, "_start": low, "_stop": high}
    else:
        key = {name: value for name, value in (("_start", low), ("_stop", high)) if name not in table.key}
        key |= table.key
    front = {name: TIME for name in ("_start", "_stop") if name not in table.types}
    data = {**kept.data, "_start": [low] * kept.size, "_stop": [high] * kept.size}
    types = {**front, **table.types}
    return Table(key, types, {name: data[name] for name in types}, kept.size)


def _check_filter(onEmpty: str = "drop", **_: Any) -> None:
    if onEmpty not in ("keep", "drop"):
        raise invalid(f'onEmpty must be keep or drop, got "{onEmpty}"')


@builtin(UNIVERSE, "filter")
@checked(_check_filter)
def filter_(context: Context, tables: Stream, fn: Callee, onEmpty: str = "drop") -> Stream:
    one_row(fn, "r")
    parts, single = parts_of(fn)
    if isinstance(tables, Unanswered) and single and onEmpty == "drop":
        tables = tables.filtered(parts)
        parts = [part for part in parts if part.stored is None]
        return Unanswered(tables.source, [*tables.parts, *parts])
    if isinstance(tables, Source) and tables.bounds is not None and single and onEmpty == "drop":
        source = tables.filtered(parts)
        rest = [part for part in parts if part.stored is None]
        return Unanswered(source, rest) if rest else source
    return tables.each(lambda table: keep_rows(table, parts, onEmpty))


@builtin(UNIVERSE, "yield", at_once=True)
def yield_(context: Context, tables: Stream, name: str = "_result") -> Stream:
    context.keep(name, tables)
    tables.yielded = True
    return tables


def _check_group(columns: Any = None, mode: str = "by", **_: Any) -> None:
    text_list(columns or [], "columns")
    if mode not in ("by", "except"):
        raise invalid('invalid group mode: must be "by" or "except"')


@builtin(UNIVERSE, "group")
@checked(_check_group)
def group(context: Context, tables: Stream, columns: Any = None, mode: str = "by") -> Stream:
    names = text_list(columns or [], "columns")
    if isinstance(tables, GroupedStream | Grouped):  # of two groups in a row only the second one counts
        tables = tables.source
    if isinstance(tables, Source) and mode == "by" and not {"_time", "_value"} & set(names):
        return Grouped(tables, names)
    if mode == "by":
        made = regroup(tables.tables, lambda table: sorted(names))
    else:
        made = regroup(tables.tables, lambda table: [name for name in table.types if name not in names])
    return GroupedStream(made, tables)


def _choose(table: Table, kept: list[str]) -> Table:
    types = {name: table.types[name] for name in kept}
    key = {name: table.key[name] for name in kept if name in table.key}
    return Table(key, types, {name: table.data[name] for name in kept}, table.size)


def _names(table: Table, columns: Any, fn: Callee | None, what: str) -> set[str]:
    if (columns is None) == (fn is None):
        raise invalid(f"{what} error: must specify exactly one of columns or fn")
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
    return Stream(regroup(stream.tables, lambda table: table.key))


@builtin(UNIVERSE, "rename")
def rename(context: Context, tables: Stream, columns: Any = None, fn: Callee | None = None) -> Stream:
    if (columns is None) == (fn is None):
        raise invalid("rename error: must specify exactly one of columns or fn")

    def work(table: Table) -> Table:
        if fn is not None:
            new = {name: str(fn(column=name)) for name in table.types}
        else:
            for name in columns:
                if name not in table.types:
                    raise invalid(f'rename error: column "{name}" doesn\'t exist')
            new = {name: columns.get(name, name) for name in table.types}
        if len(set(new.values())) < len(new):
            raise invalid("rename error: two columns would get the same name")
        types = {new[name]: kind for name, kind in table.types.items()}
        data = {new[name]: values for name, values in table.data.items()}
        key = {new[name]: table.key[name] for name in table.types if name in table.key}
        return Table(key, types, data, table.size)

    return _merged(tables.each(work))


@builtin(UNIVERSE, "duplicate")
def duplicate(context: Context, tables: Stream, column: str, as_: str) -> Stream:
    return _merged(tables.each(lambda table: duplicated(table, column, as_)))


@builtin(UNIVERSE, "set")
def set_(context: Context, tables: Stream, key: str, value: str) -> Stream:
    def work(table: Table) -> Table:
        made = table.with_columns(**{key: (STRING, [value] * table.size)})
        made.key = {name: value if name == key else old for name, old in table.key.items()}
        return made

    return _merged(tables.each(work))


@builtin(UNIVERSE, "sort")
def sort(context: Context, tables: Stream, columns: Any = None, desc: bool = False) -> Stream:
    names = text_list(columns if columns is not None else ["_value"], "columns")
    return Sorted(tables, names, desc)


def _check_limit(n: int, offset: int = 0, **_: Any) -> None:
    if offset < 0:
        raise invalid(f"limit offset cannot be negative ({offset})")


@builtin(UNIVERSE, "limit")
@checked(_check_limit)
def limit(context: Context, tables: Stream, n: int, offset: int = 0) -> Stream:
    if isinstance(tables, Sorted) and offset == 0:
        return tables.limited(n)
    return tables.each(lambda table: table.slice(offset, offset + max(0, n)))


@builtin(UNIVERSE, "tail")
def tail(context: Context, tables: Stream, n: int, offset: int = 0) -> Stream:
    def work(table: Table) -> Table:
        stop = max(0, table.size - max(0, offset))
        return table.slice(max(0, stop - max(0, n)), stop)

    return tables.each(work)


@builtin(UNIVERSE, "distinct")
def distinct(context: Context, tables: Stream, column: str = "_value") -> Stream:
    def work(table: Table) -> Table:
        # A table without the column gives one row with an empty text, as in InfluxDB.
        found = list(dict.fromkeys(table.data[column])) if column in table.data else [""]
        types = {name: table.key_type(name) for name in table.key if name != "_value"}
        types["_value"] = table.types.get(column, STRING)
        data: dict[str, list[Any]] = {name: [table.key[name]] * len(found) for name in types if name != "_value"}
        key = {name: value for name, value in table.key.items() if name != "_value"}
        return Table(key, types, {**data, "_value": found}, len(found))

    return tables.each(work)


@builtin(UNIVERSE, "unique")
def unique(context: Context, tables: Stream, column: str = "_value") -> Stream:
    def work(table: Table) -> Table:
        first: dict[Any, int] = {}
        for position, value in enumerate(table.need(column, f'no column "{column}" exists')):
            first.setdefault(value, position)
        return table.take(list(first.values()))

    return tables.each(work)


def _check_union(tables: Any, **_: Any) -> None:
    if not isinstance(tables, list) or len(tables) < 2:
        raise invalid("union must have at least two streams as input")


@builtin(UNIVERSE, "union", pipe=None)
@checked(_check_union)
def union(context: Context, tables: list[Stream]) -> Stream:
    return Stream(regroup([table for stream in tables for table in stream.tables], lambda table: table.key))


@builtin(UNIVERSE, "now")
def now(context: Context) -> Time:
    return Time(context.now)


@builtin(UNIVERSE, "die")
def die(context: Context, msg: str) -> None:
    raise invalid(msg)
