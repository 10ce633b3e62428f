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


@dataclasses.dataclass
class Held:
    """What this process has: tasks and threads by their names, the number of file descriptors."""

    tasks: Counter[str]
    threads: Counter[str]
    descriptors: int

    @classmethod
    def now(cls) -> "Held":
        tasks = Counter(task.get_name() for task in asyncio.all_tasks())
        threads = Counter(thread.name for thread in threading.enumerate())
        return cls(tasks, threads, len(os.listdir("/proc/self/fd")))

    def beyond(self, before: "Held") -> "Held":
        return Held(self.tasks - before.tasks, self.threads - before.threads, self.descriptors - before.descriptors)


ONE_AGENT = Held(
    Counter({"inputs.threaded": 1, "inputs.outside": 1, "outputs.storing": 2}),
    Counter({"inputs.threaded": 1, "inputs.outside": 1, "outputs.storing": 1}),
    descriptors=6,  # the loops of two threads
)


async def until_held(expected: Held, before: Held) -> None:
    """Return when this is what there is more than `before`. Gathers come and go."""
    found = before
    try:
        async with asyncio.timeout(120):  # threads end without a word to anybody
            while found != expected:
                await asyncio.sleep(0.01)
                found = Held.now().beyond(before)
                found.tasks = Counter({name: n for name, n in found.tasks.items() if not name.startswith("gather ")})
    except TimeoutError:
        pytest.fail(f"there is {found} where there should be {expected}")


def test_nothing_is_left_behind() -> None:
    """On real time, because threads are: tasks, threads and file descriptors are those of one agent, and objects as many as
    after a few reloads."""

    async def main() -> None:
        gc.collect()
        at_rest = Held.now()
        agent = Agent()

        async def reload(number: int) -> None:
            often = {"origin": "file", "interval": Duration("20ms"), "identity": str(number)}
            inputs = [dataclasses.replace(an_input(kind, ""), **often) for kind in (Threaded, Outside)]
            output = dataclasses.replace(an_output(str(number)), plugin=BufferResources, origin="file")
            await agent.apply(Plan(agent=AgentSettings(), global_tags={}, inputs=tuple(inputs), outputs=(output,)))

        async def objects() -> int:
            await until_held(ONE_AGENT, at_rest)
            gc.collect()
            return len(gc.get_objects())

        for number in range(20):
            await reload(number)
        objects_before = await objects()
        for number in range(RELOADS):
            await reload(20 + number)
        objects_after = await objects()
        # A runner that stays costs dozens; what just happens, some hundreds in all.
        assert objects_after - objects_before < 5 * RELOADS
        await agent.stop()
        await until_held(Held(Counter(), Counter(), 0), at_rest)

    asyncio.run(main())
