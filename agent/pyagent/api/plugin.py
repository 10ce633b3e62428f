"""The contracts of a plugin: what it is given and what it must provide. Everything else is the engine's work.

A plugin's name is its module's name; the module defines exactly one subclass of `Input` (or `Output`), besides
private bases (`_Base`).
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, get_args

from pyagent.api.about import About
from pyagent.api.measurements import Measurements
from pyagent.api.metric import Metric, MetricType
from pyagent.api.moved import renamed
from pyagent.api.options import NoOptions, Options

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from pyagent.api.parser import Parser
    from pyagent.api.serializer import Serializer

    O_co = TypeVar("O_co", bound=Options, default=NoOptions, covariant=True)
else:
    from typing import TypeVar

    O_co = TypeVar("O_co", bound=Options, covariant=True)

__all__ = [
    "Accumulator",
    "Batch",
    "CompressionName",
    "Ingested",
    "Input",
    "Limits",
    "LineOptions",
    "O_co",
    "Output",
    "Partition",
    "Plugin",
    "PrecisionName",
    "QueueFormat",
    "RawMetrics",
    "Serialized",
]


PrecisionName = Literal["ns", "us", "ms", "s"]


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

    async def deliver(self, metrics: Sequence[Metric]) -> None:
        """Hand over what a service input received. Returns once every output that has room has queued the metrics (on disk, if
        so configured); then acknowledge. Raises QueueFull: nothing was queued."""

    async def ingest(
        self,
        data: bytes | Sequence[bytes],
        parser: "Parser[Any] | None" = None,
        *,
        precision: PrecisionName = "ns",
        tags: Mapping[str, str] | None = None,
        all_or_nothing: bool = False,
        adjust: "Callable[[int, list[Metric]], list[Metric]] | None" = None,
    ) -> Ingested:
        """`deliver` for data as received, read by `parser`; without one they are line protocol with times of `precision`.

        Several pieces of data are read each by itself, and queued together. Metrics without a time get the present, and all
        get those of `tags` whose keys they do not have. Bad lines of line protocol, and pieces that another parser cannot
        read, cost no others; with `all_or_nothing` they cost everything. `adjust` changes the metrics that `parser` made of
        the piece of that index; it may raise ParseError. Raises QueueFull, and then nothing was taken, and TooMuch for data
        that become more than there is room for."""


class Plugin(Generic[O_co]):
    """What inputs and outputs have in common."""

    options_type: ClassVar[type[Options]] = NoOptions
    about: ClassVar[About] = About()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, Options):
                    cls.options_type = argument

    def __init__(self, options: O_co, log: logging.Logger) -> None:
        self.options: O_co = options
        self.log = log
        self.setup()

    def setup(self) -> None:
        """Check and prepare, without touching the network. Raise ConfigError for options that cannot work."""


class Input(Plugin[O_co]):
    """Measures something, each time it is asked.

    `gather` is `async def` or a plain `def` (that runs in a thread of its own). It raises for a failure: the engine logs
    it once per cause, counts it and calls again at the next tick; what was added before is kept. It never sleeps,
    retries, rounds times or adds the tag `host`, and does not know its interval.

    A service input, one that listens or subscribes, defines `start` as well; it hands over what it receives by
    `acc.deliver` or `acc.ingest`. It needs no `gather`.
    """

    measurements: ClassVar[Measurements] = ()
    compares: ClassVar[bool] = False
    """What a gather gives is a difference to the one before: --test and --once gather twice, half a second apart, and show what
    the second gives."""

    def __init__(
        self, options: O_co, log: logging.Logger, new_parser: "Callable[[], Parser[Any]] | None" = None
    ) -> None:
        self._new_parser = new_parser
        super().__init__(options, log)

    def new_parser(self) -> "Parser[Any]":
        """A parser of the `data_format`, for inputs whose options are `ParserOptions`. Raises ConfigError for options that
        it cannot work with."""
        if self._new_parser is None:
            raise RuntimeError("there is no parser: the options must inherit from ParserOptions")
        return self._new_parser()

    @cached_property
    def parser(self) -> "Parser[Any]":
        """One parser for all that the input reads. Look at it in `setup`, so that wrong options are told at the start."""
        return self.new_parser()

    def gather(self, acc: Accumulator) -> Awaitable[None] | None:
        """Measure once."""
        raise NotImplementedError("the plugin defines no gather(self, acc)")

    async def start(self, acc: Accumulator) -> None:
        """Begin to listen, and return; work goes on in tasks of its own. Raise for a failure, such as a port in use."""

    async def stop(self) -> None:
        """End what `start` began and give back connections. Called once, after the last gather; must be safe without any."""


CompressionName = Literal["gzip", "identity"]


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


class LineOptions:
    """How an output wants its line protocol (reference: telegraf 7)."""

    __slots__ = ("max_line_bytes", "omit_timestamp", "sort_fields", "uint_support")

    def __init__(
        self,
        *,
        uint_support: bool = False,
        sort_fields: bool = False,
        omit_timestamp: bool = False,
        max_line_bytes: int = 0,
    ) -> None:
        self.uint_support = uint_support
        self.sort_fields = sort_fields
        self.omit_timestamp = omit_timestamp
        self.max_line_bytes = max_line_bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LineOptions) and hash(self) == hash(other)

    def __hash__(self) -> int:
        return hash((self.uint_support, self.sort_fields, self.omit_timestamp, self.max_line_bytes))


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
        self, options: O_co, log: logging.Logger, new_serializer: "Callable[[], Serializer[Any]] | None" = None
    ) -> None:
        self._new_serializer = new_serializer
        super().__init__(options, log)

    @cached_property
    def serializer(self) -> "Serializer[Any]":
        """The serializer of the `data_format`, for outputs whose options are `SerializerOptions`. Look at it in `setup`, so
        that wrong options are told at the start: it raises ConfigError for them."""
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
