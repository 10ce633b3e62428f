"""The wall clock is set an hour ahead, an hour back, or the host sleeps: it goes on, and nothing is lost or made up for."""

import asyncio
from collections.abc import Iterator

import pytest
from agent_plans import START, Counting, Storing, a_plan, an_input, an_output

from pyagent.runtime.agent import Agent
from pyagent.runtime.liveness import Liveness
from pyagent.testing.virtual import VirtualClock, run_virtual

HOUR = 3600 * 10**9


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    Counting.made.clear()
    Storing.lines.clear()
    Storing.down = False
    yield
    Storing.lines.clear()
    Storing.down = False


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 24 * HOUR])
@pytest.mark.parametrize("down", [False, True], ids=["server up", "server down"])
def test_a_clock_that_jumps(jump: int, down: bool) -> None:
    dead: list[str] = []

    async def main() -> int:
        clock = VirtualClock(START)
        agent = Agent(clock=clock)
        await agent.apply(a_plan(an_input(), an_output()))
        liveness = Liveness(agent, asyncio.get_running_loop().time)
        await asyncio.sleep(60)
        Storing.down = down
        clock.set(clock.now() + jump)
        for _ in range(30):
            await asyncio.sleep(10)
            dead.extend(liveness.problems())
        Storing.down = False
        await asyncio.sleep(60)
        gathers = Counting.made[0].gathers
        await agent.stop()
        return gathers

    gathers = run_virtual(main())
    assert not dead, "the watchdog is fed"
    # A gather every 10 s, one more at the start; a jump is noticed within a minute, and none are made up for.
    assert 42 - 7 <= gathers <= 44
    numbers = sorted(int(line.split(b"n=")[1].split(b"i")[0]) for line in Storing.lines)
    assert numbers == list(range(1, gathers + 1)), "each arrives, and once"
