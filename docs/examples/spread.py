"""How far apart the values of a field were in a period: `FIELD_spread`, for each series."""

from collections.abc import Sequence

from pyagent.api import Accumulator, Aggregator, Metric

Series = tuple[str, tuple[tuple[str, str], ...]]


class Spread(Aggregator):
    def setup(self) -> None:
        self.reset()

    def add(self, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            known = self._values.setdefault((metric.name, tuple(sorted(metric.tags.items()))), {})
            for name, value in metric.fields.items():
                if not isinstance(value, str | bool):
                    low, high = known.get(name, (value, value))
                    known[name] = (min(low, value), max(high, value))

    def push(self, acc: Accumulator) -> None:
        for (name, tags), values in self._values.items():
            acc.add(name, {f"{field}_spread": float(high - low) for field, (low, high) in values.items()}, dict(tags))

    def reset(self) -> None:
        self._values: dict[Series, dict[str, tuple[float, float]]] = {}
