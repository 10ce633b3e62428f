"""The life of one output: its lanes, its connection, and its sums."""

import asyncio
import contextlib
import logging
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from pyagent.api import Full, Output
from pyagent.api.foreign import let_go
from pyagent.api.units import counted
from pyagent.buffer import BufferSettings, OutputQueue, QueueBatch, QueueName, stored_queues
from pyagent.config import OutputPlan
from pyagent.lineprotocol import Encoded
from pyagent.pipeline.executors import LoopWorker, Worker, worker_for
from pyagent.pipeline.failures import FailureLog, one_line
from pyagent.pipeline.outputs.disk_writer import Keeper, until_safe
from pyagent.pipeline.outputs.encoder import Form, Formed
from pyagent.pipeline.outputs.partitions import IDLE_SECONDS, Lanes
from pyagent.pipeline.outputs.rate_limit import RateLimit
from pyagent.pipeline.outputs.sender import Lane, Refusals, Told
from pyagent.pipeline.supervision import supervise
from pyagent.pipeline.traits import OutputTraits, output_traits, plugin_files

__all__ = ["Keeping", "OutputRunner"]

RESTORE_GRACE = 5.0
"""Seconds that writing waits for what is on disk to be found."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where queues are kept, and what is shared by all that are."""

    settings: BufferSettings = field(default_factory=BufferSettings)
    worker: Worker | None = None
    """The thread of the disk; None: nothing is kept on disk."""
    refusals: Refusals | None = None
    """None: what is refused for good is dropped."""


class OutputRunner:
    """Writes one output's queues. Nothing that the plugin does gets out of here as an exception.

    Accounting: see Lane; what could not be encoded is in `lost`, what the filters kept out in `filtered`.
    """

    def __init__(
        self,
        plan: OutputPlan,
        plugin: Output[Any],
        *,
        log: logging.Logger,
        keeping: Keeping | None = None,
        inherits: bool = False,
        traits: OutputTraits | None = None,
    ) -> None:
        """`inherits`: `adopt` will be called with the output before, whose queues on disk are left alone until then.
        `traits`: those of a plugin from outside, asked where that may be done."""
        self.plan = plan
        self.plugin = plugin
        self.successor: OutputRunner | None = None
        """What writes to the same place in its stead, once it is being ended."""
        self.filtered = 0
        """Metrics that this output's filters kept out."""
        self.lost: Counter[str] = Counter()
        """Metrics that could not be encoded, by reason."""
        self._keeping = keeping or Keeping()
        self.lanes = Lanes(
            plan.metric_buffer_limit,
            self._keeping.settings.max_partitions,
            make=self._make_lane,
            end=self._end_lane,
            log=log,
        )
        traits = traits or output_traits(plan, plugin)
        self.form = Form(plan, traits.line_options, traits.partition, admits=self.lanes.admits, log=log)
        self._inherits = inherits
        self._log = log
        limits = traits.limits
        self._writers = max(limits.concurrent_writes, 1)
        limited = limits.rate_bytes > 0 and limits.rate_period > 0
        self._rate = RateLimit(limits.rate_bytes, limits.rate_period) if limited else None
        own = plan.origin == "builtin"
        files = plugin_files(plan)
        self._worker = worker_for(traits.asynchronous, own=own, name=plan.label, files=files)
        self._manager = worker_for(True, own=own, name=f"{plan.label} connections", files=files)
        if isinstance(self._worker, LoopWorker):
            self._manager = self._worker
        self._connected = False
        self._connecting = asyncio.Lock()
        self._ending: dict[str | None, asyncio.Task[None]] = {}
        """Lanes that are not used any more, until their logs are closed."""
        self._running: dict[Lane, list[asyncio.Task[None]]] | None = None
        self._ended = asyncio.Event()
        self._told = Told()
        self._unlisted = False
        """Some folders could not be read; there may be queues in them."""
        self._list_failures = FailureLog(log)
        if self.form.partition is None:
            self.lane(None)

    # Sums -------------------------------------------------------------------------------------------------------------

    @property
    def queue(self) -> OutputQueue:
        """That of an output without partitions."""
        return self.lanes[None].queue

    @property
    def queues(self) -> Iterator[OutputQueue]:
        return (lane.queue for lane in self.lanes.values())

    @property
    def queued(self) -> int:
        return sum(map(len, self.queues))

    @property
    def written(self) -> int:
        return self.lanes.sums.written

    @property
    def rejected(self) -> int:
        """Metrics that the receiver refused for good."""
        return self.lanes.sums.rejected

    @property
    def error(self) -> str:
        """Why writing, or keeping on disk, fails at present, where it does."""
        reasons = (lane.failures.current for lane in self.lanes.values())
        keepers = [lane.keeper for lane in self.lanes.values() if lane.keeper]
        kept = (failures.current for keeper in keepers for failures in keeper.all_failures)
        return next((reason for reason in (*reasons, *kept) if reason), "")

    # What inputs give -------------------------------------------------------------------------------------------------

    def take(self, formed: Formed, *, keep: bool = False) -> None:
        """Queue what `form` made. `keep`: somebody is told that these are safe (ask `has_room` first)."""
        for partition, lines in formed.parts:
            self._put(lines, partition, keep=keep)
        self.filtered += formed.filtered
        self.lanes.appended()

    def append(self, lines: Encoded, filtered: int = 0) -> None:
        """Queue encoded metrics; the oldest go, counted, where there is no room. `filtered`: how many did not pass."""
        self.take(Formed(((None, lines),), filtered))

    def admit(self, lines: Encoded, filtered: int = 0, partition: str | None = None) -> None:
        """Queue metrics that somebody is told are safe: they are not dropped for others. Ask `has_room` first."""
        self.take(Formed(((partition, lines),), filtered), keep=True)

    async def requeue(self, lines: Sequence[bytes], partition: str | None) -> None:
        """Queue encoded lines, each of one metric, once more; return when they are as safe as is configured.

        Raises LookupError where there can be no such partition, Full where there is no room.
        """
        if partition is not None and self.form.partition is None:
            raise LookupError(f"{self.plan.label} does not divide its metrics any more, these are of {partition!r}")
        if not self.has_room(len(lines), partition):
            raise Full(f"the queue of {self.plan.label} is full; try it again later")
        now = time.time_ns()
        ends = array("I", accumulate(map(len, lines)))
        self.admit(Encoded(b"".join(lines), ends, now, now, []), partition=partition)
        await self.durable()

    def has_room(self, count: int, partition: str | None = None) -> bool:
        """Whether `admit` may be called with so many."""
        lane = self.lanes.get(partition)
        return (lane is None or lane.queue.can_admit(count)) and self._may_pin(count)

    def takes(self, formed: Formed) -> bool:
        """Whether `take` may be asked to keep all of it."""
        counts: Counter[str | None] = Counter()  # a partition may come several times
        for partition, lines in formed.parts:
            counts[partition] += lines.count
        queues = ((count, self.lanes.get(partition)) for partition, count in counts.items() if count)
        return self._may_pin(formed.count) and all(
            lane is None or lane.queue.can_admit(count) for count, lane in queues
        )

    def _may_pin(self, count: int) -> bool:
        """Whether so many more may stay whatever comes; any number where none do, else a large body would never fit."""
        pinned = self.lanes.usage.pinned
        return not pinned or pinned + count <= self.plan.metric_buffer_limit

    def receipts(self) -> list[asyncio.Future[None]]:
        """Register with every queue at once; done when all that was queued so far is as safe as is configured (`until_safe`
        waits for them)."""
        keepers = [lane.keeper for lane in self.lanes.values() if lane.keeper is not None]
        return [receipt for keeper in keepers if (receipt := keeper.receipt()) is not None]

    async def durable(self) -> None:
        """Return when all that was queued so far is as safe as is configured. Raises Full where it cannot be."""
        await until_safe(self.receipts())

    def flush_soon(self) -> None:
        """Write what there is without waiting for the interval (but not before a back-off ends)."""
        for lane in self.lanes.values():
            lane.flush_soon()

    def _put(self, lines: Encoded, partition: str | None, *, keep: bool) -> None:
        for metric, reason in lines.rejected:
            self.lost[reason] += 1
            if self._told.first(f"encode {reason}"):
                self._log.error("cannot encode a metric of %r: %s; it is dropped", metric.name[:100], reason)
        lane = self.lane(partition)
        lane.queue.enqueue(lines, pinned=True) if keep else lane.queue.enqueue(lines)
        lane.appended()

    # Lanes ------------------------------------------------------------------------------------------------------------

    def lane(self, partition: str | None) -> Lane:
        """That of a partition, made where there is none yet."""
        return self.lanes.lane(partition)

    def _make_lane(self, partition: str | None) -> Lane:
        plan, settings = self.plan, self._keeping.settings
        queue = OutputQueue(
            plan.metric_buffer_limit,
            plan.metric_batch_size,
            max_bytes=settings.max_bytes,
            drop_newest=settings.drop_newest,
            newest_first=settings.newest_first,
            usage=self.lanes.usage,
        )
        lane = Lane(
            plan,
            queue,
            self._write,
            partition=partition,
            writers=self._writers,
            rate=self._rate,
            refusals=self._keeping.refusals,
            newest_first=settings.newest_first,
            log=self._log,
            told=self._told,
            destination=lambda partition: self.plugin.destination(partition),  # no method: it holds the plugin
        )
        if (directory := self.directory) is not None and self._keeping.worker is not None:
            name = QueueName(plan.queue_id, partition)
            lane.keeper = Keeper(
                queue,
                directory / name.folder,
                identity=name.identity,
                always=plan.on_disk,
                sync=plan.buffer_disk_sync,
                passing=partition is not None,
                worker=self._keeping.worker,
                log=self._log,
                among=self._told.keeping,
            )
        if self._running is not None:
            self._start(lane)
        return lane

    def _end_lane(self, lane: Lane) -> None:
        """End an idle one: its tasks, and its log's descriptors."""
        lane.end()
        self._told.forget(lane)
        tasks = self._running.pop(lane, []) if self._running is not None else []

        async def end() -> None:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            if lane.keeper is not None:
                with contextlib.suppress(OSError):  # it is empty, and closed all the same
                    await lane.keeper.close()

        ending = self._ending[lane.partition] = asyncio.create_task(end(), name=f"{self.plan.label} end")
        ending.add_done_callback(lambda _: self._ending.pop(lane.partition, None))

    @property
    def directory(self) -> Path | None:
        """Where the queues are kept; None: in memory only."""
        if self.plan.on_disk and self.plan.buffer_directory:
            return Path(self.plan.buffer_directory)
        return self._keeping.settings.directory

    def _restore_lanes(self) -> None:
        """Have a lane for each partition that has something on disk."""
        if self.form.partition is None or self.directory is None or self._keeping.worker is None:
            return
        errors: list[OSError] = []
        for stored in stored_queues(self.directory, errors):
            if stored.name.output == self.plan.queue_id and stored.name.partition not in self.lanes:
                self.lane(stored.name.partition)
        self._unlisted = bool(errors)
        for error in errors:
            self._list_failures.failed(
                f"cannot look for queues in {error.filename}: {error.strerror}; it is tried again, what is there stays there"
            )
        if not errors:
            self._list_failures.succeeded("looking for queues")

    def _start(self, lane: Lane) -> None:
        assert self._running is not None

        async def run() -> None:
            if lane.keeper is not None and not self._inherits:
                with contextlib.suppress(TimeoutError):
                    # The oldest first; but a disk that hangs must not stop what is new.
                    await asyncio.wait_for(lane.keeper.ready.wait(), RESTORE_GRACE)
            await lane.run()

        self._running[lane] = [asyncio.create_task(supervise(run, self._log), name=self.plan.label)]
        if (keeper := lane.keeper) is not None:
            if (before := self._ending.get(lane.partition)) is not None:
                before.add_done_callback(lambda _: None if self._inherits else keeper.begin())
            elif not self._inherits:
                keeper.begin()
            keep = keeper.run
            self._running[lane].append(asyncio.create_task(supervise(keep, self._log), name=f"{self.plan.label} disk"))

    # From the beginning to the end ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until `end`."""
        self._running = {}
        try:
            if not self._inherits:
                self._restore_lanes()
            for lane in self.lanes.values():
                if lane not in self._running:
                    self._start(lane)
            while not self._ended.is_set():
                await self._wait_for_end()
            for lane in self.lanes.values():
                lane.end()
            if self._running:  # one that is divided has no lane before its first metric
                await asyncio.wait([tasks[0] for tasks in self._running.values()])
        finally:
            tasks = [task for tasks in self._running.values() for task in tasks]
            self._running = None
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _wait_for_end(self) -> None:
        """Or end partitions that are not used any more, after a while."""
        if self.form.partition is None:
            await self._ended.wait()
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), IDLE_SECONDS / 5)
        self.lanes.end_idle(asyncio.get_running_loop().time())
        if self._unlisted and not self._inherits:
            self._restore_lanes()

    async def write_queue(self, at_least: int = 1) -> bool:
        """Write all there is in queues that hold so many; False where something was not taken."""
        results = await asyncio.gather(*(lane.write_queue(at_least) for lane in self.lanes.values()))
        return all(results)

    def end(self) -> None:
        """Tell `run` to return after the writes that are under way."""
        self._ended.set()

    async def quiet(self) -> None:
        """Return when nothing is under way in the disk's thread."""
        await self._ended_lanes()
        for lane in list(self.lanes.values()):
            if lane.keeper is not None:
                await lane.keeper.quiet()

    async def _ended_lanes(self) -> None:
        while self._ending:
            await asyncio.wait(list(self._ending.values()))

    def adopt(self, older: "OutputRunner") -> None:
        """Take over what the output before this one has not written, which must have ended and be quiet. Its logs come
        along; `begin` when no other has to be waited for."""
        for partition, lane in older.lanes.items():
            mine = self.lane(partition)
            mine.queue.adopt(lane.queue)
        self.flush_soon()

    def begin(self) -> None:
        """There is nothing to wait for any more: use what is on disk."""
        if self._inherits:
            self._inherits = False
            self._restore_lanes()
            for lane in self.lanes.values():
                if lane.keeper is not None:
                    lane.keeper.begin()

    async def stop(self, grace: float) -> None:
        """Write what there is, once, keep on disk what is left, and close; at most about `grace` seconds for each. Call it
        when `run` has ended."""
        try:
            async with asyncio.timeout(grace):
                await self.write_queue()
        except TimeoutError:
            self._log.warning("the last flush did not end within %g s", grace)
        await self._keep_rest(grace)
        try:
            async with asyncio.timeout(grace):
                await self._manager.call(lambda: self.plugin.close())
        except TimeoutError:
            self._log.warning("closing did not end within %g s; it is given up", grace)
        except Exception as error:
            self._log.warning("cannot close: %s", one_line(error))
        self._worker.abandon()
        self._manager.abandon()
        if self.plan.has_foreign_code:
            let_go(self.plugin, self.plan.label)
            del self.plugin  # lanes refer to this one and it to them: it would be held until a collection

    async def _keep_rest(self, grace: float) -> None:
        left = self.queued
        keepers = [lane.keeper for lane in self.lanes.values() if lane.keeper is not None]
        try:
            async with asyncio.timeout(grace):
                await asyncio.gather(*(keeper.close() for keeper in keepers), self._ended_lanes())
        except TimeoutError:
            self._log.warning("the buffer on disk did not take what is left within %g s", grace)
        unsafe = self.queued
        if left > unsafe:
            self._log.warning(
                "%s could not be written before the end; %s kept in %s",
                counted(left, "metric"),
                "it is" if left == 1 else "they are",
                self.directory,
            )
        if unsafe:
            self._log.error("%s could not be written before the end", counted(unsafe, "metric"))

    async def _write(self, batch: QueueBatch) -> None:
        if not self._connected:
            async with self._connecting:
                if not self._connected:
                    await self._manager.call(lambda: self.plugin.connect())
                    self._connected = True
        await self._worker.call(lambda: self.plugin.write(batch))
