"""`--health ADDRESS`: /health, /ready and /metrics on a TCP port, for load balancers, Kubernetes and Prometheus.

Nothing that is not for everybody: no /status, no commands. A client has five seconds and 8 KiB, and where too many are
connected, the one goes that has been waited for longest, so that nobody can hold up the agent or its probes by it.
"""

import logging
import os
import socket
from collections.abc import Callable

from pyagent.kit.connections import Connections, StreamClient
from pyagent.runtime.control import public_answer, served_client
from pyagent.runtime.status import Document

__all__ = ["HealthServer"]

_MOST_CLIENTS = 256


class HealthServer:
    def __init__(self, address: tuple[str, int], document: Callable[[], Document], log: logging.Logger) -> None:
        self.address = address
        self._document = document
        self._log = log
        self._connections: Connections | None = None

    async def start(self) -> None:
        """Listen. Not being able to is a warning: the agent's work does not depend on it."""
        host, port = self.address
        try:
            listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            self._log.warning("cannot listen on %s:%d for --health: %s; nobody can ask there", host, port, reason)
            return
        self.address = listening.getsockname()[:2]
        self._connections = Connections(listening, self._client, self._log, most=_MOST_CLIENTS)
        self._connections.start()

    async def close(self) -> None:
        if self._connections is not None:
            await self._connections.close()
            self._connections = None

    def _client(self) -> StreamClient:
        return served_client(self._answer, self._log)

    async def _answer(self, request: list[str]) -> bytes:
        return public_answer(request, self._document(), "there are /health, /ready and /metrics\n")
