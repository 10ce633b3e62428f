"""From inputs to outputs: encode what was gathered once for all outputs that want the same bytes, and queue it."""

from collections.abc import Iterable

from pyagent.api import LineOptions, Metric
from pyagent.lineprotocol import Encoded, encode
from pyagent.pipeline.delivery import OutputRunner

__all__ = ["Route"]


class Route:
    """The outputs that there are now. `deliver` is called on the main loop with whole gathers."""

    def __init__(self, outputs: Iterable[OutputRunner] = ()) -> None:
        self.outputs: tuple[OutputRunner, ...] = tuple(outputs)

    def deliver(self, metrics: list[Metric]) -> None:
        """Queue metrics for every output. Never raises for what a metric holds: what cannot be encoded is counted there."""
        encoded: dict[LineOptions, Encoded] = {}
        for output in self.outputs:
            if output.naming:
                output.append(encode(output.renamed(metrics), output.line_options))
                continue
            lines = encoded.get(output.line_options)
            if lines is None:
                lines = encoded[output.line_options] = encode(metrics, output.line_options)
            output.append(lines)

    def has_room(self) -> bool:
        """Whether every output's queue is at most half full."""
        return all(2 * len(output.queue) <= output.queue.limit for output in self.outputs)

    def flush_soon(self) -> None:
        """Ask every output to write what it has without waiting for its interval."""
        for output in self.outputs:
            output.flush_soon()
