"""Where metrics lie on disk, as an output is told: the same after a restart, and never given to others."""

from pathlib import Path

from pyagent.api import LineOptions, Metric
from pyagent.buffer import Chunk, OutputQueue, QueueBatch
from pyagent.buffer.log.segments import SegmentLog
from pyagent.lineprotocol import Encoded, encode, pack
from pyagent.pipeline.outputs.record_format import record_format


def block(first: int, count: int) -> Encoded:
    return encode([Metric("m", {}, {"n": n}, n) for n in range(first, first + count)], LineOptions())


def opened(folder: Path) -> OutputQueue:
    queue = OutputQueue(10_000)
    log = SegmentLog(folder, sync=False)
    queue.attach(log, log.open())
    queue.start_persisting()
    return queue


def flush(queue: OutputQueue, first: int, count: int) -> None:
    queue.enqueue(block(first, count), pinned=True)
    work = queue.flush_to_log()
    assert work is not None
    work.run()
    work.done()


def taken(queue: OutputQueue, most: int) -> QueueBatch:
    if (work := queue.prefetch(most)) is not None:
        work.run()
        work.done()
    batch = queue.next_batch(most)
    assert batch is not None
    return batch


def described(batch: QueueBatch) -> list[tuple[tuple[int, int] | None, int, bytes]]:
    return [(part.position, part.count, part.payload()) for part in batch.parts()]


def test_positions_and_parts_are_the_same_after_a_restart_in_the_middle(tmp_path: Path) -> None:
    queue = opened(tmp_path / "q")
    flush(queue, 0, 5)
    flush(queue, 5, 100)
    before = described(taken(queue, 1000))
    assert [count for _, count, _ in before] == [5, 100]
    (log, first), (same, second) = before[0][0], before[1][0]
    assert (log, second - first) == (same, 5)
    assert queue.log is not None
    queue.log.close()  # nothing is committed
    again = opened(tmp_path / "q")
    flush(again, 105, 7)  # it is in the same batch now
    after = described(taken(again, 1000))
    assert after[:2] == before
    assert after[2][0] == (log, first + 105)
    assert again.log is not None
    again.log.close()


def test_of_a_part_that_is_cut_each_metric_has_its_own(tmp_path: Path) -> None:
    queue = opened(tmp_path / "q")
    flush(queue, 0, 100)
    batch = taken(queue, 1000)
    [whole] = batch.parts()
    assert whole.position is not None
    log, first = whole.position
    assert batch.slice(30, 60).position == (log, first + 30)
    assert batch.slice(98, 100).records() == [b"m n=98i 98\n", b"m n=99i 99\n"]
    assert queue.log is not None
    queue.log.close()


def test_metrics_in_memory_have_none_and_are_one_part() -> None:
    batch = QueueBatch([Chunk(block(0, 3)), Chunk(block(3, 2))])
    assert [(part.position, part.count) for part in batch.parts()] == [(None, 5)]
    assert len(batch.records()) == 5


def test_records_of_metrics_that_are_queued_as_such_are_written_one_by_one() -> None:
    batch = QueueBatch(
        [Chunk(pack([Metric("m", {}, {"n": n}, n) for n in range(3)]))], body=record_format(LineOptions())
    )
    assert batch.records() == [b"m n=0i 0\n", b"m n=1i 1\n", b"m n=2i 2\n"]
