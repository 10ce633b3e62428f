"""From inputs to outputs: encode what was gathered once for all outputs that want the same bytes, and queue it."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from pyagent.api import Ingested, LineOptions, Metric, ParseError, QueueFull
from pyagent.lineprotocol import DefaultTags, Encoded, Precision, Relayed, add_tags, encode, parse, relay
from pyagent.pipeline.offload import SLICE, Aside, in_slices, most_text
from pyagent.pipeline.outputs.disk_writer import until_safe
from pyagent.pipeline.outputs.encoder import EncodedParts
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.pipeline.ports import Lines
from pyagent.pipeline.stages.chain import ProcessorChain

if TYPE_CHECKING:
    from pyagent.pipeline.stages.ordered_queue import ProcessorQueues, QueueStatistics

__all__ = ["Acknowledge", "Fanout"]

T = TypeVar("T")

Acknowledge = Literal["all", "any"]
Offer = tuple[RunningOutput, EncodedParts]
Groups = tuple[tuple[RunningOutput, ...], ...]
"""Outputs that want the same bytes, together."""
WAITING = 10_000
"""Metrics that may wait for isolated stages: as many as an output's queue holds by default."""


class Fanout:
    """The stages and outputs that there are now. `deliver` is called on the main loop with whole gathers."""

    def __init__(
        self,
        outputs: Iterable[RunningOutput] = (),
        *,
        acknowledge: Acknowledge | None = None,
        waiting: int = WAITING,
    ) -> None:
        """`acknowledge`: whether all outputs have to keep what a listener acknowledges, or any one; None: all that keep their
        queue on disk, and any one where none does. `waiting`: metrics that may wait for their turn at isolated stages."""
        self._acknowledge = acknowledge
        self._most_waiting = waiting
        self.outputs = tuple(outputs)
        self.stages = ProcessorChain()
        self._aside = Aside()
        self._queues: ProcessorQueues | None = None
        """There are isolated stages, or were."""

    @property
    def outputs(self) -> tuple[RunningOutput, ...]:
        return self._outputs

    @outputs.setter
    def outputs(self, outputs: tuple[RunningOutput, ...]) -> None:
        self._outputs = outputs
        groups: list[list[RunningOutput]] = []
        for output in outputs:
            same = next((group for group in groups if group[0].encoder == output.encoder), None)
            groups.append([output]) if same is None else same.append(output)
        self._groups: Groups = tuple(map(tuple, groups))

    def replace(self, stages: ProcessorChain) -> Coroutine[Any, Any, None] | None:
        """Replace the processor chain. Aggregators that are removed push their last window first; with isolated stages this
        takes time, and the returned coroutine does it."""
        old = self.stages
        if stages.isolated and self._queues is None:
            from pyagent.pipeline.stages.ordered_queue import ProcessorQueues

            self._queues = ProcessorQueues(self._most_waiting)
        if (queues := self._async_path(old)) is not None:
            self.stages = stages
            return queues.finish(old, stages, self.deliver_aggregated, self.emit)
        for aggregator in old.aggregators:
            if aggregator not in stages.aggregators:
                aggregator.push()
        self.stages = stages
        return None

    def abandon_calls(self) -> None:
        """Abandon isolated calls in progress; their metrics go on unprocessed. Queued calls start afterwards, so repeat until
        the queues are drained."""
        if self._queues is not None:
            self._queues.abandon_calls()

    async def drained(self) -> None:
        """Return when all that was delivered so far has come out of the stages."""
        if self._queues is not None:
            await self._queues.gathered.drained()
            await self._queues.aggregated.drained()

    def statistics(self) -> "QueueStatistics | None":
        """What is on the way through isolated stages; None where there never were any."""
        return None if self._queues is None else self._queues.gathered.statistics()

    def _async_path(self, stages: ProcessorChain) -> "ProcessorQueues | None":
        """The way through `stages`, where some are isolated or others' metrics are still on it; None is the short one."""
        queues = self._queues
        return queues if queues is not None and (stages.isolated or queues) else None

    def deliver(self, metrics: list[Metric], tags: DefaultTags = ()) -> None:
        """Queue metrics for every output; `tags` are for metrics that have none of these keys. Never raises for what a metric
        holds: what cannot be encoded is counted there."""
        if tags:
            if self.relayable:
                self._encode_and_enqueue(metrics, tags)
                return
            add_tags(metrics, tags)
        if (queues := self._async_path(self.stages)) is not None:
            queues.gathered.submit(metrics, self.stages, self.emit)
        else:
            self.emit(self.stages.gathered(metrics))

    def relay(self, data: bytes, now: int, precision: Precision, tags: Mapping[str, str], round_to: int) -> Lines:
        """Line protocol as every output wants it, no metric made of it; from any thread, where this is `relayable`. Raises
        ParseError for the first bad line, and TooMuch."""
        most, lines = most_text(len(data)), dict[LineOptions, Encoded]()
        for options in self._line_options():
            relayed = relay(data, now, precision, options, tags=tags, round_to=round_to, apart=True, most=most)
            if relayed.errors:
                raise ParseError(str(relayed.errors[0]))
            lines[options] = relayed.encoded
        return lines

    def encode(self, metrics: list[Metric], tags: DefaultTags = ()) -> Lines:
        """The same of metrics; `tags` are for those that have none of these keys."""
        return {options: encode(metrics, options, tags) for options in self._line_options()}

    def deliver_lines(self, lines: Lines) -> None:
        """`deliver` for what `relay` and `encode` made."""
        if self.relayable and all(map(lines.__contains__, self._line_options())):
            wanted = [(output, lines[output.encoder.line_options or LineOptions()]) for output in self.outputs]
            self._enqueue([(o, EncodedParts(((None, encoded),), filtered=0)) for o, encoded in wanted], [])
            return
        # A reload has come in between.
        self.deliver(parse(next(iter(lines.values())).data, 0).metrics)

    def _line_options(self) -> dict[LineOptions, None]:
        """Those of the outputs, each once; at least one."""
        wanted = dict.fromkeys(output.encoder.line_options or LineOptions() for output in self.outputs)
        return wanted or {LineOptions(): None}

    def deliver_aggregated(self, metrics: list[Metric], stages: ProcessorChain | None = None) -> None:
        """The same for what an aggregator pushed; `stages`: those that it was one of, where they are replaced."""
        stages = self.stages if stages is None else stages
        if (queues := self._async_path(stages)) is not None:
            queues.aggregated.submit(metrics, stages, self.emit)
        else:
            self.emit(stages.aggregated(metrics))

    def emit(self, metrics: list[Metric]) -> None:
        """What has come out of the stages, for every output."""
        self._encode_and_enqueue(metrics)

    def _encode_and_enqueue(self, metrics: list[Metric], tags: DefaultTags = ()) -> None:
        self._enqueue(self._encode(metrics, tags=tags), [])

    def _encode(self, metrics: list[Metric], groups: Groups | None = None, tags: DefaultTags = ()) -> list[Offer]:
        """What each output is to get: encoded once for all that want the same bytes."""
        offers: list[Offer] = []
        for group in (self._groups if groups is None else groups) if metrics else ():
            try:
                encoded = group[0].encoder(metrics, tags)
            except MemoryError:
                raise
            except Exception as error:
                for output in group:
                    output.not_queued(len(metrics), error)
                continue
            offers += [(output, encoded) for output in group]
        return offers

    async def deliver_pinned(self, metrics: list[Metric]) -> None:
        """Queue what a listener acknowledges once this returns. Raises QueueFull if outputs that have to keep it could not."""
        if (queues := self._async_path(self.stages)) is not None:
            # What is on the way before it needs its room, too. What filters make of it only the end of the way can tell.
            found = queues.gathered.statistics()
            before = found.inside
            sure = [output for output in self.outputs if not output.encoder.selects]
            if found.full or self._lacks_room(sure, lambda output: _can_admit(output, before, len(metrics))):
                self._refuse()
            await self._safe(await queues.gathered.submit(metrics, self.stages, self._offer))
            return
        if len(metrics) > SLICE:
            await self._deliver_many(metrics)
            return
        processed = self.stages.processed(metrics)
        admitting = self._offer(self.stages.passing(processed))
        # Not before it is taken: they would count what is offered again once more.
        self.stages.aggregate(processed)
        await self._safe(admitting)

    async def _deliver_many(self, metrics: list[Metric]) -> None:
        """The same, and others get their turn meanwhile."""
        stages, outputs, groups = self.stages, self.outputs, self._groups
        processed = await in_slices(metrics, stages.processed)
        offers: dict[RunningOutput, EncodedParts] = {}

        def encode(some: list[Metric]) -> list[Metric]:
            for output, encoded in self._encode(stages.passing(some), groups):
                offers[output] = offers[output] + encoded if output in offers else encoded
            return some

        await in_slices(processed, encode)
        self._check_unchanged(stages, outputs)
        admitting = self._enqueue(list(offers.items()), self._admitting(list(offers.items())))
        await in_slices(processed, lambda some: self.stages.aggregate(some))
        await self._safe(admitting)

    async def relay_pinned(
        self,
        data: bytes,
        now: int,
        precision: Precision,
        *,
        tags: Mapping[str, str],
        round_to: int,
        all_or_nothing: bool,
    ) -> Ingested:
        """The same for line protocol where every output is `relayable`: no metric is made of it. Raises TooMuch, too."""
        self.check_room()
        stages, outputs = self.stages, self.outputs
        line_options = {output: output.encoder.line_options or LineOptions() for output in outputs}
        wanted = self._line_options()
        most = most_text(len(data))

        def relay_all() -> dict[LineOptions, Relayed]:
            return {
                options: relay(data, now, precision, options, tags=tags, round_to=round_to, apart=True, most=most)
                for options in wanted
            }

        relayed = await self.run_aside(len(data), relay_all)
        self._check_unchanged(stages, outputs)
        result = next(iter(relayed.values()))
        errors, texts = tuple(map(str, result.errors)), tuple(error.text for error in result.errors)
        if errors and all_or_nothing:
            return Ingested(0, errors, result.bad, texts)
        offers = [(o, EncodedParts(((None, relayed[line_options[o]].encoded),), filtered=0)) for o in outputs]
        await self._safe(self._enqueue(offers, self._admitting(offers)))
        return Ingested(result.encoded.count, errors, result.bad, texts)

    def check_room(self) -> None:
        """Raises QueueFull where there is no room for one metric: before the work of reading what a listener received."""
        sure = [output for output in self.outputs if not output.encoder.selects]
        if self._lacks_room(sure, lambda output: output.can_admit(1)):
            self._refuse()

    async def run_aside(self, size: int, work: Callable[[], T]) -> T:
        """What `work` makes of `size` bytes of text, in a thread where they are many. Raises what it raises."""
        return await self._aside.run(size, work)

    def _offer(self, metrics: list[Metric]) -> list[RunningOutput]:
        offers = self._encode(metrics)
        return self._enqueue(offers, self._admitting(offers))

    def _admitting(self, offers: list[Offer]) -> list[RunningOutput]:
        """The outputs that keep what they are offered. Raises QueueFull where that is not enough to acknowledge it."""
        offered = [(output, encoded) for output, encoded in offers if encoded.count]
        admitting = [output for output, encoded in offered if output.can_admit_all(encoded)]
        if self._lacks_room([output for output, _ in offered], admitting.__contains__):
            self._refuse()
        return admitting

    def _lacks_room(self, outputs: Sequence[RunningOutput], can_admit: Callable[[RunningOutput], bool]) -> bool:
        """Whether one that has to keep it has no room, or none of them has."""
        found = [output for output in outputs if can_admit(output)]
        return bool(outputs) and (not found or any(self._must_keep(one) and one not in found for one in outputs))

    def _must_keep(self, output: RunningOutput) -> bool:
        """Whether nothing may be acknowledged that this output does not keep."""
        return output.plan.on_disk if self._acknowledge is None else self._acknowledge == "all"

    def _enqueue(self, offers: list[Offer], admitting: list[RunningOutput]) -> list[RunningOutput]:
        """Queue it everywhere; returns the outputs that keep it."""
        for output, encoded in offers:
            try:
                output.enqueue(encoded, pinned=output in admitting)
            except MemoryError:
                raise
            except Exception as error:
                output.not_queued(encoded.count, error)
        return admitting

    async def _safe(self, outputs: list[RunningOutput]) -> None:
        """Wait until it is as safe as is configured. Raises QueueFull where one that has to keep it cannot, or none can."""
        # With all of them before the first wait: what is on the way to one disk must not hide what is on that to another.
        receipts = {output: output.receipts() for output in outputs}
        must = [receipt for output in outputs if self._must_keep(output) for receipt in receipts[output]]
        if any(map(self._must_keep, outputs)):
            await until_safe(must)
        elif outputs and all(receipts.values()):
            await _until_one(list(receipts.values()))

    def _check_unchanged(self, stages: ProcessorChain, outputs: Sequence[RunningOutput]) -> None:
        """Raises QueueFull where a reload has come in between."""
        if self.stages is not stages or self.outputs is not outputs:
            raise QueueFull("the configuration is being reloaded; send it again later")

    def _refuse(self) -> NoReturn:
        # What is held may be less than a whole batch, which would wait for the flush interval.
        self._flush_soon()
        which = "an output's queue" if len(self.outputs) > 1 else "the output's queue"
        raise QueueFull(f"{which} is full of metrics that are not written yet, or its disk fails; send it again later")

    @property
    def relayable(self) -> bool:
        """Every output takes text as it is encoded, and nothing stands before them."""
        return not self.stages and not self._queues and all(output.encoder.relayable for output in self.outputs)

    def below_high_water(self, patience: float = math.inf, *, every: bool = True) -> bool:
        """Whether the way to the outputs, and every output's queue (or any one's), is at most half full. An output that has
        taken nothing for `patience` seconds holds up nobody: its queue drops what there is no room for."""
        if (found := self.statistics()) is not None and 2 * found.waiting > found.limit:
            return False
        rooms = [room for output in self.outputs if (room := output.has_room(patience)) is not None]
        return all(rooms) if every or not rooms else any(rooms)

    def most_unwritten(self, patience: float) -> int | None:
        """Metrics that may wait where no output has taken anything for `patience` seconds; None where one has, or has room."""
        if not self.outputs or any(output.has_room(patience) is not None for output in self.outputs):
            return None
        return max(output.plan.metric_buffer_limit for output in self.outputs)

    def flush_soon(self) -> None:
        """Ask every output to write what it has without waiting for its interval, and what is on the way to it."""
        if self._queues:
            self._queues.gathered.submit([], self.stages, lambda _: self._flush_soon())
        self._flush_soon()

    def _flush_soon(self) -> None:
        for output in self.outputs:
            output.flush_soon()


def _can_admit(output: RunningOutput, before: int, count: int) -> bool:
    # An empty queue takes any number, but one that will not be empty does not.
    return output.can_admit(before + count) and (not before or before + count <= output.plan.metric_buffer_limit)


async def _until_one(receipts: list[list[asyncio.Future[None]]]) -> None:
    """Wait until one output has it safe. Raises QueueFull where none has in the end."""
    waiting = {asyncio.ensure_future(until_safe(one)) for one in receipts}
    failures: list[BaseException | None] = []
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            failures += [task.exception() for task in done]
            if None in failures:
                return
        raise failures[-1] or AssertionError
    finally:
        for task in waiting:
            task.cancel()
