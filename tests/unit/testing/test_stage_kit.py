"""`pyagent.testing` for processors and aggregators: what the engine would not take is an error of the test."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Annotated, Any

import pytest

from pyagent.api import Accumulator, Aggregator, ConfigError, Metric, NoOptions, Options, Processor, option
from pyagent.testing import (
    make_aggregator,
    make_processor,
    process,
    process_async,
    run_aggregator,
    run_processor,
    summed_up,
)


class CountOptions(Options, frozen=True):
    first: Annotated[int, option("the first number")]


class Count(Processor[CountOptions]):
    def setup(self) -> None:
        self.number = self.options.first

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for metric in metrics:
            metric.fields["n"] = self.number
            self.number += 1
        return [*metrics, Metric("empty", {}, {}, 0)]


class Total(Aggregator):
    def setup(self) -> None:
        self.reset()

    def add(self, metrics: Sequence[Metric]) -> None:
        self.total: Any = self.total + sum(float(metric.fields["n"]) for metric in metrics)

    def push(self, acc: Accumulator) -> None:
        acc.add("total", {"n": object() if self.total < 0 else self.total})

    def reset(self) -> None:
        self.total = 0.0


def metric(number: int) -> Metric:
    return Metric("m", {}, {"n": number}, 0)


def test_a_processor_gets_copies_and_remembers() -> None:
    given = [metric(0), metric(0)]
    assert run_processor(Count, given, {"first": 7}) == [metric(7), metric(8)]
    assert given == [metric(0), metric(0)]
    counting = make_processor(Count, {"first": 1})
    assert process(counting, given) == [metric(1), metric(2)]
    assert process(counting, given) == [metric(3), metric(4)]
    with pytest.raises(ConfigError, match="the option 'first' is missing"):
        make_processor(Count)


class Waits(Count):
    stopped = 0

    async def process(self, metrics: list[Metric]) -> list[Metric]:  # type: ignore[override]  # a plain one's is changed
        await asyncio.sleep(0)
        return super().process(metrics)

    async def stop(self) -> None:
        Waits.stopped += 1


def test_one_that_is_async_is_awaited_and_stopped() -> None:
    assert run_processor(Waits, [metric(0), metric(0)], {"first": 7}) == [metric(7), metric(8)]
    assert Waits.stopped == 1

    async def twice() -> None:
        counting = make_processor(Waits, {"first": 1})
        assert await process_async(counting, [metric(0)]) == [metric(1)]
        assert await process_async(counting, [metric(0)]) == [metric(2)]
        with pytest.raises(TypeError, match="a plain `def`; call `process`"):
            await process_async(make_processor(Count, {"first": 1}), [metric(0)])

    asyncio.run(twice())


def test_what_the_engine_cannot_use_is_an_error() -> None:
    class Forgets(Processor):
        def process(self, metrics: list[Metric]) -> list[Metric]:
            return None  # type: ignore[return-value]  # the mistake

    with pytest.raises(TypeError, match="process returned None, not a list of metrics"):
        process(Forgets(NoOptions(), logging.getLogger("x")), [metric(1)])


def test_an_aggregator_begins_anew_after_each_period() -> None:
    [total] = run_aggregator(Total, [metric(1), metric(2)])
    assert (total.name, total.fields) == ("total", {"n": 3.0})
    summing = make_aggregator(Total)
    assert [m.fields["n"] for _ in range(2) for m in summed_up(summing, [metric(4)])] == [4.0, 4.0]
    with pytest.raises(AssertionError, match="the field 'n' of 'total' cannot be used"):
        run_aggregator(Total, [metric(-1)])
