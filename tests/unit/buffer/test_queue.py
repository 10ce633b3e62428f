"""An output's queue with its log, against a model, on a disk that forgets at a crash what was not synced."""

import asyncio
import logging
import random
from array import array
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from memory_disk import MemoryDisk

from pyagent.buffer import OutputQueue, QueueBatch
from pyagent.buffer.log.segments import SegmentLog
from pyagent.buffer.queue import DiskWork
from pyagent.lineprotocol import Encoded
from pyagent.pipeline.executors import InlineExecutor
from pyagent.pipeline.outputs.disk_writer import DiskWriter

HERE = Path("/state/queue")
LIMIT, BATCH = 60, 8


class Numbered:
    """Encoded metrics whose text is their number."""

    def __init__(self, first: int, count: int) -> None:
        rows = [b"%d\n" % number for number in range(first, first + count)]
        self.data = b"".join(rows)
        self.ends = array("I")
        for row in rows:
            self.ends.append(len(row) + (self.ends[-1] if self.ends else 0))
        self.count, self.oldest, self.newest = count, first + 1, first + count


def numbers(batch: QueueBatch) -> list[int]:
    return [int(line) for line in batch.payload().split()]


class PowerCut(BaseException):
    """In the middle of a call."""


def do(work: DiskWork | None) -> bool:
    """Do it; False where the disk did not let us."""
    if work is None:
        return True
    work.run()
    try:
        work.done()
    except OSError:
        return False
    return True


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


async def test_a_receipt_is_for_all_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.buffer.queue.FLUSH_BYTES", 1)
    queue = OutputQueue(1000)
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


class Machine(RuleBasedStateMachine):
    """Polled metrics and pinned ones come in, batches are taken, delivered and given back, the disk fails, and now and
    then everything is gone but what is on the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.choice = random.Random(0)
        self.disk = MemoryDisk()
        self.next = 0
        self.flushed: set[int] = set()
        """Numbers that a flush said are durable."""
        self.pinned: set[int] = set()
        self.delivered: list[int] = []
        self.batches: list[QueueBatch] = []
        self.left = 0
        """Metrics that left the queue of now by `complete`."""
        self.queue = self.new_queue()

    def new_queue(self) -> OutputQueue:
        queue = OutputQueue(LIMIT, BATCH)
        queue.start_persisting()
        log = SegmentLog(HERE, segment_size=400, files=self.disk)
        recovery = log.open("test")
        queue.attach(log, recovery)
        return queue

    @rule(count=st.integers(1, 20))
    def enqueue(self, count: int) -> None:
        self.queue.enqueue(Numbered(self.next, count))
        self.next += count

    @rule(count=st.integers(1, 20))
    def enqueue_pinned(self, count: int) -> None:
        if self.queue.can_admit(count):
            self.queue.enqueue(Numbered(self.next, count), pinned=True)
            self.pinned.update(range(self.next, self.next + count))
            self.next += count

    @rule()
    def flush_to_log(self) -> None:
        waiting = {int(line) for chunk in self.queue._tail._all() for line in bytes(chunk.text()).split()}
        if do(self.queue.flush_to_log()):
            self.flushed |= waiting

    @rule(most=st.integers(1, 12))
    def next_batch(self, most: int) -> None:
        do(self.queue.prefetch(most))
        if len(self.batches) < 3 and (batch := self.queue.next_batch(most)):
            self.batches.append(batch)

    @precondition(lambda self: self.batches)
    @rule(which=st.integers(0, 2), start=st.integers(0, 12), stop=st.integers(0, 12))
    def complete(self, which: int, start: int, stop: int) -> None:
        batch = self.batches.pop(which % len(self.batches))
        kept = [batch.slice(start, stop)] if start < min(stop, batch.count) else []
        back = {n for part in kept for n in numbers(part)}
        gone = [n for n in numbers(batch) if n not in back]
        self.delivered += gone
        self.left += len(gone)
        self.queue.complete(batch, kept)

    @precondition(lambda self: self.batches)
    @rule(which=st.integers(0, 2))
    def deliver(self, which: int) -> None:
        batch = self.batches.pop(which % len(self.batches))
        self.delivered += numbers(batch)
        self.left += batch.count
        self.queue.complete(batch)

    @rule()
    def commit(self) -> None:
        do(self.queue.commit())

    @rule(
        names=st.sets(st.sampled_from(["write", "sync", "create", "sync_directory", "truncate"]), max_size=3),
        left=st.integers(0, 3),
    )
    def break_disk(self, names: set[str], left: int) -> None:
        """The next calls of these fail, for ever or `left` times."""
        calls = {"left": left or 10**9}

        def fail(name: str) -> None:
            if name in names and calls["left"]:
                calls["left"] -= 1
                raise OSError(28, "No space left on device")

        self.disk.fail = fail

    @rule()
    def mend_disk(self) -> None:
        self.disk.fail = lambda name: None

    @rule(seed=st.integers(0, 2**32), power=st.booleans())
    def crash(self, seed: int, power: bool) -> None:
        self.batches.clear()
        self.left = 0
        assert self.queue.log is not None
        twice = bool(self.queue.log._cuts)  # the disk would not even let a failed write be undone
        dropped = self.queue.dropped
        safe = self.flushed - set(self.delivered)
        self.disk.crash(random.Random(seed), power=power)
        self.queue = self.new_queue()
        found = self.everything()
        # What was evicted may be back; what was flushed and neither delivered nor evicted must be.
        missing = safe - set(found)
        assert len(missing) <= dropped
        assert not missing & self.pinned
        assert twice or len(found) == len(set(found)), "twice on disk"
        assert set(found) <= set(range(self.next))
        # Go on with what is there. What was not flushed was promised to nobody.
        self.flushed = set(found)
        self.pinned &= set(found)

    @rule(
        calls=st.integers(0, 6),
        what=st.sampled_from(["flush_to_log", "commit"]),
        seed=st.integers(0, 2**32),
        power=st.booleans(),
    )
    def crash_within(self, calls: int, what: str, seed: int, power: bool) -> None:
        left = iter(range(calls))

        def fail(name: str) -> None:
            if next(left, None) is None:
                raise PowerCut

        self.disk.fail = fail
        try:
            do(getattr(self.queue, what)())
        except PowerCut:
            pass
        else:
            self.disk.fail = lambda name: None
            return
        self.crash(seed, power)

    def everything(self) -> list[int]:
        """What the queue gives, without taking it."""
        log = SegmentLog(HERE, segment_size=400, files=self.disk)
        self.disk.locks.clear()
        other = OutputQueue(LIMIT, BATCH)
        other.attach(log, log.open())
        found = []
        while do(other.prefetch(BATCH)) and (batch := other.next_batch(BATCH)):
            found += numbers(batch)
        return found

    @invariant()
    def sums_are_right(self) -> None:
        queue = self.queue
        assert len(queue) >= 0
        # Beside what is pinned, and until the next flush what has come in, as much again.
        assert len(queue) <= 3 * LIMIT + 40 + queue.restored

    def teardown(self) -> None:
        self.disk.fail = lambda name: None
        for batch in self.batches:
            self.queue.complete(batch, [batch])
        rest: list[int] = []
        for _ in range(200):
            do(self.queue.flush_to_log())
            do(self.queue.prefetch(BATCH))
            if batch := self.queue.next_batch(BATCH):
                rest += numbers(batch)
                self.queue.complete(batch)
            do(self.queue.commit())
        assert len(self.queue) == 0
        queue = self.queue
        assert queue.log is not None
        assert queue.log.committed >= max((segment.end for segment in queue.log.segments), default=0)
        assert queue.added + queue.restored == self.left + len(rest) + queue.dropped + queue.damaged
        assert not self.pinned - set(rest) - set(self.delivered), "pinned and not delivered"


# 100 lives, found anew in each run; faults/test_buffer_soak.py drives 400 further ones, and `make faults` 20,000.
Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestQueue = Machine.TestCase
