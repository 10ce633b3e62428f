"""One queue's way to the receiver: when to write, and what becomes of a batch that is not taken.

An output has one sender, or one for each partition: a bucket that refuses everything holds up no other.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from pyagent.api import PartialWrite, Reject, Retry, TooLarge
from pyagent.api.asking import how_to_ask
from pyagent.api.units import counted, joined
from pyagent.buffer import Chunk, OutputQueue, QueueBatch
from pyagent.config import OutputPlan
from pyagent.kit.once import Once
from pyagent.lineprotocol import Encoded
from pyagent.pipeline.failures import FailureLog, as_partial_write, explain, reason_of
from pyagent.pipeline.outputs.disk_writer import DiskWriter
from pyagent.pipeline.outputs.rate_limit import RateLimit
from pyagent.pipeline.outputs.sender_state import SenderState
from pyagent.pipeline.traits import plugin_files

__all__ = ["DeadLetters", "Logged", "Sender"]

_BACKOFF_FIRST, _BACKOFF_MOST = 1.0, 15.0
"""Seconds: the wait after a first failure, and the longest: a server that is back should soon be noticed."""
_BACKOFF_SLOW, _BACKOFF_SLOW_MOST = 10.0, 60.0
"""The same where only a person can mend it."""
_SHORTEST_SHARE = 0.1
"""The wait is a random part of that, at least so much: many agents must not come back at once."""
_RECOVERY_PAUSE_MOST = 1.0
"""Seconds that a receiver that came back is left alone between two batches of a backlog, at the most."""
_BACKLOG_PAUSE = 0.1
"""The least of it for a backlog that newer metrics go ahead of."""
_SUSPICIOUS, _FEW = 4, 16
"""Metrics refused one by one before anything is taken: then a few others are tried, unless no more than so many are left."""


Refusal = Reject | TooLarge
"""What a receiver does not take, whenever it is asked."""


class DeadLetters(Protocol):
    """Where metrics go that a receiver refuses for good."""

    def put(
        self, output: str, partition: str | None, lines: list[bytes], reason: str, *, suspected: bool = False
    ) -> int:
        """Keep encoded lines, one metric each; returns how many older ones had to go."""

    def sync(self) -> None:
        """Blocking: make them outlast a loss of power. Raises OSError."""


@dataclass(slots=True)
class Logged:
    """What was logged of one output's senders: a thousand of them must not say a thousand times what goes wrong."""

    failing: set[FailureLog] = field(default_factory=set)
    """Those that fail to write."""
    disk: set[FailureLog] = field(default_factory=set)
    """Those that fail to keep metrics on disk."""
    once: Once = field(default_factory=Once)
    """For refusals, and metrics that cannot be encoded."""
    success: bool = False
    """A batch was written."""

    def forget(self, sender: "Sender") -> None:
        """It has ended."""
        self.failing.discard(sender.failures)
        if sender.disk_writer is not None:
            self.disk.difference_update(sender.disk_writer.all_failures)


class Sender:
    """Writes one queue. Nothing that the plugin does gets out of here as an exception.

    Accounting: every metric put into the queue is in exactly one of `written`, `rejected`, `queue.dropped`,
    `queue.damaged`, or still in the queue.
    """

    def __init__(
        self,
        plan: OutputPlan,
        queue: OutputQueue,
        write: Callable[[QueueBatch], Awaitable[None]],
        *,
        partition: str | None = None,
        writers: int = 1,
        rate: RateLimit | None = None,
        write_metrics: int = 0,
        dead_letters: DeadLetters | None = None,
        newest_first: bool = False,
        log: logging.Logger,
        logged: Logged | None = None,
        destination: Callable[[str | None], str] = lambda _: "",
    ) -> None:
        self.plan = plan
        self.queue = queue
        self.partition = partition
        self.disk_writer: DiskWriter | None = None
        self._logged = logged or Logged()
        self._destination = destination
        self.failures = FailureLog(log, self._logged.failing)
        self.written = 0
        self.rejected = 0
        """Metrics that the receiver refused for good."""
        self.last_write = 0.0
        """When something was last taken, seconds since the epoch; 0: never."""
        self.write_seconds = 0.0
        """Spent in writes, all of them."""
        self.busy_since: float | None = None
        """Loop time when the batch that is being written was taken; None: none is."""
        self.used = True
        """Something was put in since that was last set to False."""
        self.promised = False
        """Something is just being made for it: it must not end before that is put in."""
        self.unused_since = 0.0
        """Loop time; of use where `used` is False."""
        self._write = write
        self._writers = writers
        self._rate = rate
        self._most = write_metrics
        self._dead_letters = dead_letters
        self._newest_first = newest_first
        self._log = log
        self._wake = asyncio.Event()
        self._flush_now = False
        self._stopping = False
        self._attempts = 0
        """Failed ones in a row."""
        self._failing_since = 0.0
        self._retry_at = 0.0
        """Loop time of the next attempt, after a failure or where a rate limit is reached."""
        self._pause_state = SenderState.BACKING_OFF
        """What it is until then."""
        self._recovering = False
        """A backlog is drained after failures."""
        self._refused_unsynced = False
        self._seen = (-1, 0.0)
        """How much had left the queue, and when `stands_still` saw that first, loop time."""

    @property
    def idle(self) -> bool:
        """Nothing is held, and nothing is under way."""
        if self.promised or self.busy_since is not None or len(self.queue):
            return False
        return self.disk_writer is None or self.disk_writer.idle

    @property
    def state(self) -> SenderState:
        if self._stopping:
            return SenderState.STOPPING
        if self.busy_since is not None:
            return SenderState.WRITING
        if asyncio.get_running_loop().time() < self._retry_at:
            return self._pause_state
        return SenderState.RECOVERING if self._recovering else SenderState.IDLE

    @property
    def retry_at(self) -> float:
        """Loop time before which nothing should be tried, after a failure or where a rate limit is reached."""
        return self._retry_at

    def stands_still(self, patience: float) -> bool:
        """Whether nothing has left the queue in `patience` seconds of asking: a receiver that is down, or hangs."""
        settled, now = self.written + self.rejected, asyncio.get_running_loop().time()
        if settled != self._seen[0]:
            self._seen = (settled, now)
        return now - self._seen[1] >= patience

    # When to write ----------------------------------------------------------------------------------------------------

    def appended(self) -> None:
        """Something was put into the queue."""
        self.used, self.promised = True, False
        if self.disk_writer is not None:
            self.disk_writer.appended()
        if len(self.queue) >= self.plan.metric_batch_size:
            self._wake.set()

    def adopt(self, chunk: Chunk) -> None:
        """Put metrics of another queue into this one, where they stay (ask `queue.can_admit` first)."""
        lengths, (oldest, newest) = QueueBatch([chunk]).lengths(), (chunk.block.oldest, chunk.block.newest)
        block = Encoded.of(bytes(chunk.text()), lengths, oldest, newest, content=chunk.content)
        self.queue.enqueue(block, pinned=True)
        self.appended()

    def flush_soon(self) -> None:
        """Write what there is without waiting for the interval (but not before a back-off ends)."""
        self._flush_now = True
        self._wake.set()

    def retry_now(self) -> None:
        """Write what there is now, though an attempt has failed just before: somebody waits for it."""
        self._attempts, self._retry_at = 0, 0.0
        self.flush_soon()

    async def run(self) -> None:
        """Write until `end`: every flush interval all there is, in between whole batches as they fill."""
        loop = asyncio.get_running_loop()
        next_flush = loop.time() + self._interval()
        while not self._stopping:
            now = loop.time()
            if now < self._retry_at:
                due = self._retry_at
            elif self._flush_now or self._attempts or len(self.queue) >= self.plan.metric_batch_size:
                due = now
            else:
                due = next_flush
            if due > now:
                await self._sleep(due - now)
                continue
            everything = self._flush_now or now >= next_flush or self._attempts > 0
            if everything:
                self._flush_now = False
                next_flush = now + self._interval()
            await self.write_queue(at_least=1 if everything else self.plan.metric_batch_size)
            await asyncio.sleep(0)  # others get their turn, whatever the intervals are

    def end(self) -> None:
        """Tell `run` to return after the write that is under way."""
        self._stopping = True
        self._wake.set()

    def _interval(self) -> float:
        return self.plan.flush_interval.seconds + random.uniform(0, self.plan.flush_jitter.seconds)  # noqa: S311  # load

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    # What becomes of a batch ------------------------------------------------------------------------------------------

    async def write_queue(self, at_least: int = 1) -> bool:
        """Write batches, oldest first, while the queue holds `at_least` metrics; False where one was not taken."""
        if self.disk_writer is not None and len(self.queue) >= at_least:
            await self.disk_writer.persist()
        if self._writers == 1:
            return await self._writer(at_least)
        failed_before = self.failures.total
        await asyncio.gather(*(self._writer(at_least, failed_before) for _ in range(self._writers)))
        return self.failures.total == failed_before

    async def _writer(self, at_least: int, failed_before: int | None = None) -> bool:
        while len(self.queue) >= at_least and failed_before in (None, self.failures.total):
            unreadable = (
                await self.disk_writer.prefetch(self.plan.metric_batch_size) if self.disk_writer is not None else 0.0
            )
            batch = self.queue.next_batch(self.plan.metric_batch_size)
            if batch is None:
                if unreadable:
                    now = asyncio.get_running_loop().time()
                    self._pause(SenderState.BACKING_OFF, now + unreadable, "the buffer cannot be read now")
                    return False
                break
            batch.partition = self.partition
            started = time.monotonic()
            if not await self._write_batch(batch):
                return False
            if self.disk_writer is not None:
                # What was refused must be safe elsewhere before the log forgets it.
                refused, self._refused_unsynced = self._refused_unsynced, False
                await self.disk_writer.commit(self._dead_letters.sync if refused and self._dead_letters else None)
                self.disk_writer.delivered()
            await self._throttle_recovery(time.monotonic() - started)
            await asyncio.sleep(0)  # an output need not wait for anything
        return True

    async def _write_batch(self, batch: QueueBatch) -> bool:
        parts = deque([batch])
        doubtful: list[tuple[QueueBatch, Refusal]] = []
        proven, taken = False, 0
        started = time.monotonic()
        self.busy_since = asyncio.get_running_loop().time()
        try:
            while parts:
                if 0 < self._most < parts[0].count:
                    first = parts.popleft()
                    parts.extendleft((first.slice(self._most, first.count), first.slice(0, self._most)))
                if self._rate is not None and not self._within_rate(parts):
                    return False
                part = parts[0]
                try:
                    await self._write(part)
                except (Reject, TooLarge) as error:
                    refusal = as_partial_write(error) or error
                    parts.popleft()
                    if part.count == 1 and not proven and not _says_which(part, refusal):
                        doubtful.append((part, refusal))
                        if len(doubtful) == _SUSPICIOUS:
                            parts = _samples_first(parts)
                        if not parts or (len(doubtful) > _SUSPICIOUS and parts[0].count > 1 and _many(parts)):
                            self._failed(_all_refused(refusal))
                            return False
                        continue
                    proven = proven or _says_which(part, refusal)
                    parts.extendleft(reversed(self._refused(part, refusal)))
                except Exception as error:
                    self._failed(error)
                    return False
                else:
                    parts.popleft()
                    self.written += part.count
                    taken += part.count
                    proven = True
                if proven:
                    for one, its_refusal in doubtful:
                        self._refused(one, its_refusal)
                    doubtful.clear()
        finally:
            # Also when cancelled: what was not settled goes back, in order. While there are doubts, nothing has left it.
            self.queue.complete(batch, [batch] if doubtful else _in_order(batch, parts))
            self.busy_since = None
            self.write_seconds += time.monotonic() - started
        self.last_write = time.time()
        await self._succeeded()
        if taken:
            self._log_written(taken, time.monotonic() - started)
        return True

    @property
    def where(self) -> str:
        """Where its metrics go, for the log; empty where the output does not say."""
        try:
            return " ".join(str(self._destination(self.partition)).split())
        except Exception:  # anybody's code
            return ""

    def _log_written(self, count: int, seconds: float) -> None:
        """Somebody who has just started an agent waits for this line; the next ones are for debugging."""
        level, batch = (logging.DEBUG, "batch") if self._logged.success else (logging.INFO, "first batch")
        self._logged.success = True
        if not self._log.isEnabledFor(level):
            return
        to = f" to {where}" if (where := self.where) else ""
        self._log.log(level, "%s of %s written in %.1f ms%s", batch, counted(count, "metric"), 1000 * seconds, to)

    def _within_rate(self, parts: deque[QueueBatch]) -> bool:
        """Make the first part fit what may be sent now; where nothing may, wait."""
        assert self._rate is not None
        now = asyncio.get_running_loop().time()
        count = self._rate.admit(parts[0].lengths(), now)
        if not count:
            self._pause(SenderState.RATE_LIMITED, self._rate.next_period, "the limit of this period is used up")
            return False
        if count < parts[0].count:
            first = parts.popleft()
            parts.extendleft((first.slice(count, first.count), first.slice(0, count)))
        return True

    def _refused(self, part: QueueBatch, refusal: Refusal) -> list[QueueBatch]:
        """Account for a refusal; returns what is to be tried in place of the part."""
        indices = _named(part, refusal)
        named = [part.slice(index, index + 1) for index in indices]
        if isinstance(refusal, PartialWrite):
            rejected = min(refusal.rejected, part.count)
            self._reject(named, rejected, refusal, suspected=True)
            self.written += part.count - rejected
            return []
        if named:
            self._reject(named, len(named), refusal)
            return part.without(indices)
        if part.count == 1:
            self._reject([part], 1, refusal)
            return []
        half = part.count // 2
        return [part.slice(0, half), part.slice(half, part.count)]

    def _reject(self, lines: list[QueueBatch], count: int, refusal: Exception, *, suspected: bool = False) -> None:
        self.rejected += count
        reason = reason_of(refusal)
        kept = ""
        if self._dead_letters is not None and lines:
            texts = [text for line in lines for text in line.texts()]
            self._dead_letters.put(self.plan.queue_id, self.partition, texts, reason, suspected=suspected)
            self._refused_unsynced = True
            how = how_to_ask("quarantine list")
            # A receiver that stores a part may say of fewer than it refused which these are, or that it is one of several.
            what = "them" if len(lines) == count else f"{len(lines)} of them"
            if len(lines) > count:
                what = f"{len(lines)}, among which {'it is' if count == 1 else 'they are'}"
            kept = f"; {how} shows {what}" if how else ""
        metrics = "one metric was" if count == 1 else f"{count} metrics were"
        if self._logged.once(reason):
            self._log.error("%s refused for good: %s%s", metrics, reason, kept)

    async def _succeeded(self) -> None:
        if self._attempts:
            self._recovering = True
            if self._newest_first:
                self.queue.split_backlog() if self.disk_writer is None else await self.disk_writer.split_backlog()
        self._attempts = 0
        self.failures.succeeded()

    async def _throttle_recovery(self, took: float) -> None:
        """After an outage, pause as long as the last write took (at most 1 s), so that the server is not flooded."""
        if not self._recovering:
            return
        if len(self.queue) < self.plan.metric_batch_size:
            self._recovering = False
            return
        least = _BACKLOG_PAUSE if self._newest_first and self.queue.gives_backlog else 0.0
        pause = max(min(took, _RECOVERY_PAUSE_MOST), least)
        if pause > 0.001 and not self._stopping:
            await asyncio.sleep(pause)

    def _pause(self, state: SenderState, until: float, why: str) -> None:
        """Write nothing before `until`, loop time."""
        if self._log.isEnabledFor(logging.DEBUG):
            seconds = until - asyncio.get_running_loop().time()
            self._log.debug("%s -> %s for %.1f s: %s", self.state, state, seconds, why)
        self._pause_state, self._retry_at = state, until

    def _failed(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if not self._attempts:
            self._failing_since = now
        self._attempts += 1
        slow = isinstance(error, Retry) and error.needs_operator
        first, most = (_BACKOFF_SLOW, _BACKOFF_SLOW_MOST) if slow else (_BACKOFF_FIRST, _BACKOFF_MOST)
        share = random.uniform(_SHORTEST_SHARE, 1.0)  # noqa: S311  # spreads load
        wait = min(first * 2.0 ** min(self._attempts - 1, 10), most) * share
        if isinstance(error, Retry) and error.after is not None:
            # It knows best when to come back; but not all at the same moment.
            wait = error.after + share
        why = explain("cannot write", error, plugin_files(self.plan))
        self._pause(SenderState.BACKING_OFF, now + wait, why)
        self.failures.failed(why)
        if self.disk_writer is not None and now - self._failing_since >= self.plan.flush_interval.seconds:
            self.disk_writer.start_persisting()


def _named(part: QueueBatch, refusal: Refusal) -> list[int]:
    """Indices of the metrics of the part that a refusal names."""
    named: tuple[int, ...] = ()
    if isinstance(refusal, PartialWrite):
        named = refusal.suspects
    elif isinstance(refusal, Reject):
        named = refusal.indices or ()
    return sorted({index for index in named if 0 <= index < part.count})


def _says_which(part: QueueBatch, refusal: Refusal) -> bool:
    """Whether it is certain that it is about metrics: it names some, or the others are stored."""
    return isinstance(refusal, PartialWrite) or bool(_named(part, refusal))


def _many(parts: deque[QueueBatch]) -> bool:
    return sum(part.count for part in parts) > _FEW


def _samples_first(parts: deque[QueueBatch]) -> deque[QueueBatch]:
    """The last metric of each part before all others, as a receiver may refuse everything, whatever is in it. The parts that
    halving leaves are each twice as long as the one before, so the samples are from everywhere."""
    if not _many(parts):
        return parts
    samples = [part.slice(part.count - 1, part.count) for part in parts]
    return deque([*reversed(samples), *(part.slice(0, part.count - 1) for part in parts if part.count > 1)])


def _in_order(batch: QueueBatch, parts: deque[QueueBatch]) -> list[QueueBatch]:
    """Parts of the batch as they stand in it: samples were taken out of them."""
    order = {id(chunk.block): index for index, chunk in reversed(list(enumerate(batch.chunks)))}
    return sorted(parts, key=lambda part: (order[id(part.chunks[0].block)], part.chunks[0].start))


def _all_refused(refusal: Refusal) -> Retry:
    return Retry(
        joined(reason_of(refusal), "each metric alone is refused as well, so that all are kept"), needs_operator=True
    )
