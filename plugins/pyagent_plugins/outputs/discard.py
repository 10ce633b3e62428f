"""Takes every batch and keeps nothing.

It is for measuring an agent, and for inputs that run for their side effects.
"""

from pyagent.api import Batch, Output

__all__ = ["Discard"]


class Discard(Output):
    async def write(self, batch: Batch) -> None:
        """Count the batch as delivered."""
