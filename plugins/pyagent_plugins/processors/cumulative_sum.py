"""Adds up the values of fields, for each series.

Each field gets another one beside it, `FIELD_sum`, with all values so far. Sums are floats. Booleans count
as 0 and 1, texts as the numbers that they are; what is no number has no sum.
"""

import time
from collections.abc import Callable
from typing import Annotated

from pyagent.api import Duration, FieldValue, Metric, Options, Processor, option
from pyagent.kit.filter import name_filter
from pyagent.kit.numbers import parse_float

__all__ = ["CumulativeSum", "CumulativeSumOptions"]


class CumulativeSumOptions(Options, frozen=True):
    fields: Annotated[list[str], option("keys of fields, wildcards allowed ([]: all)")] = []
    expiry_interval: Annotated[
        Duration, option("a series that does not come for as long begins at 0 again (0: never)")
    ] = Duration(0)


class CumulativeSum(Processor[CumulativeSumOptions]):
    now: Callable[[], int] = staticmethod(time.monotonic_ns)

    def setup(self) -> None:
        self._wanted = name_filter(self.options.fields, names=("fields", ""))
        self._sums: dict[tuple[str, frozenset[tuple[str, str]]], _Sums] = {}

    def process(self, metrics: list[Metric]) -> list[Metric]:
        now, known, wanted = self.now(), self._sums, self._wanted
        for metric in metrics:
            series = (metric.name, frozenset(metric.tags.items()))
            if (sums := known.get(series)) is None:
                sums = known[series] = _Sums()
            sums.seen = now
            fields = before = dict(metric.fields)
            for key in metric.fields:
                if wanted(key) and (value := _number(before[key])) is not None:
                    name = f"{key}_sum"
                    if before is fields and name not in fields:
                        # As in Telegraf: sums that take the place of a field are summed up themselves, if none is new before.
                        fields = dict(before)
                    fields[name] = sums[key] = sums.get(key, 0.0) + value
            metric.fields = fields
        if self.options.expiry_interval > 0:
            self._forget(now - self.options.expiry_interval)
        return metrics

    def _forget(self, before: int) -> None:
        """Series that were not seen since."""
        for series in [series for series, sums in self._sums.items() if sums.seen < before]:
            del self._sums[series]


class _Sums(dict[str, float]):
    """Of one series, by field."""

    __slots__ = ("seen",)
    seen: int


def _number(value: FieldValue) -> float | None:
    if isinstance(value, str):
        return parse_float(value)
    return float(value)
