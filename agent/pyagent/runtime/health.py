"""`--health ADDRESS`: /health, /ready and /metrics on a TCP port, for load balancers, Kubernetes and Prometheus.

Nothing that is not for everybody: no /status, no commands. A client has five seconds and 8 KiB, and 32 clients are served at
once, so that nobody can hold up the agent by it.
"""

import asyncio
import logging
from collections.abc import Callable

from pyagent.runtime.control import MAX_REQUEST, public_answer, served
from pyagent.runtime.status import Document

__all__ = ["HealthServer"]

MOST_CLIENTS = 32


class HealthServer:
    def __init__(self, address: tuple[str, int], document: Callable[[], Document], log: logging.Logger) -> None:
        self.address = address
        self._document = document
        self._log = log
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def start(self) -> None:
        """Listen. Not being able to is a warning: the agent's work does not depend on it."""
        host, port = self.address
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_REQUEST)
            self.address = self._server.sockets[0].getsockname()[:2]
        except OSError as error:
            reason = error.strerror or str(error)
            self._log.warning("cannot listen on %s:%d for --health: %s; nobody can ask there", host, port, reason)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._clients >= MOST_CLIENTS:
            writer.close()
            return
        self._clients += 1
        try:
            await served(reader, writer, self._answer, self._log)
        finally:
            self._clients -= 1

    async def _answer(self, request: list[str]) -> bytes:
        return public_answer(request, self._document(), "there are /health, /ready and /metrics\n")
