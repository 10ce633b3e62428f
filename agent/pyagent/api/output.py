"""The contract of an output: what it is given to deliver, and what it says of itself."""

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol

from pyagent.api.line_options import CompressionName, LineOptions
from pyagent.api.metric import Metric
from pyagent.api.plugin import O_co, Plugin
from pyagent.api.serializer import Serializer

__all__ = ["Batch", "Limits", "Output", "Partition", "QueueFormat", "RawMetrics", "Serialized"]


class Batch(Protocol):
    """Metrics for one write, in the order they were gathered."""

    @property
    def count(self) -> int:
        """Number of metrics."""

    @property
    def oldest(self) -> int:
        """The earliest time in it at the most precise known, ns since the epoch."""

    @property
    def newest(self) -> int:
        """The latest time in it, ns since the epoch."""

    @property
    def partition(self) -> str | None:
        """The value of the partition's tag that all of it has; None where the output has no partitions, or for metrics
        without that tag."""

    def payload(self, encoding: CompressionName = "identity") -> bytes:
        """All of it as one body in the output's format, compressed if so named. The bytes are kept for a retry.

        Raises Reject where the format cannot hold some of it: let it pass."""

    def metrics(self) -> list[Metric]:
        """The metrics themselves, decoded anew each time: they belong to the caller. Kind and unsigned values are those that
        were gathered where the output's `queue_format` is `RawMetrics`; line protocol has neither.

        Raises Reject where they were serialized in a format that cannot be read again."""

    def records(self) -> list[bytes]:
        """Each metric as a body of its own, for outputs that send one message for each. Raises Reject as `payload`."""

    def slice(self, start: int, stop: int) -> "Batch":
        """The metrics from index `start` up to, not including, `stop`."""

    def parts(self) -> "Sequence[Batch]":
        """The batch in pieces that lie together on disk: they are cut alike when it is sent again, also after a restart, but
        where a batch begins or ends within one. Of metrics in memory there is one piece."""

    @property
    def position(self) -> tuple[int, int] | None:
        """Where the first metric lies on disk: the number of the log, and its own in that log. Those behind it in one of
        `parts` have the next numbers. No other metric that is safe there ever has it. None: it is in memory only."""


_ELEMENT = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME_OR_TAG = re.compile(r"""\s*\.(?:Name|Tag\s+["`](?P<key>[^"`\\]+)["`])\s*""")


@dataclass(frozen=True, slots=True)
class Serialized:
    """The output wants what a serializer makes. `documents`: of a batch as a whole (`serialize_batch`), not the records of
    its metrics."""

    serializer: "Serializer[Any]"
    documents: bool = False


@dataclass(frozen=True, slots=True)
class RawMetrics:
    """The output wants metrics and no text: it calls `batch.metrics()`."""


QueueFormat = LineOptions | Serialized | RawMetrics


@dataclass(frozen=True, slots=True)
class Partition:
    """What divides an output: each value has a queue, an order and a back-off of its own, and a batch holds metrics of one.

    It is one of: a `tag` (`exclude`: it is left out of what is queued), the `measurement`, or a `template` with
    `{{.Name}}` and `{{.Tag "key"}}` in it, as for a topic or a table; a tag that is missing is empty there. Metrics for which
    there is no value have no partition. There are at most as many as `--buffer-max-partitions` says; idle ones end.

    Raises ValueError for none of them or several, and for a template that cannot be used.
    """

    tag: str = ""
    exclude: bool = False
    measurement: bool = field(default=False, kw_only=True)
    template: str = field(default="", kw_only=True)
    leaves_out: tuple[str, ...] = field(default=(), kw_only=True)
    """Keys of further tags that are left out of what is queued, as those of a template."""

    def __post_init__(self) -> None:
        if bool(self.tag) + self.measurement + bool(self.template) != 1:
            raise ValueError("an output is divided by one of a tag, the measurement and a template")
        self.parts()

    def parts(self) -> tuple[str | None, ...]:
        """The template's pieces, in turn plain text and the key of a tag, which is None for the name of the measurement."""
        pieces: list[str | None] = []
        rest = 0
        for element in _ELEMENT.finditer(self.template):
            found = _NAME_OR_TAG.fullmatch(element[1])
            if found is None:
                raise ValueError(f'cannot use {element[0]} in a template: use {{{{.Name}}}} or {{{{.Tag "key"}}}}')
            pieces += [self.template[rest : element.start()], found["key"]]
            rest = element.end()
        return (*pieces, self.template[rest:])


@dataclass(frozen=True, slots=True)
class Limits:
    """`concurrent_writes`: calls of `write` at once, in each partition. `rate_bytes`: bytes of uncompressed text in each
    `rate_period` seconds, over all of them; 0 is no limit. `write_metrics`: metrics of one call of `write`, where that is fewer
    than the user's `metric_batch_size`; 0 is no limit."""

    concurrent_writes: int = 1
    rate_bytes: int = 0
    rate_period: float = 0.0
    write_metrics: int = 0


class Output(Plugin[O_co]):
    """Delivers batches somewhere. Back-off, batching, order and retries are the engine's.

    `write` returns when the batch is delivered, or raises Retry (kept), NotConnected (kept; `connect` is called again), Reject
    (refused for good), PartialWrite (all but some is stored) or TooLarge (the engine halves it). Any other exception counts as
    Retry. `write` is `async def`, or a plain `def` that runs in a
    thread of its own.
    """

    listens: ClassVar[bool] = False
    """Others come to it: `connect` is called at the start, and not before the first write."""

    def __init__(
        self, options: O_co, log: logging.Logger, new_serializer: Callable[[], Serializer[Any]] | None = None
    ) -> None:
        self._new_serializer = new_serializer
        super().__init__(options, log)
        if new_serializer is not None:
            self.serializer  # noqa: B018  # wrong options of the format are told at the start

    @cached_property
    def serializer(self) -> Serializer[Any]:
        """The serializer of the `data_format`, for outputs whose options are `SerializerOptions`. It is made at the start, and
        raises ConfigError for options that it cannot work with."""
        if self._new_serializer is None:
            raise RuntimeError("there is no serializer: the options must inherit from SerializerOptions")
        return self._new_serializer()

    def queue_format(self) -> QueueFormat:
        """What the engine is to make of metrics before it queues them: the records of the serializer, where there is one,
        else line protocol. Outputs that want the same share it."""
        return self.line_options() if self._new_serializer is None else Serialized(self.serializer)

    def line_options(self) -> LineOptions:
        """How the engine is to encode line protocol for this output, where its `queue_format` is not defined."""
        return LineOptions()

    def partition(self) -> Partition | None:
        """What divides the metrics, where anything does. The engine then gives whole batches of one value."""
        return None

    def limits(self) -> Limits:
        """What the engine is to keep to."""
        return Limits()

    def destination(self, partition: str | None) -> str:
        """Where the metrics of a partition go, for the log; empty where the output's name says it all."""
        return ""

    async def connect(self) -> None:
        """Prepare for writing; whatever it raises, it is called again after a pause. After NotConnected it is called once more,
        and gives back what is left of the connection before."""

    def write(self, batch: Batch) -> Awaitable[None] | None:
        """Deliver one batch."""
        raise NotImplementedError("the plugin defines no write(self, batch)")

    async def close(self) -> None:
        """Give back what `connect` took. Must be safe without it."""
