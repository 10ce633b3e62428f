"""Two hundred reloads under load: every metric arrives once, whatever is replaced meanwhile, and nothing is left behind."""

import asyncio
import dataclasses
import gc
import itertools
import os
import random
import threading
from collections import Counter

import pytest

from pyagent.api import Accumulator, Batch, Duration, Input, Metric, NoOptions, Output, QueueFull, Retry
from pyagent.config import AgentSettings, InputPlan, OutputPlan, Plan
from pyagent.runtime.agent import Agent
from pyagent.testing.virtual import VirtualClock, run_virtual

START = 1_795_478_403 * 1_000_000_000
RELOADS = 200


class World:
    """What was given to the agent, and what the receiver has: numbers that tell every metric apart."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.numbers = itertools.count()
        self.given: list[int] = []
        self.stored: list[int] = []
        self.open: Counter[str] = Counter()
        """Plugins that were started and not yet stopped, by kind."""
        self.listener: Accumulator | None = None
        self.rough = True


world = World(0)


class Polled(Input):
    """A gather that takes a while and adds on the way."""

    async def gather(self, acc: Accumulator) -> None:
        for _ in range(3):
            number = next(world.numbers)
            acc.add("m", {"n": number})
            world.given.append(number)
            await asyncio.sleep(world.draw.uniform(0, 0.8))


class Listening(Input):
    async def start(self, acc: Accumulator) -> None:
        world.open["listeners"] += 1
        world.listener = acc

    async def stop(self) -> None:
        world.open["listeners"] -= 1


class Storing(Output):
    """A receiver that takes its time, and sometimes does not answer."""

    async def connect(self) -> None:
        world.open["connections"] += 1

    async def write(self, batch: Batch) -> None:
        await asyncio.sleep(world.draw.uniform(0, 4 if world.rough else 0.1))
        if world.rough and world.draw.random() < 0.2:
            raise Retry("connection reset")
        world.stored += [int(line.split(b"n=")[1].split(b"i")[0]) for line in batch.payload().splitlines()]

    async def close(self) -> None:
        world.open["connections"] -= 1


def an_input(plugin: type[Input], identity: str) -> InputPlan:
    return InputPlan(
        kind="inputs",
        name=plugin.__name__.lower(),
        plugin=plugin,
        options=NoOptions(),
        interval=Duration("1s"),
        precision=Duration("1s"),
        identity=identity,
        location="a.conf:1",
    )


def an_output(identity: str) -> OutputPlan:
    return OutputPlan(
        kind="outputs",
        name="storing",
        plugin=Storing,
        options=NoOptions(),
        flush_interval=Duration("2s"),
        metric_batch_size=200,
        identity=identity,
        location="a.conf:9",
        queue_id="storing",
    )


async def feed() -> None:
    """A sender that sends again what was not taken."""
    while True:
        number = next(world.numbers)
        while True:
            await asyncio.sleep(0.05)
            if world.listener is None:
                continue
            try:
                await world.listener.deliver([Metric("m", {}, {"n": number}, START)])
            except QueueFull:
                continue
            break
        world.given.append(number)


async def storm(agent: Agent) -> None:
    kinds: tuple[type[Input], ...] = (Polled, Listening)
    inputs = dict.fromkeys(kinds, "0")
    output = "0"
    plan = Plan(agent=AgentSettings(), global_tags={})
    for reload in range(RELOADS):
        match world.draw.randrange(5):
            case 0 if Polled in inputs:
                del inputs[Polled]
            case 0 | 1:
                inputs[Polled] = str(reload)
            case 2:
                inputs[world.draw.choice(kinds)] = str(reload)
            case _:
                output = str(reload)
        plan = Plan(
            agent=AgentSettings(),
            global_tags={"host": str(reload % 7)},
            inputs=tuple(an_input(kind, identity) for kind, identity in inputs.items()),
            outputs=(an_output(output),),
        )
        await agent.apply(plan)
        await asyncio.sleep(world.draw.choice((0, 0.01, 0.3, 2)))


@pytest.mark.parametrize("seed", range(3))
def test_no_metric_is_lost_or_there_twice(seed: int) -> None:
    global world
    world = World(seed)

    async def main() -> None:
        agent = Agent(clock=VirtualClock(START))
        feeder = asyncio.create_task(feed())
        await storm(agent)
        feeder.cancel()
        await asyncio.wait([feeder])
        # In the middle of the last reload: what was replaced may still be writing.
        world.rough = False
        await agent.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())
    assert Counter(world.stored) == Counter(world.given)
    assert len(world.given) > RELOADS
    assert +world.open == {}


class Threaded(Input):
    """Runs in a thread of its own."""

    def gather(self, acc: Accumulator) -> None:
        acc.add("m", {"n": 1}, time=START)


class Outside(Input):
    """Runs on a loop of its own, in a thread."""

    async def gather(self, acc: Accumulator) -> None:
        await asyncio.sleep(0)
        acc.add("m", {"n": 1}, time=START)


class BufferResources(Output):
    async def write(self, batch: Batch) -> None: ...


def test_nothing_is_left_behind() -> None:
    """On real time, because threads are: tasks, threads, file descriptors and objects are as many as after a few reloads."""

    async def main() -> None:
        agent = Agent()

        async def reload(number: int) -> None:
            often = {"origin": "file", "interval": Duration("20ms"), "identity": str(number)}
            inputs = [dataclasses.replace(an_input(kind, ""), **often) for kind in (Threaded, Outside)]
            output = dataclasses.replace(an_output(str(number)), plugin=BufferResources, origin="file")
            await agent.apply(Plan(agent=AgentSettings(), global_tags={}, inputs=tuple(inputs), outputs=(output,)))

        async def ended() -> None:
            while any(task.get_name().startswith("end of ") for task in asyncio.all_tasks()):
                await asyncio.sleep(0.01)
            gc.collect()

        def held() -> list[int]:
            return [len(asyncio.all_tasks()), threading.active_count(), len(os.listdir("/proc/self/fd"))]

        for number in range(20):
            await reload(number)
        await ended()
        before = held()  # the most of some moments: threads begin and end without telling anybody
        for _ in range(25):
            await asyncio.sleep(0.02)
            before = [max(pair) for pair in zip(before, held(), strict=True)]
        objects_before = len(gc.get_objects())
        for number in range(RELOADS):
            await reload(20 + number)
        await ended()
        async with asyncio.timeout(120):
            while any(now > then for now, then in zip(held(), before, strict=True)):
                await asyncio.sleep(0.05)
        objects_after = len(gc.get_objects())
        # A runner that stays costs dozens; what just happens, some hundreds in all.
        assert objects_after - objects_before < 5 * RELOADS
        await agent.stop()

    asyncio.run(main())
