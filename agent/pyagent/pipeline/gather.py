"""The life of one input: ticks, gathers, and what becomes of a gather that fails or does not end."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from pyagent.api import Input, Metric
from pyagent.config import InputPlan
from pyagent.pipeline.accumulator import Accumulator
from pyagent.pipeline.failures import FailureLog, one_line
from pyagent.pipeline.intake import Intake
from pyagent.pipeline.schedule import Clock, Schedule
from pyagent.pipeline.workers import worker_for

__all__ = ["InputRunner"]

FIRST_TICK_NEAR_NS = 2_000_000_000
"""A first aligned tick closer than this makes an extra gather at the start pointless."""

Deliver = Callable[[list[Metric]], None]


class InputRunner:
    """Gathers one input on its schedule. Nothing that the plugin does gets out of here as an exception.

    `deliver` takes what was gathered, on the main loop; `has_room` says whether the outputs could take a flood without
    dropping what others gathered; `first_gathered` is called once, after the first gather that gave
    anything (the outputs then flush at once, so that a new user sees data without waiting for an interval).
    """

    def __init__(
        self,
        plan: InputPlan,
        plugin: Input[Any],
        *,
        global_tags: Mapping[str, str],
        deliver: Deliver,
        has_room: Callable[[], bool] = lambda: True,
        clock: Clock,
        log: logging.Logger,
        first_gathered: Callable[[], None] = lambda: None,
    ) -> None:
        self.plan = plan
        self.plugin = plugin
        self.failures = FailureLog(log, "cannot gather")
        self.gathered = 0
        """Metrics handed on."""
        self.overruns = 0
        """Ticks that found the gather before still running."""
        self._intake = Intake(plan, global_tags)
        self._deliver = deliver
        self._has_room = has_room
        self._clock = clock
        self._log = log
        self._first_gathered: Callable[[], None] | None = first_gathered
        self._worker = worker_for(plugin.gather, own=plan.origin == "builtin", name=plan.label)
        self._problems: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self.acc = Accumulator(plugin.measurements, report=self._problem, overflow=self._make_room, now=clock.now)
        self._gather: asyncio.Task[None] | None = None
        self._overran = False

    async def run(self) -> None:
        """Gather until cancelled; a running gather goes on then, `stop` ends it."""
        plan = self.plan
        schedule = Schedule(
            plan.interval,
            offset=plan.collection_offset,
            jitter=plan.collection_jitter,
            aligned=plan.round_interval,
        )
        now = self._clock.now()
        tick = schedule.first(now)
        if plan.round_interval and tick - now >= FIRST_TICK_NEAR_NS:
            self._tick()
        while True:
            await self._clock.sleep_until(tick + schedule.delay())
            self._tick()
            tick = schedule.next(self._clock.now())

    async def gather_once(self) -> None:
        """One gather, for --test and --once."""
        self._tick()
        if self._gather is not None:
            await self._gather

    async def stop(self, grace: float) -> None:
        """End: wait `grace` seconds for a running gather, then give it up; hand on what there is."""
        if self._gather is not None:
            await asyncio.wait([self._gather], timeout=grace)
            if not self._gather.done():
                self._log.warning("the gather did not end within %g s; it is given up", grace)
                self._gather.cancel()
        self.flush()
        self.acc.close()
        try:
            # In its own place, but not for ever: a plugin may hang here too.
            await asyncio.wait_for(self._close(), grace)
        except TimeoutError:
            self._log.warning("stopping did not end within %g s; it is given up", grace)
        except Exception as error:
            self._log.warning("cannot stop the plugin: %s", one_line(error))
        self._worker.abandon()

    def flush(self) -> None:
        """Hand on what was added so far. Main loop only."""
        metrics = self.acc.drain()
        if not metrics:
            return
        self.gathered += len(metrics)
        self._deliver(self._intake(metrics))
        if self._first_gathered is not None:
            self._first_gathered()
            self._first_gathered = None

    def _tick(self) -> None:
        if self._gather is not None and not self._gather.done():
            self.overruns += 1
            self.flush()
            if not self._overran:
                self._overran = True
                self._log.warning(
                    "Collection took longer than expected; not complete after interval of %s", self.plan.interval
                )
            else:
                self._log.debug("Previous collection has not completed; scheduled collection skipped")
            return
        self._gather = asyncio.create_task(self._gather_supervised(), name=f"gather {self.plan.label}")

    async def _gather_supervised(self) -> None:
        try:
            await self._worker.call(lambda: self.plugin.gather(self.acc))
        except Exception as error:
            self.flush()
            self.failures.failed(one_line(error))
            if self._log.isEnabledFor(logging.DEBUG):
                self._log.debug("traceback of that failure", exc_info=error)
        else:
            self.flush()
            self.failures.succeeded()
            if self._overran:
                self._overran = False
                self._log.info("collection completed again")

    async def _close(self) -> None:
        if self.plan.origin == "builtin":
            await self.plugin.stop()
        elif type(self.plugin).stop is not Input.stop:
            await self._worker.call(self.plugin.stop)

    def _problem(self, problem: str) -> None:
        """Told by the accumulator, from any thread."""
        if problem not in self._problems and len(self._problems) < 100:
            self._problems.add(problem)
            self._log.error("%s; it is dropped", problem)

    def _make_room(self) -> None:
        """The accumulator is full: hand on, here; or, called in the plugin's thread, hold it until that was done."""
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            self.flush()
            return
        done = asyncio.run_coroutine_threadsafe(self._take_flood(), self._loop)
        # Where the main loop is gone there is nobody to wait for; the next add finds the accumulator closed.
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            done.result(timeout=2 * self.plan.interval.seconds)

    async def _take_flood(self) -> None:
        """Hand on a part of what a gather adds without end, at the outputs' speed. Others' metrics must not be dropped
        for it: where the outputs stand still for an interval, the flood itself is."""
        deadline = self._loop.time() + self.plan.interval.seconds
        while not self._has_room():
            if self.acc.closed:
                return
            if self._loop.time() > deadline:
                self.acc.discard("more was added than the outputs take")
                return
            await asyncio.sleep(0.01)
        self.flush()
