"""What one room of the pipeline needs of the next one, without knowing it: inputs hand metrics to a `Sink` (the fanout is
one), an accumulator hands what must be acknowledged to an `IngestPort`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pyagent.api import Ingested, LineOptions, Metric, Parser
from pyagent.api.line_options import PrecisionName
from pyagent.lineprotocol import DefaultTags, Encoded

__all__ = ["IngestPort", "Lines", "Sink"]

T = TypeVar("T")

Lines = Mapping[LineOptions, Encoded]
"""The same metrics as lines, in the form of each output; at least one form, also without an output."""


class Sink(Protocol):
    """Where inputs hand metrics on. Everything belongs to the main loop."""

    def deliver(self, metrics: list[Metric], tags: DefaultTags = ()) -> None:
        """Queue what was gathered; `tags` are for metrics that have none of these keys. Never raises for what a metric
        holds."""

    def relay(self, data: bytes, now: int, precision: PrecisionName, tags: Mapping[str, str], round_to: int) -> Lines:
        """Line protocol, as every output wants it; from any thread, where this is `relayable`. Raises ParseError for the first
        bad line, and TooMuch."""

    def encode(self, metrics: list[Metric], tags: DefaultTags = ()) -> Lines:
        """The same of metrics; `tags` are for those that have none of these keys."""

    def deliver_lines(self, lines: Lines) -> None:
        """`deliver` for what `relay` and `encode` made."""

    async def deliver_pinned(self, metrics: list[Metric]) -> None:
        """Queue metrics that may be acknowledged once this returns. Raises QueueFull where they may not."""

    @property
    def relayable(self) -> bool:
        """Whether `relay_pinned` may be called: nothing on the way needs metrics."""

    async def relay_pinned(
        self,
        data: bytes,
        now: int,
        precision: PrecisionName,
        *,
        tags: Mapping[str, str],
        round_to: int,
        all_or_nothing: bool,
    ) -> Ingested:
        """`deliver_pinned` for line protocol of which no metrics are made. Raises QueueFull and TooMuch."""

    async def run_aside(self, size: int, work: Callable[[], T]) -> T:
        """What `work` makes of `size` bytes of text, in a thread where they are many. Raises what it raises."""

    def check_room(self) -> None:
        """Raises QueueFull where there is no room for one metric that has to be acknowledged: before the work of reading it."""

    def below_high_water(self, patience: float, *, every: bool = True) -> bool:
        """Whether every queue on the way (or any one output's) is at most half full; not asked of an output that has taken
        nothing for `patience` seconds."""

    def most_unwritten(self, patience: float) -> int | None:
        """Metrics that may wait where no output has taken anything for `patience` seconds; None where one has, or has room."""

    def flush_soon(self) -> None:
        """Write what is queued without waiting for the flush interval."""


class IngestPort(Protocol):
    """`acc.deliver` and `acc.ingest` of one input."""

    async def deliver(self, metrics: Sequence[Metric]) -> None:
        """Raises QueueFull."""

    async def ingest(
        self,
        pieces: Sequence[bytes],
        parser: Parser[Any] | None,
        precision: PrecisionName,
        tags: Mapping[str, str] | None,
        all_or_nothing: bool,
        adjust: Callable[[int, list[Metric]], list[Metric]] | None = None,
    ) -> Ingested:
        """Raises QueueFull and TooMuch."""
