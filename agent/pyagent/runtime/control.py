"""The control socket: a small HTTP server on a Unix socket that only its owner may open.

GET /status (JSON), /health and /ready (200, or 503 with the reasons), /metrics (Prometheus text), and what the `routes` add
(`pyagent.runtime.routes`: JSON). A request is one line and some headers that are not looked at; the answer closes the
connection. aiohttp's server would add 4 MiB to every agent.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from pyagent.api import PyagentError, redact
from pyagent.api.files import make_private_directory
from pyagent.kit.connections import Connections, StreamClient
from pyagent.runtime.health import degraded, health
from pyagent.runtime.prometheus import prometheus
from pyagent.runtime.status import Document

__all__ = ["MAX_REQUEST", "ControlServer", "Handler", "Routes", "public_answer", "served_client"]

MAX_REQUEST = 8192
DEADLINE = 5.0
"""Seconds for a request to come in, and for its answer to go out."""
WORK_DEADLINE = 60.0
"""Seconds for what a route does in between."""
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
        self._connections: Connections | None = None

    async def start(self) -> None:
        """Listen. Not being able to is a warning: the agent's work does not depend on it."""
        try:
            make_private_directory(self.path.parent)
            await self._remove_leftover()
            listening = socket.socket(socket.AF_UNIX)
            before = os.umask(0o177)
            try:
                listening.bind(str(self.path))
            except OSError:
                listening.close()
                raise
            finally:
                os.umask(before)
            self._connections = Connections(listening, self._client, self._log, most=_MOST_CLIENTS)
            self._connections.start()
        except OSError as error:
            reason = error.strerror or str(error)
            self._log.warning(
                "cannot open the control socket %s: %s; nothing can be asked of this agent", self.path, reason
            )

    async def close(self) -> None:
        if self._connections is not None:
            await self._connections.close()
            self._connections = None
            with contextlib.suppress(OSError):
                self.path.unlink()

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

    def _client(self) -> StreamClient:
        return served_client(self._answer, self._log)

    async def _answer(self, request: list[str]) -> bytes:
        if (answer := await self._routed(request)) is not None:
            return answer
        document = self._document()
        if len(request) > 1 and request[0] == "GET" and request[1].partition("?")[0] == "/status":
            whole = {**document, "problems": health(document), "degraded": degraded(document)}
            return _response(200, "application/json", _json(whole))
        known = ["GET /status", "GET /health", "GET /ready", "GET /metrics", *self._routes]
        return public_answer(request, document, f"there are {', '.join(known)}\n")

    async def _routed(self, request: list[str]) -> bytes | None:
        """The answer of a route; None where none has this path."""
        path, _, query = (request[1] if len(request) > 1 else "").partition("?")
        words = [unquote(word) for word in path.split("/")]
        wrong_method = None
        for route, handler in self._routes.items():
            method, _, pattern = route.partition(" ")
            stars = pattern.split("/")
            if len(stars) != len(words) or any(
                star not in ("*", word) for star, word in zip(stars, words, strict=True)
            ):
                continue
            if method != request[0]:
                wrong_method = _response(405, "application/json", json.dumps({"error": f"only {method} is possible"}))
                continue
            chosen = [word for star, word in zip(stars, words, strict=True) if star == "*"]
            try:
                status, document = 200, await handler(chosen, dict(parse_qsl(query)))
            except (LookupError, PyagentError, OSError) as error:
                status, document = 404 if isinstance(error, LookupError) else 409, {"error": str(error)}
            return _response(status, "application/json", json.dumps(document))
        return wrong_method


def served_client(answer: Callable[[list[str]], Awaitable[bytes]], log: logging.Logger) -> StreamClient:
    """A connection on which one request's words are read, the answer to them is written, and that is closed then. Nobody can
    hold it up, and it never raises."""

    async def serve(client: StreamClient, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                request = (await reader.readuntil(b"\n")).decode("latin-1").split()
                with contextlib.suppress(asyncio.IncompleteReadError):
                    while (await reader.readuntil(b"\n")).strip():
                        pass
            client.idle_since = None
            async with asyncio.timeout(WORK_DEADLINE):
                text = await answer(request)
            async with asyncio.timeout(DEADLINE):
                writer.write(text)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except Exception:
            log.exception("BUG: a request failed; please report this")
        finally:
            writer.close()

    return StreamClient(serve, MAX_REQUEST)


def public_answer(request: list[str], document: Document, unknown: str) -> bytes:
    """/health, /ready and /metrics: nothing that is not for everybody."""
    if len(request) < 2 or request[0] not in ("GET", "HEAD"):
        return _response(405, "text/plain", "only GET is possible\n")
    path = request[1].partition("?")[0]
    answer = _response(404, "text/plain", unknown)
    if path == "/metrics":
        answer = _response(200, "text/plain; version=0.0.4", prometheus(document))
    elif path in ("/health", "/ready"):
        states = degraded(document)
        bad = bool(states) if path == "/health" else any(one["state"] == "config-waiting" for one in states)
        body = {"status": "fail" if bad else "pass", "problems": health(document), "degraded": states}
        answer = _response(503 if bad else 200, "application/json", _json(body))
    return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request[0] == "HEAD" else answer


def _json(document: object) -> str:
    """With secrets masked before they are written in JSON's way, which would hide them from the mask."""
    return json.dumps(_masked(document))


def _masked(value: object) -> object:
    match value:
        case str():
            return redact(value)
        case dict():
            return {name: _masked(item) for name, item in value.items()}
        case list() | tuple():
            return [_masked(item) for item in value]
    return value


_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 503: "Service Unavailable"}


def _response(status: int, kind: str, text: str) -> bytes:
    body = redact(text).encode("utf-8", "replace")
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
