"""The life of one input: ticks, gathers, and what becomes of a gather that fails or does not end."""

import asyncio
import contextlib
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Mapping
from typing import Any

from pyagent.api import Input, Metric, Parser, PyagentError
from pyagent.api.files import without_mark
from pyagent.api.foreign import let_go
from pyagent.config import InputPlan
from pyagent.kit.frames import forget_frames
from pyagent.kit.once import Once
from pyagent.pipeline.executors import Executor, executor_for
from pyagent.pipeline.failures import FailureLog, explain, reason_of
from pyagent.pipeline.inputs.accumulator import InputAccumulator, lines_count
from pyagent.pipeline.inputs.ingest import AckedIngest, is_builtin, reads_lines
from pyagent.pipeline.modifiers import Modifiers
from pyagent.pipeline.ports import Lines, Sink
from pyagent.pipeline.schedule import Clock, Schedule
from pyagent.pipeline.traits import InputTraits, input_traits, plugin_files
from pyagent.pipeline.turns import Turns

__all__ = ["RunningInput"]

FIRST_TICK_NEAR_NS = 500_000_000
"""A first aligned tick closer than this makes an extra gather at the start pointless: data is there within a second all the
same."""


COMPARED_AFTER = 0.5
"""Seconds between the two gathers of an input that compares, where there is to be one."""
PATIENCE_LEAST, PATIENCE_MOST = 1.0, 30.0
"""Seconds that a gather waits for an output that takes nothing: in between half of the interval, so that the next one is not
late."""
SAFE_GRACE = 12.0
"""Seconds that an input which ends waits for the disk of a queue, where that is slow."""
FLOOD = "more was added than the outputs take"
MOST_GIVEN_UP = 3
"""Gathers that were given up and have not ended; with so many the input is left alone: threads are not for wasting."""


class RunningInput:
    """Gathers one input on its schedule. Nothing that the plugin does gets out of here as an exception.

    What it gathered goes to `sink`, on the main loop. After the first gather that gave anything the outputs are flushed
    at once, so that a new user sees data without waiting for an interval.
    """

    def __init__(
        self,
        plan: InputPlan,
        plugin: Input[Any],
        *,
        global_tags: Mapping[str, str],
        sink: Sink,
        clock: Clock,
        log: logging.Logger,
        gather_timeout: float = 0.0,
        traits: InputTraits | None = None,
        turns: Turns | None = None,
    ) -> None:
        """`gather_timeout`: seconds after which a gather is given up; 0: never. `traits`: those of an external plugin, asked
        where that may be done. `turns`: shared with the other inputs; None: a gather begins when it is due."""
        self._traits = traits or input_traits(plan, plugin)
        self._files = plugin_files(plan)
        self.plan = plan
        self.plugin = plugin
        self.failures = FailureLog(log)
        self.gathered = 0
        """Metrics handed on."""
        self.overruns = 0
        """Ticks that found the gather before still running."""
        self.abandoned = 0
        """Gathers that were given up because they took longer than `gather_timeout`."""
        self.next_tick = 0
        """When the schedule is to tick next, ns since the epoch; 0: it has not begun, or there is none."""
        self.last_gather = 0
        """When the last gather began, ns since the epoch; 0: never."""
        self.last_duration = 0.0
        """Seconds that the last finished one took."""
        self._modifiers = Modifiers(plan, global_tags, log=log)
        self._sink = sink
        self._clock = clock
        self._log = log
        self._is_first = True
        self._discards = False
        """What is gathered is only for the next gather to compare with."""
        self._gather_timeout = gather_timeout
        self._turns = turns if plan.isolation != "inline" else None
        self._executor = self._new_worker()
        self._given_up: list[Executor] = []
        """Those whose thread may still be in a gather that was given up."""
        self._once = Once()
        self._loop = asyncio.get_running_loop()
        self._ingest_port = AckedIngest(plan, self._modifiers, sink, clock, self._accepted)
        self.acc = self._new_accumulator()
        self._starts = self._traits.starts
        self._gathers = self._traits.gathers
        self._gather: asyncio.Task[None] | None = None
        self._gather_began = 0.0
        """Loop time."""
        self._flooding_since, self._flooded = -math.inf, 0
        """Since when, loop time, how many were handed on to outputs that all stand still: in a gather, or an interval."""
        self._overran = False
        self._listens = False

    @property
    def starts(self) -> bool:
        """It is a service input."""
        return self._starts

    @property
    def listens(self) -> bool:
        """It has begun to listen, and gathers nothing."""
        return self._listens and not self._gathers

    async def run(self) -> None:
        """Gather until cancelled; a running gather goes on then, `stop` ends it."""
        if self._starts:
            await self._start()
        if not self._gathers:
            return
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
            self.next_tick = tick + schedule.delay()
            await self._clock.sleep_until(self.next_tick)
            self._tick()
            tick = schedule.next(self._clock.now())

    async def gather_once(self) -> None:
        """One gather, for --test and --once; a service input begins to listen, if it does not yet, and is not tried again."""
        if self._starts and not self._listens:
            await self._start(again=False)
        if not self._gathers:
            return
        if self._traits.compares and self.last_gather == 0:
            self._discards = True
            await self._gather_now()
            self._discards = False
            await asyncio.sleep(COMPARED_AFTER)
        await self._gather_now()

    async def _gather_now(self) -> None:
        self._tick()
        if self._gather is not None:
            await self._gather

    async def stop(self, grace: float) -> None:
        """End: wait `grace` seconds for a running gather, then abandon it; hand on what there is."""
        if self._gather is not None and not self._gather.done() and not self.plan.is_external:
            self.plugin.cut_short()
        if self._gather is not None and not await self._ends_in_time(self._gather, grace):
            self._log.warning("the gather did not end within %g s; it is abandoned", grace)
            self._gather.cancel()
        self.flush()
        if not self._starts:
            self.acc.close()
        # What a service input has received and not handed on yet is taken until it has stopped.
        # In its own place, but not for ever: a plugin may hang here too.
        closing = asyncio.create_task(self._close(), name=f"stop {self.plan.label}")
        try:
            if await self._ends_in_time(closing, grace):
                closing.result()
            else:
                self._log.warning("stopping did not end within %g s; it is abandoned", grace)
        except Exception as error:
            self._log.warning("cannot stop the plugin: %s", reason_of(error))
        finally:
            closing.cancel()
        self.flush()
        self.acc.close()
        self._ingest_port.close()
        self._executor.abandon()
        if self.plan.has_foreign_code:
            let_go(self.plugin, self.plan.label)
            del self.plugin  # what it is made of refers to itself: it would be held until a collection

    async def _ends_in_time(self, task: asyncio.Task[None], grace: float) -> bool:
        """Whether it ends within `grace` seconds. A slow disk has more: what is in the queues already and not known to be safe
        would be read or received again, by what comes after this input."""
        until = self._loop.time() + SAFE_GRACE
        _, late = await asyncio.wait([task], timeout=grace)
        while late and self._ingest_port.under_way and self._loop.time() < until:
            settled = asyncio.create_task(self._ingest_port.settled())
            await asyncio.wait([task, settled], timeout=until - self._loop.time(), return_when=asyncio.FIRST_COMPLETED)
            settled.cancel()
            _, late = await asyncio.wait([task], timeout=grace)
        return not late

    def flush(self) -> bool:
        """Hand on what was added so far; whether that worked. Main loop only."""
        metrics, lines = self.acc.drain(), self.acc.drain_lines()
        if not (metrics or lines) or self._discards:
            return True
        count = len(metrics) + sum(map(lines_count, lines))
        try:
            for piece in lines:
                self._sink.deliver_lines(piece)
            if kept := self._traits.keeps_times:
                self._hand_on([metric for metric in metrics if metric.name in kept], 0)
                metrics = [metric for metric in metrics if metric.name not in kept]
            self._hand_on(metrics, self.plan.precision)
        except Exception as error:
            # The agent's own fault: what could not be handed on would fail again.
            self.acc.dropped["could not be handed on"] += count
            self.failures.failed(f"{explain('BUG: cannot hand on what was gathered', error)}; please report this")
            self._log.debug("traceback of that failure", exc_info=error)
            return False
        self._accepted(count)
        return True

    def _hand_on(self, metrics: list[Metric], precision: int) -> None:
        chosen, tags = self._modifiers.without_tags(metrics, precision)
        if chosen:
            self._sink.deliver(chosen, tags)

    def _accepted(self, count: int) -> None:
        self.gathered += count
        if self._is_first and count:
            self._is_first = False
            self._sink.flush_soon()

    def _tick(self) -> None:
        self._given_up = [executor for executor in self._given_up if executor.busy]
        if len(self._given_up) >= MOST_GIVEN_UP:
            self.overruns += 1
            self.failures.failed(
                f"cannot gather: {len(self._given_up)} gathers that timed out have not ended; waiting for one of them"
            )
            return
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
        self._gather_began = self._loop.time()
        if self._turns is None:
            await self._gather_in_turn()
            return
        end = await self._turns.begin()
        try:
            await self._gather_in_turn()
        finally:
            end()

    async def _gather_in_turn(self) -> None:
        self.last_gather = self._clock.now()
        self._gather_began = self._flooding_since = self._loop.time()
        self._flooded = 0
        started = time.monotonic()  # the loop's own clock has only milliseconds
        deadline = asyncio.timeout(self._gather_timeout or None)
        try:
            acc = self.acc
            async with deadline:
                await self._executor.call(lambda: self._checked(acc))
        except TimeoutError as error:
            self.flush()
            if deadline.expired():  # else it is the plugin's own
                self._give_up()
            else:
                self.failures.failed(explain("cannot gather", error, self._files))
            forget_frames(error)
        except Exception as error:
            self.flush()
            self.failures.failed(explain("cannot gather", error, self._files))
            if self._log.isEnabledFor(logging.DEBUG):
                self._log.debug("traceback of that failure", exc_info=error)
            forget_frames(error)
        else:
            if self.flush():
                self.failures.succeeded()
            if self._overran:
                self._overran = False
                self._log.info("collection completed again")
        finally:
            self.last_duration = time.monotonic() - started

    def _checked(self, acc: InputAccumulator) -> Awaitable[None] | None:
        """One gather, where the plugin runs. What it returns in place of adding it is its author's mistake."""
        before = acc.added
        result: object = self.plugin.gather(acc)
        if inspect.isawaitable(result):
            return self._checked_later(acc, before, result)
        self._look_at(result, acc.added - before)
        return None

    async def _checked_later(self, acc: InputAccumulator, before: int, result: Awaitable[object]) -> None:
        self._look_at(await result, acc.added - before)

    def _look_at(self, returned: object, added: int) -> None:
        if returned is None:
            return
        problem = f"gather returned a {type(returned).__name__}, which is not used"
        if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
            problem += ", and as it has a `yield`, nothing of it has run"
        problem += "; add metrics by acc.add(measurement, fields, tags)"
        if not added:
            raise PyagentError(f"cannot gather: {problem}")
        self._problem(problem, "")

    def _give_up(self) -> None:
        """The gather goes on or hangs, in its thread; what it adds from now on is counted, and dropped."""
        self.abandoned += 1
        self.failures.failed(f"cannot gather: it timed out after {self._gather_timeout:g} s")
        if self._executor.busy:
            self._given_up.append(self._executor)
        self._executor.abandon()
        self._executor = self._new_worker()
        if not self._starts:
            dropped = self.acc.dropped
            self.acc.close()
            self.acc = self._new_accumulator()
            # One count for both: what comes late is told with the rest.
            self.acc.dropped = dropped

    def _new_worker(self) -> Executor:
        files = self._files if self.plan.is_external else None
        return executor_for(self.plan.isolation, name=self.plan.label, files=files)

    def _new_accumulator(self) -> InputAccumulator:
        return InputAccumulator(
            self._traits.measurements,
            report=self._problem,
            overflow=self._make_room,
            now=self._clock.now,
            ingest_port=self._ingest_port,
            relay=self._relayed,
            foreign=self.plan.is_external,
        )

    def _relayed(self, data: bytes, parser: Parser[Any]) -> Lines | None:
        """Called in the plugin's thread: text for the outputs, None where something on the way needs metrics. A large file is
        encoded at once: its metrics would go to the main loop a thousand at a time."""
        modifiers, sink = self._modifiers, self._sink
        if not (modifiers.relayable and sink.relayable and is_builtin(parser)):
            return None
        if reads_lines(parser):
            precision = parser.line_precision or "ns"
            return sink.relay(without_mark(data), parser.now(), precision, modifiers.tags, self.plan.precision or 1)
        metrics = [metric for metric in parser.parse(data) if metric.fields]
        return sink.encode(*modifiers.without_tags(metrics, self.plan.precision))

    async def _close(self) -> None:
        if not self.plan.is_external:
            await self.plugin.stop()
        elif self._traits.stops:
            await self._executor.call(lambda: self.plugin.stop())

    def _problem(self, problem: str, outcome: str = "; it is dropped") -> None:
        """Told by the accumulator, from any thread."""
        if self._once(problem):
            self._log.error("%s%s", problem, outcome)

    async def _start(self, *, again: bool = True) -> None:
        """Start a service input; where that fails, try again every interval."""
        while True:
            try:
                await self._executor.call(lambda: self.plugin.start(self.acc))
            except Exception as error:
                self.failures.failed(explain("cannot start", error, self._files))
                forget_frames(error)
            else:
                self.failures.succeeded()
                self._listens = True
                return
            if not again:
                return
            await self._clock.sleep_until(self._clock.now() + self.plan.interval)

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
            done.result(timeout=2 * min(max(self.plan.interval.seconds, 2 * self._patience), 3600.0))

    @property
    def _patience(self) -> float:
        return min(max(self.plan.interval.seconds / 2, PATIENCE_LEAST), PATIENCE_MOST)

    async def _take_flood(self) -> None:
        """Hand on a part of what a gather adds without end, at the speed of outputs that take something. A slow one is waited
        for until the next gather is due, one that stands still not at all: its queue drops its oldest. Where the outputs take
        less than such a part in an interval, the flood itself is dropped, as others' metrics must not be for it."""
        now, interval, patience = self._loop.time(), self.plan.interval.seconds, self._patience
        deadline = now + max(interval, 2 * patience)
        due = interval + (now if self._gather is None or self._gather.done() else self._gather_began)
        while not self._sink.below_high_water(patience, every=self._loop.time() < due):
            if self.acc.closed:
                return
            if self._loop.time() > deadline:
                self.acc.discard(FLOOD)
                return
            await asyncio.sleep(0.01)
        if (most := self._sink.most_unwritten(patience)) is not None:
            if self._loop.time() - self._flooding_since >= interval:
                self._flooding_since, self._flooded = self._loop.time(), 0
            if self._flooded + len(self.acc) > most:
                self.acc.discard(FLOOD)
                return
            self._flooded += len(self.acc)
        self.flush()
