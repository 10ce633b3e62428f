"""The work behind a writer, on the thread of the writers: from what was taken to what is delivered, by the agent's pipeline."""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Any

from pyagent.api import LineOptions, QueueFull
from pyagent.api.units import counted, joined
from pyagent.buffer import BufferSettings
from pyagent.buffer.log.segments import SEGMENT_SIZE
from pyagent.client.intake import Intake
from pyagent.client.refused import Refused
from pyagent.client.settings import Settings
from pyagent.client.spool import Slot, orphans, take_slot
from pyagent.client.way import Way, make_way, output_plan
from pyagent.lineprotocol import Encoded, relay
from pyagent.pipeline.executors import ThreadExecutor
from pyagent.pipeline.outputs.running_output import BufferResources

__all__ = ["Engine", "Left"]

log = logging.getLogger("pyagent.client")

_LINE_OPTIONS = LineOptions(uint_support=True)
_DISK_GRACE = 5.0
"""Seconds for the disk to take what is left at the end."""
_PAUSE_FIRST, _PAUSE_MOST = 0.001, 0.02
_ORPHAN_LOOK = 0.02
_LOOK_MOST = 1.0
_SLACK = 1.0
"""Seconds that an answer may take beyond the flush interval before that is worth a word."""


@dataclass(slots=True)
class Left:
    """What could not be delivered before the end."""

    lost: int = 0
    kept: int = 0
    """On disk."""


class Engine:
    """Made and started in the thread of whoever writes first; its coroutines run on the loop of the writers."""

    def __init__(self, settings: Settings, intake: Intake, refused: Refused) -> None:
        """Imports what delivers. Raises ConfigError, OSError where the buffer directory cannot be used."""
        self.settings = settings
        self.intake = intake
        self.woken = False
        """It is asked to drain already."""
        self.last_error = ""
        self.slot: Slot | None = None
        self._refused = refused
        refused.again = self._again
        self._executor: ThreadExecutor | None = None
        self._directory = settings.buffer_directory
        self._keep = settings.when_full != "drop_oldest"
        """What was taken stays, whatever comes."""
        self.plan = output_plan(settings)
        if self._directory is not None:
            self.slot = take_slot(self._directory, settings.target)
            self._executor = ThreadExecutor("pyagent client disk")
        try:
            self._own = self._way(self.slot)
        except BaseException:
            if self.slot is not None:
                self.slot.release(removed=False)
            raise
        self._ways = [self._own]
        """With those for what dead processes have left."""
        self._tasks: list[asyncio.Task[None]] = []
        self._taking_up: list[asyncio.Task[None]] = []
        self._waits_since: float | None = None
        """Monotonic seconds when the first of what waits came."""
        self._written_at = 0.0
        """Monotonic seconds when something was last written."""
        self._timer: asyncio.TimerHandle | None = None
        self._draining = asyncio.Lock()
        self._watching = self._drain_asked = self._flush_asked = False
        self._close: asyncio.Task[Left] | None = None
        self._moved = self._again_count = 0
        """Points taken from journals of processes before, and points sent once more with another type."""
        self.closing = self.closed = self.full = False
        self.seen = -1
        """Points taken when the main thread had ended and all was tried."""
        self.lost = self.kept = 0
        """Points, at the end."""

    # Counting ---------------------------------------------------------------------------------------------------------

    @property
    def taken(self) -> int:
        """Points that came from the intake."""
        return sum(way.queue.added for way in self._ways) - self._again_count - self._moved

    def total(self, what: str) -> int:
        """Over all ways: restored, written, rejected, dropped or damaged."""
        if what in ("written", "rejected"):
            return sum(getattr(way.sender, what) for way in self._ways)
        found: int = sum(getattr(way.queue, what) for way in self._ways)
        return found + self._moved if what == "restored" else found

    @property
    def waiting(self) -> int:
        """Points that came out of the intake and are not done with."""
        gone = sum(self.total(what) for what in ("written", "rejected", "dropped", "damaged"))
        come = sum(way.queue.added + way.queue.restored for way in self._ways)
        return max(come - gone, 0)

    @property
    def taking_up(self) -> bool:
        """What processes before have left is not all found, or adopted folders of theirs are not empty yet."""
        return not all(task.done() for task in self._taking_up)

    @property
    def last_write(self) -> float:
        """Seconds since the epoch; 0: never."""
        return max(way.sender.last_write for way in self._ways)

    @property
    def error(self) -> str:
        """Why nothing is delivered, or kept on disk, at present."""
        return self._own.sender.failures.current or self.disk_error

    @property
    def disk_error(self) -> str:
        """Why nothing is kept on disk at present."""
        disk_writer = self._own.sender.disk_writer
        return (
            next((log.current for log in disk_writer.all_failures if log.current), "")
            if disk_writer is not None
            else ""
        )

    @property
    def delivers(self) -> bool:
        """As far as is known."""
        return not self._own.sender.failures.current

    def try_disk(self) -> None:
        """Whether a disk that took nothing does so again."""
        if (disk_writer := self._own.sender.disk_writer) is not None:
            disk_writer.retry_now()

    @property
    def stalled(self) -> str:
        """What waits for longer than it should, though no attempt has failed yet; empty: nothing does."""
        if not self.waiting or self._waits_since is None:
            return ""
        settings = self.settings
        busy = next((way.sender.busy_since for way in self._ways if way.sender.busy_since is not None), None)
        for since, most in (
            (busy, min(settings.flush_interval, settings.timeout)),
            (max(self._waits_since, self._written_at), settings.flush_interval),
        ):
            if since is not None and (seconds := time.monotonic() - since) > most + _SLACK:
                where = self._own.runner.plugin.destination(None)
                return (
                    f"no answer from {where} for {seconds:.0f} s; {counted(self.waiting, 'point waits', 'points wait')}"
                )
        return ""

    # From the program -------------------------------------------------------------------------------------------------

    def arm(self) -> None:
        """The first point waits: all is written after the flush interval."""
        self._comes()
        if self._timer is None and not self.closing:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.settings.flush_interval, self._due)

    def _comes(self) -> None:
        """Something comes in."""
        if self._waits_since is None or not self.waiting:
            self._waits_since = time.monotonic()

    def _due(self) -> None:
        self._timer = None
        self.drain_soon(flush=True)

    def relieve(self) -> None:
        """There is no room: what can be delivered is, also if it makes no batch."""
        self.drain_soon(flush=True)

    def drain_soon(self, *, flush: bool = False) -> None:
        if self.slot is None:
            self._drain(flush)
            return
        self._flush_asked |= flush
        if not self._drain_asked:  # a disk that hangs gathers no crowd
            self._drain_asked = True
            self._spawn(self._drain_to_disk())

    def _drain(self, flush: bool) -> None:
        self.woken = False
        encoded = self.intake.drain()
        if encoded.count:
            self._take(encoded)
        if flush:
            self._own.runner.flush_soon()

    async def _drain_to_disk(self, flush: bool = False) -> None:
        assert self.slot is not None
        async with self._draining:
            self.woken = self._drain_asked = False
            flush, self._flush_asked = flush or self._flush_asked, False
            journal = self.slot.journal
            journal.swap()
            encoded = self.intake.drain()
            if encoded.count:
                self._take(encoded)
                try:
                    await self._own.runner.durable()
                except QueueFull as error:
                    self.last_error = str(error)  # the journal keeps it, and the queue tries it again
                else:
                    journal.clear()
        if flush:
            self._own.runner.flush_soon()

    def _take(self, encoded: Encoded) -> None:
        self._comes()
        self._own.runner.enqueue_block(encoded, pinned=self._keep)
        self.make_room()

    def _again(self, encoded: Encoded) -> None:
        self._again_count += encoded.count
        self._take(encoded)
        self._own.runner.flush_soon()

    def make_room(self) -> None:
        """Tell the intake how much may wait in it."""
        settings = self.settings
        if self.closing:
            return
        if not self._keep:
            # What is too much goes from the queue; the intake is emptied all the time.
            self.intake.set_room(max(2 * settings.batch_size, 1000), max(settings.max_bytes // 4, 1 << 16))
            return
        queue = self._own.queue
        points, size = settings.max_points - len(queue), settings.max_bytes - queue.size
        self.full = points <= 0 or size <= 0
        self.intake.set_room(max(points, 0), max(size, 0))
        if not self._watching and (points < settings.max_points // 2 or size < settings.max_bytes // 2):
            self._watching = True
            asyncio.get_running_loop().call_later(_PAUSE_MOST, self._watch)

    def _watch(self) -> None:
        self._watching = False
        self.make_room()

    # The life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self.begin()

    def begin(self) -> None:
        """On the loop."""
        self._tasks.append(asyncio.create_task(self._own.runner.run()))
        self.make_room()
        if self.slot is not None:
            self._taking_up = [self._spawn(self._restore(self.slot, self._own)), self._spawn(self._adopt())]

    async def found(self) -> None:
        """Return when it is known what a process before this one has left in the folder, or after a second."""
        if self._taking_up:
            await asyncio.wait(self._taking_up[:1], timeout=_LOOK_MOST)

    async def flush(self, deadline: float) -> int:
        """Write all that was taken until now, and what processes before have left; returns how many of it wait still at the
        deadline (monotonic seconds)."""
        for way in self._ways:
            way.sender.retry_now()
        self.try_disk()
        if self.slot is None:
            self._drain(True)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drain_to_disk(True), max(deadline - time.monotonic(), 0.01))
        queue = self._own.queue
        last, again, moved = queue.added, self._again_count, self._moved
        pause = _PAUSE_FIRST
        while True:
            if moved != self._moved:
                last, moved = queue.added, self._moved  # it came from a journal, and is behind all now
            # In order: what was added later is behind it.
            left = max(len(queue) - (queue.added - last), 0)
            if left == 0 and again != self._again_count:
                last, again = queue.added, self._again_count  # some of it was refused, and is behind all now
                continue
            left += sum(len(way.queue) for way in self._ways if way is not self._own)
            if (left == 0 and not self.taking_up) or time.monotonic() >= deadline:
                return left
            await asyncio.sleep(min(pause, max(deadline - time.monotonic(), 0)))
            pause = min(2 * pause, _PAUSE_MOST)

    async def close(self, deadline: float) -> Left:
        """Deliver; what is not delivered by the deadline (monotonic seconds) goes to disk, where there is one, or is lost.
        Whoever asks a second time, from a signal say, gets what the first gets."""
        if self._close is None:
            self._close = asyncio.create_task(self._ends(deadline))
        return await asyncio.shield(self._close)

    async def _ends(self, deadline: float) -> Left:
        self.intake.set_room(0, 0)
        self.closing = True
        if self._timer is not None:
            self._timer.cancel()
        await self.flush(deadline)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._drain(False)  # a disk that hangs may have held up the last of it
        left = Left()
        for way in self._ways:
            await self._end(way, left)
        if self._executor is not None:
            self._executor.abandon()
        if self.slot is not None:
            self.slot.release(removed=not left.lost)
        self.lost, self.kept, self.closed = left.lost, left.kept, True
        self._tell(left)
        return left

    async def _end(self, way: Way, left: Left) -> None:
        before = len(way.queue)
        disk_writer = way.sender.disk_writer
        if disk_writer is not None:
            try:
                await asyncio.wait_for(disk_writer.close(), _DISK_GRACE)
            except (TimeoutError, OSError) as error:
                log.error(
                    "cannot keep what is left in %s: %s", disk_writer.directory, error or "the disk does not answer"
                )
        unsafe = len(way.queue)
        left.lost += unsafe
        left.kept += before - unsafe
        with contextlib.suppress(Exception):
            await asyncio.wait_for(way.close(), 1.0)

    def _tell(self, left: Left) -> None:
        """Say what is left, however little it is."""
        why = self.error or self.last_error or f"no answer from {self._own.runner.plugin.destination(None)} in time"
        if left.kept:
            log.warning(
                "%s not delivered before the end, and kept in %s until the next start: %s",
                counted(left.kept, "point is", "points are"),
                self._directory,
                why,
            )
        if left.lost:
            log.error(
                "cannot deliver %s before the end, %s lost: %s",
                counted(left.lost, "point"),
                "it is" if left.lost == 1 else "they are",
                why if self._directory else joined(why, "give buffer_directory to keep such points on disk"),
            )

    # What others have left --------------------------------------------------------------------------------------------

    async def _restore(self, slot: Slot, way: Way) -> None:
        """Take up what a process before this one has left in the folder: the queue's log, and journals."""
        assert way.sender.disk_writer is not None
        await way.sender.disk_writer.ready.wait()
        self._comes()
        for path, data in list(slot.left()):
            if not data.endswith(b"\n"):
                data = data[: data.rfind(b"\n") + 1]  # the kill came in the middle of a line
            found = relay(data, time.time_ns(), options=_LINE_OPTIONS)
            if found.bad:
                lost = counted(found.bad, "line of %s is", "lines of %s are") % path
                log.error("%s lost: %s", lost, found.errors[0].reason)
            self._moved += found.encoded.count
            self._comes()
            way.runner.enqueue_block(found.encoded, pinned=True)
            await way.runner.durable()
            path.unlink(missing_ok=True)
        way.runner.flush_soon()

    async def _adopt(self) -> None:
        """Deliver what dead processes have left in folders of their own, one after the other."""
        assert self._directory is not None
        for slot in orphans(self._directory, self.settings.target):
            way = self._way(slot)
            disk_writer = way.sender.disk_writer
            assert disk_writer is not None
            self._ways.append(way)
            running = asyncio.create_task(way.runner.run())
            self._tasks.append(running)
            try:
                await self._restore(slot, way)
                while len(way.queue):  # noqa: ASYNC110  # a queue tells nobody
                    await asyncio.sleep(_ORPHAN_LOOK)
                running.cancel()
                await asyncio.wait([running])
                await disk_writer.close()
                await way.close()
            finally:
                slot.release(removed=True)

    def _way(self, slot: Slot | None) -> Way:
        settings = BufferSettings(max_bytes=self._most_bytes(slot))
        buffer_resources = BufferResources(settings, self._executor, self._refused)
        return make_way(self.plan, buffer_resources, None if slot is None else slot.path, self._tried)

    def _tried(self, error: Exception | None) -> None:
        if error is None:
            self._written_at = time.monotonic()
        else:
            self.last_error = str(error)

    def _most_bytes(self, slot: Slot | None) -> int:
        """Of the queue. On disk points go by whole files, so that fewer than a few of these are no bound; and where none may
        go, it is the intake that is closed."""
        if slot is None:
            return self.settings.max_bytes
        return 0 if self._keep else max(self.settings.max_bytes, 4 * SEGMENT_SIZE)

    def _spawn(self, work: Any) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        with contextlib.suppress(ValueError):
            self._tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.last_error = str(error)
            log.error("%s", error)
