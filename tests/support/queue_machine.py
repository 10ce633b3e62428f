"""An output's queue beside a model, on a disk that forgets."""

import random
from array import array
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from memory_disk import MemoryDisk

from pyagent.buffer import OutputQueue, QueueBatch
from pyagent.buffer.log.segments import SegmentLog
from pyagent.buffer.queue import DiskWork

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
