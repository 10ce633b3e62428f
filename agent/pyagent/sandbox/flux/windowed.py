"""aggregateWindow() of the functions for which InfluxDB has a short way: the storage's, and the engine's."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.aggregates import NUMBERS, SIMPLE, type_refused
from pyagent.sandbox.flux.calendar import windows
from pyagent.sandbox.flux.evaluate import Closure
from pyagent.sandbox.flux.source import TYPES, Source
from pyagent.sandbox.flux.tables import TIME, Stream, Table
from pyagent.sandbox.flux.values import UTC_LOCATION, Callee, Duration, Location
from pyagent.sandbox.limits import account

TWICE: Final = "_time\0"
"""The second column _time of a table whose key has a time; InfluxDB gives both by one name."""

_CHOOSE: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "first": itemgetter(0), "last": itemgetter(-1), "min": min, "max": max,
}  # fmt: skip

Limits = tuple[Duration, Duration, Duration, Location]


def named_function(fn: Callee) -> str:
    """The name of the built-in function that it is, also where a function of the script only passes its arguments on."""
    if not isinstance(fn, Closure):
        return fn.name
    body = fn.node.body
    match body:
        case syntax.Pipe(
            value=syntax.Identifier(name=piped),
            call=syntax.Call(callee=syntax.Identifier(name=name), arguments=arguments),
        ):
            given = {key: value.name for key, value in arguments if isinstance(value, syntax.Identifier)}
            inner = fn.scope.find(name)
            same = (given == {"column": "column"} and len(arguments) == 1) or not arguments
            if piped == fn.pipe and same and isinstance(inner, Callee) and not isinstance(inner, Closure):
                return inner.name
    return ""


def by_storage(
    source: Source, every: Duration, offset: Duration, place: Location, name: str, empty: bool, stamp: str
) -> Stream:
    """The tables in the storage's order and layout: a row per window."""
    first, last = source.limits
    plain = not every.months and not offset.months and place == UTC_LOCATION
    origin = first - (first - offset.ns) % every.ns if plain else 0
    spans = [] if plain else list(windows(first, last, every, every, offset, place))
    count = -((origin - last) // every.ns) if plain else len(spans)
    made: list[Table] = []

    def aggregated(times: list[int], values: list[Any], kind: str) -> tuple[list[int], list[Any], str]:
        check_type(name, kind)
        some = _pieces_even(times, origin, every.ns) if plain else _pieces(times, spans)
        work = _work(name, kind)
        found = {number: work(values[begin:end]) for number, begin, end in some}
        numbers = range(count) if empty else list(found)
        if plain:
            stamps = [origin + (number + (stamp == "_stop")) * every.ns for number in numbers]
        else:
            stamps = [spans[number][stamp == "_stop"] for number in numbers]
        if stamps:
            stamps[0] = max(stamps[0], first)
            stamps[-1] = min(stamps[-1], last)
        nothing = 0 if name == "count" else None
        return stamps, [found.get(number, nothing) for number in numbers], _kind(name, kind)

    try:
        if source.is_plain():
            for column, row, times, values in source.read():
                made.append(source.table(column, row, *aggregated(times, values, TYPES[column.type])))
        else:
            for table in source.tables:
                columns = table.data["_time"], table.data["_value"], table.types["_value"]
                made.append(_like_storage(table, *aggregated(*columns)))
                account(made[-1:])
    except InfluxError as error:
        error.partial, error.final = made, True
        raise
    return Stream(made).within(source.bounds)


def _pieces_even(times: list[int], origin: int, every: int) -> Iterator[tuple[int, int, int]]:
    """The number of each window that has rows, and where these begin and end; windows count from the origin."""
    at, size = 0, len(times)
    while at < size:
        number = (times[at] - origin) // every
        end = bisect_left(times, origin + (number + 1) * every, at)
        yield number, at, end
        at = end


def _pieces(times: list[int], spans: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """The same of windows of any length."""
    at = 0
    for number, (low, high) in enumerate(spans):
        at = bisect_left(times, low, at)
        end = bisect_left(times, high, at)
        if end > at:
            yield number, at, end


def _work(name: str, kind: str) -> Callable[[list[Any]], Any]:
    """From the values of a window, of which none is null, to its value."""
    if name in SIMPLE:
        function = SIMPLE[name]
        return lambda some: function.of_present(some, kind)
    return _CHOOSE[name]


def check_type(name: str, kind: str) -> None:
    """Refuse a type that the storage's function does not take."""
    if name in ("min", "max", "mean", "sum") and kind not in NUMBERS:
        raise invalid(type_refused(name, kind))


def _kind(name: str, kind: str) -> str:
    return SIMPLE[name].result or kind if name in SIMPLE else kind


def _like_storage(table: Table, stamps: list[int], values: list[Any], kind: str) -> Table:
    size = len(stamps)
    data: dict[str, list[Any]] = {name: [value] * size for name, value in table.key.items()}
    data |= {"_time": stamps, "_value": values}
    types = {**table.types, "_value": kind}
    return Table(table.key, types, {name: data[name] for name in types}, size)


def in_place(
    table: Table, bounds: tuple[int, int], limits: Limits, name: str, column: str, empty: bool, source: str
) -> Table | None:
    """A table of time, key and value: what the engine gives for mean, sum and count of any rows.

    Rows that came together from several series are aggregated series by series, and the results of these put together.
    """
    if "_time" not in table.types:
        raise invalid("no time column: _time")
    if column not in table.types:
        raise invalid(f'column "{column}" does not exist')
    if column in table.key:
        raise invalid("cannot aggregate columns that are part of the group key")
    kind = table.types[column]
    if kind not in SIMPLE[name].takes:
        raise invalid(f"unsupported aggregate column type {SIMPLE[name].shown(kind)}")
    first, last = bounds
    spans = [(max(low, first), min(high, last)) for low, high in windows(first, last, *limits)]
    merged: dict[int, tuple[Any, int]] = {}
    start = 0
    for size in table.chunks or [table.size]:
        times, values = table.data["_time"][start : start + size], table.data[column][start : start + size]
        _merge(merged, times, values, spans, name, kind)
        start += size
    nothing = 0 if name == "count" else None
    chosen = [at for at in range(len(spans)) if empty or at in merged]
    stamps = [spans[at][1 if source == "_stop" else 0] for at in chosen]
    found = [merged.get(at, (nothing, 0))[0] for at in chosen]
    if not empty:
        behind = _behind(table.data["_time"], last, limits)
        stamps += [first] * behind
        found += [None if name == "mean" else 0] * behind
    if not stamps:
        return None
    return _laid_out(table, bounds, stamps, found, SIMPLE[name].result or kind, column)


def _behind(times: list[Any], last: int, limits: Limits) -> int:
    """How many windows behind the range have rows: each gives a row of nothing, as in InfluxDB, at the start of the range."""
    late = sorted(time for time in times if time is not None and time >= last)
    if not late:
        return 0
    found = windows(late[0], late[-1] + 1, *limits)
    return sum(1 for low, high in found if low >= last and bisect_left(late, low) < bisect_left(late, high))


def _merge(
    merged: dict[int, tuple[Any, int]],
    times: list[int],
    values: list[Any],
    spans: list[tuple[int, int]],
    name: str,
    kind: str,
) -> None:
    """Add one series' rows to what is known per window: its value, and how many rows it is of."""
    if None in times or any(a > b for a, b in pairwise(times)):
        order = sorted((at for at, time in enumerate(times) if time is not None), key=times.__getitem__)
        times, values = [times[at] for at in order], [values[at] for at in order]
    at = 0
    for number, (low, high) in enumerate(spans):
        begin = bisect_left(times, low, at)
        end = bisect_left(times, high, begin)
        at = begin
        if begin == end:
            continue
        some = values[begin:end]
        value = SIMPLE[name].of(some, kind)
        count = len(some) - some.count(None)
        known, rows = merged.get(number, (None, 0))
        if value is None or known is None:
            merged[number] = (known, rows) if value is None else (value, count)
        elif name == "mean":
            merged[number] = (known * rows + value * count) / (rows + count), rows + count
        else:
            merged[number] = known + value, rows + count


def _laid_out(
    table: Table, bounds: tuple[int, int], stamps: list[int], values: list[Any], kind: str, column: str
) -> Table:
    """Time, the key and the value. A time in the key stays behind the time: InfluxDB has both columns by one name."""
    size = len(stamps)
    key = {**table.key, "_start": bounds[0], "_stop": bounds[1]}
    types, data = {"_time": TIME}, {"_time": list[Any](stamps)}
    for name, value in key.items():
        own = name if name != "_time" else TWICE
        types[own] = TIME if name in ("_start", "_stop") else table.key_type(name)
        data[own] = [value] * size if name != "_time" else stamps
    types[column], data[column] = kind, values
    return Table(key, types, data, size)
