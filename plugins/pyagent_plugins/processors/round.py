"""Rounds the values of fields: halves go away from zero. Text and booleans stay as they are."""

import math
from typing import Annotated

from pyagent.api import FieldValue, Metric, Options, Processor, Uint, option
from pyagent.kit.filter import name_filter
from pyagent.kit.memo import KeysMemo
from pyagent.kit.numbers import INT64_MAX, divided

__all__ = ["Round", "RoundOptions"]


class RoundOptions(Options, frozen=True):
    precision: Annotated[int, option("digits behind the point; -2: to hundreds, integers too")] = 0
    include_fields: Annotated[list[str], option("keys of fields to round, wildcards allowed; empty: all")] = []
    exclude_fields: Annotated[list[str], option("keys of fields that stay as they are")] = []


class Round(Processor[RoundOptions]):
    def setup(self) -> None:
        matches = name_filter(
            self.options.include_fields,
            self.options.exclude_fields,
            names=("include_fields", "exclude_fields"),
        )
        self._factor = _power_of_ten(-self.options.precision)
        # What 64 bits do not hold rounds no integer.
        self._whole = int(self._factor) if 10 <= self._factor <= INT64_MAX else 0
        self._rounded = KeysMemo(lambda keys: [key for key in keys if matches(key)])

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for metric in metrics:
            if keys := self._rounded[tuple(metric.fields)]:
                metric.fields = fields = dict(metric.fields)
                for key in keys:
                    fields[key] = self._value(fields[key])
        return metrics

    def _value(self, value: FieldValue) -> FieldValue:
        if isinstance(value, float):
            return _nearest(divided(value, self._factor)) * self._factor
        if isinstance(value, str | bool) or not self._whole:
            return value
        signed = _wrapped(int(value))
        unit = self._whole // 10
        tenths = _quotient(signed, unit)
        rest = tenths - _quotient(tenths, 10) * 10
        tenths += -rest + (10 if rest >= 5 else -10 if rest <= -5 else 0)
        whole = _wrapped(tenths * unit)
        return Uint(whole % (1 << 64)) if isinstance(value, Uint) else whole


def _power_of_ten(power: int) -> float:
    """As Go's Pow10 computes it, to the last digit."""
    if power >= 0:
        return float(f"1e{power // 32 * 32}") * float(f"1e{power % 32}") if power <= 308 else math.inf
    return float(f"1e-{-power // 32 * 32}") / float(f"1e{-power % 32}") if power >= -323 else 0.0


def _nearest(value: float) -> float:
    if not abs(value) < 1 << 52:
        return value
    whole = math.trunc(value)
    return math.copysign(abs(whole) + (abs(value - whole) >= 0.5), value)


def _wrapped(value: int) -> int:
    """As 64 bits with a sign have it."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _quotient(value: int, by: int) -> int:
    return value // by if value >= 0 else -(-value // by)
