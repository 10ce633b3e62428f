"""Waiting for what happens in another task, thread or process, in real time."""

import asyncio
import time
from collections.abc import Callable

HANG = 30.0
"""Seconds after which nobody believes that it still comes: no measure of speed."""


async def until(condition: Callable[[], object], seconds: float = HANG) -> None:
    """Return when the condition holds; other tasks go on meanwhile. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], object], seconds: float = HANG) -> None:
    """The same where no loop runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about within {seconds:g} s"
        time.sleep(0.01)
