"""Adds random noise to numbers.

Single values tell less then, and all of them together the same.
"""

import math
import random
from collections.abc import Callable
from typing import Annotated, Literal

from pyagent.api import Metric, Options, Processor, Uint, option
from pyagent.kit.filter import name_filter
from pyagent.kit.memo import KeysMemo
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
        wanted = name_filter(options.include_fields, options.exclude_fields, names=names)
        self._keys = KeysMemo(lambda keys: [key for key in keys if wanted(key)])
        self._draw = self._distribution(random.Random())  # noqa: S311  # it has no secret

    def process(self, metrics: list[Metric]) -> list[Metric]:
        keys, draw = self._keys, self._draw
        for metric in metrics:
            metric.fields = fields = dict(metric.fields)
            for key in keys[tuple(fields)]:
                value = fields[key]
                if type(value) is float:
                    fields[key] = value + draw()
                elif not isinstance(value, str | bool):
                    fields[key] = _noisy(int(value), draw(), unsigned=type(value) is Uint)
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
                # 1 - random() is never 0, of which there is no logarithm.
                sides = (scale, -scale)
                return lambda: mu + sides[source.random() < 0.5] * math.log(1.0 - source.random())


def _noisy(value: int, noise: float, *, unsigned: bool) -> int:
    """Integers get the whole part of the noise, and end at the largest and the smallest that there is."""
    low, high = (0, UINT64_MAX) if unsigned else (INT64_MIN, INT64_MAX)
    if math.isfinite(noise):
        value = min(max(value + math.trunc(noise), low), high)
    elif not math.isnan(noise):
        value = high if noise > 0 else low
    return Uint(value) if unsigned else value
