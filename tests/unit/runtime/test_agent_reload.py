"""From one plan to the next: what is unchanged goes on, what is queued is handed over, a plan that fails changes nothing."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from agent_plans import START, Counting, Storing, a_plan, an_input, an_output

from pyagent.api import (
    Accumulator,
    Aggregator,
    ConfigError,
    Duration,
    Input,
    LineOptions,
    Metric,
    NoOptions,
    QueueFull,
)
from pyagent.config import AggregatorPlan, InputPlan, OutputPlan
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.runtime.agent import Agent
from pyagent.testing.virtual import VirtualClock, run_virtual


class Slow(Input):
    async def gather(self, acc: Accumulator) -> None:
        await asyncio.sleep(2)
        acc.add("slow", {"n": 1})


class Reading(Input):
    """A service input that takes its time to end, as for what is on its way into the queues."""

    at_work: list[int] = []
    most = 0

    async def start(self, acc: Accumulator) -> None:
        self.at_work.append(id(self))
        Reading.most = max(Reading.most, len(self.at_work))

    async def stop(self) -> None:
        if id(self) in self.at_work:
            await asyncio.sleep(2)
            self.at_work.remove(id(self))


class Failing(Input):
    def setup(self) -> None:
        raise ConfigError("the option `x` cannot be 3; give 4")


def run(scenario: Any) -> None:
    async def main() -> None:
        agent = Agent(clock=VirtualClock(START))
        await scenario(agent)
        await agent.stop()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert tasks == []

    run_virtual(main())


def test_the_first_metrics_are_written_without_waiting_for_the_interval() -> None:
    async def scenario(agent: Agent) -> None:
        await agent.apply(a_plan(an_input(), an_output(flush_interval=Duration("1h"))))
        await asyncio.sleep(0.5)
        assert len(Storing.lines) == 1

    run(scenario)


def test_an_unchanged_plan_changes_nothing_wherever_it_stands_in_the_file() -> None:
    async def scenario(agent: Agent) -> None:
        await agent.apply(a_plan(an_input(), an_output()))
        runners: list[RunningInput] = list(agent.inputs)
        outputs = agent.outputs
        await agent.apply(a_plan(an_input(location="a.conf:77"), an_output(location="b.conf:3")))
        assert agent.inputs == runners
        assert agent.outputs == outputs

    run(scenario)
    assert len([plugin for plugin in Counting.made if plugin.gathers]) == 1


def test_only_what_changed_is_replaced() -> None:
    async def scenario(agent: Agent) -> None:
        await agent.apply(a_plan(an_input(alias="a"), an_input(alias="b"), an_output()))
        a, b = agent.inputs
        await agent.apply(a_plan(an_input(alias="a"), an_input(alias="c"), an_output()))
        await asyncio.sleep(1)
        assert agent.inputs[0] is a
        assert agent.inputs[1].plan.alias == "c"
        assert not a.plugin.stopped
        assert b.plugin.stopped

    run(scenario)


def test_one_that_never_began_does_not_open_the_way_for_the_next_one() -> None:
    """Of three in a row: the third is not to read beside the first what that one has under way."""

    async def scenario(agent: Agent) -> None:
        for identity in ("1", "2", "3", "4"):
            await agent.apply(a_plan(an_input(Reading, identity=identity), an_output()))
            await asyncio.sleep(0.5)
        await asyncio.sleep(10)
        assert Reading.at_work == [id(agent.inputs[0].plugin)]

    Reading.at_work.clear()
    Reading.most = 0
    run(scenario)
    assert (Reading.most, Reading.at_work) == (1, [])


def test_changed_global_tags_reach_every_input() -> None:
    async def scenario(agent: Agent) -> None:
        await agent.apply(a_plan(an_input(), an_output(), host="one"))
        await asyncio.sleep(1)
        await agent.apply(a_plan(an_input(), an_output(), host="two"))
        await asyncio.sleep(1)

    run(scenario)
    assert [line.split(b" ")[0] for line in Storing.lines] == [b"m,host=one", b"m,host=two"]


def test_a_changed_output_inherits_the_queue_of_the_same_place() -> None:
    async def scenario(agent: Agent) -> None:
        Storing.down = True
        await agent.apply(a_plan(an_input(), an_output()))
        await asyncio.sleep(25)
        assert len(agent.outputs[0].queue) >= 3
        await agent.apply(a_plan(an_input(), an_output(identity="new token")))
        Storing.down = False
        await asyncio.sleep(60)

    run(scenario)
    assert len(set(Storing.lines)) == len(Storing.lines) >= 8
    assert Storing.closed == 2


def test_what_is_queued_again_is_written_by_the_output_that_it_is_of() -> None:
    lines = [b"m n=100 1\n", b"m n=200 2\n"]

    async def scenario(agent: Agent) -> None:
        with pytest.raises(LookupError, match="no output a runs"):
            await agent.requeue("a", None, lines)
        await agent.apply(a_plan(an_input(), an_output(queue_id="a", alias="a", metric_buffer_limit=2)))
        await agent.requeue("a", None, lines)
        with pytest.raises(QueueFull, match="is full; try it again later"):
            await agent.requeue("a", None, lines)
        with pytest.raises(LookupError, match="these are of 'x'"):
            await agent.requeue("a", "x", lines)
        await asyncio.sleep(30)

    run(scenario)
    assert [line for line in Storing.lines if line.strip() in (b"m n=100 1", b"m n=200 2")] == [
        b"m n=100 1",
        b"m n=200 2",
    ]


def test_a_removed_output_writes_what_it_had() -> None:
    async def scenario(agent: Agent) -> None:
        keep, remove = an_output(queue_id="keep", alias="keep"), an_output(queue_id="other", alias="other")
        await agent.apply(a_plan(an_input(), keep, remove))
        await asyncio.sleep(9)
        written = len(Storing.lines)
        assert len(agent.outputs[1].queue) == 1
        await agent.apply(a_plan(an_input(), keep))
        await asyncio.sleep(0.1)
        assert len(Storing.lines) == written + 1

    run(scenario)


def test_a_plan_that_does_not_start_changes_nothing() -> None:
    async def scenario(agent: Agent) -> None:
        plan = a_plan(an_input(), an_output())
        await agent.apply(plan)
        before = (list(agent.inputs), agent.outputs)
        with pytest.raises(ConfigError, match="give 4"):
            await agent.apply(a_plan(an_input(Failing), an_output(identity="changed")))
        assert (agent.inputs, agent.outputs, agent.plan) == (*before, plan)
        await asyncio.sleep(30)
        assert Counting.made[0].gathers >= 3

    run(scenario)


class Summing(Aggregator):
    """Counts what it is given."""

    def setup(self) -> None:
        self.count = 0

    def add(self, metrics: Sequence[Metric]) -> None:
        self.count += len(metrics)

    def push(self, acc: Accumulator) -> None:
        acc.add("sum", {"count": self.count})

    def reset(self) -> None:
        self.count = 0


class Strange(Input):
    measurements = "none"  # type: ignore[assignment]  # external code may hold anything

    def gather(self, acc: Accumulator) -> None: ...


class StrangeOutput(Storing):
    def line_options(self) -> LineOptions:
        raise RuntimeError("never heard of it")


def an_aggregator(name: str) -> AggregatorPlan:
    return AggregatorPlan(
        kind="aggregators",
        name="summing",
        plugin=Summing,
        options=NoOptions(),
        period=Duration("60s"),
        delay=Duration("100ms"),
        precision=Duration("1s"),
        name_override=name,
        identity=name,
        location="a.conf:5",
    )


def test_an_unchanged_aggregator_goes_on_with_its_window() -> None:
    async def scenario(agent: Agent) -> None:
        for names in ("a", "ab", "ca", "a"):
            plan = a_plan(an_input(), an_output())
            await agent.apply(dataclasses.replace(plan, aggregators=tuple(map(an_aggregator, names))))
            await asyncio.sleep(10)

    run(scenario)
    sums = [line.rpartition(b" ")[0] for line in Storing.lines if b"count" in line]
    # Of what was gathered at :03, :10, :20, :30 and :40; the others end when they are no longer named.
    assert sorted(sums) == [b"a count=5i", b"b count=1i", b"c count=1i"]


@pytest.mark.parametrize("strange", [an_input(Strange, origin="file"), an_output(plugin=StrangeOutput, origin="file")])
def test_a_plugin_from_outside_that_declares_nonsense_is_left_out(strange: InputPlan | OutputPlan) -> None:
    async def main() -> None:
        agent = Agent()  # on real time: the setup of what is external has a thread
        await agent.apply(a_plan(an_input(), an_output()))
        await agent.apply(a_plan(an_input(), an_output(identity="changed"), strange))
        assert [runner.plan.plugin for runner in (*agent.inputs, *agent.outputs)] == [Counting, Storing]
        await agent.stop()

    asyncio.run(main())


def test_what_a_removed_input_still_gathers_is_written_at_a_stop() -> None:
    async def scenario(agent: Agent) -> None:
        await agent.apply(a_plan(an_input(Slow, alias="slow"), an_input(), an_output()))
        await asyncio.sleep(0.5)
        await agent.apply(a_plan(an_input(), an_output()))

    run(scenario)
    assert [line for line in Storing.lines if line.startswith(b"slow")]
