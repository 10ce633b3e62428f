"""An output's queue with its log, against a model, on a disk that forgets at a crash what was not synced."""

import asyncio
import logging
from array import array
from pathlib import Path

from hypothesis import settings
from memory_disk import MemoryDisk
from queue_machine import HERE, Machine, Numbered, do

from pyagent.buffer import OutputQueue
from pyagent.buffer.log.segments import SegmentLog
from pyagent.lineprotocol import Encoded
from pyagent.pipeline.executors import InlineExecutor
from pyagent.pipeline.outputs.disk_writer import DiskWriter


def test_of_large_metrics_a_log_has_no_more_in_memory_than_two_batches() -> None:
    queue, size = OutputQueue(1000), 5 << 20
    queue.start_persisting()
    log = SegmentLog(HERE, files=MemoryDisk())
    queue.attach(log, log.open("test"))
    queue.enqueue(Encoded(b"x" * (8 * size), array("I", range(size, 9 * size, size)), 1, 2, []), pinned=True)
    assert do(queue.flush_to_log())
    found = []
    while do(queue.prefetch(1000)) and (batch := queue.next_batch(1000)):
        queue.complete(batch, [batch])  # a receiver that fails
        assert do(queue.prefetch(1000))
        assert sum(len(lines.data) for lines in queue.held()) <= 32 << 20
        batch = queue.next_batch(1000)
        assert batch is not None
        found.append(batch.count)
        queue.complete(batch)
    assert found == [3, 3, 2]


def test_what_waits_comes_to_the_disk_in_pieces() -> None:
    class Counting(MemoryDisk):
        largest = 0

        def write(self, descriptor: int, data: bytes, offset: int) -> None:
            self.largest = max(self.largest, len(data))
            super().write(descriptor, data, offset)

    disk, size = Counting(), 4 << 20
    queue = OutputQueue(1000)
    queue.start_persisting()
    log = SegmentLog(HERE, files=disk)
    queue.attach(log, log.open("test"))
    for number in range(16):
        queue.enqueue(Encoded(b"%d" % (number % 10) * size, array("I", [size]), 1, 2, []), pinned=True)
    flushes = 0
    while queue.unflushed:
        assert do(queue.flush_to_log())
        flushes += 1
    assert flushes == 4
    assert disk.largest < 5 * size
    found = []
    while do(queue.prefetch(1)) and (batch := queue.next_batch(1)):
        found.append(int(batch.payload()[:1]))
        queue.complete(batch)
    assert found == [number % 10 for number in range(16)]


async def test_a_receipt_is_for_all_pieces(tmp_path: Path) -> None:
    queue = OutputQueue(1000, flush_bytes=1)
    disk_writer = DiskWriter(
        queue,
        tmp_path / "queue",
        identity="test",
        always=True,
        sync=False,
        passing=False,
        executor=InlineExecutor(),
        log=logging.getLogger("test"),
    )
    disk_writer.begin()
    running = asyncio.create_task(disk_writer.run())
    await disk_writer.ready.wait()
    for number in range(10):
        queue.enqueue(Numbered(number, 1), pinned=True)
    receipt = disk_writer.receipt()
    assert receipt is not None
    await receipt
    assert queue.safe
    running.cancel()
    await disk_writer.close()


# Found anew in each run; faults/test_buffer_soak.py drives 400 further lives, and `make faults` 20,000.
Machine.TestCase.settings = settings(stateful_step_count=40)
TestQueue = Machine.TestCase
