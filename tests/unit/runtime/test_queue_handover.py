"""Outputs of one queue use it one after the other; what the first has not written goes to the one that runs."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from agent_plans import START, Storing, a_plan, an_input, an_output

from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.runtime.agent import Agent
from pyagent.runtime.queue_handover import HandoverState, QueueHandover
from pyagent.runtime.status import ReloadState, status
from pyagent.testing.virtual import VirtualClock, run_virtual


class Output:
    """Says in `calls` what is asked of it. `writes`: how long its last write takes; `disk`: its disk's work."""

    def __init__(self, calls: list[str], name: str, *, queue: str = "q", form: str = "lines") -> None:
        self.plan = SimpleNamespace(queue_id=queue)
        self.encoder = SimpleNamespace(format=form)
        self.name, self.calls = name, calls
        self.writes, self.disk = asyncio.Event(), asyncio.Event()
        self.disk.set()

    def end(self) -> None:
        self.calls.append(f"{self.name} ends")

    async def run(self) -> None:
        await self.writes.wait()

    async def quiet(self) -> None:
        await self.disk.wait()

    def adopt(self, older: "Output") -> None:
        self.calls.append(f"{self.name} adopts {older.name}")

    def begin(self) -> None:
        self.calls.append(f"{self.name} begins")

    async def stop(self, grace: float, waited: float) -> None:
        self.calls.append(f"{self.name} stops")


class World:
    def __init__(self, grace: float = 1000.0) -> None:
        self.calls: list[str] = []
        self.running: list[Output] = []
        self.handover = QueueHandover(lambda: cast("list[RunningOutput]", self.running), grace)
        self.handover.on_done = lambda: self.calls.append("done")
        self._tasks: list[asyncio.Task[Any]] = []

    def output(self, name: str, **settings: str) -> Output:
        """One that runs from now on."""
        one = Output(self.calls, name, **settings)
        self.handover.join(cast("RunningOutput", one))
        self.running.append(one)
        return one

    def replace(self, old: Output, name: str, **settings: str) -> Output:
        self.handover.leave(cast("RunningOutput", old))
        self.running.remove(old)
        new = self.output(name, **settings)
        self.end(old)
        return new

    def end(self, one: Output) -> None:
        task = asyncio.create_task(one.run())
        self._tasks.append(asyncio.create_task(self.handover.end(cast("RunningOutput", one), task)))

    def state(self, one: Output) -> HandoverState:
        return self.handover.state(cast("RunningOutput", one))

    async def all_ended(self) -> list[str]:
        await asyncio.gather(*self._tasks)
        assert not self.handover.ending
        return self.calls


async def settled() -> None:
    """Until all tasks wait for somebody else."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_successor_gets_all_and_uses_the_disk_only_then() -> None:
    world = World()
    first = world.output("a")
    assert world.state(first) == "owning"
    second = world.replace(first, "b")
    await settled()
    assert (world.state(first), world.state(second)) == ("ending", "waiting")
    assert world.calls == ["a ends"]
    first.writes.set()
    assert await world.all_ended() == ["a ends", "b adopts a", "b begins", "a stops", "done"]
    assert (world.state(first), world.state(second)) == ("left", "owning")


async def test_one_of_another_format_waits_until_the_first_has_written_what_it_has() -> None:
    world = World()
    first = world.output("a")
    first.writes.set()
    second = world.replace(first, "b", form="json")
    assert await world.all_ended() == ["a ends", "a begins", "a stops", "b begins", "done"]
    assert world.state(second) == "owning"


async def test_one_of_another_queue_waits_for_nobody() -> None:
    world = World()
    first = world.output("a")
    other = world.replace(first, "b", queue="other")
    await settled()
    assert world.state(other) == "owning"
    first.writes.set()
    assert await world.all_ended() == ["a ends", "a begins", "a stops", "done"]


async def test_what_was_replaced_twice_goes_to_the_one_that_runs_in_the_order_of_the_outputs() -> None:
    world = World()
    first = world.output("a")
    second = world.replace(first, "b")
    third = world.replace(second, "c")
    second.writes.set()
    await settled()
    assert [world.state(one) for one in (first, second, third)] == ["ending", "ending", "waiting"]
    first.writes.set()
    assert await world.all_ended() == [
        *("a ends", "b ends", "c adopts a", "a stops", "c adopts b", "c begins", "b stops", "done")
    ]


async def test_a_disk_that_hangs_is_not_handed_over() -> None:
    world = World(grace=0.01)
    first = world.output("a")
    first.disk.clear()
    first.writes.set()
    world.replace(first, "b")
    assert await world.all_ended() == ["a ends", "a begins", "a stops", "b begins", "done"]


async def test_a_write_that_hangs_is_cancelled() -> None:
    world = World(grace=0.01)
    first = world.output("a")
    world.replace(first, "b")
    assert await world.all_ended() == ["a ends", "b adopts a", "b begins", "a stops", "done"]


async def test_at_the_end_the_last_one_waits_for_those_before_it() -> None:
    world = World()
    first = world.output("a")
    second = world.replace(first, "b")
    second.writes.set()
    world.handover.leave(cast("RunningOutput", second))
    world.end(second)
    await settled()
    assert world.calls == ["a ends", "b ends"]
    first.writes.set()
    assert await world.all_ended() == ["a ends", "b ends", "b adopts a", "a stops", "b begins", "b stops", "done"]


def test_a_stop_gives_all_outputs_that_hang_one_grace_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    async def scenario() -> float:
        agent = Agent(clock=VirtualClock(START), grace=3.0, flush_grace=15.0)
        await agent.apply(a_plan(an_input(), an_output(), an_output(identity="another")))
        await asyncio.sleep(30)
        assert [output.queued > 0 for output in agent.outputs] == [True, True]
        began = asyncio.get_running_loop().time()
        await agent.stop()
        return asyncio.get_running_loop().time() - began

    for method in ("write", "connect"):
        with monkeypatch.context() as patch:
            patch.setattr(Storing, method, hang)
            assert run_virtual(scenario()) <= 18, "3 s for inputs, then 15 s for the outputs, whatever was under way"


def test_the_status_shows_who_waits_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        writing, may_end = asyncio.Event(), asyncio.Event()

        async def write(self: Storing, batch: object) -> None:
            writing.set()
            await may_end.wait()

        monkeypatch.setattr(Storing, "write", write)
        agent = Agent(clock=VirtualClock(START))
        await agent.apply(a_plan(an_input(), an_output()))
        await writing.wait()
        await agent.apply(a_plan(an_input(), an_output(identity="new token")))
        shown = status(agent, ReloadState(), "x")
        assert [one["handover"] for one in shown["outputs"]] == ["waiting"]
        assert shown["ending_outputs"] == [
            {"name": "outputs.storing", "plugin": "storing", "alias": "", "handover": "ending", "queued": 1}
        ]
        may_end.set()
        await asyncio.sleep(1)
        shown = status(agent, ReloadState(), "x")
        assert ([one["handover"] for one in shown["outputs"]], shown["ending_outputs"]) == (["owning"], [])
        await agent.stop()

    run_virtual(scenario())
