"""Moving averages of the exponential kind, and the indicators that traders make of them."""

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.aggregates import NUMBERS
from pyagent.sandbox.flux.library import Context, Registry, builtin, text_list
from pyagent.sandbox.flux.tables import DOUBLE, FLUX_NAMES, TIME, Stream, Table
from pyagent.sandbox.limits import take

AVERAGES: Registry = {}


def _numbers(table: Table, column: str, what: str) -> list[float | None]:
    if table.types[column] not in NUMBERS:
        raise invalid(f"cannot take {what} of column {column} (type {FLUX_NAMES[table.types[column]]})")
    return [None if value is None else float(value) for value in table.data[column]]


def _value(table: Table) -> list[float | None]:
    if "_value" not in table.types:
        raise invalid("cannot find _value column")
    return _numbers(table, "_value", "exponential moving average")


def _exponential(values: list[float | None], n: int, multiplier: float) -> list[float | None]:
    """From the n-th value on; the first one is the mean of the first n."""
    first = [value for value in values[:n] if value is not None]
    if len(values) < n:
        return []
    count, average = len(first), 0.0
    for known in first:
        average += known
    average = average / count if count else 0.0
    made: list[float | None] = [average if count else None]
    for value in values[n:]:
        if value is not None:
            average = value if count == 0 else value * multiplier + average * (1.0 - multiplier)
            count += 1
        made.append(average if count else None)
    return made


def _with_value(table: Table, values: list[float | None], positions: list[int], column: str = "_value") -> Table:
    made = table.take(positions)
    made.types = {**table.types, column: DOUBLE}
    made.data = {**made.data, column: values}
    return made


@builtin(AVERAGES, "exponentialMovingAverage")
def exponential_moving_average(context: Context, tables: Stream, n: int) -> Stream:
    def work(table: Table) -> Table:
        if n <= 0:
            raise invalid(f"cannot take moving average with a period of {n} (must be greater than 0)")
        values = _value(table)
        if not table.size:
            return _with_value(table, [], [])
        if table.size < n:  # too few: their mean, beside the last row
            found = [value for value in values if value is not None]
            return _with_value(table, [sum(found) / len(found) if found else None], [table.size - 1])
        return _with_value(table, _exponential(values, n, 2 / (n + 1)), list(range(n - 1, table.size)))

    return tables.each(work)


@builtin(AVERAGES, "tripleExponentialDerivative")
def triple_exponential_derivative(context: Context, tables: Stream, n: int) -> Stream:
    def work(table: Table) -> Table:
        values, multiplier = _value(table), 2 / (n + 1)
        for _ in range(3):
            values = _exponential(values, n, multiplier) if values else []
        if not values:
            if not table.size:
                return _with_value(table, [], [])
            made_one = _with_value(table, [None], [table.size - 1])
            for name in made_one.types:  # too few values: InfluxDB leaves but the times
                if made_one.types[name] != TIME:
                    made_one.data[name] = [None]
            return made_one
        made: list[float | None] = []
        for before, value in pairwise(values):
            made.append(None if value is None or before is None else (value / before - 1) * 100)
        return _with_value(table, made, list(range(table.size - len(made), table.size)))

    return tables.each(work)


def _momentum(up: float, down: float, change: float, leaving: float) -> tuple[float, float, float]:
    """The oscillator's value, and the sums of the rises and falls without the change that leaves."""
    if change > 0:
        up += change
    elif change < 0:
        down -= change
    value = 100 * (up - down) / (up + down) if up + down else math.nan
    if leaving > 0:
        up -= leaving
    else:
        down += leaving
    return value, up, down


@builtin(AVERAGES, "chandeMomentumOscillator")
def chande_momentum_oscillator(context: Context, tables: Stream, n: int, columns: Any = None) -> Stream:
    names = text_list(columns if columns is not None else ["_value"], "columns")

    def work(table: Table) -> Table:
        made = table.slice(n)
        for name in names:
            if name not in table.types:
                continue
            values = [value or 0.0 for value in _numbers(table, name, "chande momentum oscillator")]
            up = down = 0.0
            found = []
            for at, value in enumerate(values):
                change = value - values[at - 1] if at else 0.0
                leaving = values[at - n + 1] - values[at - n] if at >= n else 0.0
                oscillator, up, down = _momentum(up, down, change, leaving)
                if at >= n:
                    found.append(oscillator)
            made = made.with_columns(**{name: (DOUBLE, found)})
        return made

    return tables.each(work)


_FAST = float(Fraction(2, 3) - Fraction(2, 31))
_SLOW = float(Fraction(2, 31))
"""The smoothing of 2 and of 30 values, exact until they are floats."""


@builtin(AVERAGES, "kaufmansAMA")
def kaufmans_ama(context: Context, tables: Stream, n: int, column: str = "_value") -> Stream:
    def work(table: Table) -> Table:
        if n <= 0:
            raise invalid(f"cannot take KaufmansAMA with a period of {n} (must be greater than 0)")
        if column not in table.types:
            return table.slice(n)
        values = [value or 0.0 for value in _numbers(table, column, "KAMA")]
        up = down = average = 0.0
        take(8 * n)
        changes = [0.0] * n
        found = []
        before = values[0] if values else 0.0
        for at, value in enumerate(values):
            leaving = changes[(at + 1) % n] if at >= n else 0.0
            momentum, up, down = _momentum(up, down, value - before, leaving)
            if at >= n:
                average = before if at == n else average
                ratio = abs(momentum) / 100.0
                weight = (ratio * _FAST + _SLOW) ** 2
                average += weight * (value - average)
                found.append(average)
            changes[at % n] = value - before
            before = value
        return table.slice(n).with_columns(**{column: (DOUBLE, found)})

    return tables.each(work)


@builtin(AVERAGES, "relativeStrengthIndex")
def relative_strength_index(context: Context, tables: Stream, n: int, columns: Any = None) -> Stream:
    names = text_list(columns if columns is not None else ["_value"], "columns")

    def work(table: Table) -> Table:
        if n <= 0:
            raise invalid(f"cannot take relative strength index with a period of {n} (must be greater than 0)")
        short = table.size <= n
        made = table.take([table.size - 1] if short and table.size else range(n, table.size))
        for name in names:
            if name in table.types:
                found = _strengths(_numbers(table, name, "relative strength index"), n)
                made = made.with_columns(**{name: (DOUBLE, found[-1:] if short else found[n:])})
        return made

    return tables.each(work)


def _strengths(values: list[float | None], n: int) -> list[float]:
    rise, fall, last, found = _Smoothed(n), _Smoothed(n), 0.0, []
    for value in values:
        if value is not None:
            rise.add(max(0.0, value - last))
            fall.add(max(0.0, last - value))
            last = value
        rise.steps += 1
        fall.steps += 1
        ratio = rise.value / fall.value if fall.value else (math.inf if rise.value else math.nan)
        found.append(100.0 - 100.0 / (1.0 + ratio))
    return found


class _Smoothed:
    """A mean of the first n values, then an average in which each new one weighs 1/n."""

    def __init__(self, n: int) -> None:
        self.n, self.steps, self.count, self.value = n, 0, 0, 0.0

    def add(self, value: float) -> None:
        if self.count == 0:
            self.value = value
        elif self.steps < self.n:
            self.value = (self.value * self.count + value) / (self.count + 1)
        else:
            self.value = value / self.n + self.value * (1.0 - 1.0 / self.n)
        self.count = min(self.n, self.count + 1)
