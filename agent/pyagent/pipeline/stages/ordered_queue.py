"""The way of metrics through stages of which some are external: each waits for its turn, so that their order stays.

Nothing waits for ever: a stage has a deadline (`pyagent.pipeline.isolation`), and where more than WAITING metrics queue behind
a call, it is given up at once, and they go past the external plugins until half of the room is free.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from pyagent.api import Metric
from pyagent.api.foreign import let_go
from pyagent.pipeline.isolation import IsolatedCall
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.pipeline.stages.external import ExternalAggregator, ExternalProcessor
from pyagent.pipeline.stages.processors import RunningProcessor

__all__ = ["OrderedQueue", "ProcessorQueues"]

T = TypeVar("T")
_LOG = logging.getLogger("pyagent.agent")

WAITING = 10_000
"""Metrics that may wait for their turn: as many as an output's queue holds by default."""


class _Job(Generic[T]):
    """Metrics on their way, and who waits for their end."""

    def __init__(self, metrics: list[Metric], stages: ProcessorChain, end: Callable[[list[Metric]], T]) -> None:
        self.metrics = metrics
        self.stages = stages
        self._end = end
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def finish(self, metrics: list[Metric]) -> None:
        try:
            result = self._end(metrics)
        except Exception as error:
            if not self.future.done():
                self.future.set_exception(error)
        else:
            if not self.future.done():
                self.future.set_result(result)


Through = Callable[[ProcessorChain, list[Metric], bool], Awaitable[list[Metric]]]


class OrderedQueue:
    """One way: metrics go in, and come out in their order, each through the stages that there were when it went in."""

    def __init__(self, through: Through, limit: int = WAITING) -> None:
        self.limit = limit
        self.waiting = 0
        """Metrics that wait for their turn."""
        self._through = through
        self._jobs: deque[_Job[Any]] = deque()
        self._current: _Job[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._overloaded = False

    def __bool__(self) -> bool:
        """Something is on the way."""
        return self._task is not None

    @property
    def inside(self) -> int:
        """Metrics on the way."""
        return self.waiting + (len(self._current.metrics) if self._current else 0)

    @property
    def full(self) -> bool:
        """What can be refused should be."""
        return self.waiting >= self.limit

    def submit(
        self, metrics: list[Metric], stages: ProcessorChain, end: Callable[[list[Metric]], T]
    ) -> "asyncio.Future[T]":
        """Send metrics through `stages`; `end` gets what comes out, on the main loop, and what it returns or raises is the
        future's. One that is cancelled while it waits for its turn is left out."""
        job = _Job(metrics, stages, end)
        self._jobs.append(job)
        self.waiting += len(metrics)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        elif self.waiting > self.limit:
            # From here to where half of the room is free again, nobody is asked: the order stays.
            self._overloaded = True
            for one in _isolated_call(self._current):
                one.give_up(f"it is too slow, more than {self.limit:,} metrics wait")
        return job.future

    async def drained(self) -> None:
        """Return when all that was handed over so far has come out."""
        if self:
            await self.submit([], ProcessorChain(), lambda _: None)

    def abandon_calls(self) -> None:
        """Wait no longer for the call under way."""
        for one in _isolated_call(self._current):
            one.abandon_calls()

    async def _run(self) -> None:
        while self._jobs:
            self._current = job = self._jobs.popleft()
            self.waiting -= len(job.metrics)
            if 2 * self.waiting <= self.limit:
                self._overloaded = False
            if job.future.cancelled():
                continue
            try:
                job.finish(await self._through(job.stages, job.metrics, self._overloaded))
            except Exception:
                _LOG.exception("BUG: cannot process metrics, they go on as they are; please report this")
                job.finish(job.metrics)
        self._current = self._task = None


def _isolated_call(job: _Job[Any] | None) -> list[IsolatedCall]:
    return [] if job is None else [stage.isolated_call for stage in _external(job.stages)]


def _external(stages: ProcessorChain) -> list[ExternalProcessor | ExternalAggregator]:
    everything = (*stages.before, *stages.aggregators, *stages.after)
    return [stage for stage in everything if isinstance(stage, ExternalProcessor | ExternalAggregator)]


async def _gathered(stages: ProcessorChain, metrics: list[Metric], bypass: bool) -> list[Metric]:
    metrics = await _processed(stages.before, metrics, bypass)
    gone: set[int] = set()
    for one in stages.aggregators:
        gone |= await one.process(metrics, bypass=bypass) if isinstance(one, ExternalAggregator) else one.add(metrics)
    return [metric for metric in metrics if id(metric) not in gone] if gone else metrics


async def _aggregated(stages: ProcessorChain, metrics: list[Metric], bypass: bool) -> list[Metric]:
    return await _processed(stages.after, metrics, bypass)


async def _processed(stages: Sequence[RunningProcessor], metrics: list[Metric], bypass: bool) -> list[Metric]:
    for stage in stages:
        metrics = (
            await stage.process(metrics, bypass=bypass) if isinstance(stage, ExternalProcessor) else stage(metrics)
        )
    return metrics


class ProcessorQueues:
    """Both ways: that of what was gathered, and that of what aggregators pushed."""

    def __init__(self) -> None:
        self.gathered = OrderedQueue(_gathered)
        self.aggregated = OrderedQueue(_aggregated)
        self._ending: list[ProcessorChain] = []

    def __bool__(self) -> bool:
        return bool(self.gathered or self.aggregated)

    async def finish(
        self, old: ProcessorChain, new: ProcessorChain, deliver: Callable[[list[Metric], ProcessorChain], None]
    ) -> None:
        """Hand on what is inside of stages that `new` does not take over, then let go of them."""
        self._ending.append(old)
        await self.gathered.drained()
        for aggregator in old.aggregators:
            if aggregator not in new.aggregators:
                # What processors are to make of it is what they were made for, not what came in their place.
                aggregator.deliver = lambda metrics: deliver(metrics, old)
                if isinstance(aggregator, ExternalAggregator):
                    await aggregator.end()
                else:
                    aggregator.push()
        await self.aggregated.drained()
        kept = _external(new)
        for stage in _external(old):
            if stage not in kept:
                stage.isolated_call.abandon()
                # Taken out: an aggregator that has ended refers to all stages, and they to it.
                let_go(vars(stage).pop("plugin", None), stage.plan.label)
        self._ending.remove(old)

    def abandon_calls(self) -> None:
        """Wait no longer for any call under way. Others get their turn, so call it again where there is no end."""
        self.gathered.abandon_calls()
        self.aggregated.abandon_calls()
        for stage in (stage for stages in self._ending for stage in _external(stages)):
            stage.isolated_call.abandon_calls()
