"""What is encoded and not yet delivered."""

from pyagent.buffer.batch import QueueBatch
from pyagent.buffer.block import Chunk, CompressedBlock, EncodedBlock, gzip, memory_of
from pyagent.buffer.memory_queue import MemoryQueue
from pyagent.buffer.queue import OutputQueue
from pyagent.buffer.queue_names import QueueName, StoredQueue, stored_queues
from pyagent.buffer.settings import BufferSettings
from pyagent.buffer.storage import StorageState
from pyagent.buffer.usage import Usage

__all__ = [
    "BufferSettings",
    "Chunk",
    "CompressedBlock",
    "EncodedBlock",
    "MemoryQueue",
    "OutputQueue",
    "QueueBatch",
    "QueueName",
    "StorageState",
    "StoredQueue",
    "Usage",
    "gzip",
    "memory_of",
    "stored_queues",
]
