"""When: aligned ticks and jitter (reference: telegraf 4.2). All in nanoseconds.

Multiples count from year 1, as Telegraf's do: for divisors of a day that is the same as from 1970, a week starts on Monday.
"""

import asyncio
import random
import time
from typing import Protocol

__all__ = ["Clock", "Schedule", "SystemClock", "sleep_on"]

CLOCKS_APART = 1.0
"""Seconds by which the wall clock may fall behind the monotonic one without having been set."""
_YEAR_ONE = 62_135_596_800_000_000_000
"""Nanoseconds from 0001-01-01 to 1970-01-01."""


class Clock(Protocol):
    """Time, so that tests can bring their own."""

    def now(self) -> int:
        """Wall-clock time, ns since the epoch."""

    async def sleep_until(self, when: int) -> None:
        """Return at the wall-clock time `when`, also if the clock is set ahead meanwhile; where it is set back, after about
        as long as it was to take: nobody waits an hour for a tick because the clock was an hour fast. Others get their turn
        also where `when` is past."""


class SystemClock:
    def now(self) -> int:
        return time.time_ns()

    async def sleep_until(self, when: int) -> None:
        await sleep_on(self, when)


async def sleep_on(clock: Clock, when: int) -> None:
    """`Clock.sleep_until` for a clock that is set now and then: in steps, because we sleep on the monotonic one."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    longest = loop.time() + (when - clock.now()) / 1e9 + CLOCKS_APART
    while (wait := (when - clock.now()) / 1e9) > 0 and (left := longest - loop.time()) > 0:  # noqa: ASYNC110  # no event
        await asyncio.sleep(min(wait, left, 60.0))


def next_multiple(after: int, interval: int, *, at_least: int = 0) -> int:
    """The first multiple of `interval` that is later than `after` and not before `at_least`."""
    start = max(after + 1, at_least) + _YEAR_ONE
    return -(-start // interval) * interval - _YEAR_ONE


class Schedule:
    """The ticks of one input.

    Aligned: the smallest multiples of the interval (plus offset), seen from the wall clock anew at every tick, so that a
    clock that was set or a suspended host neither shifts them nor makes up for missed ones. A start within the last 1 %
    before a multiple skips it. Not aligned: from the first tick on, every interval.
    """

    def __init__(self, interval: int, *, offset: int = 0, jitter: int = 0, aligned: bool = True) -> None:
        self.interval = interval
        self._offset = offset
        self._jitter = jitter
        self._aligned = aligned
        self._tick = 0

    def first(self, now: int) -> int:
        if self._aligned:
            at_least = now - self._offset + self.interval // 100
            self._tick = next_multiple(now - self._offset, self.interval, at_least=at_least) + self._offset
        else:
            self._tick = now + self._offset
        return self._tick

    def next(self, now: int) -> int:
        """The tick after the last one, none of the past; call it when the last one has come."""
        following = self._tick + self.interval
        if not now < following <= now + self.interval:
            # The clock was set, or the host slept: start over from what the clock says now.
            following = self.first(now) if self._aligned else now + self.interval
        self._tick = following
        return following

    def delay(self) -> int:
        """A random wait to add to a tick, drawn anew for each."""
        return random.randrange(self._jitter) if self._jitter > 0 else 0  # noqa: S311  # spreads load, guards nothing
