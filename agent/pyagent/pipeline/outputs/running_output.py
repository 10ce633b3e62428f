"""The life of one output: its senders, its connection, and its sums."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyagent.api import NotConnected, Output, QueueFull
from pyagent.api.foreign import describe, let_go
from pyagent.api.units import counted
from pyagent.buffer import BufferSettings, OutputQueue, QueueBatch, QueueName, stored_queues
from pyagent.config import OutputPlan
from pyagent.config.isolation import Isolation
from pyagent.kit.shown import quoted
from pyagent.lineprotocol import Encoded
from pyagent.pipeline.executors import Executor, LoopExecutor, executor_for
from pyagent.pipeline.failures import FailureLog, grace_period, reason_of
from pyagent.pipeline.outputs.compression import Compression
from pyagent.pipeline.outputs.connection import Connection
from pyagent.pipeline.outputs.disk_writer import DiskWriter, until_safe
from pyagent.pipeline.outputs.encoder import EncodedParts, OutputEncoder
from pyagent.pipeline.outputs.partitions import IDLE_SECONDS, Partitions
from pyagent.pipeline.outputs.rate_limit import RateLimit
from pyagent.pipeline.outputs.sender import DeadLetters, Logged, Sender
from pyagent.pipeline.supervision import supervise
from pyagent.pipeline.traits import OutputTraits, output_traits, plugin_files

__all__ = ["BufferResources", "RunningOutput"]

RESTORE_GRACE = 5.0
"""Seconds that writing waits for what is on disk to be found."""
_CANCEL_AGAIN = 2.0
"""Seconds in which a task that was cancelled ends, unless it was not told."""
CLOSE_GRACE = 3.0
"""Seconds that closing has in any case."""


@dataclass(frozen=True, slots=True)
class BufferResources:
    """Where queues are kept, and what is shared by all that are."""

    settings: BufferSettings = field(default_factory=BufferSettings)
    executor: Executor | None = None
    """The thread of the disk; None: nothing is kept on disk."""
    dead_letters: DeadLetters | None = None
    """None: what is refused for good is dropped."""


class RunningOutput:
    """Writes one output's queues. Nothing that the plugin does gets out of here as an exception.

    Accounting: see Sender; what could not be encoded is in `not_encodable`, what the filters kept out in `filtered`.
    """

    def __init__(
        self,
        plan: OutputPlan,
        plugin: Output[Any],
        *,
        log: logging.Logger,
        buffer_resources: BufferResources | None = None,
        waits: bool = False,
        traits: OutputTraits | None = None,
    ) -> None:
        """`waits`: an output before it still uses these queues on disk; they are not opened before `begin`.
        `traits`: those of an external plugin, asked where that may be done."""
        self.plan = plan
        self.plugin = plugin
        self.filtered = 0
        """Metrics that this output's filters kept out."""
        self.not_encodable: Counter[str] = Counter()
        """Metrics that could not be encoded, by reason."""
        self._buffer_resources = buffer_resources or BufferResources()
        self.partitions = Partitions(
            plan.metric_buffer_limit,
            self._buffer_resources.settings.max_partitions,
            make=self._make_sender,
            end=self._end_sender,
            log=log,
        )
        traits = traits or output_traits(plan, plugin)
        self.encoder = OutputEncoder(
            plan, traits.queue_format, traits.partition, admits=self.partitions.admits, log=log
        )
        self._waits = waits
        self._log = log
        limits = traits.limits
        self._listens = traits.listens
        self._writers = max(limits.concurrent_writes, 1)
        self._write_metrics = limits.write_metrics
        limited = limits.rate_bytes > 0 and limits.rate_period > 0
        self._rate = RateLimit(limits.rate_bytes, limits.rate_period) if limited else None
        files = plugin_files(plan) if plan.is_external else None
        self._executor = executor_for(plan.isolation, name=plan.label, files=files)
        aside: Isolation = "loop" if plan.is_external else "inline"
        self._manager = executor_for(aside, name=f"{plan.label} connections", files=files)
        if isinstance(self._executor, LoopExecutor):
            self._manager = self._executor
        self._connection = Connection(lambda: self._manager.call(lambda: self.plugin.connect()))
        self._ending: dict[str | None, asyncio.Task[None]] = {}
        """Partitions that are not used any more, until their logs are closed."""
        self._compression = Compression(plan.label)
        self._running: dict[Sender, list[asyncio.Task[None]]] | None = None
        self._ended = asyncio.Event()
        self._logged = Logged()
        self._unlisted = False
        """Some folders could not be read; there may be queues in them."""
        self._list_failures = FailureLog(log)
        if self.encoder.partition is None:
            self.sender(None)

    # Sums -------------------------------------------------------------------------------------------------------------

    @property
    def queue(self) -> OutputQueue:
        """That of an output without partitions."""
        return self.partitions[None].queue

    @property
    def queues(self) -> Iterator[OutputQueue]:
        return (sender.queue for sender in self.partitions.values())

    @property
    def _disk_writers(self) -> list[DiskWriter]:
        return [sender.disk_writer for sender in self.partitions.values() if sender.disk_writer is not None]

    @property
    def queued(self) -> int:
        return sum(map(len, self.queues))

    @property
    def written(self) -> int:
        return self.partitions.sums.written

    @property
    def rejected(self) -> int:
        """Metrics that the receiver refused for good."""
        return self.partitions.sums.rejected

    @property
    def is_connected(self) -> bool:
        """Its `connect` has worked, and no write has lost the connection since."""
        return self._connection.is_established

    @property
    def error(self) -> str:
        """Why writing, or keeping on disk, fails at present, where it does."""
        reasons = (sender.failures.current for sender in self.partitions.values())
        kept = (failures.current for disk_writer in self._disk_writers for failures in disk_writer.all_failures)
        return next((reason for reason in (*reasons, *kept) if reason), "")

    # What inputs give -------------------------------------------------------------------------------------------------

    def enqueue(self, encoded: EncodedParts, *, pinned: bool = False) -> None:
        """Queue what `encoder` made. `pinned`: somebody is promised that these are safe (ask `can_admit` first); else the
        oldest go, counted, where there is no room."""
        for partition, block in encoded.parts:
            self._enqueue(block, partition, pinned=pinned)
        self.filtered += encoded.filtered
        self.partitions.appended()

    def not_queued(self, count: int, error: Exception) -> None:
        """A fault of the agent's own keeps so many metrics out of this output's queue: they are counted, and no other output
        goes without them."""
        reason = f"BUG: {type(error).__name__}"
        self.not_encodable[reason] += count
        if self._logged.once(f"queue {reason}"):
            self._log.error(
                "BUG: cannot queue %s: %s; dropped; please report this",
                counted(count, "metric"),
                describe(error),
                exc_info=error,
            )

    def enqueue_block(self, block: Encoded, partition: str | None = None, *, pinned: bool = False) -> None:
        """The same for the metrics of one partition."""
        self.enqueue(EncodedParts(((partition, block),), filtered=0), pinned=pinned)

    async def requeue(self, texts: Sequence[bytes], partition: str | None) -> None:
        """Queue texts (see QueueBatch.texts), each of one metric, once more; return when they are as safe as is configured.

        Raises LookupError where there can be no such partition, QueueFull where there is no room.
        """
        if partition is not None and self.encoder.partition is None:
            raise LookupError(
                f"{self.plan.label} does not divide its metrics any more, these are of {quoted(partition)}"
            )
        if not self.can_admit(len(texts), partition):
            raise QueueFull(f"the queue of {self.plan.label} is full; try it again later")
        block = self.encoder.format.encode_again(texts, time.time_ns())
        if block.count < len(texts):
            raise LookupError(f"{self.plan.label} has another format now, and these cannot be read back into it")
        self.enqueue_block(block, partition, pinned=True)
        await self.durable()

    def has_room(self, patience: float) -> bool | None:
        """Whether at most half of what may wait does, of what anything has left in `patience` seconds. None: nothing has, and
        waiting for it is in vain."""
        limit = self.plan.metric_buffer_limit
        if 2 * self.queued <= limit:
            return True
        moving = [len(one.queue) for one in self.partitions.values() if not one.stands_still(patience)]
        return 2 * sum(moving) <= limit if any(moving) else None

    def can_admit(self, count: int, partition: str | None = None) -> bool:
        """Whether so many may be pinned."""
        sender = self.partitions.get(partition)
        return (sender is None or sender.queue.can_admit(count)) and self._may_pin(count)

    def can_admit_all(self, encoded: EncodedParts) -> bool:
        """Whether all of it may be pinned."""
        counts: Counter[str | None] = Counter()  # a partition may come several times
        for partition, block in encoded.parts:
            counts[partition] += block.count
        queues = ((count, self.partitions.get(partition)) for partition, count in counts.items() if count)
        return self._may_pin(encoded.count) and all(
            sender is None or sender.queue.can_admit(count) for count, sender in queues
        )

    def _may_pin(self, count: int) -> bool:
        """Whether so many more may stay whatever comes; any number where none do, else a large body would never fit."""
        pinned = self.partitions.usage.pinned
        return not pinned or pinned + count <= self.plan.metric_buffer_limit

    def receipts(self) -> list[asyncio.Future[None]]:
        """Register with every queue at once; done when all that was queued so far is as safe as is configured (`until_safe`
        waits for them)."""
        return [receipt for disk_writer in self._disk_writers if (receipt := disk_writer.receipt()) is not None]

    async def durable(self) -> None:
        """Return when all that was queued so far is as safe as is configured. Raises QueueFull where it cannot be."""
        await until_safe(self.receipts())

    def flush_soon(self) -> None:
        """Write what there is without waiting for the interval (but not before a back-off ends)."""
        for sender in self.partitions.values():
            sender.flush_soon()

    def _enqueue(self, block: Encoded, partition: str | None, *, pinned: bool) -> None:
        for metric, reason in block.rejected:
            self.not_encodable[reason] += 1
            if self._logged.once(f"encode {reason}"):
                self._log.error("cannot encode a metric of %s: %s; it is dropped", quoted(metric.name[:100]), reason)
        sender = self.sender(partition)
        sender.queue.enqueue(block, pinned=pinned)
        sender.appended()

    # Partitions ------------------------------------------------------------------------------------------------------------

    def sender(self, partition: str | None) -> Sender:
        """That of a partition, made where there is none yet."""
        return self.partitions.sender(partition)

    def _make_sender(self, partition: str | None) -> Sender:
        plan, settings = self.plan, self._buffer_resources.settings
        queue = OutputQueue(
            plan.metric_buffer_limit,
            plan.metric_batch_size,
            max_bytes=settings.max_bytes,
            drop_newest=settings.drop_newest,
            newest_first=settings.newest_first,
            usage=self.partitions.usage,
            compressor=self._compression.run,
        )
        sender = Sender(
            plan,
            queue,
            self._write,
            partition=partition,
            writers=self._writers,
            rate=self._rate,
            write_metrics=self._write_metrics,
            dead_letters=self._buffer_resources.dead_letters,
            newest_first=settings.newest_first,
            log=self._log,
            logged=self._logged,
            destination=lambda partition: self.plugin.destination(partition),  # no method: it holds the plugin
        )
        if (directory := self.directory) is not None and self._buffer_resources.executor is not None:
            name = QueueName(plan.queue_id, partition)
            sender.disk_writer = DiskWriter(
                queue,
                directory / name.folder,
                identity=name.identity,
                always=plan.on_disk,
                sync=plan.buffer_disk_sync,
                passing=partition is not None,
                executor=self._buffer_resources.executor,
                log=self._log,
                among=self._logged.disk,
                write_now=sender.flush_soon,
            )
        if self._running is not None:
            self._start(sender)
        return sender

    def _end_sender(self, sender: Sender) -> None:
        """End an idle one: its tasks, and its log's descriptors."""
        sender.end()
        self._logged.forget(sender)
        tasks = self._running.pop(sender, []) if self._running is not None else []

        async def end() -> None:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            if sender.disk_writer is not None:
                with contextlib.suppress(OSError):  # it is empty, and closed all the same
                    await sender.disk_writer.close()

        ending = self._ending[sender.partition] = asyncio.create_task(end(), name=f"{self.plan.label} end")
        ending.add_done_callback(lambda _: self._ending.pop(sender.partition, None))

    @property
    def directory(self) -> Path | None:
        """Where the queues are kept; None: in memory only."""
        if self.plan.on_disk and self.plan.buffer_directory:
            return Path(self.plan.buffer_directory)
        return self._buffer_resources.settings.directory

    def _restore_senders(self) -> None:
        """Have a sender for each partition that has something on disk."""
        if self.encoder.partition is None or self.directory is None or self._buffer_resources.executor is None:
            return
        errors: list[OSError] = []
        for stored in stored_queues(self.directory, errors):
            if stored.name.output == self.plan.queue_id and stored.name.partition not in self.partitions:
                self.sender(stored.name.partition)
        self._unlisted = bool(errors)
        for error in errors:
            self._list_failures.failed(
                f"cannot look for queues in {error.filename}: {error.strerror}; it is tried again, what is there stays there"
            )
        if not errors:
            self._list_failures.succeeded("looking for queues")

    def _start(self, sender: Sender) -> None:
        assert self._running is not None

        async def run() -> None:
            if sender.disk_writer is not None and not self._waits:
                with contextlib.suppress(TimeoutError):
                    # The oldest first; but a disk that hangs must not stop what is new.
                    await asyncio.wait_for(sender.disk_writer.ready.wait(), RESTORE_GRACE)
            await sender.run()

        self._running[sender] = [asyncio.create_task(supervise(run, self._log), name=self.plan.label)]
        if (disk_writer := sender.disk_writer) is not None:
            if (before := self._ending.get(sender.partition)) is not None:
                before.add_done_callback(lambda _: None if self._waits else disk_writer.begin())
            elif not self._waits:
                disk_writer.begin()
            write_to_disk = disk_writer.run
            self._running[sender].append(
                asyncio.create_task(supervise(write_to_disk, self._log), name=f"{self.plan.label} disk")
            )

    # From the beginning to the end ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until `end`."""
        self._running = {}
        first = asyncio.create_task(self._connection.first(self._log)) if self._listens else None
        try:
            if not self._waits:
                self._restore_senders()
            for sender in self.partitions.values():
                if sender not in self._running:
                    self._start(sender)
            while not self._ended.is_set():
                await self._wait_for_end()
            for sender in self.partitions.values():
                sender.end()
            if self._running:  # one that is divided has no sender before its first metric
                await asyncio.wait([tasks[0] for tasks in self._running.values()])
        finally:
            tasks = [task for tasks in self._running.values() for task in tasks]
            self._running = None
            tasks += [first] if first is not None else []
            left = set(tasks)
            while left:
                # Again where need be: before Python 3.12 `wait_for` keeps a cancellation to itself that comes just as what it
                # waits for ends, and the task would go on for ever.
                for task in left:
                    task.cancel()
                _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN)

    async def _wait_for_end(self) -> None:
        """Or end partitions that are not used any more, after a while."""
        if self.encoder.partition is None:
            await self._ended.wait()
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), IDLE_SECONDS / 5)
        self.partitions.end_idle(asyncio.get_running_loop().time())
        if self._unlisted and not self._waits:
            self._restore_senders()

    async def write_queue(self, at_least: int = 1) -> bool:
        """Write all there is in queues that hold so many; False where something was not taken."""
        results = await asyncio.gather(*(sender.write_queue(at_least) for sender in self.partitions.values()))
        return all(results)

    def end(self) -> None:
        """Tell `run` to return after the writes that are under way."""
        self._ended.set()

    async def quiet(self) -> None:
        """Return when nothing is under way in the disk's thread."""
        await self._ended_senders()
        for disk_writer in self._disk_writers:
            await disk_writer.quiet()

    async def _ended_senders(self) -> None:
        while self._ending:
            await asyncio.wait(list(self._ending.values()))

    def adopt(self, older: "RunningOutput") -> None:
        """Take over what the output before this one has not written, which must have ended and be quiet. Its logs come
        along; `begin` when no other has to be waited for."""
        for partition, sender in older.partitions.items():
            mine = self.sender(partition)
            mine.queue.adopt(sender.queue)
            if mine.disk_writer is not None:
                # An error that came along is tried again, not kept: else what must be on disk is refused for ever.
                mine.disk_writer.appended()
            if sender.disk_writer is not None:
                sender.disk_writer.hand_over(mine.disk_writer)
        self.flush_soon()

    def begin(self) -> None:
        """There is nothing to wait for any more: use what is on disk."""
        if self._waits:
            self._waits = False
            self._restore_senders()
            for disk_writer in self._disk_writers:
                disk_writer.begin()

    async def stop(self, grace: float, waited: float = 0.0) -> None:
        """Write what there is, once, keep on disk what is left, and close. Call it when `run` has ended.

        `grace`: seconds for the flush, of which `waited` have passed already, and for the disk. Closing has what the flush
        leaves, and `CLOSE_GRACE` where that is less."""
        loop = asyncio.get_running_loop()
        began = loop.time() - waited
        if waited < grace:
            async with grace_period(grace, self._log, "the last flush", waited):
                await self.write_queue()
        elif self.queued:
            self._log.warning("the last flush did not end within %g s; it is abandoned", grace)
        close_grace = max(began + grace - loop.time(), min(grace, CLOSE_GRACE))
        await self._persist_rest(grace)
        for disk_writer in self._disk_writers:
            disk_writer.dismiss()
        try:
            async with grace_period(round(close_grace, 2), self._log, "closing"):
                await self._manager.call(lambda: self.plugin.close())
        except Exception as error:
            self._log.warning("cannot close: %s", reason_of(error))
        self._executor.abandon()
        self._manager.abandon()
        self._compression.abandon()
        if self.plan.has_foreign_code:
            let_go(self.plugin, self.plan.label)
            del self.plugin  # senders refer to this one and it to them: it would be held until a collection

    async def _persist_rest(self, grace: float) -> None:
        left = self.queued
        # Several outputs of a kind have one name in the log.
        places = list(dict.fromkeys(s.where for s in self.partitions.values() if len(s.queue) and s.where))
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        to = f" to {', '.join(places[:3])}{more}" if places else ""
        async with grace_period(grace, self._log, "writing what is left to the disk buffer"):
            await asyncio.gather(*(one.close() for one in self._disk_writers), self._ended_senders())
        unsafe = self.queued
        if left > unsafe:
            self._log.warning(
                "%s could not be written%s before the end; %s kept in %s",
                counted(left, "metric"),
                to,
                "it is" if left == 1 else "they are",
                self.directory,
            )
        if unsafe:
            self._log.error("%s could not be written%s before the end", counted(unsafe, "metric"), to)

    async def _write(self, batch: QueueBatch) -> None:
        connection = await self._connection.established()
        batch.body = self.encoder.format
        try:
            await self._executor.call(lambda: self.plugin.write(batch))
        except NotConnected:
            self._connection.lost(connection)
            raise
