"""An agent with processors and aggregators of somebody else: it starts, reloads and stops, and every metric is written."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from agent_plans import processors_plan

from pyagent.api import Accumulator, Batch, ConfigError, Input, Metric, Output, Processor
from pyagent.config import Plan
from pyagent.pipeline.stages.isolated import IsolatedProcessor
from pyagent.runtime import build as staging
from pyagent.runtime.agent import Agent
from pyagent.runtime.health import degraded
from pyagent.runtime.prometheus import prometheus
from pyagent.runtime.status import ReloadState, status


class Counting(Input):
    async def gather(self, acc: Accumulator) -> None:
        acc.add("m", {"n": 1})


class Listening(Input):
    acc: ClassVar[Accumulator | None]

    async def start(self, acc: Accumulator) -> None:
        Listening.acc = acc


class Storing(Output):
    lines: ClassVar[list[str]] = []

    async def write(self, batch: Batch) -> None:
        self.lines.extend(line.rpartition(" ")[0] for line in batch.payload().decode().splitlines())


class Naming(Processor):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        return [Metric("named", metric.tags, metric.fields, metric.time) for metric in metrics]


class Hanging(Processor):
    entered, go = threading.Event(), threading.Event()

    def process(self, metrics: list[Metric]) -> list[Metric]:
        self.entered.set()
        self.go.wait()
        return metrics


class HangingSetup(Hanging):
    def setup(self) -> None:
        self.process([])


class FailingSetup(Naming):
    def setup(self) -> None:
        raise ConfigError("this cannot work")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    Listening.acc = None
    Storing.lines.clear()
    Hanging.entered.clear()
    Hanging.go.clear()
    yield
    Hanging.go.set()


async def received(number: int) -> None:
    """A listener got it, and was told that it is safe."""
    while Listening.acc is None:
        await asyncio.sleep(0.001)
    await Listening.acc.deliver([Metric("m", {}, {"n": number}, 0)])


def a_plan(*processors: type[Processor[Any]], source: type[Input] = Counting) -> Plan:
    return processors_plan(source, Storing, *processors, origin="file")


async def test_the_first_metrics_are_written_at_once_here_too() -> None:
    agent = Agent()
    await agent.apply(a_plan(Naming))
    while not Storing.lines:
        await asyncio.sleep(0.001)
    assert Storing.lines == ["named n=1i"]
    await agent.stop()
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()


async def test_neither_a_reload_nor_a_stop_waits_for_one_that_hangs() -> None:
    agent = Agent(grace=0.3, flush_grace=0.02)  # the first is time enough for those that do not hang
    await agent.apply(a_plan(Hanging, Naming, source=Listening))
    [hanging, naming] = agent.fanout.stages.before
    waiting = asyncio.create_task(received(1))
    await asyncio.to_thread(Hanging.entered.wait)
    await agent.apply(a_plan(Hanging, Naming, source=Listening))
    assert agent.fanout.stages.before == (hanging, naming), "what is unchanged goes on"
    await agent.apply(a_plan(Naming, source=Listening))
    assert agent.fanout.stages.before == (naming,)
    after = asyncio.create_task(received(2))
    await agent.stop()
    await asyncio.gather(waiting, after)
    assert not Hanging.go.is_set()
    assert Storing.lines == ["named n=1i", "named n=2i"], "those that do not hang have done their part"


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (FailingSetup, "a.conf:1: processors.failingsetup: this cannot work; it is left out"),
        (HangingSetup, "a.conf:1: processors.hangingsetup: its setup did not end within 0.02 s; it is left out"),
    ],
)
async def test_one_that_cannot_be_set_up_is_left_out(
    plugin: type[Processor[Any]], message: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent()
    await agent.apply(a_plan(Naming, source=Listening))
    if plugin is HangingSetup:
        monkeypatch.setattr(staging, "SETUP_DEADLINE", 0.02)
    await agent.apply(a_plan(plugin, Naming, source=Listening))
    assert message in caplog.messages
    await received(1)
    await agent.stop()
    assert Storing.lines == ["named n=1i"]


async def test_what_is_passed_by_is_told() -> None:
    agent = Agent()
    await agent.apply(a_plan(Hanging, Naming, source=Listening))
    [hanging, _] = agent.fanout.stages.before
    assert isinstance(hanging, IsolatedProcessor)
    hanging.isolated_call.deadline = 0.02
    await received(1)
    document = status(agent, ReloadState(), "default")
    failure = "cannot process: it did not end within 0.02 s; metrics go on as they are until this call ends"
    assert [(one["name"], one["bypassed"], one["failures"], one["error"]) for one in document["processors"]] == [
        ("processors.hanging", 1, 1, failure),
        ("processors.naming", 0, 0, ""),
    ]
    assert {"state": "stage-failing", "text": f"processors.hanging: {failure}"} in degraded(document)
    assert 'pyagent_degraded{state="stage-failing"} 1' in prometheus(document)
    await agent.stop()
    assert Storing.lines == ["named n=1i"]
