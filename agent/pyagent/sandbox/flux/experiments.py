"""The package experimental."""

from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked, text_list
from pyagent.sandbox.flux.plan import streams_in
from pyagent.sandbox.flux.reshape import fill as fill_column
from pyagent.sandbox.flux.tables import STRING, Row, Stream, Table, joined, key_order, same_key, type_of
from pyagent.sandbox.flux.tracking import extended
from pyagent.sandbox.flux.values import Callee, Uint, type_name

EXPERIMENTAL: Registry = {}


def _check_group(columns: Any, mode: str) -> None:
    text_list(columns, "columns")
    if mode != "extend":
        raise invalid('invalid group mode: must be "extend"')


@builtin(EXPERIMENTAL, "group")
@checked(_check_group)
def group(context: Context, tables: Stream, columns: Any, mode: str) -> Stream:
    names = sorted(text_list(columns, "columns"))
    groups: dict[tuple[Any, ...], list[Table]] = {}
    for table in tables.tables:
        for part in extended(table, names):
            groups.setdefault(same_key(part), []).append(part)
    return Stream(sorted((joined(parts) for parts in groups.values()), key=key_order))


@builtin(EXPERIMENTAL, "set")
def set_(context: Context, tables: Stream, o: Row) -> Stream:
    if not isinstance(o, dict):
        raise invalid(f"expected {{A with}} but found {type_name(o)} (argument o)")
    groups: dict[tuple[Any, ...], list[Table]] = {}
    for table in tables.tables:
        added = {name: (type_of(value, f"set: {name}") or STRING, [value] * table.size) for name, value in o.items()}
        made = table.with_columns(**added)
        made.key = {name: o.get(name, value) for name, value in table.key.items()}
        groups.setdefault(same_key(made), []).append(made)
    return Stream(sorted((joined(parts) for parts in groups.values()), key=key_order))


@builtin(EXPERIMENTAL, "fill")
def fill(context: Context, tables: Stream, value: Any = None, usePrevious: bool = False) -> Stream:
    made: Stream = fill_column(context, tables, "_value", value, usePrevious)
    return made


@builtin(EXPERIMENTAL, "objectKeys", pipe=None)
def object_keys(context: Context, o: Any) -> list[str]:
    if not isinstance(o, dict):
        raise invalid(f"expected {{A with}} but found {type_name(o)} (argument o)")
    return list(o)


@builtin(EXPERIMENTAL, "chain", pipe=None, at_once=True)
def chain(context: Context, first: Stream, second: Stream) -> Stream:
    _ = first.tables
    return second


@builtin(EXPERIMENTAL, "preview")
def preview(context: Context, tables: Stream, nrows: int = 5, ntables: int = 5) -> Stream:
    return Stream(table.slice(0, nrows) for table in tables.tables[:ntables])


@builtin(EXPERIMENTAL, "unpivot")
def unpivot(context: Context, tables: Stream, otherColumns: Any = None) -> Stream:
    """A row for each value of each column that is neither in the key nor named."""
    others = text_list(otherColumns if otherColumns is not None else ["_time"], "otherColumns")
    made: dict[tuple[Any, ...], list[Table]] = {}
    for table in tables.tables:
        if "_field" in table.types or "_value" in table.types:
            raise invalid('unpivot can\'t have "_field" or "_value" as an input column')
        for name in others:
            if name not in table.types:
                raise invalid(f'unpivot could not find column named "{name}"')
        for column, kind in table.types.items():
            if column in table.key or column in others:
                continue
            kept = [at for at, value in enumerate(table.data[column]) if value is not None]
            types = {name: table.key_type(name) for name in table.key} | {"_field": STRING}
            types |= {name: table.types[name] for name in others} | {"_value": kind}
            data: dict[str, list[Any]] = {name: [value] * len(kept) for name, value in table.key.items()}
            data["_field"] = [column] * len(kept)
            data |= {name: [table.data[name][at] for at in kept] for name in others}
            data["_value"] = [table.data[column][at] for at in kept]
            part = Table({**table.key, "_field": column}, types, {name: data[name] for name in types}, len(kept))
            made.setdefault(same_key(part), []).append(part)
    return Stream(joined(parts) for parts in made.values())


@builtin(EXPERIMENTAL, "catch", pipe=None)
def catch(context: Context, fn: Callee) -> Row:
    """A function's value, or the code and the message of its error."""
    try:
        value = fn()
        for stream in streams_in(value):
            _ = stream.tables
    except InfluxError as error:
        return {"value": None, "code": Uint(3), "msg": error.message}
    return {"value": value, "code": Uint(0), "msg": ""}
