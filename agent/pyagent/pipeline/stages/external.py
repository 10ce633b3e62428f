"""External processors and aggregators, which may do anything, beside a main loop that must not stop.

Each has a thread. A call that does not end in time is given up: its metrics go on as they were, and so do the next ones, past
the plugin, until the call ends.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from pyagent.api import Aggregator, Metric, Processor, PyagentError
from pyagent.config import AggregatorPlan, ProcessorPlan
from pyagent.pipeline.failures import explain
from pyagent.pipeline.inputs.accumulator import Accumulator
from pyagent.pipeline.isolation import Busy, CallTimedOut, IsolatedCall, copies, plain_call, usable
from pyagent.pipeline.schedule import Clock
from pyagent.pipeline.stages.aggregators import RunningAggregator
from pyagent.pipeline.stages.processors import RunningProcessor, runs
from pyagent.pipeline.traits import plugin_files

__all__ = ["ExternalAggregator", "ExternalProcessor"]

MOST_PUSHED = 100_000
"""Metrics of one push."""


class ExternalProcessor(RunningProcessor):
    """One external processor."""

    def __init__(self, plan: ProcessorPlan, plugin: Processor[Any], *, log: logging.Logger) -> None:
        super().__init__(plan, plugin, log=log)
        self.isolated_call = IsolatedCall(plan.label, plugin_files(plan))

    async def process(self, metrics: list[Metric], *, bypass: bool = False) -> list[Metric]:
        """What becomes of these metrics. `bypass`: there is no time to ask."""
        parts = runs(self._selection, metrics)
        chosen = sum(len(run) for selected, run in parts if selected)
        if not chosen:
            return metrics
        try:
            if bypass:
                raise Busy
            result = await self.isolated_call.call(lambda: self._in_thread(parts))
        except Busy:
            self.bypassed += chosen
        except CallTimedOut as error:
            self.bypassed += chosen
            self.failures.failed(f"cannot process: {error}; metrics go on as they are until this call ends")
        except Exception as error:
            self.failures.failed(explain("cannot process", error))
        else:
            self.failures.succeeded()
            return result
        return metrics

    def _in_thread(self, parts: list[tuple[bool, list[Metric]]]) -> list[Metric]:
        result: list[Metric] = []
        for selected, run in parts:
            if selected and self._selection is not None:
                run = self._selection.modify(run)
            result += usable(self.plugin.process(copies(run)), 10_000 + 10 * len(run)) if selected and run else run
        return result


class ExternalAggregator(RunningAggregator):
    """One external aggregator. What it has not seen in time goes on, whatever `drop_original` says."""

    def __init__(
        self,
        plan: AggregatorPlan,
        plugin: Aggregator[Any],
        *,
        deliver: Callable[[list[Metric]], None],
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        super().__init__(plan, plugin, deliver=deliver, clock=clock, log=log)
        self.isolated_call = IsolatedCall(plan.label, plugin_files(plan))
        self._acc = self._new_accumulator()
        self._pushing: asyncio.Task[None] | None = None

    async def process(self, metrics: list[Metric], *, bypass: bool = False) -> set[int]:
        """Take metrics into account; returns the ids of those that must go no further."""
        if self._window_is_over():
            if bypass:
                self._next_window()  # what it has summed up comes with the next push
            else:
                await self._push_window()
        inside, gone = self._in_window(metrics)
        if not inside:
            return gone
        try:
            if bypass:
                raise Busy
            await self.isolated_call.call(lambda: plain_call(self.plugin.add, copies(inside)))
        except Busy:
            self.bypassed += len(inside)
        except CallTimedOut as error:
            self.bypassed += len(inside)
            self.failures.failed(f"cannot aggregate: {error}; metrics go on without it until this call ends")
        except Exception as error:
            self.failures.failed(explain("cannot aggregate", error))
        else:
            self.failures.succeeded()
            return gone
        return set()

    async def _push_window(self) -> None:
        """One under way goes on where this is cancelled."""
        self._pushing = asyncio.create_task(self._push())
        await asyncio.wait([self._pushing])
        self._pushing.result()

    async def end(self) -> None:
        """Hand on what it has summed up; its task is cancelled."""
        if self._pushing is not None:
            await asyncio.wait([self._pushing])
        await self._push()

    async def _push(self) -> None:
        self._next_window()
        acc = self._acc
        try:
            await self.isolated_call.call(lambda: self._push_in_thread(acc))
        except Busy:
            # What it has summed up stays there; it comes with the next push.
            self.failures.failed("cannot push: a call before has not ended")
        except CallTimedOut as error:
            self.failures.failed(f"cannot push: {error}")
            # What it adds later is refused: it raises there, so that the sums are not reset, and come with the next push.
            acc.close()
        except Exception as error:
            self.failures.failed(explain("cannot push", error))
        else:
            self.failures.succeeded()
        if acc.closed:
            self._acc = self._new_accumulator()
        self._hand_on(acc.drain())

    def _push_in_thread(self, acc: Accumulator) -> None:
        plain_call(self.plugin.push, acc)
        plain_call(self.plugin.reset)

    def _new_accumulator(self) -> Accumulator:
        log = self._log  # nothing of ours: it would hold the plugin until a collection

        def bounded() -> None:
            if len(acc) > MOST_PUSHED:
                acc.close()
                raise PyagentError(f"cannot push more than {MOST_PUSHED:,} metrics at once")

        acc = Accumulator(
            now=self._clock.now,
            report=lambda problem: log.error("%s; it is dropped", problem),
            overflow=bounded,
            foreign=True,
        )
        return acc
