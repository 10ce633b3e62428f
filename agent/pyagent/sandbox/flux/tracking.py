"""Functions that follow a state along the rows, and those that choose rows by place, hour or column."""

import random
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.calendar import to_local
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked, duration, place_of, text_list, to_time
from pyagent.sandbox.flux.predicates import one_row
from pyagent.sandbox.flux.statistics import SECOND
from pyagent.sandbox.flux.tables import DOUBLE, FLUX_NAMES, LONG, STRING, TIME, Stream, Table, split
from pyagent.sandbox.flux.values import NANOSECONDS, Callee, truth
from pyagent.sandbox.limits import ROW, take

TRACKING: Registry = {}
EVENTS: Registry = {}
INTERPOLATE: Registry = {}


def _tracked(tables: Stream, fn: Callee, count: str, length: str, unit: int, time: str) -> Stream:
    one_row(fn, "r")

    def work(table: Table) -> Table:
        times = table.need(time)
        if length and None in times:
            raise invalid("got a null timestamp")
        counts: list[int] = []
        lengths: list[int] = []
        number, start, before = -1, None, None
        for at, row in zip(times, table.rows(), strict=True):
            if length and before is not None and before > at:
                raise invalid("got an out-of-order timestamp")
            before = at
            if not truth(fn(r=row)):
                number, start = -1, None
                counts.append(-1)
                lengths.append(-1)
                continue
            number = 1 if number < 0 else number + 1
            start = at if start is None else start
            counts.append(number)
            lengths.append((at - start) // unit if unit > 0 else at - start)
        added = {}
        if count:
            added[count] = (LONG, counts)
        if length:
            added[length] = (LONG, lengths)
        return table.with_columns(**added)

    return tables.each(work)


@builtin(TRACKING, "stateTracking")
def state_tracking(
    context: Context, tables: Stream, fn: Callee, countColumn: str = "", durationColumn: str = "", durationUnit: Any = SECOND,
    timeColumn: str = "_time",
) -> Stream:  # fmt: skip
    return _tracked(tables, fn, countColumn, durationColumn, duration(durationUnit, "durationUnit").ns, timeColumn)


@builtin(TRACKING, "stateCount")
def state_count(context: Context, tables: Stream, fn: Callee, column: str = "stateCount") -> Stream:
    return _tracked(tables, fn, column, "", 1, "_time")


@builtin(TRACKING, "stateDuration")
def state_duration(
    context: Context,
    tables: Stream,
    fn: Callee,
    column: str = "stateDuration",
    timeColumn: str = "_time",
    unit: Any = SECOND,
) -> Stream:
    return _tracked(tables, fn, "", column, duration(unit, "unit").ns, timeColumn)


def _check_sample(n: int, pos: int = -1, column: str = "_value", **_: Any) -> None:
    if n <= 0:
        raise invalid(f"n must be a positive integer, but was {n}")
    if pos >= n:
        raise invalid(f"pos must be less than n, but {pos} >= {n}")


@builtin(TRACKING, "sample")
@checked(_check_sample)
def sample(context: Context, tables: Stream, n: int, pos: int = -1, column: str = "_value") -> Stream:
    def work(table: Table) -> Table:
        table.need(column, f'no column "{column}" exists')
        first = random.randrange(n) if pos < 0 else pos  # noqa: S311  (which row is shown is no secret)
        return table.take(range(first, table.size, n))

    return tables.each(work)


@builtin(TRACKING, "hourSelection")
def hour_selection(
    context: Context, tables: Stream, start: int, stop: int, location: Any = None, timeColumn: str = "_time"
) -> Stream:
    place = place_of(context, location)

    def chosen(time: int | None) -> bool:
        if time is None:
            return False
        hour = to_local(time, place) // NANOSECONDS["h"] % 24
        return start <= hour <= stop or (start > stop and (hour >= start or hour <= stop))

    def work(table: Table) -> Table:
        times = table.need(timeColumn, "invalid time column")
        for name, hour in (("start", start), ("stop", stop)):
            if not 0 <= hour <= 23:
                raise invalid(f"{name} must be between 0 and 23")
        return table.take([at for at, time in enumerate(times) if chosen(time)])

    return tables.each(work)


def _check_key_values(keyColumns: Any = None, **_: Any) -> None:
    if keyColumns is None:
        raise invalid("neither column list nor predicate function provided")


@builtin(TRACKING, "keyValues")
@checked(_check_key_values)
def key_values(context: Context, tables: Stream, keyColumns: Any = None) -> Stream:
    names = text_list(keyColumns, "keyColumns")

    def work(table: Table) -> Table:
        present = [name for name in names if name in table.types]
        if not present:
            columns = f"[{' '.join(table.types)}] not having key columns [{' '.join(names)}]"
            raise invalid(f"received table with columns {columns}")
        if len({table.types[name] for name in present}) > 1:
            raise invalid("keyColumns must all be the same type")
        found = dict.fromkeys(
            (name, value) for values in zip(*(table.data[name] for name in present), strict=True)
            for name, value in zip(present, values, strict=True)
        )  # fmt: skip
        types = {name: table.key_type(name) for name in table.key} | {
            "_key": STRING,
            "_value": table.types[present[-1]],
        }
        data: dict[str, list[Any]] = {name: [value] * len(found) for name, value in table.key.items()}
        data |= {"_key": [name for name, _ in found], "_value": [value for _, value in found]}
        return Table(table.key, types, {name: data[name] for name in types}, len(found))

    return tables.each(work)


@builtin(EVENTS, "duration")
def event_duration(
    context: Context, tables: Stream, unit: Any = SECOND, timeColumn: str = "_time", columnName: str = "duration",
    stopColumn: str = "_stop", stop: Any = None,
) -> Stream:  # fmt: skip
    step = duration(unit, "unit").ns

    def work(table: Table) -> Table:
        times = table.need(timeColumn)
        if stop is not None:
            last = to_time(context, stop, "stop")
        else:
            ends = table.need(stopColumn)
            if table.types[stopColumn] != TIME:
                kind = FLUX_NAMES[table.types[stopColumn]]
                raise invalid(f'stop column "{stopColumn}" must be of type time, got {kind}')
            last = ends[-1] if ends else 0
        following = [*times[1:], last] if times else []
        lengths = [int((float(after) - float(time)) / step) for time, after in zip(times, following, strict=True)]
        return table.with_columns(**{columnName: (LONG, lengths)})

    return tables.each(work)


@builtin(INTERPOLATE, "linear")
def linear(context: Context, tables: Stream, every: Any) -> Stream:
    """Rows at each multiple of `every` between the first and the last row, on the straight lines between the rows."""
    step = duration(every, "every").ns
    if step <= 0:
        raise invalid("every must be positive, in nanoseconds")

    def work(table: Table) -> Table:
        times, values = table.need("_time"), table.need("_value")
        if table.types["_value"] != DOUBLE:
            raise invalid(f"cannot interpolate {FLUX_NAMES[table.types['_value']]} values; expected float values")
        extra = [name for name in table.types if name not in table.key and name not in ("_time", "_value")]
        if extra:
            raise invalid(f'cannot interpolate: column "{extra[0]}" is not in the group key')
        made: list[tuple[int, Any]] = []
        for at, (time, value) in enumerate(zip(times, values, strict=True)):
            if at:
                before, known = times[at - 1], values[at - 1]
                tick = before - before % step + step
                while tick < time:
                    take(2 * ROW)
                    made.append((tick, known + (value - known) / (time - before) * (tick - before)))
                    tick += step
            made.append((time, value))
        types = dict(table.types)
        data: dict[str, list[Any]] = {name: [value] * len(made) for name, value in table.key.items()}
        data |= {"_time": [time for time, _ in made], "_value": [value for _, value in made]}
        return Table(table.key, types, {name: data[name] for name in types}, len(made))

    return tables.each(work)


def extended(table: Table, names: list[str]) -> list[Table]:
    """A table's rows with these columns added to its key."""
    for name in names:
        if name not in table.types:
            raise invalid(f'unknown column "{name}"')
    wanted = {*table.key, *names}
    return split(table, [name for name in table.types if name in wanted])
