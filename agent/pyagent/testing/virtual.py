"""Time that passes only when nobody has anything to do: hours of schedule and back-off in milliseconds of test.

    def test_it():
        async def main():
            clock = VirtualClock(start=...)
            ...
            await asyncio.sleep(3600)      # returns at once, an hour later
        run_virtual(main())

Threads and sockets are real: do not wait for them in here.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from pyagent.pipeline.schedule import sleep_on

__all__ = ["VirtualClock", "run_virtual"]

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Where the loop would wait for its next timer, moves the loop's time there instead."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise RuntimeError("the test waits for something that nothing will bring about")
        # Never less than the loop's own resolution, or rounding could keep it here for ever.
        self.passed += max(timeout, 1e-9)
        return events


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed


class VirtualClock:
    """`pyagent.pipeline.schedule.Clock` on the loop's virtual time; `set` jumps the wall clock as an administrator may."""

    def __init__(self, start: int) -> None:
        self._start = start

    def now(self) -> int:
        return self._start + round(asyncio.get_running_loop().time() * 1e9)

    def set(self, now: int) -> None:
        self._start += now - self.now()

    async def sleep_until(self, when: int) -> None:
        await sleep_on(self, when)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on virtual time."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main)
