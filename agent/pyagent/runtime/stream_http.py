"""HTTP over a stream, as the control socket and `--health` speak it: a connection carries one request, of which the first line
counts, and is closed behind the answer. aiohttp's server would add 4 MiB to every agent.

A client has five seconds and 8 KiB, and where too many are connected, the one goes that has been waited for longest, so that
nobody can hold up the agent by it.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pyagent.api import redact
from pyagent.kit.connections import Connections, StreamClient

__all__ = ["DEADLINE", "Attempts", "HttpOverStream", "Request", "Response", "json_response"]

_MAX_REQUEST = 8192
DEADLINE = 5.0
"""Seconds for a request to come in, and for its answer to go out."""
_WORK_DEADLINE = 60.0
"""Seconds for what an answer takes in between."""
_PAUSE = 3.0
"""Seconds between two attempts to listen."""

_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 503: "Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Request:
    """`path` and `query` as they were sent; the path is empty where there is none."""

    method: str
    path: str
    query: str

    @classmethod
    def of_line(cls, line: bytes) -> "Request":
        method, target, *_ = [*line.decode("latin-1").split(), "", ""]
        path, _, query = target.partition("?")
        return cls(method, path, query)


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    text: str
    content_type: str = "text/plain"

    def encoded(self, *, head_only: bool = False) -> bytes:
        """With secrets masked."""
        body = redact(self.text).encode("utf-8", "replace")
        head = (
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if head_only else body)


def json_response(document: object, status: int = 200) -> Response:
    """Secrets are masked before they are written in JSON's way, which would hide them from the mask."""
    return Response(status, json.dumps(_masked(document)), "application/json")


class HttpOverStream:
    """Answers what comes in on a bound socket, from at most `most` clients at a time."""

    def __init__(
        self,
        listening: socket.socket,
        answer: Callable[[Request], Awaitable[Response]],
        log: logging.Logger,
        *,
        most: int,
    ) -> None:
        self._answer = answer
        self._log = log
        self._connections = Connections(listening, lambda: StreamClient(self._serve, _MAX_REQUEST), log, most=most)

    def start(self) -> None:
        self._connections.start()

    async def close(self) -> None:
        """Accept no more. Those that are open stay."""
        await self._connections.close()

    async def _serve(self, client: StreamClient, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request. Never raises."""
        try:
            async with asyncio.timeout(DEADLINE):
                request = Request.of_line(await reader.readuntil(b"\n"))
                with contextlib.suppress(asyncio.IncompleteReadError):
                    while (await reader.readuntil(b"\n")).strip():
                        pass
            client.idle_since = None
            async with asyncio.timeout(_WORK_DEADLINE):
                response = await self._answer(request)
            async with asyncio.timeout(DEADLINE):
                writer.write(response.encoded(head_only=request.method == "HEAD"))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except Exception:
            self._log.exception("BUG: a request failed; please report this")
        finally:
            writer.close()


class Attempts:
    """Attempts to listen, until one succeeds: an agent before this one may still be ending."""

    def __init__(self, attempt: Callable[[], Awaitable[None]], log: logging.Logger) -> None:
        """`attempt` raises OSError where it fails."""
        self._attempt = attempt
        self._log = log
        self._task: asyncio.Task[None] | None = None

    async def begin(self, cannot: str, opened: str) -> None:
        """Listen now, or say that it `cannot` and why, and go on trying in the background, until it is `opened`."""
        try:
            await self._attempt()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            self._log.warning("%s: %s; until then nobody can ask there, it is tried again", cannot, reason)
            self._task = asyncio.create_task(self._go_on(opened))

    async def end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _go_on(self, opened: str) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            with contextlib.suppress(OSError):
                await self._attempt()
                self._log.info("%s", opened)
                return


def _masked(value: object) -> object:
    match value:
        case str():
            return redact(value)
        case dict():
            return {name: _masked(item) for name, item in value.items()}
        case list() | tuple():
            return [_masked(item) for item in value]
    return value
