"""Queries and their turns: some run, each in a thread; others wait in a bounded queue; what has ended is stopped."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.limits import Budget, QueryLimits

T = TypeVar("T")

_LOOK: Final = 0.1
"""Seconds between two looks at a running query: whether its time is over, and whether its client is there."""


class Queries:
    """Queries wait in the order in which they came. `clock`: seconds, for the bound of time."""

    def __init__(self, limits: QueryLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._threads = ThreadPoolExecutor(limits.concurrency, "sandbox-query")
        self._budgets: set[Budget] = set()
        """Of the queries that run or wait."""

    def close(self) -> None:
        """End the queries, and wait until their threads have seen it."""
        for budget in self._budgets:
            budget.end(_canceled())
        self._threads.shutdown(cancel_futures=True)

    @property
    def running(self) -> int:
        """Queries that run or wait."""
        return len(self._budgets)

    async def run(self, work: Callable[[Budget], T], is_wanted: Callable[[], bool] = lambda: True) -> T:
        """Run a query's work in a thread, when it is its turn; `work` passes the budget its own steps to run.

        Raises:
            InfluxError: the work's own; too many wait; its time or its memory is over; nobody wants the answer.
        """
        limits = self.limits
        if self.running >= limits.concurrency + limits.queue_size:
            raise InfluxError("invalid", "queue length exceeded")
        budget = Budget(limits.memory_bytes)
        started: list[float] = []

        def turn() -> T:
            started.append(self._clock())
            budget.check()
            return work(budget)

        self._budgets.add(budget)
        running = self._threads.submit(turn)
        loop = asyncio.get_running_loop()
        running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._budgets.discard, budget))
        answer = asyncio.wrap_future(running)
        try:
            while not (await asyncio.wait({answer}, timeout=_LOOK))[0]:
                if not is_wanted():
                    budget.end(_canceled())
                elif limits.timeout and started and self._clock() - started[0] >= limits.timeout:
                    budget.end(_too_long(limits.timeout))
                if budget.ended is not None:
                    # Its thread has not looked yet. Nobody waits for that.
                    raise InfluxError(budget.ended.code, budget.ended.message, final=True)
            if answer.cancelled():
                raise _canceled()
            return answer.result()
        finally:
            budget.end(_canceled())
            answer.cancel()


def _canceled() -> InfluxError:
    return InfluxError("invalid", "context canceled", final=True)


def _too_long(seconds: float) -> InfluxError:
    message = f"context deadline exceeded: the query took longer than {seconds:g}s, which --query-timeout allows"
    return InfluxError("invalid", message, final=True)
