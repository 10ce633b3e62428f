"""The life of one output: when to write, and what becomes of a batch that is not taken."""

import asyncio
import logging
import random
import time
from collections import Counter, deque
from typing import Any

from pyagent.api import Output, Reject, Retry, TooLarge
from pyagent.buffer import Batch, Chunk, MemoryQueue
from pyagent.config import OutputPlan
from pyagent.lineprotocol import Encoded
from pyagent.pipeline.failures import FailureLog, explain, one_line
from pyagent.pipeline.form import Form
from pyagent.pipeline.workers import HereWorker, LoopWorker, Worker, worker_for

__all__ = ["OutputRunner"]

_BACKOFF_FIRST, _BACKOFF_SLOW, _BACKOFF_MOST = 1.0, 10.0, 60.0
"""Seconds: the wait after a first failure; the same where only a person can mend it; the longest of both."""


class OutputRunner:
    """Writes one output's queue. Nothing that the plugin does gets out of here as an exception.

    Accounting: every metric appended is in exactly one of `written`, `rejected`, `queue.dropped`, or still in the queue;
    what could not be encoded is in `lost`.
    """

    def __init__(self, plan: OutputPlan, plugin: Output[Any], *, log: logging.Logger) -> None:
        self.plan = plan
        self.plugin = plugin
        self.queue = MemoryQueue(plan.metric_buffer_limit, plan.metric_batch_size)
        self.form = Form(plan, plugin.line_options())
        self.failures = FailureLog(log)
        self.written = 0
        self.rejected = 0
        """Metrics that the receiver refused for good."""
        self.last_write = 0.0
        """When something was last taken, seconds since the epoch; 0: never."""
        self.write_seconds = 0.0
        """Spent in writes, all of them."""
        self.filtered = 0
        """Metrics that this output's filters kept out."""
        self.lost: Counter[str] = Counter()
        """Metrics that could not be encoded, by reason."""
        self._log = log
        own = plan.origin == "builtin"
        self._worker = worker_for(plugin.write, own=own, name=plan.label)
        self._manager: Worker = HereWorker() if own else LoopWorker(f"{plan.label} connections")
        if isinstance(self._worker, LoopWorker):
            self._manager = self._worker
        self._wake = asyncio.Event()
        self._flush_now = False
        self._stopping = False
        self._connected = False
        self._attempts = 0
        """Failed ones in a row."""
        self._retry_at = 0.0
        """Loop time of the next attempt, after a failure."""
        self._told_dropped = 0
        self._told_refusals: set[str] = set()

    # What inputs give -------------------------------------------------------------------------------------------------

    def append(self, lines: Encoded, filtered: int = 0) -> None:
        """Queue encoded metrics; the oldest go, counted, where there is no room. `filtered`: how many did not pass."""
        self._account(lines, filtered)
        self.queue.append(lines)
        self._after_append()

    def admit(self, lines: Encoded, filtered: int = 0) -> None:
        """Queue metrics that somebody is told are safe: they are not dropped for others. Ask `queue.has_room` first."""
        self._account(lines, filtered)
        self.queue.admit(lines)
        self._after_append()

    def _account(self, lines: Encoded, filtered: int) -> None:
        self.filtered += filtered
        for metric, reason in lines.rejected:
            self.lost[reason] += 1
            self._tell_once(reason, "cannot encode a metric of %r: %s; it is dropped", metric.name, reason)

    def _after_append(self) -> None:
        # Told at 1, 2, 4, 8, ... thousands: an outage of days must not fill the log.
        if self.queue.dropped and self.queue.dropped >= 2 * self._told_dropped:
            self._told_dropped = self.queue.dropped
            self._log.warning(
                "Metric buffer overflow; %d metrics have been dropped so far, the oldest of %d kept",
                self.queue.dropped,
                self.queue.limit,
            )
        if len(self.queue) >= self.plan.metric_batch_size:
            self._wake.set()

    def flush_soon(self) -> None:
        """Write what there is without waiting for the interval (but not before a back-off ends)."""
        self._flush_now = True
        self._wake.set()

    # When to write ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until `stop`: every flush interval all there is, in between whole batches as they fill."""
        loop = asyncio.get_running_loop()
        next_flush = loop.time() + self._interval()
        while not self._stopping:
            now = loop.time()
            if self._attempts:
                due = self._retry_at
            elif self._flush_now or len(self.queue) >= self.plan.metric_batch_size:
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

    async def stop(self, grace: float) -> None:
        """Write what there is, once, and close; at most about `grace` seconds. Call it when `run` was told to end.

        What could not be written stays in the queue.
        """
        try:
            async with asyncio.timeout(grace):
                await self.write_queue()
        except TimeoutError:
            self._log.warning("the last flush did not end within %g s", grace)
        if len(self.queue):
            self._log.error("%d metrics could not be written before the end", len(self.queue))
        try:
            async with asyncio.timeout(grace):
                await self._manager.call(self.plugin.close)
        except TimeoutError:
            self._log.warning("closing did not end within %g s; it is given up", grace)
        except Exception as error:
            self._log.warning("cannot close: %s", one_line(error))
        self._worker.abandon()
        self._manager.abandon()

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
        while len(self.queue) >= at_least and (batch := self.queue.take(self.plan.metric_batch_size)):
            if not await self._write_batch(batch):
                return False
        return True

    async def _write_batch(self, batch: Batch) -> bool:
        parts = deque([batch])
        started = time.monotonic()
        try:
            while parts:
                part = parts[0]
                try:
                    if not self._connected:
                        await self._manager.call(self.plugin.connect)
                        self._connected = True
                    await self._worker.call(lambda part=part: self.plugin.write(part))  # type: ignore[misc]  # bound now
                except (Reject, TooLarge) as refusal:
                    parts.popleft()
                    parts.extendleft(reversed(self._refused(part, refusal)))
                except Exception as error:
                    self._failed(error)
                    return False
                else:
                    parts.popleft()
                    self.written += part.count
        finally:
            # Also when cancelled: what was not settled goes back, in order.
            self.queue.settle(parts)
            self.write_seconds += time.monotonic() - started
        self._attempts = 0
        self.last_write = time.time()
        self.failures.succeeded()
        return True

    def _refused(self, part: Batch, refusal: Reject | TooLarge) -> list[Batch]:
        """Account for a refusal; returns what is to be tried in place of the part."""
        if isinstance(refusal, Reject) and (refusal.rest_stored or refusal.lines):
            rejected = min(refusal.dropped, part.count)
            self._reject(rejected, refusal)
            if not refusal.rest_stored:
                return _without(part, refusal.lines or ())
            self.written += part.count - rejected
            return []
        if part.count == 1:
            self._reject(1, refusal)
            return []
        half = part.count // 2
        return [part.lines(0, half), part.lines(half, part.count)]

    def _reject(self, count: int, refusal: Exception) -> None:
        self.rejected += count
        reason = one_line(refusal)
        self._tell_once(reason, "%d metrics were refused for good and are dropped: %s", count, reason)

    def _failed(self, error: Exception) -> None:
        self._attempts += 1
        slow = isinstance(error, Retry) and error.slow
        wait = min((_BACKOFF_SLOW if slow else _BACKOFF_FIRST) * 2.0 ** min(self._attempts - 1, 10), _BACKOFF_MOST)
        wait *= random.uniform(0.5, 1.0)  # noqa: S311  # spreads load
        if isinstance(error, Retry) and error.after is not None:
            wait = max(error.after, wait)
        self._retry_at = asyncio.get_running_loop().time() + wait
        self.failures.failed(explain("cannot write", error))

    def _tell_once(self, key: str, message: str, *arguments: object) -> None:
        if key not in self._told_refusals and len(self._told_refusals) < 100:
            self._told_refusals.add(key)
            self._log.error(message, *arguments)


def _without(batch: Batch, lines: tuple[int, ...]) -> list[Batch]:
    """The batch without the metrics at `lines`; empty where none is left."""
    chunks: list[Chunk] = []
    start = 0
    for line in (*sorted(set(lines)), batch.count):
        if start < line:
            chunks += batch.lines(start, line).chunks
        start = line + 1
    return [Batch(chunks)] if chunks else []
