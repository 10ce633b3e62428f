"""The queue owns where it keeps what it holds: one state, and the ways between them."""

import errno
from pathlib import Path

from memory_disk import MemoryDisk

from pyagent.api import Metric
from pyagent.buffer import OutputQueue
from pyagent.buffer.log.segments import SegmentLog
from pyagent.lineprotocol import encode


def flush(queue: OutputQueue) -> None:
    work = queue.flush_to_log()
    assert work is not None
    work.run()
    try:
        work.done()
    except OSError as error:
        queue.disk_failed(error)


def test_states() -> None:
    disk = MemoryDisk()
    queue = OutputQueue(1000)
    seen = [queue.storage]
    assert queue.start_persisting()
    assert not queue.start_persisting()
    seen.append(queue.storage)
    log = SegmentLog(Path("/log"), files=disk)
    queue.attach(log, log.open())
    seen.append(queue.storage)
    queue.enqueue(encode([Metric("m", {}, {"f": 1}, 1)]))

    def broken(name: str) -> None:
        if name in ("write", "create"):
            raise OSError(errno.EIO, "Input/output error")

    disk.fail = broken
    flush(queue)
    seen.append(queue.storage)
    assert not queue.can_admit(1)
    queue.stop_persisting()
    assert queue.persisting is (len(queue) > queue.unflushed)
    queue.start_persisting()
    disk.fail = lambda name: None
    flush(queue)
    seen.append(queue.storage)
    assert queue.disk_error is None
    queue.stop_persisting()
    assert queue.storage == "persisting"  # something is still in the log
    work = queue.prefetch(10)
    assert work is not None
    work.run()
    work.done()
    batch = queue.next_batch(10)
    assert batch is not None
    queue.complete(batch)
    queue.stop_persisting()
    seen.append(queue.storage)
    assert seen == ["memory", "opening", "persisting", "degraded", "persisting", "memory"]


def test_a_log_that_may_not_grow_is_full() -> None:
    disk = MemoryDisk()
    queue = OutputQueue(1000, max_bytes=1, drop_newest=True)
    queue.start_persisting()
    log = SegmentLog(Path("/log"), files=disk)
    queue.attach(log, log.open())
    queue.enqueue(encode([Metric("m", {}, {"f": "x" * 100}, 1)]), pinned=True)
    flush(queue)
    assert queue.storage == "full"
