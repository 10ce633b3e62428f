"""What keeps the agent's loop free while an async input makes metrics of a long answer: a thread for it.

    await self._aside.run(len(answer.body), lambda: add_parsed(acc, lambda: parser.parse(answer.body)))

What is added in a thread is held where the outputs do not keep up; on the loop their queues would drop the oldest of it.
"""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from pyagent.api.accumulator import Accumulator
from pyagent.api.metric import Metric
from pyagent.kit.frames import forget_frames

__all__ = ["SMALL", "Aside", "add_parsed"]

T = TypeVar("T")

SMALL = 32 << 10
"""Bytes that are read in a millisecond or two, which is not worth a thread."""

_PIECE = 1000
"""Metrics that are handed on at once, and let go."""


class Aside:
    """For one input: runs what is long one after the other, so that no two need their memory at one time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """`work` on so many bytes. Raises what it raises; who is cancelled does not wait for it to end."""
        if size <= SMALL:
            return work()
        async with self._turn:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[T] = loop.create_future()
            threading.Thread(target=_run, args=(work, loop, done), name="pyagent-aside", daemon=True).start()
            del work
            try:
                return await done
            finally:
                del done  # it leads to the error, whose traceback leads here


def _run(work: Callable[[], T], loop: asyncio.AbstractEventLoop, done: "asyncio.Future[T]") -> None:
    def finish(result: "T | None", error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]
        else:
            done.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    result: T | None = None
    failure: BaseException | None = None
    try:
        result = work()
    except BaseException as error:
        failure = forget_frames(error)
    with suppress(RuntimeError):  # the loop is gone: the process is about to end
        loop.call_soon_threadsafe(finish, result, failure)


def add_parsed(
    acc: Accumulator, parse: Callable[[], list[Metric]], adjust: Callable[[Metric], object] | None = None
) -> None:
    """Adds what `parse` makes. In an Aside it need not be in the memory as a whole until the last of it is taken.

    `adjust` is called for each metric before. Raises what both raise.
    """
    with _uncollected():
        metrics = parse()
    metrics.reverse()
    while metrics:
        piece = metrics[: -_PIECE - 1 : -1]
        del metrics[-_PIECE:]
        if adjust is not None:
            for metric in piece:
                adjust(metric)
        acc.add_metrics(piece)


_holding = 0
_lock = threading.Lock()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector: it would look at all metrics made so far again and again, for longer than they take to
    make, and meanwhile nothing else runs. They are no garbage, and parsing makes little."""
    global _holding
    with _lock:
        if _holding == 0 and not gc.isenabled():
            held = False
        else:
            held = True
            _holding += 1
            gc.disable()
    try:
        yield
    finally:
        if held:
            with _lock:
                _holding -= 1
                if _holding == 0:
                    gc.enable()
