"""Whether the agent does what it is for: the schedule ticks, and the outputs' write loops do not stall.

systemd's watchdog is fed only then. What is isolated is no reason to be killed: an external input or output whose
own code hangs holds up nobody, and a restart would mend nothing for the others. A server that refuses everything is none
either: the loop goes on asking it.
"""

import asyncio
import time
from collections.abc import Callable

from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.runtime.agent import Agent

__all__ = ["Liveness", "Pulse"]

MARGIN = 90.0
"""Seconds that a tick or a round may be late. The wall clock may be set, and that is noticed only after a minute."""
LONGEST_WRITE = 900.0
"""Seconds for one round of an output of the engine's own, whose requests have time-outs."""


class Liveness:
    """Asked now and then; `clock` is the loop's, which is monotonic."""

    def __init__(self, agent: Agent, clock: Callable[[], float] = time.monotonic) -> None:
        self._agent = agent
        self._clock = clock
        self._late: dict[object, float] = {}
        """Since when something is overdue."""

    def problems(self) -> list[str]:
        """What does not go on any more, in words; nothing where all does."""
        now, wall = self._clock(), self._agent.clock.now()
        found = []
        late: dict[object, float] = {}
        runners: list[RunningInput | RunningOutput] = [*self._agent.inputs, *self._agent.outputs]
        for runner in runners:
            if not self._agent.runs(runner):
                found.append(f"{runner.plan.label} does not run any more")
                continue
            for part, problem in self._overdue(runner, wall, now):
                late[part] = since = self._late.get(part, now)
                if now - since >= MARGIN:
                    found.append(problem)
        self._late = late
        return found

    def _overdue(self, runner: RunningInput | RunningOutput, wall: int, now: float) -> list[tuple[object, str]]:
        if isinstance(runner, RunningInput):
            overdue = bool(runner.next_tick) and wall > runner.next_tick
            return (
                [((runner, runner.next_tick), f"{runner.plan.label} has not ticked since it was due")]
                if overdue
                else []
            )
        if runner.plan.is_external:
            return []
        return [
            (sender, f"{runner.plan.label}: its write loop has stalled for {now - sender.busy_since:.0f} s")
            for sender in runner.partitions.values()
            if sender.busy_since is not None and now - sender.busy_since > LONGEST_WRITE
        ]


class Pulse:
    """Beats every `period` seconds: measures how late the loop is, and calls `beat`, which must not wait."""

    def __init__(self, period: float, beat: Callable[[], None]) -> None:
        self.lag = 0.0
        """Seconds that the last beat came late."""
        self._period = period
        self._beat = beat

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._period
            await asyncio.sleep(self._period)
            self.lag = max(loop.time() - due, 0.0)
            self._beat()
