"""What may stand between inputs and outputs: processors, which change metrics, and aggregators, which sum them up."""

from collections.abc import Sequence

from pyagent.api.metric import Metric
from pyagent.api.plugin import Accumulator, O_co, Plugin

__all__ = ["Aggregator", "Processor"]


class Processor(Plugin[O_co]):
    """Changes metrics on their way. There are two of each where aggregators are used: one before them, one after.

    It computes, and waits for nothing: what it is given are metrics on their way. An external one runs in a thread of its own
    and gets copies; while a call of it takes longer than a few seconds, metrics go on unprocessed.
    """

    def process(self, metrics: list[Metric]) -> list[Metric]:
        """What becomes of these metrics. They belong to the processor: it may change and return them."""
        raise NotImplementedError("the plugin defines no process(self, metrics)")


class Aggregator(Plugin[O_co]):
    """Sums up what passes by, and hands over the sum at the end of each period. An external one runs in a thread of its
    own, one call after the other."""

    def add(self, metrics: Sequence[Metric]) -> None:
        """Take these into account. They belong to others: never change or keep them."""
        raise NotImplementedError("the plugin defines no add(self, metrics)")

    def push(self, acc: Accumulator) -> None:
        """Hand over the period's result."""
        raise NotImplementedError("the plugin defines no push(self, acc)")

    def reset(self) -> None:
        """Begin a new period."""
        raise NotImplementedError("the plugin defines no reset(self)")
