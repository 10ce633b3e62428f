"""From inputs to outputs: encode what was gathered once for all outputs that want the same bytes, and queue it."""

from collections.abc import Iterable, Mapping
from typing import NoReturn

from pyagent.api import Full, Ingested, LineOptions, Metric
from pyagent.lineprotocol import Precision, Relayed, relay
from pyagent.pipeline.delivery import OutputRunner
from pyagent.pipeline.form import Form, Formed
from pyagent.pipeline.stages import Stages

__all__ = ["Route"]


class Route:
    """The stages and outputs that there are now. `deliver` is called on the main loop with whole gathers."""

    def __init__(self, outputs: Iterable[OutputRunner] = ()) -> None:
        self.outputs: tuple[OutputRunner, ...] = tuple(outputs)
        self.stages = Stages()

    def deliver(self, metrics: list[Metric]) -> None:
        """Queue metrics for every output. Never raises for what a metric holds: what cannot be encoded is counted there."""
        self._queue(self.stages.gathered(metrics))

    def deliver_aggregated(self, metrics: list[Metric]) -> None:
        """The same for what an aggregator pushed."""
        self._queue(self.stages.aggregated(metrics))

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
        if self.stages:
            # Asked beforehand: what the stages have seen cannot be offered again.
            if self.outputs and not any(output.has_room(len(metrics)) for output in self.outputs):
                self._refuse()
            metrics = self.stages.gathered(metrics)
        await self._admit([(output, output.form(metrics)) for output in self.outputs])

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
        await self._admit(
            [(o, Formed(((None, relayed[o.form.line_options].encoded),), filtered=0)) for o in self.outputs]
        )
        return Ingested(result.encoded.count, errors, result.bad)

    async def _admit(self, offers: list[tuple[OutputRunner, Formed]]) -> None:
        # An output that has room must not wait for one that is stuck; only where nobody can keep it, it is refused.
        open_ones = [output for output, formed in offers if output.takes(formed)]
        if offers and not open_ones:
            self._refuse()
        for output, formed in offers:
            output.take(formed, keep=output in open_ones)
        for output in open_ones:
            await output.durable()

    def _refuse(self) -> NoReturn:
        # What is held may be less than a whole batch, which would wait for the flush interval.
        self.flush_soon()
        raise Full("every output's queue is full of metrics that are not written yet; send it again later")

    @property
    def plain(self) -> bool:
        """Every output takes text as it is encoded, and nothing stands before them."""
        return not self.stages and all(output.form.plain for output in self.outputs)

    def has_room(self) -> bool:
        """Whether every output's queue is at most half full."""
        return all(2 * output.queued <= output.plan.metric_buffer_limit for output in self.outputs)

    def flush_soon(self) -> None:
        """Ask every output to write what it has without waiting for its interval."""
        for output in self.outputs:
            output.flush_soon()
