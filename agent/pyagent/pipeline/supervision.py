"""A component that breaks is started again; it takes no other with it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

__all__ = ["cancel", "supervise"]

RESTART_PAUSE = 5.0


async def supervise(run: Callable[[], Awaitable[None]], log: logging.Logger) -> None:
    """Run a component; a defect in it is logged and it starts again."""
    while True:
        try:
            await run()
            return
        except Exception:
            log.exception("BUG: the component failed and is started again in %g s; please report this", RESTART_PAUSE)
            await asyncio.sleep(RESTART_PAUSE)


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel it, and return when it has ended, however it does."""
    task.cancel()
    await asyncio.wait([task])
