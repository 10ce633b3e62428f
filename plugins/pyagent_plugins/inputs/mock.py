"""Makes up metrics, to try things with.

Configurations, dashboards and processors can be tried without anything to measure. The formulas are those of Telegraf
1.40; its first values are the same, those with chance in them excepted.
"""

import math
import random
from typing import Annotated, Any

from pyagent.api import Accumulator, Input, Measurement, Options, option

__all__ = ["Mock", "MockOptions"]


class Constant(Options, frozen=True):
    name: Annotated[str, option("name of the field")]
    value: Annotated[Any, option("text, a number or a boolean")] = None


class Random(Options, frozen=True):
    name: Annotated[str, option("name of the field")]
    min: Annotated[float, option("least value")] = 0.0
    max: Annotated[float, option("greatest value")] = 0.0


class SineWave(Options, frozen=True):
    name: Annotated[str, option("name of the field")]
    amplitude: Annotated[float, option("height above and below the base line")] = 0.0
    period: Annotated[float, option("half waves for each gather")] = 0.0
    phase: Annotated[float, option("gathers by which it is ahead")] = 0.0
    base_line: Annotated[float, option("middle of the wave")] = 0.0


class Step(Options, frozen=True):
    name: Annotated[str, option("name of the field")]
    start: Annotated[float, option("first value")] = 0.0
    step: Annotated[float, option("added at each gather; may be negative")] = 0.0
    min: Annotated[float, option("first value", deprecated="start")] = 0.0
    max: Annotated[float, option("added at each gather", deprecated="step")] = 0.0


class Stock(Options, frozen=True):
    name: Annotated[str, option("name of the field")]
    price: Annotated[float, option("first value")] = 0.0
    volatility: Annotated[float, option("greatest change at each gather, as a part of the value")] = 0.0


class MockOptions(Options, frozen=True):
    metric_name: Annotated[str, option("measurement")] = "mock"
    constant: Annotated[list[Constant], option("fields that stay as they are")] = []
    random: Annotated[list[Random], option("fields of evenly distributed chance")] = []
    sine_wave: Annotated[list[SineWave], option("fields that go up and down")] = []
    step: Annotated[list[Step], option("fields that grow or fall steadily")] = []
    stock: Annotated[list[Stock], option("fields that wander like a price")] = []


class Mock(Input[MockOptions]):
    measurements = (Measurement("mock", "`metric_name`, with the fields that the options name", open=True),)

    def setup(self) -> None:
        self._gathers = 0
        self._steps: list[float] = []
        self._prices: list[float] = []
        self._chance = random.Random()  # noqa: S311  # no secret comes of it

    async def gather(self, acc: Accumulator) -> None:
        options, chance = self.options, self._chance
        if self._gathers == 0:
            self._steps = [step.start or step.min for step in options.step]
            self._prices = [stock.price for stock in options.stock]
        else:
            changes = [step.step or step.max for step in options.step]
            self._steps = [value + change for value, change in zip(self._steps, changes, strict=True)]
            self._prices = [
                # Never below one, or it would stay there for ever.
                max(price * (1 + stock.volatility * chance.uniform(-1, 1)), 1.0) if price else stock.price
                for price, stock in zip(self._prices, options.stock, strict=True)
            ]
        fields: dict[str, Any] = {each.name: chance.uniform(each.min, each.max) for each in options.random}
        fields |= {stock.name: price for stock, price in zip(options.stock, self._prices, strict=True)}
        for wave in options.sine_wave:
            angle = (self._gathers + wave.phase) * wave.period * math.pi
            fields[wave.name] = math.sin(angle) * wave.amplitude + wave.base_line
        fields |= {step.name: value for step, value in zip(options.step, self._steps, strict=True)}
        fields |= {each.name: each.value for each in options.constant}
        acc.add(options.metric_name or "mock", fields)
        self._gathers += 1
