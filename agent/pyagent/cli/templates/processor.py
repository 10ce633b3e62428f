"""Adds a tag to metrics that have none of its key."""

from typing import Annotated

from pyagent.api import ConfigError, Metric, Options, Processor, option


class ExampleOptions(Options, frozen=True):
    value: Annotated[str, option("value of the tag")]
    key: Annotated[str, option("its key")] = "example"


class Example(Processor[ExampleOptions]):
    def setup(self) -> None:
        if not self.options.value:
            raise ConfigError("cannot add a tag: its value is empty; give one", option="value")

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for metric in metrics:
            metric.tags.setdefault(self.options.key, self.options.value)
        return metrics
