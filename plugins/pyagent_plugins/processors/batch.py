"""Numbers metrics in turn by a tag, so that several outputs or receivers can share them."""

from typing import Annotated

from pyagent.api import ConfigError, Metric, Options, Processor, option

__all__ = ["Batch", "BatchOptions"]


class BatchOptions(Options, frozen=True):
    batch_tag: Annotated[str, option("key of the tag, whose values are 0 to `batches` less 1")] = ""
    batches: Annotated[int, option("number of batches", ge=0)] = 0
    skip_existing: Annotated[bool, option("metrics that have the tag keep it, and are not counted")] = False


class Batch(Processor[BatchOptions]):
    def setup(self) -> None:
        if not self.options.batches:
            raise ConfigError("cannot divide metrics into 0 batches", option="batches")
        self._values = [str(number) for number in range(min(self.options.batches, 10_000))]
        self._count = 0

    def process(self, metrics: list[Metric]) -> list[Metric]:
        tag, values, batches = self.options.batch_tag, self._values, self.options.batches
        for metric in metrics:
            if self.options.skip_existing and tag in metric.tags:
                continue
            number = self._count
            metric.tags = {**metric.tags, tag: values[number] if number < len(values) else str(number)}
            self._count = (number + 1) % batches
        return metrics
