"""Writes one output queue to its segment log in groups, and wakes the listeners that wait for the sync.

States and owners: see `pyagent.buffer.storage`. This one sends commands to the queue, runs them in the disk's thread, and
reports what came of them; the state is the queue's.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pyagent.api import QueueFull
from pyagent.api.units import counted
from pyagent.buffer import OutputQueue
from pyagent.buffer.log.segments import InUse, Recovery, SegmentLog
from pyagent.buffer.queue import DiskWork
from pyagent.pipeline.executors import Executor
from pyagent.pipeline.failures import FailureLog

__all__ = ["DiskWriter", "until_safe"]

GROUP_SECONDS = 0.05
"""What comes in within this time is synced together."""
_PAUSE_FIRST, _PAUSE_MOST = 1.0, 10.0
"""Seconds between attempts to write to a disk that fails."""
_PATIENCE = 30.0
"""Seconds to wait for a disk before whoever waits is told to come back."""
_REPLACED = "the output is being replaced"


async def until_safe(receipts: Sequence[asyncio.Future[None]]) -> None:
    """Wait for all of them, however one ends, for 30 s at most. Raises QueueFull where one is not safe by then."""
    if not receipts:
        return
    try:
        await asyncio.wait(receipts, timeout=_PATIENCE)
    finally:
        for receipt in receipts:
            receipt.cancel()  # those that are done stay as they are
    if late := sum(receipt.cancelled() for receipt in receipts):
        await asyncio.sleep(0)
        raise QueueFull(
            f"the disk buffer did not answer within {_PATIENCE:g} s ({counted(late, 'queue')}); send it again later"
        )
    if problem := next(filter(None, [receipt.exception() for receipt in receipts]), None):
        raise problem


class DiskWriter:
    """Keeps one queue on disk: all of it where `always`, else from `start_persisting` on until it is empty.

    `executor` is the thread that all logs share. Disk errors are logged, never raised, except by `receipt`
    and `flush_to_log` (as QueueFull).
    """

    def __init__(
        self,
        queue: OutputQueue,
        directory: Path,
        *,
        identity: str,
        always: bool,
        sync: bool,
        passing: bool,
        executor: Executor,
        log: logging.Logger,
        among: set[FailureLog] | None = None,
        write_now: Callable[[], None] = lambda: None,
    ) -> None:
        """`write_now`: called where the disk has failed and somebody waits for it: what is delivered needs no disk."""
        self.queue = queue
        self.directory = directory
        self.failures = FailureLog(log, among)
        """Of writing to the log, and of opening it."""
        self.read_failures = FailureLog(log, among)
        self._before_failures = FailureLog(log, among)
        """Of what must be done before the log may forget."""
        self._identity = identity
        self._always = always
        self._sync = sync
        self._passing = passing
        self._executor = executor
        self._log = log
        self.ready = asyncio.Event()
        """What was on disk is known, or cannot be."""
        self._begun = asyncio.Event()
        self._lock = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._retry = asyncio.Event()
        self._complete = True
        """The last flush had all that was not safe: no batch was being written from memory when it began."""
        self._waiters: list[asyncio.Future[None]] = []
        self._disappointed = 0
        """So many of the first of them have waited through an attempt that failed."""
        self._asked = False
        self._write_now = write_now
        self._successor: DiskWriter | None = None
        """Of the queue that has taken over this one's metrics."""
        self._left = False
        self._read_again = 0.0
        """Loop time before which a log that could not be read is left alone."""
        self._read_pause = 0.0
        self._before: Callable[[], None] | None = None
        self._logged_lost = 0
        self._tasks: set[asyncio.Task[bool]] = set()
        if always:
            queue.start_persisting()

    @property
    def is_open(self) -> bool:
        return self.queue.log is not None

    @property
    def idle(self) -> bool:
        """What was on disk is known, and nothing is under way there, nor waited for."""
        busy = self._waiters or self._tasks or self._before is not None or self.queue.disk_error
        return self.ready.is_set() and self.queue.safe and not busy

    @property
    def all_failures(self) -> tuple[FailureLog, ...]:
        return self.failures, self.read_failures, self._before_failures

    def begin(self) -> None:
        """Use what is on disk; before that it may be another's."""
        self._begun.set()

    async def quiet(self) -> None:
        """Return when nothing is under way in the disk's thread."""
        async with self._lock:
            pass

    def appended(self) -> None:
        """Something came in."""
        if self.queue.persisting:
            self._wanted.set()

    def retry_now(self) -> None:
        """Try a disk that failed again at once. Where nothing waits for it any more that is no failure."""
        self._asked = bool(self.failures.current)
        self._wanted.set()
        self._retry.set()

    def start_persisting(self) -> None:
        """Bring to disk what waits, and what comes, until the queue is empty."""
        if self.queue.start_persisting():
            self._wanted.set()

    def delivered(self) -> None:
        """Something was. The disk is left alone again where all is."""
        if self._waiters and self.queue.safe:
            self._retry.set()  # what they wait for needs no disk any more
        if not self._always:
            self.queue.stop_persisting()

    async def run(self) -> None:
        """Find what is on disk, then bring what waits to the log whenever it is wanted, until cancelled."""
        pause = 0.0
        try:
            await self._begun.wait()
            if not self.is_open and (self._always or self._may_hold()):
                await self._attempt(self._open)
            self.ready.set()
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                asked = len(self._waiters)
                error = await self._flush_to_log() if self.queue.persisting or self.queue.disk_error else None
                if error is not None:
                    self._answer(self._disappointed, f"cannot write to the disk buffer: {error.strerror or error}")
                    if self._waiters:
                        self._write_now()
                elif self._complete:
                    self._answer(asked)
                else:
                    self._wanted.set()  # a batch that no log has may come back
                self._disappointed = 0 if error is None else len(self._waiters)
                pause = 0.0 if error is None else min(2 * pause or _PAUSE_FIRST, _PAUSE_MOST)
                if error is None:
                    await asyncio.sleep(GROUP_SECONDS)
                    continue
                self._retry.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._retry.wait(), pause)
                self._wanted.set()
        finally:
            # Who waits goes on waiting: for a successor, or for the last flush.
            self._disappointed = 0
            self._wanted.set()

    def hand_over(self, successor: "DiskWriter | None") -> None:
        """Another queue has taken over the metrics: who waits for them waits for its disk writer. None: it has no disk."""
        waiters, self._waiters = self._waiters, []
        self._successor, self._left = successor, True
        for waiter in waiters:
            if successor is not None and successor._always:
                successor._waiters.append(waiter)
                successor._wanted.set()
            elif not waiter.done():
                waiter.set_result(None)

    def dismiss(self) -> None:
        """Nobody comes after this one: tell those who still wait what has become of it."""
        if self._successor is None:
            self._left = True
            self._answer(len(self._waiters), "" if self.queue.safe else _REPLACED)

    def _answer(self, count: int, problem: str = "") -> None:
        """Tell the first of those who wait that it is done, or why it is not."""
        waiters, self._waiters = self._waiters[:count], self._waiters[count:]
        for waiter in waiters:
            if waiter.done():
                continue
            if problem:
                waiter.set_exception(QueueFull(f"{problem}; send it again later"))
            else:
                waiter.set_result(None)

    def receipt(self) -> asyncio.Future[None] | None:
        """A future that is done when all that the queue has taken so far is safe from a loss of power, with QueueFull where it
        is not; None: it is safe already, or need not be."""
        if self._successor is not None:
            return self._successor.receipt()
        if not self._always or self.queue.safe:
            return None
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if self._left:
            self._answer(len(self._waiters), _REPLACED)
        self._wanted.set()
        return waiter

    async def flush_to_log(self) -> None:
        """Bring to disk what waits, whatever the strategy is. Raises QueueFull where that does not work."""
        self.queue.start_persisting()
        while not self.queue.safe:
            if not self._begun.is_set():
                raise QueueFull(_REPLACED)
            if error := await self._flush_to_log():
                raise QueueFull(f"cannot write to the disk buffer: {error.strerror or error}")
            if not self._complete:
                await asyncio.sleep(GROUP_SECONDS)

    async def persist(self) -> None:
        """Where the queue is kept on disk, bring there what waits in memory: only from there it can be written."""
        if self.queue.persisting and self.queue.unflushed:
            await self._flush_to_log()

    async def prefetch(self, least: int) -> float:
        """Have so many metrics of the log in memory, where there are so many. Returns after how many seconds to try it again
        where it cannot be read now: nothing of it is lost or passed over. 0: it can."""
        if not self.is_open:
            return 0.0
        now = asyncio.get_running_loop().time()
        if now < self._read_again:
            return self._read_again - now
        try:
            read = await self._perform(lambda: self.queue.prefetch(least))
        except OSError as error:
            self._read_pause = min(2 * self._read_pause or _PAUSE_FIRST, _PAUSE_MOST)
            self._read_again = now + self._read_pause
            self.read_failures.failed(
                f"cannot read the buffer {self.directory}: {_reason(error)}; it is tried again, nothing of it is given up"
            )
            return self._read_pause
        finally:
            self._log_lost()
        if read:
            self._read_pause = 0.0
            self.read_failures.succeeded(f"reading the buffer {self.directory}")
        return 0.0

    async def commit(self, before: Callable[[], None] | None = None) -> None:
        """Tell the log what is done with, after `before`, which is blocking; where that raises OSError, later."""
        if not self.is_open:
            return
        self._before = before or self._before
        if (first := self._before) is not None:
            try:
                await self._perform(lambda: DiskWork(first, lambda _: None))
            except OSError as error:
                self._before_failures.failed(
                    f"cannot make the quarantine safe: {_reason(error)}; until then the buffer {self.directory} keeps all"
                )
                return
            self._before = None
            self._before_failures.succeeded("making the quarantine safe")
        await self._attempt(lambda: self._perform(self.queue.commit))

    async def split_backlog(self) -> None:
        if not self.is_open:
            self.queue.split_backlog()
        else:
            await self._attempt(lambda: self._perform(self.queue.split_backlog))

    async def close(self) -> None:
        """Bring to disk what waits, and give the log back."""
        if self._begun.is_set() and (self.queue.unflushed or self.is_open):
            self.queue.start_persisting()
            while self.queue.unflushed and await self._flush_to_log() is None:
                pass
            await self.commit()
            await self._perform(self.queue.close)

    async def _flush_to_log(self) -> OSError | None:
        """Bring to disk, piece by piece, what waits now. Returns why it did not work. Before `begin` it does nothing: the log
        is another's."""
        if not self._begun.is_set():
            return None
        due, wrote = 0, False

        def flush() -> DiskWork | None:
            nonlocal due, wrote
            self._complete = self._complete and not self.queue.written_from_memory
            before = self.queue.unflushed
            work = self.queue.flush_to_log()
            due -= before - self.queue.unflushed
            wrote = wrote or work is not None
            return work

        async def work() -> None:
            nonlocal due
            await self._open()
            due, self._complete = self.queue.unflushed, True
            await self._perform(flush)
            while due > 0 and self.queue.unflushed:
                await self._perform(flush)

        error = await self._attempt(work)
        self._log_lost()
        if error is None:
            if wrote or self._asked:  # else all was delivered meanwhile, which says nothing of the disk
                self.failures.succeeded()
            self.queue.disk_works()
        self._asked = False
        return error

    def _may_hold(self) -> bool:
        """Whether there is anything on disk, or no saying so: then the attempt to open it tells why."""
        try:
            return any(name.endswith(".seg") for name in os.listdir(self.directory))
        except FileNotFoundError:
            return False
        except OSError:
            return True

    async def _open(self) -> None:
        """Open the log where it is not. Raises OSError."""
        log = SegmentLog(self.directory, sync=self._sync, passing=self._passing)
        found: list[Recovery] = []
        queue = self.queue

        def ask() -> DiskWork | None:
            # Asked when nothing else is under way: what has opened it meanwhile must not lock us out.
            return None if self.is_open else DiskWork(lambda: found.append(log.open(self._identity)), opened)

        def opened(error: OSError | None) -> None:
            if error is None:
                queue.attach(log, found[0])

        if not self.is_open:
            await self._perform(ask)
        if not found:
            return
        recovery, self._logged_lost = found[0], queue.damaged
        if recovery.waiting:
            self._log.info(
                "%s restored from %s",
                counted(
                    recovery.waiting,
                    "metric that was not written before is",
                    "metrics that were not written before are",
                ),
                log.directory,
            )
        for level, text in recovery.messages(log.directory):
            self._log.log(level, "%s", text)

    def _log_lost(self) -> None:
        # Logged at 1, 2, 4, 8, ...: a segment may have any number of holes.
        if (lost := self.queue.damaged) > self._logged_lost and lost >= 2 * self._logged_lost:
            self._logged_lost = lost
            self._log.error(
                "%s of the buffer %s cannot be read any more and %s lost",
                counted(lost, "metric"),
                self.directory,
                "is" if lost == 1 else "are",
            )

    async def _attempt(self, work: Callable[[], Awaitable[object]]) -> OSError | None:
        """Do it, and tell of a disk that does not let us."""
        try:
            await work()
        except OSError as error:
            self.queue.disk_failed(error)
            self._wanted.set()  # `run` tries again, after a pause
            what = "use" if isinstance(error, InUse) else "keep metrics in"
            advice = "until then they are kept in memory"
            self.failures.failed(f"cannot {what} the buffer {self.directory}: {_reason(error)}; {advice}")
            return error
        return None

    async def _perform(self, ask: Callable[[], DiskWork | None]) -> bool:
        """One work at a time; what has begun goes on to its end though nobody waits for it any more. Returns whether there was
        anything to do. Raises OSError."""

        async def perform() -> bool:
            async with self._lock:
                if work := ask():
                    await self._executor.call(work.run)
                    work.done()
                return work is not None

        task = asyncio.create_task(perform())
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[bool]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has been told, or is gone


def _reason(error: OSError) -> str:
    """The error's own words, and the file that it is about."""
    reason = error.strerror or str(error)
    return f"{reason} ({error.filename})" if error.filename else reason
