"""How queues are bounded, and where they are kept."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["BufferSettings"]

DEFAULT_MAX_BYTES = 1 << 30
DEFAULT_MAX_PARTITIONS = 1000


@dataclass(frozen=True, slots=True)
class BufferSettings:
    """What the host's administrator decides about all queues."""

    directory: Path | None = None
    """Where queues are kept; None: in memory only, unless the configuration names a `buffer_directory`."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Most bytes of one queue; 0: no bound."""
    drop_newest: bool = False
    newest_first: bool = False
    max_partitions: int = DEFAULT_MAX_PARTITIONS
    """Most queues of one output that is divided by a tag."""
