"""What does the buffer on disk cost, and how soon is it there again?

Throughput: metrics of 4 tags and 8 fields (about 255 bytes, each a series of its own) are queued, 1,000 at a time, synced
to disk in groups of 10, read back, compressed as they would be sent, and acknowledged, in one process that does everything
in turn; with fsync and without. Outage: as many metrics as come in an hour, 10,000 a second, are queued and synced while
nothing is delivered, in a process of its own, whose memory is read in the end. Recovery: the time to open a backlog.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _common import metrics
from _report import Row, print_report, versions
from pyagent.buffer import OutputQueue
from pyagent.buffer.log.segments import SegmentLog
from pyagent.buffer.queue import DiskWork
from pyagent.lineprotocol import Encoded, encode

RUNS, ROUNDS, GROUP, SIZE = 3, 30, 10, 1000
HOUR, RATE = 3600, 10_000
TELEGRAF = "Telegraf 1.40: 982 of 68,600 acknowledged lost in ten kills; 880 bytes of memory per metric (another run)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs (default {RUNS})")
    parser.add_argument("--seconds", type=int, default=HOUR, help=f"simulated seconds of the outage (default {HOUR})")
    parser.add_argument("--directory", default="", help="where to write (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    parser.add_argument("--outage", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.outage:
        return _outage(Path(given.outage), given.seconds)

    pieces = [metrics(SIZE, first=SIZE * number, seed=number) for number in range(20)]
    synced, unsynced = [], []
    for _ in range(given.runs):
        for sync, rates in ((True, synced), (False, unsynced)):
            with tempfile.TemporaryDirectory(dir=given.directory or None) as folder:
                rates.append(_throughput(Path(folder), pieces, sync=sync))
    share = [100 * (1 - with_ / without) for with_, without in zip(synced, unsynced, strict=True)]
    with tempfile.TemporaryDirectory(dir=given.directory or None) as folder:
        command = [sys.executable, __file__, "--outage", folder, "--seconds", str(given.seconds)]
        memory, grown, size = map(float, subprocess.check_output(command, text=True).split())
        recovery = [_recovery(Path(folder)) / (size / 1e8) for _ in range(given.runs)]
    held = given.seconds * RATE
    rows = [
        Row.of("durable queue, fsync: throughput", "metrics/s", synced, goal=150_000),
        Row.of("durable queue, no fsync: throughput", "metrics/s", unsynced),
        Row.of("share of fsync in the time", "%", share),
        Row.of(f"an outage of {held:,} metrics: resident memory", "MiB", [memory], limit=150, beside=TELEGRAF),
        Row.of(f"an outage of {held:,} metrics: memory gained", "MiB", [grown]),
        Row.of(f"an outage of {held:,} metrics: on disk", "MB", [size / 1e6]),
        Row.of("recovery of 100 MB on disk", "s", recovery),
    ]
    return print_report("What does the buffer on disk cost?", rows, versions("isal", "uvloop"), as_json=given.json)


def _do(work: DiskWork | None) -> None:
    if work is not None:
        work.run()
        work.done()


def _queue(folder: Path, *, sync: bool = True) -> OutputQueue:
    queue = OutputQueue(HOUR * RATE * 2, SIZE)
    queue.start_persisting()
    log = SegmentLog(folder, sync=sync)
    queue.attach(log, log.open())
    return queue


def _throughput(folder: Path, pieces: list[list[object]], *, sync: bool) -> float:
    """Metrics a second, from the metric to its acknowledged delivery."""
    queue = _queue(folder, sync=sync)
    count = 0
    start = time.perf_counter()
    for round_ in range(ROUNDS):
        for number in range(GROUP):
            queue.enqueue(encode(pieces[(round_ * GROUP + number) % len(pieces)]))  # type: ignore[arg-type]
        _do(queue.flush_to_log())
        while len(queue):
            _do(queue.prefetch(SIZE))
            batch = queue.next_batch(SIZE)
            assert batch is not None
            batch.payload("gzip")
            queue.complete(batch)
            count += batch.count
        _do(queue.commit())
    taken = time.perf_counter() - start
    _do(queue.close())
    return count / taken


def _outage(folder: Path, seconds: int) -> int:
    """Fill a queue; prints resident memory and its growth in MiB, and the bytes on disk."""
    queue = _queue(folder)
    pieces: list[Encoded] = [encode(metrics(RATE, first=RATE * number, seed=number)) for number in range(3)]
    before = _resident()
    for second in range(seconds):
        queue.enqueue(pieces[second % len(pieces)])
        _do(queue.flush_to_log())
    assert len(queue) == seconds * RATE
    print(_resident(), _resident() - before, queue.disk_bytes)
    _do(queue.close())
    return 0


def _recovery(folder: Path) -> float:
    start = time.perf_counter()
    log = SegmentLog(folder)
    log.open()
    taken = time.perf_counter() - start
    log.close()
    return taken


def _resident() -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
