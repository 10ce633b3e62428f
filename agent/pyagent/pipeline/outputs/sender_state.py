"""What a sender of an output may be at."""

from enum import StrEnum

__all__ = ["SenderState"]


class SenderState(StrEnum):
    """What a sender is at.

    | state | it writes | left for |
    |---|---|---|
    | idle | when the flush interval is over, or a batch is full | WRITING |
    | writing | now | IDLE: it was taken; RECOVERING: it was, after failures; BACKING_OFF, RATE_LIMITED |
    | backing off | after a pause that grows with each failure, or that the receiver asked for | WRITING |
    | rate limited | when the next period begins | WRITING |
    | recovering | the backlog, with a pause after each batch as long as it took | IDLE: the backlog is through; BACKING_OFF |
    | stopping | the last time | |
    """

    IDLE = "idle"
    WRITING = "writing"
    BACKING_OFF = "backing off"
    RATE_LIMITED = "rate limited"
    RECOVERING = "recovering"
    STOPPING = "stopping"
