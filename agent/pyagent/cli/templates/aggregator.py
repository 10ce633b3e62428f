"""How many metrics of each series came in a period."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pyagent.api import Accumulator, Aggregator, Metric, Options, option

Series = tuple[str, tuple[tuple[str, str], ...]]


class ExampleOptions(Options, frozen=True):
    field: Annotated[str, option("name of the field that holds the number")] = "example"


class Example(Aggregator[ExampleOptions]):
    def setup(self) -> None:
        self.reset()

    def add(self, metrics: Sequence[Metric]) -> None:
        self._counts.update((metric.name, tuple(sorted(metric.tags.items()))) for metric in metrics)

    def push(self, acc: Accumulator) -> None:
        for (name, tags), count in self._counts.items():
            acc.add(name, {self.options.field: count}, dict(tags))

    def reset(self) -> None:
        self._counts: Counter[Series] = Counter()
