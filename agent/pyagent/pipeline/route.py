"""From inputs to outputs: encode what was gathered once for all outputs that want the same bytes, and queue it."""

from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from pyagent.api import Full, Ingested, LineOptions, Metric
from pyagent.lineprotocol import Precision, Relayed, relay
from pyagent.pipeline.delivery import OutputRunner
from pyagent.pipeline.form import Form, Formed
from pyagent.pipeline.stages import Stages

if TYPE_CHECKING:
    from pyagent.pipeline.passage import Passages

__all__ = ["Route"]


class Route:
    """The stages and outputs that there are now. `deliver` is called on the main loop with whole gathers."""

    def __init__(self, outputs: Iterable[OutputRunner] = ()) -> None:
        self.outputs: tuple[OutputRunner, ...] = tuple(outputs)
        self.stages = Stages()
        self._passages: Passages | None = None
        """There are stages from outside, or were."""

    def replace(self, stages: Stages) -> Coroutine[Any, Any, None] | None:
        """Put `stages` in place. What aggregators that end have summed up is handed on: now or, where something is from
        outside, by what is returned, which the caller runs."""
        old = self.stages
        if stages.outside and self._passages is None:
            from pyagent.pipeline.passage import Passages

            self._passages = Passages()
        if (passages := self._outside(old)) is not None:
            self.stages = stages
            return passages.finish(old, stages, self.deliver_aggregated)
        for aggregator in old.aggregators:
            if aggregator not in stages.aggregators:
                aggregator.push()
        self.stages = stages
        return None

    def hurry(self) -> None:
        """Wait no longer for what is from outside and at work now: what is inside goes on as it is. Others get their turn, so
        call it again where there is no end."""
        if self._passages is not None:
            self._passages.hurry()

    def _outside(self, stages: Stages) -> "Passages | None":
        """The way through `stages`, where some are from outside or others' metrics are still on it; None is the short one."""
        passages = self._passages
        return passages if passages is not None and (stages.outside or passages) else None

    def deliver(self, metrics: list[Metric]) -> None:
        """Queue metrics for every output. Never raises for what a metric holds: what cannot be encoded is counted there."""
        if (passages := self._outside(self.stages)) is not None:
            passages.gathered.hand(metrics, self.stages, self._queue)
        else:
            self._queue(self.stages.gathered(metrics))

    def deliver_aggregated(self, metrics: list[Metric], stages: Stages | None = None) -> None:
        """The same for what an aggregator pushed; `stages`: those that it was one of, where they are replaced."""
        stages = self.stages if stages is None else stages
        if (passages := self._outside(stages)) is not None:
            passages.aggregated.hand(metrics, stages, self._queue)
        else:
            self._queue(stages.aggregated(metrics))

    def _queue(self, metrics: list[Metric]) -> None:
        if not metrics:
            return
        formed: list[tuple[Form, Formed]] = []
        for output in self.outputs:
            result = next((result for form, result in formed if form == output.form), None)
            if result is None:
                result = output.form(metrics)
                formed.append((output.form, result))
            output.take(result)

    async def admit(self, metrics: list[Metric]) -> None:
        """Queue what a listener acknowledges once this returns. Raises Full if no output's queue could take it."""
        if (passages := self._outside(self.stages)) is not None:
            # What is on the way before it needs its room, too.
            before = passages.gathered.inside
            if passages.gathered.full or (
                self.outputs and not any(_has_room(output, before, len(metrics)) for output in self.outputs)
            ):
                self._refuse()
            await self._durable(await passages.gathered.hand(metrics, self.stages, self._offer))
            return
        if self.stages:
            # Asked beforehand: what the stages have seen cannot be offered again.
            if self.outputs and not any(output.has_room(len(metrics)) for output in self.outputs):
                self._refuse()
            metrics = self.stages.gathered(metrics)
        await self._durable(self._offer(metrics))

    async def admit_lines(
        self,
        data: bytes,
        now: int,
        precision: Precision,
        *,
        tags: Mapping[str, str],
        round_to: int,
        all_or_nothing: bool,
    ) -> Ingested:
        """The same for line protocol where every output is `plain`: no metric is made of it."""
        if self.outputs and not any(output.has_room(1) for output in self.outputs):
            self._refuse()  # before the work of reading it
        relayed: dict[LineOptions, Relayed] = {}
        for output in self.outputs:
            options = output.form.line_options
            if options not in relayed:
                relayed[options] = relay(data, now, precision, options, tags=tags, round_to=round_to)
        result = next(iter(relayed.values()), None) or relay(data, now, precision)
        errors = tuple(map(str, result.errors))
        if errors and all_or_nothing:
            return Ingested(0, errors, result.bad)
        await self._durable(
            self._take([(o, Formed(((None, relayed[o.form.line_options].encoded),), filtered=0)) for o in self.outputs])
        )
        return Ingested(result.encoded.count, errors, result.bad)

    def _offer(self, metrics: list[Metric]) -> list[OutputRunner]:
        return self._take([(output, output.form(metrics)) for output in self.outputs])

    def _take(self, offers: list[tuple[OutputRunner, Formed]]) -> list[OutputRunner]:
        """Queue it where there is room; returns these outputs."""
        # An output that has room must not wait for one that is stuck; only where nobody can keep it, it is refused.
        open_ones = [output for output, formed in offers if output.takes(formed)]
        if offers and not open_ones:
            self._refuse()
        for output, formed in offers:
            output.take(formed, keep=output in open_ones)
        return open_ones

    @staticmethod
    async def _durable(outputs: list[OutputRunner]) -> None:
        for output in outputs:
            await output.durable()

    def _refuse(self) -> NoReturn:
        # What is held may be less than a whole batch, which would wait for the flush interval.
        self._flush_soon()
        raise Full("every output's queue is full of metrics that are not written yet; send it again later")

    @property
    def plain(self) -> bool:
        """Every output takes text as it is encoded, and nothing stands before them."""
        return not self.stages and not self._passages and all(output.form.plain for output in self.outputs)

    def has_room(self) -> bool:
        """Whether every output's queue, and the way there, is at most half full."""
        if self._passages is not None and 2 * self._passages.gathered.waiting > self._passages.gathered.limit:
            return False
        return all(2 * output.queued <= output.plan.metric_buffer_limit for output in self.outputs)

    def flush_soon(self) -> None:
        """Ask every output to write what it has without waiting for its interval, and what is on the way to it."""
        if self._passages:
            self._passages.gathered.hand([], self.stages, lambda _: self._flush_soon())
        self._flush_soon()

    def _flush_soon(self) -> None:
        for output in self.outputs:
            output.flush_soon()


def _has_room(output: OutputRunner, before: int, count: int) -> bool:
    # An empty queue takes any number, but one that will not be empty does not.
    return output.has_room(before + count) and (not before or before + count <= output.plan.metric_buffer_limit)
