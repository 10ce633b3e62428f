"""The queue in memory, against a list as its model."""

import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pyagent.buffer import Chunk, CompressedBlock, MemoryQueue, QueueBatch, gzip, memory_of
from pyagent.lineprotocol import Encoded


@dataclass(frozen=True)
class NumberedBlock:
    """Encoded metrics whose text is their number."""

    first: int
    count: int

    @property
    def data(self) -> bytes:
        return b"".join(self._lines())

    @property
    def ends(self) -> "array[int]":
        ends, end = array("Q"), 0
        for line in self._lines():
            end += len(line)
            ends.append(end)
        return ends

    def _lines(self) -> list[bytes]:
        return [b"%d\n" % number for number in range(self.first, self.first + self.count)]

    @property
    def oldest(self) -> int:
        return self.first

    @property
    def newest(self) -> int:
        return self.first + self.count - 1


def numbers(batch: QueueBatch) -> list[int]:
    return [int(line) for line in batch.payload().split()]


def test_a_batch_joins_and_cuts_chunks() -> None:
    batch = QueueBatch([Chunk(NumberedBlock(0, 3)), Chunk(NumberedBlock(3, 4)).cut(1, 4)])
    assert (batch.count, batch.oldest, batch.newest) == (6, 0, 6)
    assert numbers(batch) == [0, 1, 2, 4, 5, 6]
    assert numbers(batch.slice(2, 5)) == [2, 4, 5]
    assert numbers(batch.slice(4, 4)) == []
    assert batch.size == len(batch.payload())


def test_a_compressed_payload_is_gzip_and_is_made_once() -> None:
    batch = QueueBatch([Chunk(NumberedBlock(0, 1000))])
    body = batch.payload("gzip")
    assert zlib.decompress(body, 31) == batch.payload()
    assert batch.payload("gzip") is body
    with pytest.raises(ValueError, match="unknown content encoding 'br'"):
        batch.payload("br")


@pytest.mark.parametrize("sealed", [False, True])
def test_a_batch_of_large_metrics_has_few_of_them(sealed: bool) -> None:
    text = b"".join(b"x" * (size << 20) for size in SIZES)
    ends = array("I", accumulate(size << 20 for size in SIZES))
    queue = MemoryQueue(100)
    queue.enqueue(CompressedBlock(gzip(text), ends, 1, 2) if sealed else Encoded(text, ends, 1, 2, []))
    found = []
    while (batch := queue.next_batch(4)) is not None:
        found.append([length >> 20 for length in batch.lengths()])
        queue.complete(batch)
    assert found == [[1, 1, 1, 1], [7, 8], [7], [20], [9, 7], [1]]
    assert queue.bytes == 0


SIZES = (1, 1, 1, 1, 7, 8, 7, 20, 9, 7, 1)
"""MiB of the metrics there: no batch has more than 16 MiB, but for a metric that is larger."""


def test_several_batches_may_be_under_way_and_end_in_any_order() -> None:
    queue = MemoryQueue(10)
    queue.enqueue(NumberedBlock(0, 6))
    first, second = queue.next_batch(2), queue.next_batch(2)
    assert first is not None
    assert second is not None
    assert len(queue) == 6
    queue.complete(second)
    queue.complete(first, [first])
    assert len(queue) == 4
    rest = queue.next_batch(10)
    assert rest is not None
    assert numbers(rest) == [0, 1, 4, 5]


def test_where_the_newest_go_the_oldest_stay() -> None:
    queue = MemoryQueue(4, drop_newest=True)
    queue.enqueue(NumberedBlock(0, 3))
    assert queue.enqueue(NumberedBlock(3, 3)) == 2
    rest = queue.next_batch(10)
    assert rest is not None
    assert numbers(rest) == [0, 1, 2, 3]


def test_bytes_are_a_bound_as_well() -> None:
    queue = MemoryQueue(1000, max_bytes=20)
    for number in range(100, 200):
        queue.enqueue(NumberedBlock(number, 1))
    assert queue.bytes <= 20
    assert len(queue) == 5
    assert queue.dropped == 95


def test_after_a_division_what_comes_in_goes_first() -> None:
    queue = MemoryQueue(100)
    queue.enqueue(NumberedBlock(0, 3))
    queue.split_backlog()
    queue.enqueue(NumberedBlock(3, 2))
    assert queue.fresh
    fresh, backlog = queue.next_batch(10), queue.next_batch(10)
    assert fresh is not None
    assert backlog is not None
    assert (numbers(fresh), numbers(backlog)) == ([3, 4], [0, 1, 2])
    queue.complete(backlog, [backlog.slice(1, 3)])
    assert not queue.fresh
    assert len(queue) == 4


def test_a_backlog_is_compressed_and_sent_as_it_is() -> None:
    queue = MemoryQueue(10_000, batch_size=100)
    for first in range(0, 1000, 10):
        queue.enqueue(NumberedBlock(first, 10))
    first_batch = queue.next_batch(100)
    assert first_batch is not None
    assert numbers(first_batch) == list(range(100))
    queue.complete(first_batch)
    batch = queue.next_batch(100)
    assert batch is not None
    assert [chunk.compressed_block is not None for chunk in batch.chunks] == [True]
    assert batch.payload("gzip") is batch.chunks[0].compressed_block.packed  # type: ignore[union-attr]
    assert (
        zlib.decompress(batch.payload("gzip"), 31) == batch.payload() == b"".join(b"%d\n" % n for n in range(100, 200))
    )
    assert (batch.oldest, batch.newest) == (100, 199)


def test_memory_that_queues_share_is_counted_once() -> None:
    shared, alone = NumberedBlock(0, 10), NumberedBlock(100, 5)
    one, other = MemoryQueue(100), MemoryQueue(100)
    for queue in (one, other):
        queue.enqueue(shared)
    one.enqueue(alone)
    one.next_batch(3)
    expected = sum(len(lines.data) + 8 * lines.count for lines in (shared, alone))
    assert memory_of([*one.held(), *other.held()]) == expected


def test_a_compressed_backlog_is_counted_by_what_it_takes() -> None:
    queue = MemoryQueue(10_000, batch_size=1000)
    for first in range(0, 4000, 100):
        queue.enqueue(NumberedBlock(first, 100))
    assert memory_of(queue.held()) < queue.size + 4 * 4000


def test_a_retry_uses_the_compressed_bytes() -> None:
    queue = MemoryQueue(100)
    queue.enqueue(NumberedBlock(0, 5))
    batch = queue.next_batch(10)
    assert batch is not None
    sent = batch.payload("gzip")
    queue.complete(batch, [batch])
    queue.enqueue(NumberedBlock(5, 2))
    again = queue.next_batch(10)
    assert again is not None
    assert again.payload("gzip").startswith(sent)
    assert numbers(again) == list(range(7))
    assert numbers(again.slice(3, 6)) == [3, 4, 5]


class QueueModel(RuleBasedStateMachine):
    """Every metric that is put in comes out once, in order, or is counted as dropped: oldest first, and never an
    acknowledged one."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = self.new_queue()
        self.next = 0
        self.waiting: list[int] = []
        self.pinned: set[int] = set()
        self.taken: list[int] = []
        self.batch: QueueBatch | None = None
        self.left = 0

    def new_queue(self) -> MemoryQueue:
        return MemoryQueue(20, batch_size=4)

    def new(self, count: int) -> NumberedBlock:
        lines = NumberedBlock(self.next, count)
        self.waiting += range(self.next, self.next + count)
        self.next += count
        return lines

    def evict(self) -> int:
        """What the model drops; returns how many."""
        excess = max(len(self.waiting) + len(self.taken) - 20, 0)
        gone = [number for number in self.waiting if number not in self.pinned][:excess]
        self.waiting = [number for number in self.waiting if number not in gone]
        self.left += len(gone)
        return len(gone)

    @rule(count=st.integers(0, 30))
    def enqueue(self, count: int) -> None:
        assert self.queue.enqueue(self.new(count)) == self.evict()

    @rule(count=st.integers(0, 30))
    def enqueue_pinned(self, count: int) -> None:
        held = len([number for number in self.waiting if number in self.pinned]) + len(self.taken)
        assert self.queue.can_admit(count) == (held == 0 or held + count <= 20)
        if self.queue.can_admit(count):
            self.pinned.update(range(self.next, self.next + count))
            assert self.queue.enqueue(self.new(count), pinned=True) == self.evict()

    @precondition(lambda self: self.batch is None)
    @rule(most=st.integers(1, 25))
    def next_batch(self, most: int) -> None:
        self.batch = self.queue.next_batch(most)
        self.taken, self.waiting = self.waiting[:most], self.waiting[most:]
        assert (numbers(self.batch) if self.batch else []) == self.taken

    @precondition(lambda self: self.batch is not None)
    @rule(start=st.integers(0, 25), stop=st.integers(0, 25))
    def complete(self, start: int, stop: int) -> None:
        assert self.batch is not None
        stop = max(start, stop)
        self.queue.complete(self.batch, [self.batch.slice(start, stop)])
        back = self.taken[start:stop]
        self.left += len(self.taken) - len(back)
        self.waiting = back + self.waiting
        self.batch, self.taken = None, []

    @precondition(lambda self: self.batch is None)
    @rule()
    def hand_over_to_a_successor(self) -> None:
        successor = self.new_queue()
        successor.enqueue(self.new(3))
        assert successor.adopt(self.queue) == self.evict()
        assert len(self.queue) == 0
        self.queue = successor

    @invariant()
    def adds_up(self) -> None:
        assert len(self.queue) == len(self.waiting) + len(self.taken)
        assert self.next == self.left + len(self.queue)
        expected = sum(len(b"%d\n" % number) for number in self.waiting + self.taken)
        assert self.queue.size == expected


class CompressedElsewhere(QueueModel):
    """Threads that compress are slow: whatever happens to the queue meanwhile, the same is true of it."""

    def __init__(self) -> None:
        self.under_way: list[tuple[Callable[[], None], Callable[[], None]]] = []
        super().__init__()

    def new_queue(self) -> MemoryQueue:
        return MemoryQueue(
            20,
            batch_size=4,
            compressor=lambda work, done: self.under_way.append((work, done)),
            worth_compressing=2,
            worth_a_thread=1,
        )

    @rule(which=st.integers(0, 3))
    def compress(self, which: int) -> None:
        if self.under_way:
            work, done = self.under_way.pop(which % len(self.under_way))
            work()
            done()

    @invariant()
    def bytes_add_up(self) -> None:
        assert self.queue.bytes == sum(chunk.memory_size for chunk in self.queue._all())


TestCompressedElsewhere = CompressedElsewhere.TestCase
TestCompressedElsewhere.settings = settings(max_examples=2 * settings.default.max_examples, stateful_step_count=30)


def test_what_is_compressed_elsewhere_takes_the_place_of_what_it_was_made_of() -> None:
    under_way: list[tuple[Callable[[], None], Callable[[], None]]] = []
    queue = MemoryQueue(
        10_000,
        batch_size=100,
        compressor=lambda work, done: under_way.append((work, done)),
        worth_a_thread=1,
    )
    for first in range(0, 300, 100):
        queue.enqueue(NumberedBlock(first, 100))
    [(work, done)] = under_way
    work()
    queue.enqueue(NumberedBlock(300, 100))  # one at a time: this one is for the next
    assert len(under_way) == 1
    loose = queue.bytes
    done()
    assert queue.bytes < loose
    found: list[int] = []
    while (batch := queue.next_batch(100)) is not None:
        found += numbers(batch)
        queue.complete(batch)
    assert found == list(range(400))


TestQueueModel = QueueModel.TestCase
TestQueueModel.settings = settings(max_examples=2 * settings.default.max_examples, stateful_step_count=30)
