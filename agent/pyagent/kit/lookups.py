"""Answers that are asked for beside the flow of metrics, one question of a kind at a time, and kept for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from pyagent.api import PyagentError
from pyagent.kit.problems import Problems

__all__ = ["LONGEST_WAIT", "LookUps"]

T = TypeVar("T")

LONGEST_WAIT = 4.0
"""Seconds that metrics are held up; the engine gives up a call after 5."""
_MOST_WAITING = 10_000
"""Look-ups that wait for their turn."""


class LookUps(Generic[T]):
    """`look_up(key)` gives an answer and for how many ns it counts; it raises PyagentError or TimeoutError, which is logged.

    For processors: in `process` call `await lookups.of(keys)`, in `stop` call `await lookups.stop()`. What comes too late for
    the metrics that asked is there for the next ones.

    `most`: answers that are kept; beyond it the oldest go. `parallel`: look-ups at once. `without`: of what metrics go on
    without, for the log.
    """

    def __init__(
        self,
        look_up: Callable[[str], Awaitable[tuple[T, int]]],
        problems: Problems,
        *,
        most: int,
        parallel: int,
        without: str,
    ) -> None:
        self._look_up = look_up
        self._problems = problems
        self._most = most
        self._turns = asyncio.Semaphore(parallel)
        self._without = without
        self._known: dict[str, tuple[T, int, int]] = {}
        """Key: its answer, when it came, and until when it counts, ns of the monotonic clock; the oldest first."""
        self._asking: dict[str, asyncio.Task[T | None]] = {}

    async def of(self, keys: Iterable[str], wait: float = LONGEST_WAIT) -> dict[str, T]:
        """Those answers that are there within `wait` seconds."""
        found: dict[str, T] = {}
        asking = {}
        for key in keys:
            known = self._known.get(key)
            if known is not None and time.monotonic_ns() < known[2]:
                found[key] = known[0]
            elif task := self._asked(key):
                asking[key] = task
        if asking:
            await asyncio.wait(asking.values(), timeout=wait)
        for key, task in asking.items():
            if not task.done():
                self._problems.add(
                    "late", f"cannot look up {key!r}: no answer in time; metrics go on without {self._without}"
                )
            elif not task.cancelled() and (answer := task.result()) is not None:
                found[key] = answer
        return found

    def forget(self, key: str, older_than: int) -> bool:
        """Whether the answer was older, in ns: then the next metric asks anew."""
        known = self._known.get(key)
        if known is None or time.monotonic_ns() - known[1] < older_than:
            return False
        del self._known[key]
        return True

    async def stop(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _asked(self, key: str) -> "asyncio.Task[T | None] | None":
        """The look-up of a key, of which there is one at a time; None where too many wait."""
        task = self._asking.get(key)
        if task is None:
            if len(self._asking) >= _MOST_WAITING:
                self._problems.add("many", f"cannot look up {key!r}: {_MOST_WAITING:,} others wait")
                return None
            task = self._asking[key] = asyncio.create_task(self._answer(key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return task

    async def _answer(self, key: str) -> T | None:
        try:
            async with self._turns:
                answer, ttl = await self._look_up(key)
        except (PyagentError, TimeoutError) as error:
            self._problems.add("lookup", str(error) or f"cannot look up {key!r}: no answer in time")
            return None
        now = time.monotonic_ns()
        self._known.pop(key, None)
        if ttl > 0:
            while self._known:
                oldest = next(iter(self._known))
                if len(self._known) < self._most and self._known[oldest][2] > now:
                    break
                del self._known[oldest]
            self._known[key] = (answer, now, now + ttl)
        return answer
