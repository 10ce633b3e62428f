"""Plugins with mistakes: what mypy says of each, by the line."""

from typing import Annotated

from pyagent.api import (
    Accumulator,
    Aggregator,
    Batch,
    Duration,
    Input,
    Measurement,
    Metric,
    Options,
    Output,
    Parser,
    ParserOptions,
    Processor,
    Reject,
    Retry,
    Secret,
    SecretStore,
    Serializer,
    fields,
    option,
)


class OwnOptions(Options, frozen=True):
    path: Annotated[str, option("a path")] = 3  # E: [assignment]
    wait: Annotated[Duration, option("how long")] = "5s"  # E: [assignment]
    password: Annotated[Secret, option("secret")] = "x"  # E: [assignment]


class RequiredBehindOthers(ParserOptions, frozen=True):
    path: Annotated[str, option("required")]  # E: [misc]


class NotOptions:
    pass


class OfNoOptions(Input[NotOptions]):  # E: [type-var]
    pass


class Own(Input[OwnOptions]):
    measurements = [Measurement("m", fields=fields("integer", "1", n="n"))]  # E: [arg-type]

    def setup(self) -> None:
        self.options.path = "x"  # E: [misc]
        _ = self.options.pth  # E: [attr-defined]
        _ = self.options.password + "x"  # E: [operator]

    def gather(self, acc: Accumulator) -> None:
        acc.add("m", 3)  # E: [arg-type]
        acc.add("m", {"f": 1}, "tag")  # E: [arg-type]
        acc.add("m", {"f": 1}, {}, "now")  # E: [arg-type]
        acc.add("m", {"f": 1}, kind="counter")  # E: [arg-type]
        acc.add("m")  # E: [call-arg]
        acc.add_metrics(["m f=1"])  # E: [list-item]
        acc.deliver([])  # E: [unused-coroutine]
        acc.flush()  # E: [attr-defined]


class Returning(Input):
    def gather(self, acc: Accumulator) -> list[Metric]:  # E: [override]
        return []


class WithoutAccumulator(Input):
    def gather(self) -> None:  # E: [override]
        pass


class StartsAtOnce(Input):
    def start(self, acc: Accumulator) -> None:  # E: [override]
        pass


class WritesText(Output):
    def write(self, batch: str) -> None:  # E: [override]
        pass


class Writes(Output):
    def partition(self) -> str:  # E: [override]
        return "tag"

    async def write(self, batch: Batch) -> None:
        batch.payload("zstd")  # E: [arg-type]
        batch.count = 3  # E: [misc]
        raise Retry("busy", after="5s")  # E: [arg-type]

    async def close(self) -> None:
        raise Reject("no", 3)  # E: [arg-type]


class Gives(Processor):
    def process(self, metrics: list[Metric]) -> Metric:  # E: [override]
        return metrics[0]


class Fields(Processor):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        metrics[0].fields["f"] = object()  # E: [assignment]
        metrics[0].tags["t"] = 3  # E: [assignment]
        metrics[0].value = 3  # E: [attr-defined]
        return [Metric("m", {}, {"f": 1}, 1.5)]  # E: [arg-type]


class Sums(Aggregator):
    def add(self, metric: Metric) -> None:  # E: [override]
        pass


class Reads(Parser):
    def parse(self, data: str) -> list[Metric]:  # E: [override]
        return []


class Prints(Serializer):
    def serialize(self, metric: Metric) -> str:  # E: [override]
        return ""


class Vault(SecretStore):
    def get(self, key: str) -> bytes:  # E: [override]
        return b""
