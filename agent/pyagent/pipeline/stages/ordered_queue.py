"""The way of metrics through stages of which some may take their time: each waits for its turn, so that their order stays.

Nothing waits for ever: a stage has a deadline (`pyagent.pipeline.isolation`), and where more metrics than the limit queue
behind a call, it is given up at once, and they go past these plugins until half of the room is free.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pyagent.api import Metric
from pyagent.api.foreign import let_go
from pyagent.pipeline.isolation import IsolatedCall
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.pipeline.stages.isolated import IsolatedAggregator, IsolatedProcessor
from pyagent.pipeline.stages.processors import RunningProcessor

__all__ = ["OrderedQueue", "ProcessorQueues", "QueueStatistics"]

T = TypeVar("T")
_LOG = logging.getLogger("pyagent.agent")


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """Metrics of one queue: those that wait for their turn, those on the way in all, and how many may wait."""

    waiting: int
    inside: int
    limit: int

    @property
    def full(self) -> bool:
        """What can be refused should be."""
        return self.waiting >= self.limit


class _Job(Generic[T]):
    """Metrics on their way, and who waits for their end."""

    def __init__(self, metrics: list[Metric], stages: ProcessorChain, end: Callable[[list[Metric]], T]) -> None:
        self.metrics = metrics
        self.stages = stages
        self._end = end
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.submitted = asyncio.get_running_loop().time()
        self.bypass = False
        """There is no time to ask anybody."""
        self.before: _Job[Any] | None = None
        """The one that is on the way before it."""
        self.task: asyncio.Task[None] | None = None
        self._stage = -1
        """Where it is, by number; more than there are: it has come out."""
        self._moved: asyncio.Future[None] | None = None
        """What the one behind it waits for."""

    async def turn(self, most: int) -> None:
        """Go on to the next stage, which `most` may be in at once, as soon as the job before is there; where that is one, as
        soon as the job before has left."""
        stage = self._stage + 1
        while self.before is not None and self.before._stage < (stage if most > 1 else stage + 1):
            self.before._moved = asyncio.get_running_loop().create_future()
            await self.before._moved
        self._at(stage)

    def passes_by(self, stage: "IsolatedProcessor") -> bool:
        """There is no time to ask it, or this has waited behind a call that was given up: once is enough."""
        return self.bypass or self.submitted < stage.isolated_call.last_given_up

    async def until_first(self) -> None:
        """Return when no other one is on the way before it."""
        while self.before is not None and self.before._stage < _OUT:
            self.before._moved = asyncio.get_running_loop().create_future()
            await self.before._moved
        self.before = None

    def finish(self, metrics: list[Metric]) -> None:
        try:
            result = self._end(metrics)
        except Exception as error:
            if not self.future.done():
                self.future.set_exception(error)
        else:
            if not self.future.done():
                self.future.set_result(result)
        self._at(_OUT)

    def _at(self, stage: int) -> None:
        self._stage = stage
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)


_OUT = 1 << 30
Through = Callable[[_Job[Any]], Awaitable[list[Metric]]]


class OrderedQueue:
    """One way: metrics go in, and come out in their order, each through the stages that there were when it went in.

    As many batches are on the way at once as one of these stages takes; each stage sees them in their order, and what one that
    takes several gives sooner waits for what was before. Batches for other stages wait until all of them have come out.
    """

    def __init__(self, through: Through, limit: int) -> None:
        """`limit`: metrics that may wait for their turn."""
        self._limit = limit
        self._waiting = 0
        self._through = through
        self._jobs: deque[_Job[Any]] = deque()
        self._in_flight: deque[_Job[Any]] = deque()
        """All through the same stages."""
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._overloaded = False

    def __bool__(self) -> bool:
        """Something is on the way."""
        return self._task is not None

    def statistics(self) -> QueueStatistics:
        inside = self._waiting + sum(len(job.metrics) for job in self._in_flight)
        return QueueStatistics(self._waiting, inside, self._limit)

    def submit(
        self, metrics: list[Metric], stages: ProcessorChain, end: Callable[[list[Metric]], T]
    ) -> "asyncio.Future[T]":
        """Send metrics through `stages`; `end` gets what comes out, on the main loop, and what it returns or raises is the
        future's. One that is cancelled while it waits for its turn is left out."""
        job = _Job(metrics, stages, end)
        self._jobs.append(job)
        self._waiting += len(metrics)
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        elif self._waiting > self._limit:
            # From here to where half of the room is free again, nobody is asked: the order stays.
            self._overloaded = True
            for one in self._isolated_calls():
                one.give_up(f"it is too slow, more than {self._limit:,} metrics wait")
        return job.future

    async def drained(self) -> None:
        """Return when all that was handed over so far has come out."""
        if self:
            await self.submit([], ProcessorChain(), lambda _: None)

    def abandon_calls(self) -> None:
        """Wait no longer for the calls under way."""
        for one in self._isolated_calls():
            one.abandon_calls()

    def _isolated_calls(self) -> list[IsolatedCall]:
        return [stage.isolated_call for stage in _isolated(self._in_flight[0].stages)] if self._in_flight else []

    async def _run(self) -> None:
        while self._jobs or self._in_flight:
            if not self._may_begin():
                self._changed.clear()
                await self._changed.wait()
                continue
            job = self._jobs.popleft()
            self._waiting -= len(job.metrics)
            if 2 * self._waiting <= self._limit:
                self._overloaded = False
            if job.future.cancelled():
                continue
            job.before = self._in_flight[-1] if self._in_flight else None
            self._in_flight.append(job)
            if job.stages.max_in_flight == 1:
                await self._pass(job)
            else:
                job.task = asyncio.create_task(self._pass(job))
        self._task = None

    def _may_begin(self) -> bool:
        """Whether the next job may: the stages are the same, and there are not as many on the way as they take."""
        if not self._jobs:
            return False
        stages = self._jobs[0].stages
        return not self._in_flight or (
            stages is self._in_flight[-1].stages and len(self._in_flight) < stages.max_in_flight
        )

    async def _pass(self, job: _Job[Any]) -> None:
        try:
            job.bypass = self._overloaded
            metrics = await self._through(job)
        except Exception:
            _LOG.exception("BUG: cannot process metrics, they go on as they are; please report this")
            metrics = job.metrics
        await job.until_first()
        job.finish(metrics)
        self._in_flight.popleft()
        self._changed.set()


def _isolated(stages: ProcessorChain) -> list[IsolatedProcessor | IsolatedAggregator]:
    everything = (*stages.before, *stages.aggregators, *stages.after)
    return [stage for stage in everything if isinstance(stage, IsolatedProcessor | IsolatedAggregator)]


async def _gathered(job: _Job[Any]) -> list[Metric]:
    metrics = await _processed(job, job.stages.before)
    gone: set[int] = set()
    for one in job.stages.aggregators:
        await job.turn(one.max_in_flight)
        gone |= (
            await one.process(metrics, bypass=job.bypass) if isinstance(one, IsolatedAggregator) else one.add(metrics)
        )
    return [metric for metric in metrics if id(metric) not in gone] if gone else metrics


async def _aggregated(job: _Job[Any]) -> list[Metric]:
    return await _processed(job, job.stages.after)


async def _processed(job: _Job[Any], stages: Sequence[RunningProcessor]) -> list[Metric]:
    metrics = job.metrics
    for stage in stages:
        await job.turn(stage.max_in_flight)
        if isinstance(stage, IsolatedProcessor):
            metrics = await stage.process(metrics, bypass=job.passes_by(stage))
        else:
            metrics = stage(metrics)
    return metrics


class ProcessorQueues:
    """Both ways: that of what was gathered, and that of what aggregators pushed."""

    def __init__(self, limit: int) -> None:
        """`limit`: metrics that may wait for their turn, on each way."""
        self.gathered = OrderedQueue(_gathered, limit)
        self.aggregated = OrderedQueue(_aggregated, limit)
        self._ending: list[ProcessorChain] = []

    def __bool__(self) -> bool:
        return bool(self.gathered or self.aggregated)

    async def finish(
        self,
        old: ProcessorChain,
        new: ProcessorChain,
        deliver: Callable[[list[Metric], ProcessorChain], None],
        emit: Callable[[list[Metric]], None],
    ) -> None:
        """Hand on what is inside of stages that `new` does not take over, then let go of them."""
        self._ending.append(old)
        kept = _isolated(new)
        await self.gathered.drained()
        for number, processor in enumerate(old.before, 1):
            if isinstance(processor, IsolatedProcessor) and processor not in kept and (held := await processor.stop()):
                await self.gathered.submit(held, ProcessorChain(old.before[number:], old.aggregators, old.after), emit)
        for aggregator in old.aggregators:
            if aggregator not in new.aggregators:
                # What processors are to make of it is what they were made for, not what came in their place.
                aggregator.deliver = lambda metrics: deliver(metrics, old)
                if isinstance(aggregator, IsolatedAggregator):
                    await aggregator.end()
                else:
                    aggregator.push()
        await self.aggregated.drained()
        for number, processor in enumerate(old.after, 1):
            if isinstance(processor, IsolatedProcessor) and processor not in kept and (held := await processor.stop()):
                deliver(held, ProcessorChain(after=old.after[number:]))
                await self.aggregated.drained()
        for stage in _isolated(old):
            if stage not in kept:
                if isinstance(stage, IsolatedAggregator):
                    stage.isolated_call.abandon()
                # Taken out: an aggregator that has ended refers to all stages, and they to it.
                plugin = vars(stage).pop("plugin", None)
                if stage.plan.is_external:
                    let_go(plugin, stage.plan.label)
                del plugin
        self._ending.remove(old)

    def abandon_calls(self) -> None:
        """Wait no longer for any call under way. Others get their turn, so call it again where there is no end."""
        self.gathered.abandon_calls()
        self.aggregated.abandon_calls()
        for stage in (stage for stages in self._ending for stage in _isolated(stages)):
            stage.isolated_call.abandon_calls()
