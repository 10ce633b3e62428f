"""Functions along a table's rows: from each row and those before it to a new value."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.aggregates import NUMBERS, total
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked, duration, text_list
from pyagent.sandbox.flux.statistics import SECOND
from pyagent.sandbox.flux.tables import DOUBLE, FLUX_NAMES, LONG, TIME, UNSIGNED, Stream, Table
from pyagent.sandbox.limits import check

ALONG: Registry = {}


def _along(
    table: Table, names: list[str], skip: int, work: Callable[[list[Any], str, str], tuple[str, list[Any]]]
) -> Table:
    """The table with these columns replaced by what `work` makes of (values, type, name), and without its first `skip` rows."""
    changed = {
        name: work(table.data[name], table.types[name], name)
        for name in names
        if name in table.data and name not in table.key
    }
    made = table.with_columns(**{name: (kind, values) for name, (kind, values) in changed.items()})
    return made.slice(skip) if skip else made


@builtin(ALONG, "derivative")
def derivative(
    context: Context, tables: Stream, unit: Any = SECOND, nonNegative: bool = False, columns: Any = None,
    timeColumn: str = "_time", initialZero: bool = False,
) -> Stream:  # fmt: skip
    names = text_list(columns if columns is not None else ["_value"], "derivative: columns")
    ns = duration(unit, "derivative: unit").ns

    def of(table: Table) -> Table:
        times = table.need(timeColumn, f'no column "{timeColumn}" exists')
        if None in times:
            raise invalid("derivative found null time in time column")
        if any(a > b for a, b in pairwise(times)):
            raise invalid("derivative found out-of-order times in time column")
        rising = [position for position, time in enumerate(times) if position == 0 or time > times[position - 1]]
        kept = table if len(rising) == table.size else table.take(rising)
        stamps = kept.data[timeColumn]

        def work(values: list[Any], kind: str, name: str) -> tuple[str, list[Any]]:
            if kind not in NUMBERS:
                raise invalid(f"unsupported derivative column type {name}:{FLUX_NAMES[kind]}")
            made: list[float | None] = []
            at, before = 0, None
            for time, value in zip(stamps, values, strict=True):
                if value is None:
                    made.append(None)
                    continue
                if before is None:
                    made.append(None)
                elif value < before and nonNegative:
                    made.append(0.0 if initialZero else None)
                else:
                    made.append((value - before) / ((time - at) / ns))
                at, before = time, value
            return DOUBLE, made

        return _along(kept, names, 1, work)

    return tables.each(of)


@builtin(ALONG, "difference")
def difference(
    context: Context,
    tables: Stream,
    nonNegative: bool = False,
    columns: Any = None,
    keepFirst: bool = False,
    initialZero: bool = False,
) -> Stream:
    names = text_list(columns if columns is not None else ["_value"], "difference: columns")

    def work(values: list[Any], kind: str, name: str) -> tuple[str, list[Any]]:
        if kind not in NUMBERS:
            if kind == TIME:
                raise invalid("difference does not support time columns. Try the elapsed function")
            raise invalid(f'difference does not support column "{name}" of type "{FLUX_NAMES[kind]}"')
        made: list[Any] = []
        before = None
        for value in values:
            if before is None and value is not None and keepFirst and initialZero:
                made.append(value - value)
            elif value is None or before is None:
                made.append(None)
            elif value < before and nonNegative:
                made.append(value if initialZero and value >= 0 else None)
            elif kind == DOUBLE:
                made.append(value - before)
            else:
                made.append((value - before + 2**63) % 2**64 - 2**63)
            before = value if value is not None else before
        return (LONG if kind == UNSIGNED else kind), made

    return tables.each(lambda table: _along(table, names, 0 if keepFirst else 1, work))


@builtin(ALONG, "cumulativeSum")
def cumulative_sum(context: Context, tables: Stream, columns: Any = None) -> Stream:
    names = text_list(columns if columns is not None else ["_value"], "cumulativeSum: columns")

    def work(values: list[Any], kind: str, name: str) -> tuple[str, list[Any]]:
        if kind not in NUMBERS:
            raise invalid(f"cumulative sum does not support type {FLUX_NAMES[kind]}")
        sum_so_far: Any = 0.0 if kind == DOUBLE else 0
        made = []
        for value in values:
            sum_so_far += value or 0
            made.append(sum_so_far)
        return kind, made

    return tables.each(lambda table: _along(table, names, 0, work))


@builtin(ALONG, "increase")
def increase(context: Context, tables: Stream, columns: Any = None) -> Stream:
    changes = difference(context, tables, nonNegative=True, columns=columns, keepFirst=True, initialZero=True)
    made: Stream = cumulative_sum(context, changes, columns=columns)
    return made


@builtin(ALONG, "elapsed")
def elapsed(
    context: Context,
    tables: Stream,
    unit: Any = SECOND,
    timeColumn: str = "_time",
    columnName: str = "elapsed",
) -> Stream:
    ns = duration(unit, "elapsed: unit").ns

    def work(table: Table) -> Table:
        times = table.need(timeColumn)
        steps = [0, *((b - a) // ns for a, b in pairwise(times))]
        return table.with_columns(**{columnName: (LONG, steps[: table.size])}).slice(1)

    return tables.each(work)


def _check_moving_average(n: int) -> None:
    if n <= 0:
        raise invalid(f"cannot take moving average with a period of {n} (must be greater than 0)")


@builtin(ALONG, "movingAverage")
@checked(_check_moving_average)
def moving_average(context: Context, tables: Stream, n: int) -> Stream:
    count = n

    def work(values: list[Any], kind: str, name: str) -> tuple[str, list[Any]]:
        if kind not in NUMBERS:
            raise invalid(f"cannot take moving average of column _value (type {FLUX_NAMES[kind]})")
        made: list[Any] = []
        for stop in range(1, len(values) + 1):
            check()
            window = [value for value in values[max(0, stop - count) : stop] if value is not None]
            made.append(total(window) / len(window) if window else None)
        return DOUBLE, made

    return tables.each(lambda table: _along(table, ["_value"], min(count, table.size) - 1 if table.size else 0, work))
