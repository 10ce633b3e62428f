"""Where a queue keeps what it holds."""

from enum import StrEnum

__all__ = ["StorageState"]


class StorageState(StrEnum):
    """The queue owns it; the disk writer asks for a change, and says what became of the disk.

    | state | log | what comes in | batches are of | listeners | left for |
    |---|---|---|---|---|---|
    | memory | closed, or empty | memory | memory | while there is room | OPENING, PERSISTING: it is asked to persist |
    | opening | not open yet | memory | nothing for 5 s, then memory | once it is open | PERSISTING: it is; DEGRADED: it fails |
    | persisting | works | memory, then the log | the log | after the sync | MEMORY: all is delivered; DEGRADED, FULL |
    | full | may not grow | memory, evicting | the log | refused | PERSISTING: there is room again |
    | degraded | takes nothing | memory, of 64 MiB | what is in memory | refused | PERSISTING: the disk works again |
    """

    MEMORY = "memory"
    OPENING = "opening"
    PERSISTING = "persisting"
    FULL = "full"
    DEGRADED = "degraded"
