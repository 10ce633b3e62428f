"""What the queues of one output hold together."""

from dataclasses import dataclass

__all__ = ["Usage"]


@dataclass(slots=True)
class Usage:
    """Sums that each queue keeps up to date, as there may be a thousand of them and adding up takes milliseconds."""

    metrics: int = 0
    """Held, without those that the next commit drops."""
    pinned: int = 0
    """Those that no eviction can remove."""
    dropped: int = 0
    """Those that there was no room for, since the start."""
