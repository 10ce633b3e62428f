"""What is encoded and not yet delivered."""

from pyagent.buffer.batch import Batch, Chunk, Lines, Sealed, gzip, memory_of
from pyagent.buffer.memory import MemoryQueue

__all__ = ["Batch", "Chunk", "Lines", "MemoryQueue", "Sealed", "gzip", "memory_of"]
