"""Plugins as they are meant to be written: mypy has nothing to say of them but the types that are asked for."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, reveal_type

from pyagent.api import (
    Accumulator,
    Aggregator,
    Batch,
    ConfigError,
    Duration,
    Input,
    Limits,
    LineOptions,
    Measurement,
    Metric,
    MetricType,
    NoOptions,
    Options,
    Output,
    ParseError,
    Parser,
    ParserOptions,
    Partition,
    Processor,
    Reject,
    Retry,
    Secret,
    SecretStore,
    Serializer,
    SerializerOptions,
    Size,
    Uint,
    counters,
    fields,
    option,
)


class SpoolOptions(ParserOptions, frozen=True):
    folder: Annotated[str, option("folder to look into", reads_path=True)] = "/var/spool"
    timeout: Annotated[Duration, option("how long to wait", gt="0s")] = Duration("5s")
    limit: Annotated[Size, option("the largest file")] = Size("1MiB")
    password: Annotated[Secret, option("of the spooler")] = Secret("")
    mode: Annotated[Literal["fast", "safe"], option("how to look")] = "safe"


class Plain(Input):
    def gather(self, acc: Accumulator) -> None:
        reveal_type(self.options)  # N: pyagent.api.options.NoOptions
        acc.add("spool", {"files": 3, "full": True, "name": "x", "sum": Uint(5), "none": None}, {"queue": "mail"})
        acc.add("spool", {"files": 1.5}, time=1_700_000_000_000_000_000, kind=MetricType.GAUGE)
        acc.add("spool", {"files": 1.5}, time=datetime.now(UTC))


class Spool(Input[SpoolOptions]):
    measurements = (
        Measurement("spool", "", fields=fields("int", "1", files="files") | counters("uint", "bytes", read="r")),
    )

    def setup(self) -> None:
        reveal_type(self.options)  # N: SpoolOptions
        reveal_type(self.options.timeout)  # N: pyagent.api.units.Duration
        reveal_type(self.options.timeout.seconds)  # N: float
        reveal_type(self.options.password.reveal())  # N: str
        if not self.options.folder:
            raise ConfigError("cannot look into no folder", option="folder")

    async def gather(self, acc: Accumulator) -> None:
        metrics = self.parser.parse(b"m f=1")
        reveal_type(metrics)  # N: list[pyagent.api.metric.Metric]
        acc.add_metrics(metrics)


class Listening(Input[SpoolOptions]):
    async def start(self, acc: Accumulator) -> None:
        result = await acc.ingest([b"m f=1", b"m f=2"], self.new_parser(), tags={"a": "b"}, all_or_nothing=True)
        reveal_type(result.errors)  # N: tuple[str, ...]
        await acc.deliver([Metric("m", {}, {"f": 1}, 5)])

    async def stop(self) -> None: ...


class Lines(Output):
    def line_options(self) -> LineOptions:
        return LineOptions(uint_support=True)

    def partition(self) -> Partition:
        return Partition(template='{{.Tag "a"}}')

    def limits(self) -> Limits:
        return Limits(concurrent_writes=3)

    async def connect(self) -> None: ...

    async def write(self, batch: Batch) -> None:
        reveal_type(batch.payload("gzip"))  # N: bytes
        reveal_type(batch.metrics())  # N: list[pyagent.api.metric.Metric]
        reveal_type(batch.slice(0, batch.count))  # N: pyagent.api.output.Batch
        if batch.partition is None:
            raise Reject("none", indices=(0, 1))
        raise Retry("busy", after=5.0)


class PipeOptions(SerializerOptions, frozen=True, kw_only=True):
    path: Annotated[str, option("where to", writes=True)]


class Pipe(Output[PipeOptions]):
    def write(self, batch: Batch) -> None:
        reveal_type(self.serializer.serialize_batch([]))  # N: bytes
        reveal_type(self.options.data_format)  # N: str


class Changing(Processor):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        for metric in metrics:
            metric.tags["a"] = "b"
            metric.fields["f"] = Uint(3)
            reveal_type(metric.time)  # N: int
        return metrics


class Waiting(Processor[SpoolOptions]):
    max_in_flight = 10

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        return metrics

    async def stop(self) -> None: ...


class Summing(Aggregator):
    def add(self, metrics: Sequence[Metric]) -> None: ...

    def push(self, acc: Accumulator) -> None:
        acc.add("sum", {"n": 1})

    def reset(self) -> None: ...


class Words(Parser[NoOptions]):
    def parse(self, data: bytes) -> list[Metric]:
        if not data:
            raise ParseError("there is nothing", line=1)
        reveal_type(self.now())  # N: int
        return [Metric(self.measurement, dict(self.default_tags), {"n": len(data)}, self.now())]


class Written(Serializer):
    whole_batch = True

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        return self.encode_lines(metrics, LineOptions())


class Vault(SecretStore[Options]):
    def get(self, key: str) -> str:
        return ""

    def list(self) -> list[str]:
        return []
