"""Where what a service input receives comes in: it may be acknowledged only when it is safe."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TypeVar

from pyagent.api import Ingested, Metric
from pyagent.api.plugin import PrecisionName
from pyagent.config import InputPlan
from pyagent.lineprotocol import parse
from pyagent.pipeline.modifiers import Intake
from pyagent.pipeline.offload import in_slices, most_metrics
from pyagent.pipeline.ports import Sink
from pyagent.pipeline.schedule import Clock

__all__ = ["ServiceDoor"]

T = TypeVar("T")


class ServiceDoor:
    """`acc.deliver` and `acc.ingest` of one input, from whatever loop the plugin runs on. `taken` counts."""

    def __init__(
        self, plan: InputPlan, intake: Intake, route: Sink, clock: Clock, taken: Callable[[int], None]
    ) -> None:
        self._precision = int(plan.service_precision)
        self._intake = intake
        self._route = route
        self._clock = clock
        self._taken = taken
        self._loop = asyncio.get_running_loop()

    async def deliver(self, metrics: Sequence[Metric]) -> None:
        """Raises Full."""
        await self._on_main(lambda: self._admit(list(metrics)))

    async def ingest(
        self, data: bytes, precision: PrecisionName, tags: Mapping[str, str] | None, all_or_nothing: bool
    ) -> Ingested:
        """Raises Full and TooMuch."""
        return await self._on_main(lambda: self._ingest(data, precision, tags or {}, all_or_nothing))

    async def _ingest(
        self, data: bytes, precision: PrecisionName, tags: Mapping[str, str], all_or_nothing: bool
    ) -> Ingested:
        if self._intake.plain and self._route.plain:
            result = await self._route.admit_lines(
                data,
                self._clock.now(),
                precision,
                tags={**self._intake.tags, **tags},
                round_to=self._precision or 1,
                all_or_nothing=all_or_nothing,
            )
            self._taken(result.taken)
            return result
        now, most = self._clock.now(), most_metrics(len(data))
        parsed = await self._route.run_aside(len(data), lambda: parse(data, now, precision, most=most))
        errors = tuple(map(str, parsed.errors))
        if errors and all_or_nothing:
            return Ingested(0, errors, parsed.bad)
        return Ingested(await self._admit(parsed.metrics, tags), errors, parsed.bad)

    async def _admit(self, metrics: list[Metric], tags: Mapping[str, str] | None = None) -> int:
        def taken_in(some: list[Metric]) -> list[Metric]:
            for metric in some if tags else ():
                metric.tags = {**(tags or {}), **metric.tags}
            return self._intake(some, self._precision)

        count = len(metrics)
        if chosen := await in_slices(metrics, taken_in):
            await self._route.admit(chosen)
        self._taken(count)
        return count

    async def _on_main(self, work: Callable[[], Coroutine[None, None, T]]) -> T:
        if asyncio.get_running_loop() is self._loop:
            return await work()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))
