"""Takes every batch and keeps nothing: to measure an agent, or to run inputs for their side effects."""

from pyagent.api import Batch, Output

__all__ = ["Discard"]


class Discard(Output):
    async def write(self, batch: Batch) -> None:
        """Count the batch as delivered."""
