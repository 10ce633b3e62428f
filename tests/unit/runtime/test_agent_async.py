"""An agent with processors that wait: it starts, reloads and stops, and every metric is written."""

import asyncio
from typing import Any, ClassVar

import pytest
from agent_plans import processors_plan

from pyagent.api import Accumulator, Batch, Input, Metric, NoOptions, Output, Processor
from pyagent.config import Plan
from pyagent.config.plan import Origin
from pyagent.runtime.agent import Agent
from pyagent.runtime.run_once import MetricSink, run_once
from pyagent.runtime.settings import RunSettings
from pyagent.runtime.status import ReloadState, status
from pyagent.testing.virtual import run_virtual

COMMON: dict[str, Any] = {"options": NoOptions(), "location": "a.conf:1"}


class Counting(Input):
    async def gather(self, acc: Accumulator) -> None:
        for number in range(3):
            acc.add("m", {"n": number})


class Listening(Input):
    acc: ClassVar[Accumulator]

    async def start(self, acc: Accumulator) -> None:
        Listening.acc = acc


class Storing(Output):
    lines: ClassVar[list[str]] = []

    async def write(self, batch: Batch) -> None:
        self.lines.extend(line.rpartition(" ")[0] for line in batch.payload().decode().splitlines())


class Slow(Processor):
    seconds: ClassVar[float] = 1.0
    stopped: ClassVar[int] = 0
    max_in_flight = 2

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        await asyncio.sleep(self.seconds)
        return [Metric("slow", metric.tags, metric.fields, metric.time) for metric in metrics]

    async def stop(self) -> None:
        Slow.stopped += 1


class Hanging(Slow):
    cancelled: ClassVar[int] = 0

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        try:
            await asyncio.sleep(1e6)
        finally:
            Hanging.cancelled += 1
        return metrics


class Naming(Processor):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        return [Metric(f"{metric.name}_named", metric.tags, metric.fields, metric.time) for metric in metrics]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Storing.lines.clear()
    Slow.stopped = Hanging.cancelled = 0


def a_plan(*processors: type[Processor[Any]], source: type[Input] = Counting, origin: Origin = "builtin") -> Plan:
    return processors_plan(source, Storing, *processors, origin=origin)


def test_where_plugins_run_is_found_once() -> None:
    found = {
        (plugin.__name__, origin): a_plan(plugin, origin=origin).processors[0].isolation
        for plugin in (Slow, Naming)
        for origin in ("builtin", "file")
    }
    assert found == {
        ("Slow", "builtin"): "inline",
        ("Slow", "file"): "loop",
        ("Naming", "builtin"): "inline",
        ("Naming", "file"): "thread",
    }
    plan = a_plan()
    assert [one.isolation for one in (*plan.inputs, *plan.outputs)] == ["inline", "inline"]


def test_a_reload_in_the_middle_loses_nothing_and_nothing_is_left() -> None:
    async def main() -> None:
        agent = Agent()
        await agent.apply(a_plan(Slow, Naming, source=Listening))
        await asyncio.sleep(0.1)
        acknowledged = [asyncio.create_task(deliver(number)) for number in range(3)]
        await asyncio.sleep(0.5)
        await agent.apply(a_plan(Naming, source=Listening))
        acknowledged.append(asyncio.create_task(deliver(3)))
        await asyncio.gather(*acknowledged)
        await agent.stop()
        assert Storing.lines == ["slow_named n=0i", "slow_named n=1i", "slow_named n=2i", "m_named n=3i"]
        assert Slow.stopped == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


async def deliver(number: int) -> None:
    await Listening.acc.deliver([Metric("m", {}, {"n": number}, 0)])


def test_a_stop_cancels_what_hangs_after_the_grace() -> None:
    async def main() -> None:
        agent = Agent()
        await agent.apply(a_plan(Hanging, Naming, source=Listening))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(deliver(1))
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(agent.stop())
        await waiting
        await stopping
        assert asyncio.get_running_loop().time() - began < 5
        assert Storing.lines == ["m_named n=1i"]
        assert (Hanging.cancelled, Slow.stopped) == (1, 1)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_what_is_passed_by_is_told() -> None:
    async def main() -> None:
        agent = Agent()
        await agent.apply(a_plan(Hanging, source=Listening))
        await asyncio.sleep(0.1)
        await deliver(1)
        [document] = status(agent, ReloadState(), "default")["processors"]
        failure = "cannot process: it did not end within 5 s; metrics go on as they are until this call ends"
        assert (document["bypassed"], document["failures"], document["error"]) == (1, 1, failure)
        await agent.stop()
        assert Storing.lines == ["m n=1i"]

    run_virtual(main())


def test_test_and_once_wait_for_what_is_on_the_way() -> None:
    async def main() -> None:
        given: list[Metric] = []
        assert await run_once(a_plan(Slow, Naming), RunSettings(test=True), sink=MetricSink(given.extend)) == 0
        assert [(metric.name, metric.fields["n"]) for metric in given] == [("slow_named", n) for n in range(3)]
        assert await run_once(a_plan(Slow, Naming), RunSettings(once=True)) == 0
        assert Storing.lines == [f"slow_named n={number}i" for number in range(3)]
        assert Slow.stopped == 2
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())
