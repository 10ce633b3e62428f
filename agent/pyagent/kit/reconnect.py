"""A connection that is kept: made anew when it is lost, each failure after a longer pause."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from pyagent.api.errors import PyagentError

__all__ = ["KeptConnection"]

_FIRST = 1.0


class KeptConnection:
    """`connect` makes the connection, and raises where it cannot; what it returns ends, with the reason, when it is lost.

    Pauses double from a second up to `longest`, with some chance in it, so that a thousand agents do not come at once.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[Awaitable[str]]], log: logging.Logger, what: str, *, longest: float = 30.0
    ) -> None:
        self._connect = connect
        self._log = log
        self._what = what
        self._longest = max(longest, _FIRST)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect; raises where that fails, and then there is nothing to stop."""
        lost = await self._connect()
        self._log.info("connected to %s", self._what)
        self._task = asyncio.create_task(self._keep(lost))

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _keep(self, lost: Awaitable[str]) -> None:
        while True:
            reason = await lost
            self._log.warning("the connection to %s is lost: %s; connecting again", self._what, reason)
            lost = await self._connect_again()
            self._log.info("connected to %s again", self._what)

    async def _connect_again(self) -> Awaitable[str]:
        pause, told = _FIRST, ""
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
            pause = min(2 * pause, self._longest)
            try:
                return await self._connect()
            except Exception as error:
                reason = str(error) if isinstance(error, PyagentError) else f"{type(error).__name__}: {error}"
                self._log.log(logging.DEBUG if reason == told else logging.ERROR, "%s", reason)
                told = reason
