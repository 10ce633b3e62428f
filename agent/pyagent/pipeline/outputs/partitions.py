"""The senders of one output: one, or one for each value of the tag that divides it, which come and go."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from pyagent.api.units import counted
from pyagent.buffer import Usage
from pyagent.kit.shown import quoted
from pyagent.pipeline.outputs.sender import Sender

__all__ = ["IDLE_SECONDS", "Partitions", "Sums"]

IDLE_SECONDS = 300.0
"""A partition that has had nothing for so long, and holds nothing, ends."""
_CANDIDATES = 8
"""So many of the longest unused are looked at for one that may end now: where they hold something, so do the others."""
_PLANNED_SHARE = 0.05
"""Eviction is planned for that part of the limit at once: with a thousand partitions a plan takes a millisecond."""


@dataclass(slots=True)
class Sums:
    """What senders have done since the start."""

    added: int = 0
    restored: int = 0
    written: int = 0
    rejected: int = 0
    damaged: int = 0
    damaged_bytes: int = 0
    failures: int = 0
    last_write: float = 0.0
    """Seconds since the epoch; 0: never."""
    write_seconds: float = 0.0

    def add(self, sender: Sender) -> None:
        self.added += sender.queue.added
        self.restored += sender.queue.restored
        self.written += sender.written
        self.rejected += sender.rejected
        self.damaged += sender.queue.damaged
        self.damaged_bytes += sender.queue.damaged_bytes
        self.failures += sender.failures.total
        self.last_write = max(self.last_write, sender.last_write)
        self.write_seconds += sender.write_seconds


class Partitions(dict[str | None, Sender]):
    """Partitions by partition, the longest unused first. None is that of an output without partitions; in a divided one, of
    metrics that have none.

    All together hold at most `limit` metrics: the partitions that hold most give way. There are at most `most` partitions,
    but for what is found on disk.
    """

    def __init__(
        self,
        limit: int,
        most: int,
        *,
        make: Callable[[str | None], Sender],
        end: Callable[[Sender], None],
        log: logging.Logger,
    ) -> None:
        """`make` is asked for a new sender, `end` is given one that is empty and is not used any more."""
        super().__init__()
        self.usage = Usage()
        """Of their queues, which keep it up to date."""
        self.overflowed = 0
        """Metrics that were to have a partition of their own where there may be no more."""
        self._limit = limit
        self._most = most
        self._make = make
        self._end = end
        self._log = log
        self._ended = Sums()
        self._logged_dropped = 0
        self._logged_overflow = False
        self._longest: list[Sender] = []
        """Those that give way next, the last one first, each down to `_level`."""
        self._level = 0

    @property
    def sums(self) -> Sums:
        """Of those that there are and that there were."""
        sums = replace(self._ended)
        for sender in self.values():
            sums.add(sender)
        return sums

    def sender(self, partition: str | None) -> Sender:
        """That of a partition, made where there is none yet."""
        sender = self.pop(partition, None) or self._make(partition)
        self[partition] = sender  # behind those that were not used for longer
        return sender

    def admits(self, partition: str) -> bool:
        """Whether the partition has a sender, which is made where there may be one more, or an idle one can end for it. It is
        promised that something is put in."""
        if partition not in self and len(self) >= self._most:
            idle = next((sender for sender in islice(self.values(), _CANDIDATES) if sender.idle), None)
            if idle is None:
                self._overflow(partition)
                return False
            self._remove(idle)
        self.sender(partition).promised = True
        return True

    def end_idle(self, now: float) -> None:
        """End those that are not used any more; call it now and then. `now`: loop time."""
        for sender in list(self.values()):
            if sender.used or not sender.idle:
                # Where a listener could not take it, nothing came of a promise.
                sender.promised, sender.used, sender.unused_since = sender.promised and sender.used, False, now
            elif now - sender.unused_since >= IDLE_SECONDS:
                self._remove(sender)

    def appended(self) -> None:
        """Metrics were put into queues: keep the limit, and tell of what has no room."""
        if len(self) > 1:
            self._make_room()
        # Told at 1, 2, 4, 8, ... thousands: an outage of days must not fill the log.
        dropped = self.usage.dropped
        if dropped and dropped >= 2 * self._logged_dropped:
            self._logged_dropped = dropped
            self._log.warning(
                "Metric buffer overflow; %s been dropped so far, the oldest of %d kept",
                counted(dropped, "metric has", "metrics have"),
                self._limit,
            )

    def _remove(self, sender: Sender) -> None:
        del self[sender.partition]
        self._ended.add(sender)
        self._end(sender)

    def _overflow(self, partition: str) -> None:
        self.overflowed += 1
        if not self._logged_overflow:
            self._logged_overflow = True
            self._log.warning(
                "there are %d partitions with metrics to be written, and no room for that of %s: its metrics are written with"
                " those that have no partition, and so are others' until some of them are through; raise"
                " --buffer-max-partitions if so many are meant",
                len(self),
                quoted(partition[:100]),
            )

    def _make_room(self) -> None:
        while (excess := self.usage.metrics - self._limit) > 0:
            if not self._longest and not self._plan(excess):
                return  # somebody was told that the rest is safe
            queue = self._longest[-1].queue
            over = queue.evictable - self._level
            if over <= excess:
                self._longest.pop()
            if over > 0:
                queue.evict(min(over, excess))

    def _plan(self, excess: int) -> bool:
        """Choose who gives way; False where nothing can go."""
        senders = sorted(self.values(), key=lambda sender: sender.queue.evictable)
        sizes = [sender.queue.evictable for sender in senders]
        wanted = excess + int(self._limit * _PLANNED_SHARE)
        self._level = total = 0
        for count, size in enumerate(reversed(sizes), 1):
            total += size
            following = sizes[-count - 1] if count < len(sizes) else 0
            if total - count * following >= wanted:
                # These, cut to one length, give that much.
                self._level = max((total - wanted) // count, 0)
                break
        self._longest = [sender for sender, size in zip(senders, sizes, strict=True) if size > self._level]
        return bool(self._longest)
