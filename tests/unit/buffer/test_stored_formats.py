"""What lies on disk: that of earlier versions is read, and each frame says what its records are."""

import shutil
from pathlib import Path

import pytest

from pyagent.api import Metric, MetricType, Uint
from pyagent.buffer import Chunk, OutputQueue, QueueBatch
from pyagent.buffer.log.frames import HEAD_SIZE, VERSION, VERSION_LINES, Head, Header
from pyagent.buffer.log.reader import LogReader
from pyagent.buffer.log.segments import SegmentLog
from pyagent.lineprotocol import Content, Encoded, encode, pack

STORED = Path(__file__).parent / "stored_before_formats"
"""A queue's folder that the version before there were formats left behind: 181 metrics, of which the first 4 are done with."""
FOLDER = "file%3A%3A0"


def written(number: int) -> Metric:
    """What the program that wrote the folder put in."""
    fields = {
        "value": number,
        "big": 2**63 - 1,  # an unsigned value, clipped
        "f": number / 3,
        "on": number % 2 == 0,
        "text": 'say "é" \\ , = \n\udcff',
    }
    return Metric("m", {"host": "a b", "n": str(number)}, fields, 1_700_000_000_000_000_000 + number)


def drain(queue: OutputQueue) -> list[QueueBatch]:
    batches = []
    while len(queue):
        if (work := queue.prefetch(1000)) is not None:
            work.run()
            work.done()
        batch = queue.next_batch(1000)
        assert batch is not None
        batches.append(batch)
        queue.complete(batch)
    return batches


def open_queue(folder: Path) -> OutputQueue:
    queue = OutputQueue(10_000)
    log = SegmentLog(folder)
    queue.attach(log, log.open())
    queue.start_persisting()
    return queue


def test_what_an_earlier_version_left_is_read(tmp_path: Path) -> None:
    folder = shutil.copytree(STORED / FOLDER, tmp_path / FOLDER)
    queue = open_queue(folder)
    assert len(queue) == 177
    pinned = queue.pinned
    assert pinned == 71  # those that somebody was told are safe, without one that was done with
    batches = drain(queue)
    lines = b"".join(batch.payload() for batch in batches)
    assert lines.count(b" 17000000000000") == 177
    metrics = [metric for batch in batches for metric in batch.metrics()]
    assert metrics == [written(number) for number in range(5, 182)]
    assert {batch.content for batch in batches} == {Content.LINES}
    assert queue.damaged == 0


def test_what_comes_in_joins_what_an_earlier_version_left(tmp_path: Path) -> None:
    folder = shutil.copytree(STORED / FOLDER, tmp_path / FOLDER)
    queue = open_queue(folder)
    new = Metric("new", {}, {"u": Uint(2**64 - 1)}, 5, MetricType.COUNTER)
    queue.enqueue(pack([new]))
    work = queue.flush_to_log()
    assert work is not None
    work.run()
    work.done()
    assert queue.log is not None
    queue.log.close()
    metrics = [metric for batch in drain(open_queue(folder)) for metric in batch.metrics()]
    assert metrics[:-1] == [written(number) for number in range(5, 182)]
    assert repr(metrics[-1]) == repr(new)


@pytest.mark.parametrize(
    ("encoded", "version"),
    [
        (encode([Metric("m", {}, {"f": 1}, 1)]), VERSION_LINES),
        (pack([Metric("m", {}, {"f": 1}, 1)]), VERSION),
    ],
)
def test_segments_of_line_protocol_are_as_they_were(tmp_path: Path, encoded: Encoded, version: int) -> None:
    """So that an earlier version of the agent reads them, and sets aside what it cannot."""
    log = SegmentLog(tmp_path)
    log.open()
    log.append([(QueueBatch([Chunk(encoded)]), False)])
    log.close()
    [segment] = tmp_path.glob("*.seg")
    data = segment.read_bytes()
    head, header = Head.at(data), Header.at(data, HEAD_SIZE)
    assert head is not None
    assert header is not None
    assert (head.version, header.content) == (version, encoded.content)


def test_another_content_begins_a_segment_of_its_own(tmp_path: Path) -> None:
    metric = Metric("m", {}, {"f": 1}, 1)
    log = SegmentLog(tmp_path)
    log.open()
    for encoded in (encode([metric]), encode([metric]), pack([metric]), encode([metric])):
        log.append([(QueueBatch([Chunk(encoded)]), False)])
    log.close()
    heads = [Head.at(path.read_bytes()) for path in sorted(tmp_path.glob("*.seg"))]
    assert [head.version for head in heads if head] == [VERSION_LINES, VERSION]
    again = SegmentLog(tmp_path)
    recovery = again.open()
    reader = LogReader(again, again.committed, recovery.absent)
    found = []
    while (frame := reader.read()) is not None:
        found.append(frame[0].content)
    assert found == [Content.LINES, Content.LINES, Content.METRICS, Content.LINES]
    again.close()


def test_a_content_of_later_versions_is_counted_as_damaged(tmp_path: Path) -> None:
    """It cannot be there, as such segments have another version: but nothing of it may be sent as something else."""
    log = SegmentLog(tmp_path)
    log.open()
    encoded = pack([Metric("m", {}, {"f": 1}, 1)])
    encoded.content = 77  # type: ignore[assignment]
    log.append([(QueueBatch([Chunk(encoded)]), False)])
    log.close()
    queue = open_queue(tmp_path)
    work = queue.prefetch(10)
    assert work is not None
    work.run()
    work.done()
    assert (queue.next_batch(10), queue.damaged) == (None, 1)


def test_a_batch_has_one_content() -> None:
    queue = OutputQueue(100)
    metric = Metric("m", {}, {"f": 1}, 1)
    for encoded in (encode([metric, metric]), pack([metric]), encode([metric])):
        queue.enqueue(encoded)
    counts = []
    while (batch := queue.next_batch(100)) is not None:
        counts.append((batch.count, batch.content))
        queue.complete(batch)
    assert counts == [(2, Content.LINES), (1, Content.METRICS), (1, Content.LINES)]
