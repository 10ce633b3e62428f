"""Smallest and largest values of fields in a period.

Each numeric field of a series becomes `FIELD_min` and `FIELD_max`. The results are floats, as Telegraf's are; booleans
and text are left out.
"""

from collections.abc import Sequence

from pyagent.api import Accumulator, Aggregator, Metric

Series = tuple[str, tuple[tuple[str, str], ...]]


class MinMax(Aggregator):
    def setup(self) -> None:
        self.reset()

    def add(self, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            series = (metric.name, tuple(sorted(metric.tags.items())))
            known = self._series.setdefault(series, {})
            for name, value in metric.fields.items():
                if isinstance(value, str | bool):
                    continue
                number = float(value)
                low, high = known.get(name, (number, number))
                known[name] = (min(low, number), max(high, number))

    def push(self, acc: Accumulator) -> None:
        for (name, tags), fields in self._series.items():
            values = {f"{field}_min": low for field, (low, _) in fields.items()}
            values |= {f"{field}_max": high for field, (_, high) in fields.items()}
            acc.add(name, values, dict(tags))

    def reset(self) -> None:
        self._series: dict[Series, dict[str, tuple[float, float]]] = {}
