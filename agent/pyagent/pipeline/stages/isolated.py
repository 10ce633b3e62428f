"""Processors that wait, and external processors and aggregators, which may do anything, beside a main loop that must not stop.

The plan says where each is called (`isolation`): an external one has a thread, and if it is `async` a loop there; one of the
engine's own is awaited on the main loop. A call that does not end in time is given up, and cancelled where it is awaited: its
metrics go on as they were, and so do the next ones, past the plugin, until the call ends.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from pyagent.api import Aggregator, Metric, Processor, PyagentError
from pyagent.config import AggregatorPlan, ProcessorPlan
from pyagent.pipeline.failures import explain
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.pipeline.isolation import Busy, CallTimedOut, IsolatedCall, Unusable, copies, no_exit, plain_call, usable
from pyagent.pipeline.schedule import Clock
from pyagent.pipeline.stages.aggregators import RunningAggregator
from pyagent.pipeline.stages.processors import RunningProcessor, runs
from pyagent.pipeline.traits import ProcessorTraits, plugin_files, processor_traits

__all__ = ["IsolatedAggregator", "IsolatedProcessor"]

Part = tuple[bool, list[Metric]]
"""Metrics in a row, and whether they are selected."""

CANCELLED = 1.0
"""Seconds for calls that were cancelled to end, before the plugin is stopped."""
MOST_PUSHED = 100_000
"""Metrics of one push."""


class IsolatedProcessor(RunningProcessor):
    """One external processor, or one that is `async`."""

    isolated = True

    def __init__(
        self,
        plan: ProcessorPlan,
        plugin: Processor[Any],
        *,
        log: logging.Logger,
        traits: ProcessorTraits | None = None,
    ) -> None:
        """`traits`: those of an external plugin, asked where that may be done."""
        super().__init__(plan, plugin, log=log)
        traits = traits or processor_traits(plan, plugin)
        self.max_in_flight = traits.max_in_flight
        self._stops = traits.stops
        # An external one's exceptions come as plain ones, with their place.
        self._files = () if plan.is_external else plugin_files(plan)
        self.isolated_call = IsolatedCall(
            plan.label,
            plugin_files(plan) if plan.is_external else None,
            isolation=plan.isolation,
            most=traits.max_in_flight,
        )
        # Scripts in a language of the engine's own give metrics of its own.
        self._usable = _with_fields if not plan.is_external and plugin.runs_scripts else usable
        self._calls = asyncio.Semaphore(traits.max_in_flight)
        """Used where the plugin runs: a batch may be several calls."""

    async def process(self, metrics: list[Metric], *, bypass: bool = False) -> list[Metric]:
        """What becomes of these metrics. `bypass`: there is no time to ask."""
        parts = runs(self._selection, metrics)
        chosen = sum(len(run) for selected, run in parts if selected)
        if not chosen:
            return metrics
        try:
            if bypass:
                raise Busy
            if self.plan.is_async:
                result = await self.isolated_call.await_call(lambda: self._awaited(parts))
            else:
                result = await self.isolated_call.call(lambda: self._computed(parts))
        except Busy:
            self.bypassed += chosen
        except CallTimedOut as error:
            self.bypassed += chosen
            self.failures.failed(f"cannot process: {error}; metrics go on as they are until this call ends")
        except Exception as error:
            self.failures.failed(explain("cannot process", error, self._files))
        else:
            self.failures.succeeded()
            return result
        return metrics

    async def stop(self) -> list[Metric]:
        """Have the plugin give back what it holds, and take no further calls; returns metrics that are to go on."""
        try:
            if self._stops:
                return await self._stop()
        except Busy:
            self.failures.failed("cannot stop: a call has not ended")
        except (CallTimedOut, TimeoutError):
            self.failures.failed(f"cannot stop: it did not end within {self.isolated_call.deadline:g} s")
        except Exception as error:
            self.failures.failed(explain("cannot stop", error, self._files))
        finally:
            self.isolated_call.abandon()
        return []

    async def _stop(self) -> list[Metric]:
        if self.plan.is_async:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.isolated_call.idle(), CANCELLED)
        if self.plan.isolation == "inline":
            # Also where its calls were abandoned: nobody else gives back what it holds.
            held = await asyncio.wait_for(self.plugin.stop(), self.isolated_call.deadline)
            return [] if self.plan.is_external or not held else [metric for metric in held if metric.fields]
        if self.plan.is_async:
            await self.isolated_call.await_call(lambda: self.plugin.stop())
        else:
            await self.isolated_call.call(self._stop_in_thread)
        return []

    def _stop_in_thread(self) -> None:
        stopping: object = self.plugin.stop()
        if inspect.iscoroutine(stopping):
            asyncio.run(stopping)

    def _computed(self, parts: list[Part]) -> list[Metric]:
        result: list[Metric] = []
        for selected, run in parts:
            result += self._usable(self.plugin.process(self._given(run)), _most(run)) if selected and run else run
        return result

    async def _awaited(self, parts: list[Part]) -> list[Metric]:
        """The runs of a batch at once where there may be several calls; what becomes of them is in their order."""
        tasks = [asyncio.create_task(self._ask(run)) if selected and run else None for selected, run in parts]
        asked = [task for task in tasks if task is not None]
        try:
            await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
            if left := [task for task in asked if not task.done()]:
                await asyncio.wait(left)
        result: list[Metric] = []
        for asking, (_, run) in zip(tasks, parts, strict=True):
            result += run if asking is None else asking.result()
        return result

    async def _ask(self, run: list[Metric]) -> list[Metric]:
        async with self._calls:
            try:
                returned = await cast("Awaitable[list[Metric]]", self.plugin.process(self._given(run)))
            except (SystemExit, KeyboardInterrupt) as error:
                raise no_exit(error) from error  # a task lets these two through to the loop
            return usable(returned, _most(run))

    def _given(self, run: list[Metric]) -> list[Metric]:
        return copies(run if self._selection is None else self._selection.modify(run))


def _with_fields(returned: Any, most: int) -> list[Metric]:
    if len(returned) > most:
        raise Unusable(f"process returned more than {most:,} metrics")
    return [metric for metric in returned if metric.fields]


def _most(run: list[Metric]) -> int:
    """Metrics that may become of these."""
    return 10_000 + 10 * len(run)


class IsolatedAggregator(RunningAggregator):
    """One external aggregator. What it has not seen in time goes on, whatever `drop_original` says."""

    isolated = True

    def __init__(
        self,
        plan: AggregatorPlan,
        plugin: Aggregator[Any],
        *,
        deliver: Callable[[list[Metric]], None],
        clock: Clock,
        log: logging.Logger,
        most_pushed: int = MOST_PUSHED,
    ) -> None:
        """`most_pushed`: metrics of one push."""
        super().__init__(plan, plugin, deliver=deliver, clock=clock, log=log)
        self._most_pushed = most_pushed
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

    def _push_in_thread(self, acc: InputAccumulator) -> None:
        plain_call(self.plugin.push, acc)
        plain_call(self.plugin.reset)

    def _new_accumulator(self) -> InputAccumulator:
        log, most = self._log, self._most_pushed  # nothing of ours: it would hold the plugin until a collection

        def bounded() -> None:
            if len(acc) > most:
                acc.close()
                raise PyagentError(f"cannot push more than {most:,} metrics at once")

        acc = InputAccumulator(
            now=self._clock.now,
            report=lambda problem: log.error("%s; it is dropped", problem),
            overflow=bounded,
            foreign=True,
        )
        return acc
