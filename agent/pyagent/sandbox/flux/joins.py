"""Joins: join(), the package join, and experimental.join()."""

from collections.abc import Callable, Iterator
from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.evaluate import Closure
from pyagent.sandbox.flux.kinds import kind_of_function
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked, text_list
from pyagent.sandbox.flux.tables import Row, Stream, Table, key_order, same_key, type_of
from pyagent.sandbox.flux.values import Callee, type_name
from pyagent.sandbox.limits import take

JOINS: Registry = {}
JOIN: Registry = {}
EXPERIMENTAL_JOIN: Registry = {}

_PAIR = 400
"""Bytes of two rows that meet, and of the record that is made of them."""


def _check_join(tables: Any, on: Any = None, method: str = "inner", **_: Any) -> None:
    if not isinstance(tables, dict):
        raise invalid(f"expected {{A with}} but found {type_name(tables)} (argument tables)")
    if on is None:
        raise invalid('missing required keyword argument "on"')
    if not text_list(on, "on"):
        raise invalid("at least one column in 'on' column list is required")
    if method != "inner":
        raise invalid(f"{method} is not a valid join type")
    for name, stream in tables.items():
        if not isinstance(stream, Stream):
            raise invalid(f'expected "{name}" to be stream type; instead got {type_name(stream)}')


@builtin(JOINS, "join", pipe="tables")
@checked(_check_join)
def join(context: Context, tables: dict[str, Stream], on: Any = None, method: str = "inner") -> Stream:
    if len(tables) != 2:
        message = "failed to initialize execute state: joins currently must only have two parents"
        raise InfluxError("not implemented", message, final=True)
    (left_name, left), (right_name, right) = sorted(tables.items())
    columns = text_list(on, "on")
    lefts, rights = _with(left, columns), _with(right, columns)
    shared = set(columns)
    for some in (lefts, rights):
        shared &= set(some[0].key) if some else set()
    made: dict[tuple[Any, ...], Table] = {}
    by_key: dict[tuple[Any, ...], list[Table]] = {}
    for table in rights:
        by_key.setdefault(tuple(table.key[name] for name in sorted(shared) if name in table.key), []).append(table)
    for one in lefts:
        for other in by_key.get(tuple(one.key[name] for name in sorted(shared) if name in one.key), ()):
            joined = _joined(one, other, (left_name, right_name), columns)
            if joined.size:
                made.setdefault(same_key(joined), joined)
    return Stream(sorted(made.values(), key=key_order))


def _with(stream: Stream, columns: list[str]) -> list[Table]:
    """The tables that have all the columns, null in none of those of their key."""
    return [
        table
        for table in stream.tables
        if all(name in table.types and table.key.get(name, 0) is not None for name in columns)
    ]


def _joined(left: Table, right: Table, names: tuple[str, str], on: list[str]) -> Table:
    shared = {name for name in left.types if name in right.types and name not in on}

    def renamed(column: str, side: int) -> str:
        return f"{column}_{names[side]}" if column in shared else column

    types = {renamed(name, 0): kind for name, kind in left.types.items()}
    types |= {renamed(name, 1): kind for name, kind in right.types.items() if name not in on}
    key: Row = {renamed(name, 0): value for name, value in left.key.items()}
    for name, value in right.key.items():
        key.setdefault(renamed(name, 1), value)
    data: dict[str, list[Any]] = {name: [] for name in sorted(types)}
    size = 0
    for some, others in _matches(left, right, on):
        for at in some:
            take(8 * len(data) * len(others))
            for other in others:
                for name, values in left.data.items():
                    data[renamed(name, 0)].append(values[at])
                for name, values in right.data.items():
                    if name not in on:
                        data[renamed(name, 1)].append(values[other])
                size += 1
    take(-8 * len(data) * size)  # the table's own count follows
    return Table({name: key[name] for name in sorted(key)}, {name: types[name] for name in data}, data, size)


def _matches(left: Table, right: Table, on: list[str]) -> Iterator[tuple[list[int], list[int]]]:
    """The rows of both sides that agree in these columns, in the order of the columns' values; null agrees with nothing."""
    lefts, rights = _positions(left, on), _positions(right, on)
    for values in sorted(lefts.keys() & rights.keys()):
        yield lefts[values], rights[values]


def _positions(table: Table, on: list[str]) -> dict[tuple[Any, ...], list[int]]:
    found: dict[tuple[Any, ...], list[int]] = {}
    for position, values in enumerate(zip(*(table.data[name] for name in on), strict=True)):
        if None not in values:
            found.setdefault(values, []).append(position)
    return found


def _check_tables(method: str, **_: Any) -> None:
    if method not in ("inner", "left", "right", "full"):
        raise invalid(f"unsupported join method: {method}")


@builtin(JOIN, "tables", pipe="left")
@checked(_check_tables)
def join_tables(context: Context, left: Stream, right: Stream, on: Callee, as_: Callee, method: str) -> Stream:
    pairs = _pairs(on)
    lefts = {same_key(table): table for table in left.tables if table.size}
    rights = {same_key(table): table for table in right.tables if table.size}
    left_types, right_types = _union(lefts.values()), _union(rights.values())
    made = []
    for key in {**lefts, **rights}:
        one, other = lefts.get(key), rights.get(key)
        rows = []
        for pair in _pair_rows(one, other, pairs, method):
            take(_PAIR)
            rows.append(pair)
        keyed = one or other
        if not rows or keyed is None:
            continue
        values = []
        for at_left, at_right in rows:
            l_row = _row(one, at_left, left_types, keyed)
            r_row = _row(other, at_right, right_types, keyed)
            values.append(as_(l=l_row, r=r_row))
        for row in values:
            for name, value in keyed.key.items():
                if name not in row:
                    raise invalid(
                        f"join cannot modify group key: output record is missing column '{name}:{_kind(keyed, name)}'"
                    )
                if row[name] != value:
                    raise invalid(
                        "join cannot modify group key: output record has a different value for a column of it"
                    )
        take(-_PAIR * len(rows))
        known = kind_of_function(as_, {"l": dict(left_types), "r": dict(right_types)})
        made.append(_of_rows(keyed.key, values, known if isinstance(known, dict) else {}))
    return Stream(sorted(made, key=key_order))


def _kind(table: Table, name: str) -> str:
    return table.key_type(name)


def _pairs(on: Callee) -> list[tuple[str, str]]:
    """The columns of left and right that a function of `l` and `r` compares.

    Raises:
        InfluxError: it does anything else.
    """
    refused = "error in evaluating 'on' function: only equality comparisons, joined by 'and', are supported"
    if not isinstance(on, Closure) or isinstance(on.node.body, list):
        raise invalid(refused)
    found: list[tuple[str, str]] = []

    def collect(node: object) -> None:
        match node:
            case syntax.Binary(operator="and"):
                collect(node.left)
                collect(node.right)
            case syntax.Binary(
                operator="==",
                left=syntax.Member(value=syntax.Identifier(name=a), name=one),
                right=syntax.Member(value=syntax.Identifier(name=b), name=other),
            ) if {a, b} == {"l", "r"}:
                found.append((one, other) if a == "l" else (other, one))
            case _:
                raise invalid(refused)

    collect(on.node.body)
    return found


def _union(tables: Any) -> dict[str, Any]:
    types: dict[str, Any] = {}
    for table in tables:
        for name, kind in table.types.items():
            types.setdefault(name, kind)
    return types


def _pair_rows(
    left: Table | None, right: Table | None, pairs: list[tuple[str, str]], method: str
) -> Iterator[tuple[int | None, int | None]]:
    lefts = _keyed(left, [name for name, _ in pairs], "left")
    rights = _keyed(right, [name for _, name in pairs], "right")
    order: Callable[[tuple[Any, ...]], Any] = lambda values: [(value is not None, value or 0) for value in values]  # noqa: E731
    for values in sorted({**lefts, **rights}, key=order):
        some, others = lefts.get(values, []), rights.get(values, [])
        if None in values:
            if method in ("left", "full"):
                yield from ((at, None) for at in some)
            if method in ("right", "full"):
                yield from ((None, at) for at in others)
        elif some and others:
            yield from ((at, other) for at in some for other in others)
        elif some and method in ("left", "full"):
            yield from ((at, None) for at in some)
        elif others and method in ("right", "full"):
            yield from ((None, at) for at in others)


def _keyed(table: Table | None, names: list[str], side: str) -> dict[tuple[Any, ...], list[int]]:
    found: dict[tuple[Any, ...], list[int]] = {}
    if table is None:
        return found
    for name in names:
        if name not in table.types:
            raise invalid(f"cannot set join columns in {side} table stream: table is missing column '{name}'")
    for position, values in enumerate(zip(*(table.data[name] for name in names), strict=True)):
        found.setdefault(values, []).append(position)
    return found


def _row(table: Table | None, at: int | None, types: dict[str, Any], keyed: Table) -> Row:
    if table is None or at is None:
        return {name: keyed.key_record().get(name) for name in types}
    return next(iter(table.take([at]).rows()))


def _of_rows(key: Row, rows: list[Row], static: dict[str, Any]) -> Table:
    first = rows[0]
    types: dict[str, str] = {}
    for name in sorted(first):
        known = static.get(name)
        kind = known if isinstance(known, str) else type_of(first[name], f'join object property "{name}"')
        if kind is not None:
            types[name] = kind
    return Table(key, types, {name: [row.get(name) for row in rows] for name in types}, len(rows))


@builtin(EXPERIMENTAL_JOIN, "join", pipe=None)
def experimental_join(context: Context, left: Stream, right: Stream, fn: Callee) -> Stream:
    """Rows of equal keys and times."""
    rights = {same_key(table): table for table in right.tables}
    made = []
    for one in left.tables:
        other = rights.get(same_key(one))
        if other is None or not one.size or not other.size:
            continue
        for table in (one, other):
            table.need("_time", "no _time column found")
        rows = []
        for some, others in _matches(one, other, ["_time"]):
            for at in some:
                for second in others:
                    take(_PAIR)
                    rows.append(fn(left=_row(one, at, {}, one), right=_row(other, second, {}, other)))
        if not rows:
            continue
        for row in rows:
            if any(name not in row or row[name] != value for name, value in one.key.items()):
                raise invalid("argument 'fn' may not modify group key")
        take(-_PAIR * len(rows))
        known = kind_of_function(fn, {"left": dict(one.types), "right": dict(other.types)})
        made.append(_of_rows(one.key, rows, known if isinstance(known, dict) else {}))
    return Stream(sorted(made, key=key_order))
