"""Between inputs and outputs: processors, aggregators, and processors again (reference: telegraf 1.5)."""

from collections.abc import Sequence

from pyagent.api import Metric
from pyagent.pipeline.stages.aggregators import RunningAggregator
from pyagent.pipeline.stages.processors import RunningProcessor

__all__ = ["ProcessorChain"]


class ProcessorChain:
    """All of them, in order. Without any, metrics pass untouched."""

    def __init__(
        self,
        before: Sequence[RunningProcessor] = (),
        aggregators: Sequence[RunningAggregator] = (),
        after: Sequence[RunningProcessor] = (),
    ) -> None:
        self.before = tuple(before)
        self.aggregators = tuple(aggregators)
        self.after = tuple(after)
        everything: tuple[RunningProcessor | RunningAggregator, ...] = (*self.before, *self.aggregators, *self.after)
        self.isolated = any(stage.isolated for stage in everything)
        """Some may take their time: metrics take the way of `pyagent.pipeline.stages.ordered_queue`."""
        self.max_in_flight = max((stage.max_in_flight for stage in everything), default=1)
        """Batches on the way at once."""

    def __bool__(self) -> bool:
        return bool(self.before or self.aggregators)

    def gathered(self, metrics: list[Metric]) -> list[Metric]:
        """What of the gathered metrics goes on to the outputs; aggregators have seen it."""
        return self.aggregate(self.processed(metrics))

    def processed(self, metrics: list[Metric]) -> list[Metric]:
        """What the first processors make of them."""
        for stage in self.before:
            metrics = stage(metrics)
        return metrics

    def passing(self, metrics: list[Metric]) -> list[Metric]:
        """What `aggregate` will let through; the aggregators have not seen it."""
        gone: set[int] = set()
        for aggregator in self.aggregators:
            gone |= aggregator.withheld(metrics)
        return [metric for metric in metrics if id(metric) not in gone] if gone else metrics

    def aggregate(self, metrics: list[Metric]) -> list[Metric]:
        """Have the aggregators see them; returns what goes on to the outputs."""
        gone: set[int] = set()
        for aggregator in self.aggregators:
            gone |= aggregator.add(metrics)
        return [metric for metric in metrics if id(metric) not in gone] if gone else metrics

    def aggregated(self, metrics: list[Metric]) -> list[Metric]:
        """What of an aggregator's result goes on to the outputs."""
        for stage in self.after:
            metrics = stage(metrics)
        return metrics
