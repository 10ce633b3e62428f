"""What a writer tells: how points fare, and what it raises."""

from dataclasses import dataclass

from pyagent.api.errors import PyagentError

__all__ = ["BufferFull", "NotDelivered", "Rejected", "Statistics", "WriterClosed"]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that was refused for good."""

    line: str
    reason: str
    """The server's words, or what is wrong with the line."""
    suspected: bool = False
    """The server stored a part of the batch and did not say which: this line may be stored."""


class BufferFull(PyagentError):
    """`max_points` or `max_bytes` wait, and `when_full` is "raise". The point was not taken."""


class WriterClosed(PyagentError):
    """The writer was closed."""


class NotDelivered(PyagentError):
    """`flush` could not deliver all within its timeout. Nothing is lost: it goes on."""

    def __init__(self, message: str, left: int) -> None:
        super().__init__(message)
        self.left = left
        """Points that wait."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What became of the points: taken + restored = waiting + delivered + rejected + dropped + lost + kept."""

    taken: int
    """Points that write(), write_lines() and write_frame() took."""
    restored: int
    """Points of processes before this one, found in the buffer directory."""
    waiting: int
    """Points that are not delivered yet."""
    delivered: int
    rejected: int
    """Points that the server refused for good."""
    refused: int
    """Lines and rows that were not taken: write_lines() and write_frame() pass them over."""
    dropped: int
    """Points that had to go because the buffer was full: `when_full="drop_oldest"`."""
    lost: int
    """Points that were on disk and cannot be read any more, and those that close() could not deliver."""
    kept: int
    """Points that close() left in the buffer directory."""
    last_success: float | None
    """When a batch was last taken, seconds since the epoch."""
    error: str
    """Why nothing is delivered at present; empty where it is."""
    last_error: str
    """The last failure, also where it is over."""
