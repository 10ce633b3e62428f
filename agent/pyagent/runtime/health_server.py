"""`--health ADDRESS`: /health, /ready and /metrics on a TCP port, for load balancers, Kubernetes and Prometheus.

Nothing that is not for everybody: no /status, no commands.
"""

import logging
import socket
from collections.abc import Callable

from pyagent.runtime.health import degraded, health
from pyagent.runtime.prometheus import prometheus
from pyagent.runtime.status import Document
from pyagent.runtime.stream_http import Attempts, HttpOverStream, Request, Response, json_response

__all__ = ["HealthServer", "public_answer"]

_MOST_CLIENTS = 256


class HealthServer:
    def __init__(self, address: tuple[str, int], document: Callable[[], Document], log: logging.Logger) -> None:
        self.address = address
        self._document = document
        self._log = log
        self._server: HttpOverStream | None = None
        self._attempts = Attempts(self._listen, log)

    async def start(self) -> None:
        """Listen. Not being able to is a warning: the agent's work does not depend on it."""
        host, port = self.address
        where = f"{host}:{port} for --health"
        await self._attempts.begin(f"cannot listen on {where}", f"listening on {where}")

    async def close(self) -> None:
        await self._attempts.end()
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def _listen(self) -> None:
        """Raises OSError."""
        listening = socket.create_server(
            self.address, family=socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        )
        self.address = listening.getsockname()[:2]
        self._server = HttpOverStream(listening, self._answer, self._log, most=_MOST_CLIENTS)
        self._server.start()

    async def _answer(self, request: Request) -> Response:
        return public_answer(request, self._document(), "there are /health, /ready and /metrics\n")


def public_answer(request: Request, document: Document, unknown: str) -> Response:
    """/health, /ready and /metrics: nothing that is not for everybody. `unknown`: the text for other paths."""
    if request.method not in ("GET", "HEAD") or not request.path:
        return Response(405, "only GET is possible\n")
    if request.path == "/metrics":
        return Response(200, prometheus(document), "text/plain; version=0.0.4")
    if request.path not in ("/health", "/ready"):
        return Response(404, unknown)
    states = degraded(document)
    bad = bool(states) if request.path == "/health" else any(one["state"] == "config-waiting" for one in states)
    body = {"status": "fail" if bad else "pass", "problems": health(document), "degraded": states}
    return json_response(body, 503 if bad else 200)
