"""Adds random noise to numbers.

Single values tell less then, and all of them together the same.
"""

import math
import random
from collections.abc import Callable
from typing import Annotated, Literal

from pyagent.api import FieldValue, Metric, Options, Processor, Uint, option
from pyagent.kit.filter import name_filter
from pyagent.kit.numbers import INT64_MAX, INT64_MIN, UINT64_MAX

__all__ = ["Noise", "NoiseOptions"]


class NoiseOptions(Options, frozen=True):
    type: Annotated[
        Literal["", "laplacian", "gaussian", "uniform"], option("distribution of the noise (empty: laplacian)")
    ] = "laplacian"
    mu: Annotated[float, option("its centre; not of uniform")] = 0.0
    scale: Annotated[float, option("its width; not of uniform")] = 1.0
    min: Annotated[float, option("the least of uniform")] = -1.0
    max: Annotated[float, option("the most of uniform")] = 1.0
    include_fields: Annotated[list[str], option("keys of the fields, wildcards allowed ([]: all)")] = []
    exclude_fields: Annotated[list[str], option("keys of fields to leave out, wildcards allowed")] = []


class Noise(Processor[NoiseOptions]):
    def setup(self) -> None:
        options = self.options
        names = ("include_fields", "exclude_fields")
        self._wanted = name_filter(options.include_fields, options.exclude_fields, names=names)
        self._draw = self._distribution(random.SystemRandom())

    def process(self, metrics: list[Metric]) -> list[Metric]:
        wanted, draw = self._wanted, self._draw
        for metric in metrics:
            metric.fields = {
                key: value if isinstance(value, str | bool) or not wanted(key) else _noisy(value, draw())
                for key, value in metric.fields.items()
            }
        return metrics

    def _distribution(self, source: random.Random) -> Callable[[], float]:
        options = self.options
        mu, scale, low, high = options.mu, options.scale, options.min, options.max
        match options.type:
            case "uniform":
                return lambda: low + (high - low) * source.random()
            case "gaussian":
                return lambda: source.gauss(mu, scale)
            case _:
                # 1 - random() is not 0, whose logarithm there is none of.
                return lambda: mu + scale * (math.log(1.0 - source.random()) - math.log(1.0 - source.random()))


def _noisy(value: int | float, noise: float) -> FieldValue:
    """Integers get the whole part of the noise, and end at the largest and the smallest that there is."""
    if isinstance(value, float):
        return value + noise
    if math.isnan(noise):
        return value
    whole = math.trunc(noise) if math.isfinite(noise) else (2**65 if noise > 0 else -(2**65))
    low, high = (0, UINT64_MAX) if isinstance(value, Uint) else (INT64_MIN, INT64_MAX)
    total = min(max(value + whole, low), high)
    return Uint(total) if isinstance(value, Uint) else total
