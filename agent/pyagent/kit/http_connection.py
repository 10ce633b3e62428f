"""aiohttp's end of a connection, which tells whether it is idle, and gives up a request's head that does not end."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

__all__ = ["IDLE", "HttpConnection"]

IDLE = 75.0
"""Seconds until a connection is closed on which nothing comes."""


class HttpConnection(web.RequestHandler):
    """See `pyagent.kit.connections`. `read_timeout`: seconds for a head, from its first byte on."""

    def __init__(self, server: web.Server, read_timeout: float, **settings: Any) -> None:
        super().__init__(server, keepalive_timeout=IDLE, **settings)
        self.ended: Callable[[], None] = lambda: None
        self._read_timeout = read_timeout
        self._head: asyncio.TimerHandle | None = None
        """Ends a connection on which a part of a request's head has come."""

    @property
    def idle_since(self) -> float | None:
        return self._next_keepalive_close_time - IDLE if self._is_idle else None

    @property
    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None and not self._is_idle:
            self._head.cancel()
            self._head = None
        elif self._head is None and data and self._is_idle:
            self._head = asyncio.get_running_loop().call_later(self._read_timeout, self._give_up)

    def _give_up(self) -> None:
        self._head = None
        if self._is_idle:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head is not None:
            self._head.cancel()
        super().connection_lost(exc)
        self.ended()
