"""Quantiles of fields in a period.

Each numeric field of a series becomes `FIELD_025`, `FIELD_050` and so on, a hundred times the quantile. By default they are
estimates that take a bounded piece of memory, however many values come.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pyagent.api import Accumulator, Aggregator, ConfigError, Metric, Options, option
from pyagent_plugins.aggregators.quantile.algorithms import R7, R8, Digest, Exact

__all__ = ["Quantile", "QuantileOptions"]


class QuantileOptions(Options, frozen=True):
    quantiles: Annotated[list[float], option("which ones, from 0 to 1; empty: 0.25, 0.5 and 0.75")] = []
    algorithm: Annotated[
        Literal["t-digest", "exact R7", "exact R8", ""],
        option("t-digest (or empty): an estimate; exact R7 and R8 (Hyndman and Fan) keep all values of a period"),
    ] = "t-digest"
    compression: Annotated[float, option("of t-digest: larger is more exact, and takes longer")] = 100.0


class Quantile(Aggregator[QuantileOptions]):
    def setup(self) -> None:
        wanted = self.options.quantiles or [0.25, 0.5, 0.75]
        for number, quantile in enumerate(wanted):
            if not 0 <= quantile <= 1:
                raise ConfigError(f"cannot give the quantile {quantile:g}: it is not from 0 to 1", option="quantiles")
            if quantile in wanted[:number]:
                raise ConfigError(f"cannot give the quantile {quantile:g} twice", option="quantiles")
        self._wanted = [(f"_{int(quantile * 100):03d}", quantile) for quantile in wanted]
        self._new: Callable[[], Digest | Exact]
        match self.options.algorithm:
            case "exact R7":
                self._new = lambda: Exact(R7)
            case "exact R8":
                self._new = lambda: Exact(R8)
            case _:
                compression = self.options.compression
                if compression < 1:
                    raise ConfigError("cannot use a compression below 1", option="compression")
                self._new = lambda: Digest(compression)
        self.reset()

    def reset(self) -> None:
        self._series: dict[tuple[str, frozenset[tuple[str, str]]], _Series] = {}

    def add(self, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            key = (metric.name, frozenset(metric.tags.items()))
            series = self._series.get(key)
            if series is None:
                # Fields that its first metric does not have are left out, as in Telegraf.
                fields = {
                    name: self._new() for name, value in metric.fields.items() if not isinstance(value, str | bool)
                }
                series = self._series[key] = dict(metric.tags), fields
            for name, values in series[1].items():
                value = metric.fields.get(name)
                if value is not None and not isinstance(value, str | bool):
                    values.add(float(value))

    def push(self, acc: Accumulator) -> None:
        for (name, _), (tags, fields) in self._series.items():
            acc.add(
                name,
                {f"{key}{end}": values.quantile(q) for key, values in fields.items() for end, q in self._wanted},
                tags,
            )


_Series = tuple[dict[str, str], dict[str, Digest | Exact]]
"""Tags, and of each field its values."""
