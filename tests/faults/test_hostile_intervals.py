"""Intervals that leave no time between two rounds, by whatever way they come: the main loop goes on, and SIGTERM works.

The bounds are a hang's: what is right takes milliseconds.
"""

import asyncio
from pathlib import Path

import pytest
from agent_process import AgentProcess
from hostile import run

from pyagent.sandbox import Sandbox

HEAD = """
import asyncio, logging
from pyagent.api import Duration, Input, NoOptions, Output
from pyagent.config import AggregatorPlan
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.schedule import SystemClock
from pyagent.pipeline.stages.aggregators import RunningAggregator
from pyagent_plugins.aggregators.minmax import MinMax
from plans import LOG, input_plan, numbered, output_plan

class Nothing(Input):
    async def gather(self, acc): pass

class Taking(Output):
    written = 0
    async def write(self, batch): Taking.written += batch.count

async def main(work, turns):
    task = asyncio.create_task(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    print("others had their turns")
"""
ROUNDS = {
    "gathers": """
plan = input_plan(Nothing, interval=Duration(1), round_interval=%r)
def make():
    return RunningInput(plan, Nothing(NoOptions(), LOG), global_tags={}, sink=Fanout(), clock=SystemClock(), log=LOG).run()
""",
    "windows": """
plan = AggregatorPlan(kind="aggregators", name="a", plugin=MinMax, options=NoOptions(), location="x:1", identity="",
    period=Duration(1), delay=Duration(0), precision=Duration(1), round_interval=%r)
def make():
    return RunningAggregator(plan, MinMax(NoOptions(), LOG), deliver=print, clock=SystemClock(), log=LOG).run()
""",
    "flushes": """
plan = output_plan(Taking, flush_interval=Duration(%d + 1))
def make():
    return RunningOutput(plan, Taking(NoOptions(), LOG), log=LOG).run()
""",
}


@pytest.mark.parametrize("also", [True, False])
@pytest.mark.parametrize("rounds", ROUNDS)
def test_between_two_rounds_others_have_their_turn(rounds: str, also: bool) -> None:
    code = f"{HEAD}{ROUNDS[rounds] % also}\nasync def both(): await main(make(), 1000)\nasyncio.run(both())"
    assert run(code) == "others had their turns"


def test_between_two_batches_others_have_their_turn() -> None:
    """Of an output that waits for nothing."""
    code = f"""{HEAD}
async def both():
    plan = output_plan(Taking, metric_batch_size=1)
    output = RunningOutput(plan, Taking(NoOptions(), LOG), log=LOG)
    output.enqueue_block(numbered(0, 1000))
    await main(output.write_queue(), 100)
    print(Taking.written < 1000)
asyncio.run(both())"""
    assert run(code).split("\n") == ["others had their turns", "True"]


AGENT = """
[agent]
  interval = "{interval}"
  flush_interval = "{interval}"
[[inputs.mem]]
[[aggregators.minmax]]
  period = "{interval}"
[[outputs.discard]]
"""


async def test_a_hosted_edit_that_leaves_no_time_is_refused_and_the_shortest_one_ends_on_time(tmp_path: Path) -> None:
    async with Sandbox(tmp_path / "server") as server:
        await server.setup(org="home", bucket="b")
        config = await server.add_telegraf("x", AGENT.format(interval="1s"))
        agent = AgentProcess(
            *("--config", f"{server.url}/api/v2/telegrafs/{config}"),
            *("--config-url-watch-interval", "100ms", "--state-directory", str(tmp_path / "state")),
            environ={"INFLUX_TOKEN": await server.authorize(telegrafs=[config])},
        )
        await agent.start()
        await agent.logged("outputs: discard")
        for refused, interval in enumerate(("1us", "1ns", "999999ns"), start=1):
            await server.update_telegraf(config, AGENT.format(interval=interval))
            await agent.logged("interval must be 1ms or more", times=refused)
        await server.update_telegraf(config, AGENT.format(interval="1ms"))
        await agent.logged("the configuration is reloaded")
        assert await asyncio.wait_for(agent.terminate(), 40) == 0
