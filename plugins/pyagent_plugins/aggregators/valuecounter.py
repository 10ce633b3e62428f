"""How often each value of a field came in a period.

Each value of a field becomes a field `FIELD_VALUE` with its count. Meant for fields with few values, such as a status.
"""

from collections.abc import Sequence
from typing import Annotated

from pyagent.api import Accumulator, Aggregator, Metric, Options, option
from pyagent.kit.numbers import shown_value

__all__ = ["ValueCounter", "ValueCounterOptions"]


class ValueCounterOptions(Options, frozen=True):
    fields: Annotated[list[str], option("the fields whose values are counted")] = []

    def remarks(self) -> list[tuple[str, str]]:
        return [] if self.fields else [("fields", "is empty: nothing is counted")]


class ValueCounter(Aggregator[ValueCounterOptions]):
    def setup(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._series: dict[tuple[str, frozenset[tuple[str, str]]], tuple[dict[str, str], dict[str, int]]] = {}

    def add(self, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            fields = metric.fields
            for name in self.options.fields:
                if name in fields:
                    _, counts = self._series.setdefault(
                        (metric.name, frozenset(metric.tags.items())), (dict(metric.tags), {})
                    )
                    shown = f"{name}_{shown_value(fields[name])}"
                    counts[shown] = counts.get(shown, 0) + 1

    def push(self, acc: Accumulator) -> None:
        for (name, _), (tags, counts) in self._series.items():
            acc.add(name, counts, tags)
