"""The connection of an output that all of its partitions share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pyagent.pipeline.failures import reason_of

__all__ = ["Connection"]

_SHARED_SECONDS = 1.0
"""A failure to connect is that of all partitions for so long: a thousand must not try one after the other."""

_PAUSE = 5.0
"""Seconds between two attempts of an output that listens."""


class Connection:
    """Made when it is first wanted, and again after it was lost."""

    def __init__(self, connect: Callable[[], Awaitable[None]]) -> None:
        self._connect = connect
        self._number = 0
        """Of the connection that there is; 0: there is none."""
        self._made = 0
        self._connecting = asyncio.Lock()
        self._failure: Exception | None = None
        self._failed_at = 0.0

    @property
    def is_established(self) -> bool:
        return self._number > 0

    async def established(self) -> int:
        """Connect where there is no connection; returns its number. Raises what connecting raises."""
        if not self.is_established:
            async with self._connecting:
                if not self.is_established:
                    await self._make()
        return self._number

    async def first(self, log: logging.Logger) -> None:
        """Connect before anything is written, as outputs do that listen; again and again until it stands."""
        told = ""
        while True:
            try:
                await self.established()
                return
            except Exception as error:
                text = reason_of(error)
                log.log(logging.DEBUG if text == told else logging.ERROR, "%s", text)
                told = text
            await asyncio.sleep(_PAUSE)

    async def _make(self) -> None:
        loop = asyncio.get_running_loop()
        if self._failure is not None and loop.time() < self._failed_at + _SHARED_SECONDS:
            raise self._failure
        try:
            await self._connect()
        except Exception as error:
            self._failure, self._failed_at = error.with_traceback(None), loop.time()
            raise
        self._failure = None
        self._made += 1
        self._number = self._made

    def lost(self, number: int) -> None:
        """That connection is gone. One that was made since stays: writes at once may all meet the same loss."""
        if number == self._number:
            self._number = 0
