"""Where metrics go in: what an input is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pyagent.api.line_options import PrecisionName
from pyagent.api.metric import Metric, MetricType
from pyagent.api.moved import renamed
from pyagent.api.parser import Parser

__all__ = ["Accumulator", "Ingested"]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of data: the number of metrics accepted, of lines (or pieces of data) rejected, the first messages."""

    accepted: int
    errors: tuple[str, ...] = ()
    rejected: int = 0
    texts: tuple[str, ...] = ()
    """For each of `errors` how the text at fault begins."""

    taken = renamed("Ingested", "taken", "accepted")
    bad = renamed("Ingested", "bad", "rejected")


class Accumulator(Protocol):
    """Where an input puts what it measured. Every method may be called from any thread."""

    def add(
        self,
        measurement: str,
        fields: Mapping[str, Any],
        tags: Mapping[str, Any] | None = None,
        time: int | float | datetime | None = None,
        kind: MetricType = MetricType.UNTYPED,
    ) -> None:
        """Add one metric. Values are converted by the table of `field_value`; what cannot be is dropped and counted.

        `time`: None is now; an int is nanoseconds since the epoch, a float seconds, a datetime needs its zone.
        """

    def add_metrics(self, metrics: Sequence[Metric]) -> None:
        """Add finished metrics, for inputs that parse. Those without fields are left out, as nothing can hold them."""

    def add_data(self, data: bytes, parser: Parser[Any], tags: Mapping[str, str] | None = None) -> None:
        """Add the metrics that `parser` makes of the data, each with those of `tags`, which replace its own. Line protocol goes
        to the outputs as text, where nothing on the way needs metrics. Raises what the parser raises, and then adds nothing."""

    async def deliver(self, metrics: Sequence[Metric]) -> None:
        """Hand over what a service input received. Returns once every output that has room has queued the metrics (on disk, if
        so configured); then acknowledge. Raises QueueFull: nothing was queued."""

    async def ingest(
        self,
        data: bytes | Sequence[bytes],
        parser: Parser[Any] | None = None,
        *,
        precision: PrecisionName = "ns",
        tags: Mapping[str, str] | None = None,
        all_or_nothing: bool = False,
        adjust: Callable[[int, list[Metric]], list[Metric]] | None = None,
    ) -> Ingested:
        """`deliver` for data as received, read by `parser`; without one they are line protocol with times of `precision`.

        Several pieces of data are read each by itself, and queued together. Metrics without a time get the present, and all
        get those of `tags` whose keys they do not have. Bad lines of line protocol, and pieces that another parser cannot
        read, cost no others; with `all_or_nothing` they cost everything. `adjust` changes the metrics that `parser` made of
        the piece of that index; it may raise ParseError. Raises QueueFull, and then nothing was taken, and TooMuch for data
        that become more than there is room for."""
