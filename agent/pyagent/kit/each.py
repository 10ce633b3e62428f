"""The same work for many things at once, such as the servers that one table names: one that fails costs only itself.

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self.options.servers, lambda server: self._ask(server, acc))

`for_each_in_threads` is for work that blocks, such as programs.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import reduce
from typing import TypeVar

from pyagent.api.errors import PyagentError
from pyagent.api.units import joined
from pyagent.kit.frames import forget_frames
from pyagent.kit.held import HeldTogether

__all__ = ["AT_ONCE", "for_each", "for_each_in_threads", "joined_failures"]

T = TypeVar("T")

AT_ONCE = 50
_MOST_MESSAGES = 10


async def for_each(things: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int = AT_ONCE) -> None:
    """Do `work` for all `things`, for `at_once` of them at a time. What their answers hold in all is bounded.

    When all are done, raises one PyagentError with the messages of those that failed; first of all, what is no PyagentError.
    """
    waiting = list(things)
    remaining = iter(waiting)
    failures: list[Exception] = []
    held = HeldTogether()

    async def worker() -> None:
        for thing in remaining:
            try:
                with held.by_one():
                    await work(thing)
            except Exception as error:
                failures.append(_kept(error))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(waiting))):
            group.create_task(worker())
    if failures:
        raise joined_failures(failures)


def for_each_in_threads(things: Iterable[T], work: Callable[[T], None], *, at_once: int = AT_ONCE) -> None:
    """The same for work that blocks: in this thread, and where there are several things in others beside it."""
    waiting = deque(things)
    failures: list[Exception] = []

    def worker() -> None:
        while True:
            try:
                thing = waiting.popleft()
            except IndexError:  # the others have taken the rest
                return
            try:
                work(thing)
            except Exception as error:
                failures.append(_kept(error))

    threads: list[threading.Thread] = []
    for _ in range(min(at_once, len(waiting)) - 1):
        thread = threading.Thread(target=worker, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there can be no more: those that there are do it all
            break
        threads.append(thread)
    worker()
    for thread in threads:
        thread.join()
    if failures:
        raise joined_failures(failures)


def joined_failures(failures: Iterable[Exception]) -> Exception:
    """One error for several: a PyagentError with all their messages, or the first that is none: a fault of the code. That alone
    keeps its traceback: the others lead to frames that hold them, and what those had read."""
    messages: list[str] = []
    fault: Exception | None = None
    for failure in failures:
        if fault is None and not isinstance(failure, PyagentError):
            fault = failure
            continue
        messages.append(str(failure))
        forget_frames(failure)
    if fault is not None:
        return fault
    # They come in any order, and it is yet the same cause.
    shown = sorted(dict.fromkeys(messages))
    more = [f"and {len(shown) - _MOST_MESSAGES} more"] if len(shown) > _MOST_MESSAGES else []
    return PyagentError(reduce(joined, shown[:_MOST_MESSAGES] + more))


def _kept(error: Exception) -> Exception:
    """What is kept of a failure while others are at work: of one with a message nothing but that, as it may hold an answer."""
    return PyagentError(str(forget_frames(error))) if isinstance(error, PyagentError) else error
