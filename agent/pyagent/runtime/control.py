"""The control socket: a small HTTP server on a Unix socket that only its owner may open.

GET /status (JSON), /health and /ready (200, or 503 with the reasons), /metrics (Prometheus text), and what the `routes` add
(`pyagent.runtime.routes`: JSON).
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from pyagent.api import PyagentError
from pyagent.api.files import make_private_directory
from pyagent.runtime.health import degraded, health
from pyagent.runtime.health_server import public_answer
from pyagent.runtime.status import Document
from pyagent.runtime.stream_http import DEADLINE, Attempts, HttpOverStream, Request, Response, json_response

__all__ = ["ControlServer", "Handler", "Routes"]

_MOST_CLIENTS = 64

Handler = Callable[[list[str], Mapping[str, str]], Awaitable[object]]
"""Gets the words of the path that stand for the stars of its route, and the query; returns a document for JSON. Raises
LookupError for what is not there (404), PyagentError or OSError for what cannot be done (409)."""
Routes = Mapping[str, Handler]
"""By method and path: `POST /quarantine/*/retry`; a star is any one word."""


class ControlServer:
    """Serves what `document()` says at the moment of the request, and what `routes` answer."""

    def __init__(
        self, path: Path, document: Callable[[], Document], log: logging.Logger, routes: Routes | None = None
    ) -> None:
        self.path = path
        self._document = document
        self._log = log
        self._routes = routes or {}
        self._server: HttpOverStream | None = None
        self._own = (0, 0)
        self._attempts = Attempts(self._listen, log)

    async def start(self) -> None:
        """Listen. Not being able to is a warning: the agent's work does not depend on it."""
        await self._attempts.begin(
            f"cannot open the control socket {self.path}", f"the control socket {self.path} is open"
        )

    async def close(self) -> None:
        await self._attempts.end()
        if self._server is not None:
            # While this one listens nobody takes its place: what lies there is its own, or was put there by force.
            with contextlib.suppress(OSError):
                if self._own == _identity(self.path):
                    self.path.unlink()
            await self._server.close()
            self._server = None

    async def _listen(self) -> None:
        """Raises OSError."""
        make_private_directory(self.path.parent)
        await self._remove_leftover()
        listening = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listening.bind(str(self.path))
            self._own = _identity(self.path)
        except OSError:
            listening.close()
            raise
        finally:
            os.umask(before)
        self._server = HttpOverStream(listening, self._answer, self._log, most=_MOST_CLIENTS)
        self._server.start()

    async def _remove_leftover(self) -> None:
        """A socket that nobody listens on any more is in the way; a living one is another agent's."""
        try:
            if not stat.S_ISSOCK(self.path.stat().st_mode):
                return
        except FileNotFoundError:
            return
        try:
            _, writer = await asyncio.wait_for(asyncio.open_unix_connection(self.path), DEADLINE)
        except (ConnectionRefusedError, FileNotFoundError):
            self.path.unlink(missing_ok=True)
            return
        except TimeoutError:
            raise OSError(None, "what listens there does not answer") from None
        writer.close()
        raise OSError(None, "another agent of this instance uses it")

    async def _answer(self, request: Request) -> Response:
        if (answer := await self._routed(request)) is not None:
            return answer
        document = self._document()
        if request.method == "GET" and request.path == "/status":
            return json_response({**document, "problems": health(document), "degraded": degraded(document)})
        known = ["GET /status", "GET /health", "GET /ready", "GET /metrics", *self._routes]
        return public_answer(request, document, f"there are {', '.join(known)}\n")

    async def _routed(self, request: Request) -> Response | None:
        """The answer of a route; None where none has this path."""
        words = [unquote(word) for word in request.path.split("/")]
        wrong_method = None
        for route, handler in self._routes.items():
            method, _, pattern = route.partition(" ")
            stars = pattern.split("/")
            if len(stars) != len(words) or any(
                star not in ("*", word) for star, word in zip(stars, words, strict=True)
            ):
                continue
            if method != request.method:
                wrong_method = json_response({"error": f"only {method} is possible"}, 405)
                continue
            chosen = [word for star, word in zip(stars, words, strict=True) if star == "*"]
            try:
                return json_response(await handler(chosen, dict(parse_qsl(request.query))))
            except (LookupError, PyagentError, OSError) as error:
                return json_response({"error": str(error)}, 404 if isinstance(error, LookupError) else 409)
        return wrong_method


def _identity(path: Path) -> tuple[int, int]:
    """Of what lies there. Raises OSError."""
    found = path.lstat()
    return found.st_dev, found.st_ino
