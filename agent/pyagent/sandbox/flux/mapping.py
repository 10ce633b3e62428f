"""map() and reduce(): a function of the script for each row."""

from sys import getsizeof
from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.columnar import NoColumns, mapped_columns
from pyagent.sandbox.flux.evaluate import Closure
from pyagent.sandbox.flux.kinds import kind_of_function
from pyagent.sandbox.flux.library import Context, Registry, builtin
from pyagent.sandbox.flux.predicates import one_row
from pyagent.sandbox.flux.tables import FLUX_NAMES, Row, Stream, Table, in_key_order, joined, same_key, type_of
from pyagent.sandbox.flux.values import Callee, type_name
from pyagent.sandbox.limits import RUNNING, check, take

MAPPING: Registry = {}

_COUNTED = 64
"""Records between two counts of their memory."""
_VECTOR_OPERATORS = frozenset(("+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or"))


@builtin(MAPPING, "map")
def map_(context: Context, tables: Stream, fn: Callee, mergeKey: bool = False) -> Stream:
    one_row(fn, "r")
    in_order = _vectorized(fn)
    if in_order and not mergeKey:
        # The engine's nodes that work on whole columns do not know where the script has them.
        try:
            return _mapped(context, tables, fn, mergeKey, in_order=True)
        except InfluxError as error:
            if not error.final:
                error.message, error.final = f"runtime error: {error.message}", True
            raise
    return _mapped(context, tables, fn, mergeKey, in_order=False)


def _mapped(context: Context, tables: Stream, fn: Callee, merge: bool, *, in_order: bool) -> Stream:
    made: dict[tuple[Any, ...], list[Table]] = {}
    for table in tables.tables:
        check()
        context.calls.by_columns = in_order
        try:
            mapped = (None if merge else _by_columns(table, fn, in_order=in_order)) or _by_rows(
                table, fn, merge, in_order
            )
        finally:
            context.calls.by_columns = False
        if mapped is None:
            continue
        for part in _regrouped(mapped, [name for name in mapped.types if name in table.key]):
            made.setdefault(same_key(part), []).append(part)
    stream = in_key_order(Stream(joined(parts) for parts in made.values()))
    stream.flushed = True
    return stream


def _by_rows(table: Table, fn: Callee, merge: bool, in_order: bool) -> Table | None:
    """The function called for each row; None: there is no row."""
    rows: list[Row] = []
    held = 0
    try:
        for row in table.rows():
            new = fn(r=row)
            if not isinstance(new, dict):
                raise invalid("map: the function must give a record")
            rows.append({**table.key_record(), **new} if merge else new)
            if not len(rows) % _COUNTED:
                held += (size := _COUNTED * getsizeof(new))
                take(size)
    except InfluxError as error:
        if not error.final and not error.message.startswith(("type conflict: ", "cannot compile")):
            error.message = f"failed to evaluate map function: {error.message}"
        raise
    made = _table(table, rows, fn, in_order=in_order) if rows else None
    take(-held)
    return made


def _by_columns(table: Table, fn: Callee, *, in_order: bool) -> Table | None:
    """The same from whole columns; None: it must be done row by row."""
    if not table.size or not _asks(fn):
        return None
    try:
        data, types = mapped_columns(fn, table)
    except NoColumns:
        return None
    names = list(data) if in_order else sorted(data)
    return Table({}, {name: types[name] for name in names}, {name: data[name] for name in names}, table.size)


def _regrouped(table: Table, names: list[str]) -> list[Table]:
    """The rows by these columns, which are the new key, in the order of those that differ.

    A group's key is that of the row which was where the group now begins: so it is in InfluxDB, where the key of a group
    that map() made may be that of another one.
    """
    differing = [name for name in names if table.data[name].count(table.data[name][0]) < table.size]
    if not differing:
        table.key = {name: table.data[name][0] for name in names}
        return [table]

    def values(at: int) -> list[tuple[bool, Any]]:
        return [
            (value is not None, 0 if value is None else value) for value in (table.data[name][at] for name in differing)
        ]

    order = sorted(range(table.size), key=values)
    parts, first = [], 0
    for at in range(1, table.size + 1):
        if at == table.size or values(order[at]) != values(order[first]):
            part = table.take(order[first:at])
            part.key = {name: table.data[name][first] for name in names}
            parts.append(part)
            first = at
    return parts


def _table(table: Table, rows: list[Row], fn: Callee, *, in_order: bool) -> Table:
    """The rows as a table. A column has the type that the function's text gives it, else that of the first row's value."""
    known = kind_of_function(fn, {"r": dict(table.types)})
    static = known if isinstance(known, dict) else {}
    first = rows[0]
    types: dict[str, str] = {}
    for name in first if in_order else sorted(first):
        found = static.get(name)
        kind = found if isinstance(found, str) else type_of(first[name], f'map object property "{name}"')
        if kind is not None:
            types[name] = kind
    if in_order and not _asks(fn):
        rows = []  # whole columns of nothing but literals have no length
    data = {name: [row.get(name) for row in rows] for name in types}
    for name, values in data.items():
        _check(name, types[name], values)
    return Table({}, types, data, len(rows))


def _asks(fn: Callee) -> bool:
    """Whether a record asks for any column."""

    def asks(node: object) -> bool:
        match node:
            case syntax.Member():
                return True
            case syntax.Unary():
                return asks(node.value)
            case syntax.Binary():
                return asks(node.left) or asks(node.right)
            case syntax.Conditional():
                return any(asks(part) for part in (node.test, node.then, node.other))
            case syntax.Call():
                return any(asks(value) for _, value in node.arguments)
            case _:
                return False

    record = fn.node.body if isinstance(fn, Closure) else None
    if not isinstance(record, syntax.Record):
        return True
    return record.base is not None or any(asks(value) for _, value in record.properties)


def _check(name: str, kind: str, values: list[Any]) -> None:
    for value in values:
        found = type_of(value, f'map object property "{name}"')
        if found is not None and found != kind:
            raise invalid(f'map: type conflict in column "{name}": {FLUX_NAMES[found]} != {FLUX_NAMES[kind]}')


def _vectorized(fn: Callee) -> bool:
    """Whether InfluxDB computes whole columns: then these keep the order of the record, else they are sorted."""
    if not isinstance(fn, Closure) or not isinstance(fn.node.body, syntax.Record):
        return False
    name, record = fn.node.parameters[0][0], fn.node.body
    base = record.base
    if base is not None and not (isinstance(base, syntax.Identifier) and base.name == name):
        return False
    return all(_column_wise(value, name, fn) for _, value in record.properties)


def _column_wise(node: object, name: str, fn: Closure) -> bool:
    match node:
        case syntax.Literal():
            return type(node.value) is not bool and type_name(node.value) in ("int", "float", "string", "time")
        case syntax.Identifier():
            return node.name in (name, "true", "false")
        case syntax.Member():
            return isinstance(node.value, syntax.Identifier) and node.value.name == name
        case syntax.Unary():
            return _column_wise(node.value, name, fn)
        case syntax.Binary():
            wise = node.operator in _VECTOR_OPERATORS
            return wise and _column_wise(node.left, name, fn) and _column_wise(node.right, name, fn)
        case syntax.Conditional():
            return all(_column_wise(part, name, fn) for part in (node.test, node.then, node.other))
        case syntax.Call(callee=syntax.Identifier(name="float"), arguments=[("v", value)]):
            return not isinstance(fn.scope.find("float"), Closure) and _column_wise(value, name, fn)
        case _:
            return False


@builtin(MAPPING, "reduce")
def reduce(context: Context, tables: Stream, fn: Callee, identity: Row) -> Stream:
    one_row(fn, "r", "accumulator")
    if not isinstance(identity, dict):
        raise invalid(f"identity must be an object, got {type_name(identity)}")
    seen: set[tuple[Any, ...]] = set()

    def work(table: Table) -> Table:
        total = identity
        budget = RUNNING.budget
        before = budget.texts
        for row in table.rows():
            total = fn(r=row, accumulator=total)
            if budget.texts != before:
                budget.keep(before, total)
        types = {name: table.key_type(name) for name in table.key}
        key = {name: value for name, value in table.key.items() if name not in total}
        values = {**table.key, **total}
        for name in sorted(total):
            kind = type_of(total[name], f'reduce property "{name}"')
            if kind is None:
                raise invalid(f'null values are not supported for "{name}" in the reduce() function')
            types[name] = kind
            if name in table.key:
                key[name] = total[name]
        key = {name: key[name] for name in table.key if name in key}
        made = Table(key, types, {name: [values[name]] for name in types}, 1)
        if same_key(made) in seen:
            raise invalid("two reducers writing result to the same table")
        seen.add(same_key(made))
        return made

    return tables.each(work)
