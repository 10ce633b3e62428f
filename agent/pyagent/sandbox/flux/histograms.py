"""Histograms: histogram(), histogramQuantile(), and lists of bounds."""

import math
from bisect import bisect_left
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked
from pyagent.sandbox.flux.tables import DOUBLE, FLUX_NAMES, Stream, Table
from pyagent.sandbox.flux.values import type_name
from pyagent.sandbox.limits import ROW, take

HISTOGRAMS: Registry = {}


def _check_bins(bins: Any, **_: Any) -> None:
    if not isinstance(bins, list) or any(type(value) is not float for value in bins):
        raise invalid(f"expected [float] but found {type_name(bins)} (argument bins)")


@builtin(HISTOGRAMS, "histogram")
@checked(_check_bins)
def histogram(
    context: Context, tables: Stream, bins: Any, column: str = "_value", upperBoundColumn: str = "le",
    countColumn: str = "_value", normalize: bool = False,
) -> Stream:  # fmt: skip
    bounds = sorted(bins)

    def work(table: Table) -> Table:
        values = table.need(column, f'column "{column}" is missing')
        if table.types[column] != DOUBLE:
            raise invalid(f'column "{column}" must be a float got {FLUX_NAMES[table.types[column]]}')
        counts = [0.0] * len(bounds)
        found = [value for value in values if value is not None]
        for value in found:
            at = bisect_left(bounds, value)
            if at >= len(bounds):
                last = bounds[-1] if bounds else math.nan
                raise invalid(f"found value greater than any bin, {at} {len(bounds)} {value:f} {last:f}")
            counts[at] += 1
        total = 0.0
        sums = []
        for count in counts:
            total += count
            sums.append(total / len(found) if normalize else total)
        types = {name: table.key_type(name) for name in table.key} | {upperBoundColumn: DOUBLE, countColumn: DOUBLE}
        data: dict[str, list[Any]] = {name: [value] * len(bounds) for name, value in table.key.items()}
        data |= {upperBoundColumn: bounds, countColumn: sums}
        return Table(table.key, types, {name: data[name] for name in types}, len(bounds))

    return tables.each(work)


def _check_quantile(quantile: float = 0.0, onNonmonotonic: str = "error", **_: Any) -> None:
    if onNonmonotonic not in ("error", "force", "drop"):
        raise invalid(
            "value provided to histogramQuantile parameter onNonmonotonic is invalid; "
            'must be one of "error", "force" or "drop"'
        )


@builtin(HISTOGRAMS, "histogramQuantile")
@checked(_check_quantile)
def histogram_quantile(
    context: Context, tables: Stream, quantile: float = 0.0, countColumn: str = "_value", upperBoundColumn: str = "le",
    valueColumn: str = "_value", minValue: float = 0.0, onNonmonotonic: str = "error",
) -> Stream:  # fmt: skip
    def work(table: Table) -> Table | None:
        counts = _floats(table, countColumn, "count")
        bounds = _floats(table, upperBoundColumn, "upper bound")
        for count, bound in zip(counts, bounds, strict=True):
            if count is None:
                raise invalid("unexpected null in the countColumn")
            if bound is None:
                raise invalid("unexpected null in the upperBoundColumn")
        buckets = sorted(zip(bounds, counts, strict=True), key=lambda pair: pair[0])
        if not buckets:
            raise invalid("histogram is empty")
        types = {name: table.key_type(name) for name in table.key} | {valueColumn: DOUBLE}
        before = 0.0
        for at, (bound, count) in enumerate(buckets):
            if count < before:
                if onNonmonotonic == "error":
                    raise invalid("histogram records counts are not monotonic")
                if onNonmonotonic == "drop":
                    return Table(table.key, types, {name: [] for name in types}, 0)
                buckets[at] = (bound, before)
            before = max(before, count)
        data: dict[str, list[Any]] = {name: [value] for name, value in table.key.items()}
        data[valueColumn] = [_quantile(buckets, quantile, minValue)]
        return Table(table.key, types, {name: data[name] for name in types}, 1)

    return tables.each(work)


def _floats(table: Table, column: str, what: str) -> list[Any]:
    values = table.need(column, f'table is missing {what} column "{column}"')
    if table.types[column] != DOUBLE:
        raise invalid(f'{what} column "{column}" must be of type float')
    return values


def _quantile(buckets: list[tuple[float, float]], quantile: float, least: float) -> float | None:
    total = buckets[-1][1]
    if total == 0:
        return None
    rank = quantile * total
    at = max((position for position, (_, count) in enumerate(buckets) if rank >= count), default=-1)
    if at == len(buckets) - 1:
        return buckets[-1][0]
    low, below = buckets[at] if at >= 0 else (least, 0.0)
    high, above = buckets[at + 1]
    if rank == below or high == math.inf:
        return low
    if low == -math.inf:
        return high
    return low + (high - low) * ((rank - below) / (above - below))


@builtin(HISTOGRAMS, "linearBins", pipe=None)
def linear_bins(context: Context, start: float, width: float, count: int, infinity: bool = True) -> list[float]:
    made, bound = [], start
    for _ in range(count):
        take(ROW)
        made.append(bound)
        bound += width
    return [*made, math.inf] if infinity else made


@builtin(HISTOGRAMS, "logarithmicBins", pipe=None)
def logarithmic_bins(context: Context, start: float, factor: float, count: int, infinity: bool = True) -> list[float]:
    made, bound = [], start
    for _ in range(count):
        take(ROW)
        made.append(bound)
        bound *= factor
    return [*made, math.inf] if infinity else made
