"""A gather that adds more than queues hold, on virtual time: what each output gets of it, and who waits for whom."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from partitioned import Buckets, gathered
from plans import LOG, START, input_plan, numbers, output_plan

from pyagent.api import Accumulator, Batch, Input, Metric, NoOptions, Output, Reject, Retry
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.accumulator import HIGH_WATER, InputAccumulator
from pyagent.pipeline.inputs.running_input import FLOOD, RunningInput
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.testing.virtual import VirtualClock, run_virtual

LIMIT = 4 * HIGH_WATER
MANY = 12 * HIGH_WATER
INTERVAL = 10


class Flooding(Input):
    """Adds what it is told to as a gather in a thread does: it is held while the main loop hands on."""

    def setup(self) -> None:
        self.many = self.added = 0
        self.make_room: Callable[[], Coroutine[Any, Any, None]] = healthy

    async def gather(self, acc: Accumulator) -> None:
        assert isinstance(acc, InputAccumulator)
        for _ in range(self.many):
            acc._pending.append(Metric("m", {}, {"n": self.added}, START))
            self.added += 1
            if len(acc) >= HIGH_WATER:
                await self.make_room()
                assert not len(acc)


class Receiver(Output):
    """Takes what it takes: `answer` is awaited before each write."""

    def setup(self) -> None:
        self.answer: Callable[[], Coroutine[Any, Any, None]] = healthy
        self.stored: list[int] = []

    async def write(self, batch: Batch) -> None:
        await self.answer()
        self.stored += numbers(batch)


async def healthy() -> None:
    await asyncio.sleep(0.01)


async def slow() -> None:
    """Less than is gathered."""
    await asyncio.sleep(2)


async def down() -> None:
    raise Retry("connection refused")


async def hanging() -> None:
    await asyncio.Event().wait()


async def refusing() -> None:
    raise Reject("not this way")


class Bench:
    """An input with outputs that answer so."""

    def __init__(self, *answers: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.outputs = []
        for answer in answers:
            plugin = Receiver(NoOptions(), LOG)
            plugin.answer = answer
            plan = output_plan(Receiver, metric_buffer_limit=LIMIT, metric_batch_size=HIGH_WATER)
            self.outputs.append(RunningOutput(plan, plugin, log=LOG))
        self.plugin = Flooding(NoOptions(), LOG)
        self.input = RunningInput(
            input_plan(Flooding),
            self.plugin,
            global_tags={},
            sink=Fanout(self.outputs),
            clock=VirtualClock(START),
            log=LOG,
        )
        self.plugin.make_room = self.input._take_flood
        self.gathers: list[float] = []
        """Seconds that each took."""

    async def ticks(self, count: int, many: int = MANY) -> None:
        """So many gathers, one an interval or as soon as the one before has ended."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            began, self.plugin.many = loop.time(), many
            await self.input.gather_once()
            assert all(output.queued <= LIMIT for output in self.outputs)
            self.gathers.append(loop.time() - began)
            await asyncio.sleep(max(began + INTERVAL - loop.time(), 0))

    def stored(self, index: int) -> list[int]:
        plugin = self.outputs[index].plugin
        assert isinstance(plugin, Receiver)
        return plugin.stored

    def accounted(self) -> bool:
        return all(
            self.plugin.added - self.input.acc.dropped[FLOOD]
            == one.written + one.rejected + one.queue.dropped + len(one.queue)
            for one in self.outputs
        )


def on_bench(
    answers: list[Callable[[], Coroutine[Any, Any, None]]], act: Callable[[Bench], Coroutine[Any, Any, None]]
) -> Bench:
    async def main() -> Bench:
        bench = Bench(*answers)
        tasks = [asyncio.create_task(output.run()) for output in bench.outputs]
        await act(bench)
        await asyncio.sleep(30)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert bench.accounted()
        return bench

    return run_virtual(main())


@pytest.mark.parametrize("bad", [down, hanging, refusing])
def test_an_output_that_takes_nothing_holds_up_itself_alone(bad: Callable[[], Coroutine[Any, Any, None]]) -> None:
    bench = on_bench([healthy, bad], lambda bench: bench.ticks(4))
    assert bench.stored(0) == list(range(4 * MANY))
    assert not bench.input.acc.dropped
    assert max(bench.gathers) < INTERVAL
    # Waited for once: afterwards it is known.
    assert max(bench.gathers[1:]) < 1
    assert bench.outputs[1].queue.dropped == 4 * MANY - LIMIT
    assert bench.outputs[0].queue.dropped == 0


def test_two_that_keep_up_get_everything() -> None:
    bench = on_bench([healthy, healthy], lambda bench: bench.ticks(3))
    assert bench.stored(0) == bench.stored(1) == list(range(3 * MANY))
    assert max(bench.gathers) < 1


def test_a_slow_one_is_waited_for_until_the_next_gather_is_due() -> None:
    bench = on_bench([healthy, slow], lambda bench: bench.ticks(3))
    assert bench.stored(0) == list(range(3 * MANY))
    assert max(bench.gathers) < INTERVAL + 1
    assert bench.outputs[0].queue.dropped == 0
    assert not bench.input.acc.dropped
    # What fits between two gathers is not lost there, either.
    fitting = on_bench([healthy, slow], lambda bench: bench.ticks(3, 5 * HIGH_WATER))
    assert fitting.stored(0) == fitting.stored(1) == list(range(15 * HIGH_WATER))


def test_a_slow_one_alone_is_waited_for_as_long_as_it_takes() -> None:
    bench = on_bench([slow], lambda bench: bench.ticks(2))
    assert bench.stored(0) == list(range(2 * MANY))


def test_an_outage_of_a_moment_loses_nothing() -> None:
    async def act(bench: Bench) -> None:
        plugin: Any = bench.outputs[0].plugin
        # Shorter than the first pause between two attempts, which is a random part of a second.
        asyncio.get_running_loop().call_later(0.4, setattr, plugin, "answer", healthy)
        await bench.ticks(2)

    assert on_bench([down], act).stored(0) == list(range(2 * MANY))


def test_where_all_are_down_the_newest_gathers_are_kept_and_a_flood_is_cut_off() -> None:
    async def act(bench: Bench) -> None:
        await bench.ticks(4, LIMIT)
        assert not bench.input.acc.dropped
        assert [one.queue.dropped for one in bench.outputs] == [3 * LIMIT, 3 * LIMIT]
        assert max(bench.gathers[1:]) < 1
        await bench.ticks(1)
        assert bench.input.acc.dropped[FLOOD] == MANY - LIMIT
        assert max(bench.gathers[1:]) < 1

    on_bench([down, hanging], act)


def test_when_one_comes_back_it_is_waited_for_again() -> None:
    async def act(bench: Bench) -> None:
        await bench.ticks(2)
        plugin: Any = bench.outputs[1].plugin
        plugin.answer = healthy
        await asyncio.sleep(60)
        plugin.stored.clear()
        await bench.ticks(2)
        assert plugin.stored == list(range(2 * MANY, 4 * MANY))

    on_bench([healthy, down], act)


def test_of_a_divided_output_only_the_part_that_takes_something_is_waited_for() -> None:
    async def main() -> None:
        plugin = Buckets(NoOptions(), LOG)
        plugin.down = {"dead"}
        output = RunningOutput(output_plan(Buckets, metric_buffer_limit=10), plugin, log=LOG)
        fanout = Fanout([output])
        fanout.deliver(gathered(6, bucket="dead"))
        assert not fanout.below_high_water(5)
        await asyncio.sleep(5)
        assert fanout.below_high_water(5)
        assert fanout.most_unwritten(5) == 10
        fanout.deliver(gathered(4, bucket="alive"))
        assert fanout.below_high_water(5)
        assert fanout.most_unwritten(5) is None
        await output.write_queue()
        assert len(plugin.stored["alive"]) == 4
        assert fanout.below_high_water(5)

    run_virtual(main())
