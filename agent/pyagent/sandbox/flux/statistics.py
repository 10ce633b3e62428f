"""Aggregates of statistics: deviation, skew, quantiles, mode, integral, covariance."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.aggregates import NUMBERS, Aggregate, aggregate
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked, duration, text_list
from pyagent.sandbox.flux.tables import DOUBLE, FLUX_NAMES, STRING, Stream, Table
from pyagent.sandbox.flux.values import Duration

STATISTICS: Registry = {}
SECOND = Duration(0, 10**9)


def _stddev(mode: str) -> Callable[[list[Any]], float]:
    def work(values: list[Any]) -> float:
        count, mean, squares = 0, 0.0, 0.0
        for value in values:
            count += 1
            delta = value - mean
            mean += delta / count
            squares += delta * (value - mean)
        rest = count if mode == "population" else count - 1
        return math.sqrt(squares / rest) if rest >= 1 else math.nan

    return work


def _skew(values: list[Any]) -> float:
    count, m1, m2, m3 = 0.0, 0.0, 0.0, 0.0
    for value in values:
        before = count
        count += 1
        delta = float(value) - m1
        delta_n = delta / count
        term = delta * delta_n * before
        m3 += term * delta_n * (count - 2) - 3 * delta_n * m2
        m2 += term
        m1 += delta_n
    if count < 2 or m2 == 0:
        return math.nan
    return math.sqrt(count) * m3 / _power_of_three_halves(m2)


def _power_of_three_halves(x: float) -> float:
    """x^1.5 as Go computes it: the root by logarithm, times x."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(math.exp(0.5 * math.log(x)) * mantissa, exponent)


@builtin(STATISTICS, "skew")
def skew(context: Context, tables: Stream, column: str = "_value") -> Stream:
    return aggregate(tables, Aggregate("skew", _skew, DOUBLE, NUMBERS), column)


def _check_mode(mode: str = "sample", **_: Any) -> None:
    if mode not in ("sample", "population"):
        raise invalid(f'"{mode}" is not a valid standard deviation mode')


@builtin(STATISTICS, "stddev")
@checked(_check_mode)
def stddev(context: Context, tables: Stream, column: str = "_value", mode: str = "sample") -> Stream:
    return aggregate(tables, Aggregate("stddev", _stddev(mode), DOUBLE, NUMBERS), column)


def quantile_of(values: list[Any], q: float) -> float:
    """What a t-digest whose centroids hold one value each gives."""
    ordered = sorted(float(value) for value in values)
    count = len(ordered)
    index = q * count
    if count == 1 or index <= 0.5:
        return ordered[0]
    lower = math.ceil(index - 0.5)
    if lower >= count:
        return ordered[-1]
    weight = index - (lower - 0.5)
    return ordered[lower - 1] * (1 - weight) + ordered[lower] * weight


@builtin(STATISTICS, "quantile")
def quantile(
    context: Context,
    tables: Stream,
    q: float,
    column: str = "_value",
    method: str = "estimate_tdigest",
    compression: float = 0.0,
) -> Stream:
    if not 0 <= q <= 1:
        raise invalid("quantile must be between 0 and 1")
    if method == "exact_selector":

        def work(table: Table) -> Table:
            values = table.need(column, f'no column "{column}" exists')
            order = sorted(
                (position for position, value in enumerate(values) if value is not None), key=values.__getitem__
            )
            return table.take([order[max(0, math.ceil(q * len(order)) - 1)]] if order else [])

        return tables.each(work)
    if method == "exact_mean":
        return aggregate(tables, Aggregate("quantile", lambda values: _exact(values, q), DOUBLE, (DOUBLE,)), column)
    if method != "estimate_tdigest":
        raise invalid(f"unknown method {method}")
    return aggregate(tables, Aggregate("quantile", lambda values: quantile_of(values, q), DOUBLE, NUMBERS), column)


def _exact(values: list[Any], q: float) -> float:
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    low, high = math.floor(position), math.ceil(position)
    if low == high:
        return float(ordered[low])
    return float(ordered[low] * (high - position) + ordered[high] * (position - low))


@builtin(STATISTICS, "median")
def median(
    context: Context, tables: Stream, column: str = "_value", method: str = "estimate_tdigest", compression: float = 0.0
) -> Stream:
    found: Stream = quantile(context, tables, q=0.5, column=column, method=method, compression=compression)
    return found


@builtin(STATISTICS, "mode")
def mode(context: Context, tables: Stream, column: str = "_value") -> Stream:
    def work(table: Table) -> Table:
        types = {name: table.key_type(name) for name in table.key}
        if column not in table.types:
            kind, found = STRING, [""]
        elif column in table.key:
            kind, found = table.types[column], [table.key[column]]
        else:
            kind, found = table.types[column], _most(table.data[column])
        types["_value"] = kind
        data: dict[str, list[Any]] = {name: [value] * len(found) for name, value in table.key.items()}
        return Table(table.key, types, {**data, "_value": found}, len(found))

    return tables.each(work)


def _most(values: list[Any]) -> list[Any]:
    """The values that are most often; null where all are as often."""
    counts: dict[Any, int] = {}
    for value in values:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    most = max(counts.values(), default=0)
    found = sorted(value for value, count in counts.items() if count == most)
    return [None] if len(found) == len(counts) and len(counts) != 1 else found


@builtin(STATISTICS, "integral")
def integral(
    context: Context,
    tables: Stream,
    unit: Any = SECOND,
    column: str = "_value",
    timeColumn: str = "_time",
    interpolate: str = "",
) -> Stream:
    ns = duration(unit, "unit").ns

    def work(table: Table) -> Table:
        for name in ("_start", "_stop"):
            if name not in table.key:
                raise invalid(f"integral function needs {name} column to be part of group key")
        values = table.need(column)
        if column in table.key:
            raise invalid("cannot aggregate columns that are part of the group key")
        if table.types[column] not in NUMBERS:
            raise invalid(f"cannot perform integral over {FLUX_NAMES[table.types[column]]}")
        times = table.need(timeColumn, f'no column "{timeColumn}" exists')
        if None in times:
            raise invalid("integral found null time in time column")
        if any(a > b for a, b in pairwise(times)):
            raise invalid("integral found out-of-order times in time column")
        pairs: list[tuple[int, float]] = []
        for at, (time, value) in enumerate(zip(times, values, strict=True)):
            if (at == 0 or time != times[at - 1]) and value is not None:
                pairs.append((time, float(value)))
        area = _area(pairs, ns, (table.key["_start"], table.key["_stop"]) if interpolate == "linear" else None)
        types = {name: table.key_type(name) for name in table.key}
        data: dict[str, list[Any]] = {name: [value] for name, value in table.key.items()}
        return Table(table.key, {**types, column: DOUBLE}, {**data, column: [area]}, 1)

    return tables.each(work)


def _area(pairs: list[tuple[int, float]], unit: int, bounds: tuple[int, int] | None) -> float:
    """The area under the points, in units of time; up to the bounds where these are given."""
    if not pairs:
        return 0.0
    if len(pairs) == 1:
        return pairs[0][1] * float(bounds[1] - bounds[0]) / unit if bounds else 0.0
    area = 0.0
    for at, ((t0, v0), (t1, v1)) in enumerate(pairwise(pairs)):
        area += 0.5 * (v1 + v0) * float(t1 - t0) / unit
        if at == 0 and bounds and bounds[0] < t0:
            y = v0 - (v1 - v0) / float(t1 - t0) * float(t0 - bounds[0])
            area += 0.5 * (y + v0) * float(t0 - bounds[0]) / unit
    if bounds:
        (t0, v0), (t1, v1) = pairs[-2:]
        y = v1 + (v1 - v0) / float(t1 - t0) * float(bounds[1] - t1)
        area += 0.5 * (y + v1) * float(bounds[1] - t1) / unit
    return area


def _check_covariance(columns: Any, **_: Any) -> None:
    if len(text_list(columns, "columns")) != 2:
        raise invalid("must provide exactly two columns")


@builtin(STATISTICS, "covariance")
@checked(_check_covariance)
def covariance(
    context: Context, tables: Stream, columns: Any, pearsonr: bool = False, valueDst: str = "_value"
) -> Stream:
    x_name, y_name = text_list(columns, "columns")

    def work(table: Table) -> Table:
        for name in (x_name, y_name):
            if name not in table.types:
                raise invalid(f"specified column does not exist in table: {name}")
        if table.types[x_name] != table.types[y_name]:
            raise invalid("cannot compute the covariance between different types")
        if table.types[x_name] != DOUBLE:
            raise invalid(f"covariance does not support {FLUX_NAMES[table.types[x_name]]}")
        count, mean_x, mean_y, m2x, m2y, co = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for x, y in zip(table.data[x_name], table.data[y_name], strict=True):
            if x is None or y is None:
                continue
            count += 1
            delta_x, delta_y = x - mean_x, y - mean_y
            mean_x += delta_x / count
            mean_y += delta_y / count
            co += delta_x * (y - mean_y)
            m2x += delta_x * (x - mean_x)
            m2y += delta_y * (y - mean_y)
        value = co / (count - 1) if count > 1 else math.nan
        if pearsonr and count > 1:
            value = co / math.sqrt(m2x * m2y) if m2x * m2y else math.nan
        types = {name: table.key_type(name) for name in table.key}
        data: dict[str, list[Any]] = {name: [known] for name, known in table.key.items()}
        return Table(table.key, {**types, valueDst: DOUBLE}, {**data, valueDst: [value]}, 1)

    return tables.each(work)
