"""An output's queue: in memory, on disk, or the one behind the other.

What comes in waits in memory, in `tail`. While the queue is `persisting`, it is brought to the log, in groups, and taken for
writing from there; where the log cannot be written it goes on in memory until it can. What came from the log and is done
with moves the log's cursor.

Everything here belongs to the main loop and never waits, but for the `run` of a DiskWork: that blocks and belongs to the
disk's thread. One DiskWork at a time: ask for it, run it, and call its `done` before asking for the next.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from pyagent.buffer.batch import QueueBatch
from pyagent.buffer.block import Chunk, EncodedBlock
from pyagent.buffer.log.offsets import OffsetSet, offsets_done
from pyagent.buffer.log.reader import LogReader
from pyagent.buffer.log.segments import SEGMENT_SIZE, Recovery, SegmentLog
from pyagent.buffer.log.window import LogWindow, Prefetched
from pyagent.buffer.memory_queue import Compressor, MemoryQueue, batches_of
from pyagent.buffer.storage import StorageState
from pyagent.buffer.usage import Usage

__all__ = ["DiskWork", "OutputQueue", "SizeLimit"]

MEMORY_BESIDE_DISK = 64 << 20
"""Bytes that may wait in memory for a disk that fails, however many metrics the queue may hold."""

FLUSH_BYTES = 2 * SEGMENT_SIZE
"""What one flush brings to the disk, about: it is in memory twice more meanwhile, compressed and put together."""


class SizeLimit(OSError):
    """The log may not grow further: what is in it must not be dropped."""


class DiskWork:
    """`run()`, blocking, in the disk's thread; then `done()` on the main loop, whatever came of it. `done` raises the OSError
    of a disk that did not take it; nothing is lost then."""

    def __init__(self, work: Callable[[], None], done: Callable[[OSError | None], None]) -> None:
        self._work = work
        self._done = done
        self._error: OSError | None = None

    def run(self) -> None:
        try:
            self._work()
        except OSError as error:
            self._error = error

    def done(self) -> None:
        self._done(self._error)
        if self._error is not None:
            raise self._error


class OutputQueue:
    """Bounded by `limit` metrics and `max_bytes` (0: no bound) of text as it is kept.

    What a listener acknowledges is enqueued pinned, and is never evicted. Polled metrics that there is no room for are
    dropped and counted: the oldest, or with `drop_newest` what comes in. A batch counts until it is completed.
    Invariant: added + restored = left by `complete` + dropped + damaged + len(queue).

    `newest_first`: after `split_backlog`, what comes in is taken before what waits.
    """

    def __init__(
        self,
        limit: int,
        batch_size: int = 1000,
        *,
        max_bytes: int = 0,
        drop_newest: bool = False,
        newest_first: bool = False,
        usage: Usage | None = None,
        compressor: Compressor | None = None,
        flush_bytes: int = FLUSH_BYTES,
    ) -> None:
        """`flush_bytes`: what one flush brings to the log, at the most by one block more."""
        self.limit = limit
        self.max_bytes = max_bytes
        self.added = 0
        self.restored = 0
        """Metrics found on disk, those among them that are damaged, too."""
        self.damaged = 0
        """Metrics that were on disk and cannot be read any more."""
        self.damaged_bytes = 0
        """Bytes of the log that hold none, though they should."""
        self.set_aside = 0
        """Files of it that were not understood, or belong to another log, and were put elsewhere."""
        self._persisting = False
        self._disk_error: OSError | None = None
        self._log: SegmentLog | None = None
        self._batch_size = batch_size
        self._drop_newest = drop_newest
        self._newest_first = newest_first
        self._flush_bytes = flush_bytes
        self._tail = MemoryQueue(limit, batch_size, max_bytes=max_bytes, drop_newest=drop_newest, compressor=compressor)
        self._windows: list[LogWindow] = []
        self._flushing: list[Chunk] = []
        self._in_flight: list[tuple[QueueBatch, LogWindow]] = []
        self._done_offsets = OffsetSet()
        self._pinned_on_disk = 0
        """Metrics in the log that somebody was told are safe."""
        self._dropped_on_disk = 0
        self._stuck = False
        """The oldest in the log must not be dropped: what comes in gives way."""
        self._due = 0
        """Metrics of the log that the next flush drops, for `evict`."""
        self._usage = usage or Usage()
        self._counted = Usage()
        """This queue's part of it."""

    # Where it keeps it ------------------------------------------------------------------------------------------------

    @property
    def storage(self) -> StorageState:
        if self._disk_error is not None:
            return StorageState.FULL if isinstance(self._disk_error, SizeLimit) else StorageState.DEGRADED
        if not self._persisting:
            return StorageState.MEMORY
        return StorageState.OPENING if self._log is None else StorageState.PERSISTING

    @property
    def persisting(self) -> bool:
        """What it holds is to be in the log."""
        return self._persisting

    @property
    def disk_error(self) -> OSError | None:
        """Why the log takes nothing, where it does not."""
        return self._disk_error

    @property
    def log(self) -> SegmentLog | None:
        """None: it is not open."""
        return self._log

    def start_persisting(self) -> bool:
        """From now on what it holds is to be in the log; returns whether that is new."""
        before, self._persisting = self._persisting, True
        return not before

    def stop_persisting(self) -> None:
        """The log is left alone again, where all that it had is delivered."""
        if self._persisting and len(self) <= self.unflushed:
            self._persisting = False

    def disk_failed(self, error: OSError) -> None:
        """It could not be opened, or not be used."""
        self._disk_error = error

    def disk_works(self) -> None:
        """Also where there was nothing to write: the next who asks will see."""
        self._disk_error = None

    # What it holds ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return (
            len(self._tail)
            + sum(map(len, self._windows))
            + sum(map(len, self._flushing))
            + sum(batch.count for batch, _ in self._in_flight)
        )

    @property
    def waiting(self) -> int:
        """Metrics that are not in a batch just being written."""
        return self._tail.waiting + sum(map(len, self._windows)) + sum(map(len, self._flushing))

    @property
    def dropped(self) -> int:
        """Metrics that there was no room for."""
        return self._tail.dropped + self._dropped_on_disk

    @property
    def size(self) -> int:
        """Bytes: of the text in memory, and of the log's files."""
        in_memory = self._tail.size + sum(chunk.size for chunk in self._flushing)
        return in_memory + (self._log.size if self._log and any(map(len, self._windows)) else 0)

    @property
    def disk_bytes(self) -> int:
        return self._log.size if self._log else 0

    def held(self) -> Iterator[EncodedBlock]:
        """What is kept in memory, each piece once or more; queues of equal outputs hold the same pieces."""
        chunks = [*self._flushing, *chain.from_iterable(window.chunks for window in self._windows)]
        chunks += [chunk for batch, _ in self._in_flight for chunk in batch.chunks]
        return chain(self._tail.held(), (chunk.block for chunk in chunks))

    @property
    def oldest(self) -> int:
        """The earliest time known of what is held, ns since the epoch; 0 when empty or unknown."""
        times = [window.oldest for window in self._windows] + [batch.oldest for batch, _ in self._in_flight]
        times += [chunk.block.oldest for chunk in self._flushing[:1]] + [self._tail.oldest]
        return min((time for time in times if time), default=0)

    @property
    def gives_backlog(self) -> bool:
        """True if the next batch comes from the backlog that `split_backlog` set aside."""
        source = self._source()
        return source is not None and (
            source is not self._sources()[0] or (source is self._tail and not self._tail.fresh)
        )

    # What comes in ----------------------------------------------------------------------------------------------------

    def enqueue(self, block: EncodedBlock, *, pinned: bool = False) -> int:
        """Take in encoded metrics; `pinned`: they stay whatever comes (ask `can_admit` first). Returns how many had no room."""
        self.added += block.count
        dropped = self._tail.enqueue(block, pinned=pinned) + self._evict()
        self._changed()
        return dropped

    def can_admit(self, count: int) -> bool:
        """Whether so many may be pinned. An empty queue takes any number, else a large body would never fit."""
        if self._persisting and self._disk_error:
            return False
        pinned = self._pinned_on_disk + sum(len(chunk) for chunk in self._flushing if chunk.pinned)
        if not pinned:
            return self._tail.can_admit(count)
        return pinned + self._tail.pinned + count <= self.limit

    @property
    def pinned(self) -> int:
        """Metrics that no eviction can remove."""
        flushing = sum(len(chunk) for chunk in self._flushing if chunk.pinned)
        return self._pinned_on_disk + flushing + self._tail.pinned

    @property
    def evictable(self) -> int:
        """Metrics that `evict` can drop."""
        return self._tail.evictable + self._unread_evictable - self._due

    @property
    def _unread_evictable(self) -> int:
        """Those in the log that a flush can drop: nobody was told that they are safe, and they are not in memory."""
        if self._drop_newest or not self._on_disk:
            return 0
        unread = next((window.unread for window in self._windows if window.unread), 0)
        return max(min(unread, sum(map(len, self._windows)) - self._pinned_on_disk), 0)

    def evict(self, count: int) -> int:
        """Drop up to so many of those that may go, the oldest (with `drop_newest`: the newest); returns how many go. Those in
        the log go with the next flush."""
        in_log = min(count, self._unread_evictable - self._due)
        self._due += in_log
        gone = in_log + (self._tail.evict(count - in_log) if count > in_log else 0)
        self._changed()
        return gone

    def _changed(self) -> None:
        usage, counted = self._usage, self._counted
        if self._due:
            self._due = min(self._due, self._unread_evictable)
        metrics, pinned, dropped = len(self) - self._due, self.pinned, self.dropped
        usage.metrics += metrics - counted.metrics
        usage.pinned += pinned - counted.pinned
        usage.dropped += dropped - counted.dropped
        counted.metrics, counted.pinned, counted.dropped = metrics, pinned, dropped

    def _evict(self) -> int:
        excess = len(self) - self.limit
        if excess <= 0 or (self._on_disk and not self._stuck and not self._drop_newest):
            return 0  # the oldest are in the log, and go with the next flush
        return self._tail.evict(min(excess, self._tail.waiting))

    @property
    def _on_disk(self) -> bool:
        error = self._disk_error
        return self._persisting and self._log is not None and (not error or isinstance(error, SizeLimit))

    # What goes out ----------------------------------------------------------------------------------------------------

    def next_batch(self, most: int) -> QueueBatch | None:
        """Up to `most` metrics; None where there are none in memory (see `prefetch`). `complete` it in the end."""
        source = self._source()
        if not isinstance(source, LogWindow):
            return source.next_batch(most) if source is not None else None
        batch = source.next_batch(most)
        if batch is not None:
            self._in_flight.append((batch, source))
        return batch

    def complete(self, batch: QueueBatch, requeue: Iterable[QueueBatch] = ()) -> None:
        """End a batch that was taken: `requeue`, parts of it in order, go back to the front; all else has left the queue."""
        index = next((i for i, (taken, _) in enumerate(self._in_flight) if taken is batch), None)
        if index is None:
            self._tail.complete(batch, requeue)
            self._changed()
            return
        _, window = self._in_flight.pop(index)
        parts = list(requeue)
        for chunk, start, stop in offsets_done(batch.chunks, parts):
            number: int = chunk.block.number  # type: ignore[attr-defined]  # these come from the log
            self._done_offsets.add(number + start, number + stop)
            if chunk.pinned:
                self._pinned_on_disk -= stop - start
        window.give_back(parts)
        if len(self) <= self.limit:
            self._stuck = False
        self._changed()

    def split_backlog(self) -> DiskWork | None:
        """From now on what comes in is taken before what waits now."""
        if not self._newest_first:
            return None
        self._tail.split_backlog()
        log = self._log
        if log is None or not len(last := self._windows[-1]):
            return None
        if len(self._windows) > 1 and (len(self._windows[0]) or self._is_taken(self._windows[0])):
            return None  # what was put behind before is not through yet
        fresh: list[LogWindow] = []

        def work() -> None:
            last.reader.stop = log.next
            fresh.append(LogWindow(LogReader(log, log.next)))

        def done(_: OSError | None) -> None:
            for window in self._windows[:-1]:
                window.reader.close()
            self._windows = [last, *fresh]

        return DiskWork(work, done)

    def _is_taken(self, window: LogWindow) -> bool:
        return any(source is window for _, source in self._in_flight)

    def _sources(self) -> list["LogWindow | MemoryQueue"]:
        """In the order in which they are taken from."""
        sources: list[LogWindow | MemoryQueue] = [*self._windows]
        if not self._on_disk:
            sources.append(self._tail)
        return sources[::-1] if self._newest_first else sources

    def _source(self) -> "LogWindow | MemoryQueue | None":
        sources = self._sources()
        return next((s for s in sources if (s.waiting if isinstance(s, MemoryQueue) else len(s))), None)

    # The disk ---------------------------------------------------------------------------------------------------------

    def attach(self, log: SegmentLog, recovery: Recovery) -> None:
        """Use this log, which is open, and what was found in it."""
        self._log = log
        self._done_offsets = OffsetSet(log.committed)
        start = log.committed if recovery.waiting else log.next
        self._windows = [LogWindow(LogReader(log, start, recovery.absent), recovery.waiting, recovery.oldest)]
        if not recovery.waiting:
            self._done_offsets.add(log.committed, log.next)
        elif self._newest_first:
            self._windows[0].reader.stop = log.next
            self._windows.append(LogWindow(LogReader(log, log.next)))
        self.restored += recovery.waiting + recovery.lost_metrics
        self.damaged += recovery.lost_metrics
        self.damaged_bytes += recovery.damaged_bytes
        self.set_aside = recovery.aside
        self._pinned_on_disk = recovery.pinned_waiting
        self._changed()

    @property
    def unflushed(self) -> int:
        """Metrics that wait in memory, and are in no flush under way."""
        return self._tail.waiting

    @property
    def written_from_memory(self) -> bool:
        """Whether a batch is being written that no log has: it may come back."""
        return len(self._tail) > self._tail.waiting

    @property
    def safe(self) -> bool:
        """Whether all that it holds is in the log."""
        return not self._tail and not self._flushing

    def prefetch(self, least: int) -> DiskWork | None:
        """Read from the log what `next_batch` will want, about so many metrics or a batch's bytes; None where there is nothing
        to read. Its `done` raises the OSError of a log that cannot be read now."""
        source = self._source()
        if not isinstance(source, LogWindow) or not source.unread or source.suffices(least):
            return None
        window, results = source, list[Prefetched]()

        def done(error: OSError | None) -> None:
            for result in results:
                window.prefetched(result)
                self.damaged += result.lost
                for start, stop in result.passed:
                    self._done_offsets.add(start, stop)
                error = result.error
            self._changed()
            if error is not None:
                raise error

        return DiskWork(lambda: results.append(window.prefetch(least)), done)

    def flush_to_log(self) -> DiskWork | None:
        """Bring what waits in memory to the log, `flush_bytes` of it; None where there is nothing to bring. Wanted while
        `persisting`."""
        log = self._log
        if log is None or not (self._tail.waiting or self._due):
            return None
        chunks = self._flushing = self._tail.drain(self._flush_bytes)
        oldest = next((window for window in self._windows if window.unread), self._windows[-1])
        newest = self._windows[-1]
        excess = 0 if self._drop_newest else max(len(self) - self.limit, self._due)
        self._due = 0
        self._changed()
        unread = oldest.unread
        evicted: list[tuple[int, int, int]] = []

        def work() -> None:
            if excess > 0:
                evicted.append(oldest.reader.skip(excess))
            size = sum(chunk.memory_size for chunk in chunks)
            if self.max_bytes and log.size + size + SEGMENT_SIZE > self.max_bytes:
                if not self._drop_newest:
                    evicted.append(oldest.reader.skip(0, whole_segment=True))
                if log.size + size > self.max_bytes:
                    raise SizeLimit(None, "the buffer has reached its size limit")
            if chunks:
                log.append([(batch, batch.chunks[0].pinned) for batch in batches_of(chunks, self._batch_size)])

        def done(error: OSError | None) -> None:
            self._flushing = []
            gone = 0
            for start, stop, count in evicted:
                gone += count
                self._done_offsets.add(start, stop)
            lost = oldest.reader.take_lost()
            oldest.skipped(gone + lost)
            self._dropped_on_disk += gone
            self.damaged += lost
            if error is not None:
                self._tail.put_back(chunks)
                self._tail.max_bytes = min(self.max_bytes or MEMORY_BESIDE_DISK, MEMORY_BESIDE_DISK)
                self._disk_error = error
                self._tail.evict(max(len(self) - self.limit, 0))
                self._changed()
                return
            self._stuck = gone < min(excess, unread)
            self._disk_error = None
            newest.appended(chunks)
            self._pinned_on_disk += sum(len(chunk) for chunk in chunks if chunk.pinned)
            self._changed()

        return DiskWork(work, done)

    def commit(self) -> DiskWork | None:
        """Tell the log what is done with; None where that is nothing new."""
        log, until = self._log, self._done_offsets.until
        if log is None or until <= log.committed:
            return None
        return DiskWork(lambda: log.commit(until), lambda _: None)

    def close(self) -> DiskWork | None:
        """Give the log back. What waits in memory is not in it."""
        log, self._log = self._log, None
        if log is None:
            return None
        windows, self._windows = self._windows, []
        self._pinned_on_disk = self._due = 0
        self._changed()

        def work() -> None:
            for window in windows:
                window.reader.close()
            log.close()

        return DiskWork(work, lambda _: None)

    def adopt(self, older: "OutputQueue") -> int:
        """Put another queue's metrics in front of this one's, and take over its log; returns how many had to go."""
        if older._in_flight or older._flushing:
            raise RuntimeError("BUG: a queue was adopted while a part of it is being written")
        before = len(older)
        if older._log is not None and self._log is None:
            self._log, older._log = older._log, None
            self._windows, older._windows = older._windows, []
            self._done_offsets, self._pinned_on_disk, older._pinned_on_disk = (
                older._done_offsets,
                older._pinned_on_disk,
                0,
            )
            self._disk_error = older._disk_error
            self.set_aside = older.set_aside
        dropped = self._tail.adopt(older._tail)
        moved = before - len(older)
        older.added -= moved
        self.added += moved
        dropped += self._evict()
        self._changed()
        older._changed()
        return dropped
