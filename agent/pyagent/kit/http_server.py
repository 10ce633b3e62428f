"""An HTTP server for plugins that listen: aiohttp, imported with this module and so only where a listener is configured.

    class Hook(Input[HookOptions]):
        def setup(self) -> None:
            self._server = HttpListener(self.options, self._answer, _refuse, self.log)

        async def start(self, acc: Accumulator) -> None:
            self._acc = acc
            await self._server.start()

        async def stop(self) -> None:
            await self._server.stop()

        async def _answer(self, request: Request) -> Response:
            await request.ingest(self._acc)
            return Response(204)

Whatever a sender does costs nobody else anything: bodies are bounded in size, before and after inflating, and in time, and
all bodies together in memory; what is wrong is raised as `HttpRefusal`, which the plugin's `refuse` puts into its own words.
"""

import asyncio
import base64
import binascii
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from aiohttp import HttpVersion11, web

from pyagent import __version__
from pyagent.api.accumulator import Accumulator, Ingested
from pyagent.api.errors import ConfigError, PyagentError, QueueFull, TooMuch
from pyagent.api.line_options import PrecisionName
from pyagent.api.moved import moved
from pyagent.api.options import option
from pyagent.api.parser import Parser
from pyagent.api.units import Duration, Size
from pyagent.kit.connections import Connections
from pyagent.kit.http_connection import HttpConnection
from pyagent.kit.inflate import Inflater
from pyagent.kit.listen_address import ListenAddress, TlsServerOptions
from pyagent.kit.once import Once
from pyagent.kit.socket_address import plain_address

__all__ = [
    "HttpListener",
    "HttpRefusal",
    "ListenerOptions",
    "Request",
    "Response",
    "bad_lines",
    "header_text",
    "same_secret",
]

_SECOND = 1_000_000_000
_DEFAULT_TIMEOUT = 10.0
_LEAST_HELD = 64 * 2**20
_PATIENCE, _PATIENCE_PAUSE = 1.0, 0.02
"""Seconds: how long a full queue may hold up a request, before it is refused; how often it is asked in between."""
_RETRY_AFTER = "1"
_STOP_GRACE = 1.0
_LINGER = 2.0
"""Seconds: how long a refused body is still read, so that the sender sees the answer and no reset."""
_MOST_BAD_LINES = 10
_SMALL = 64 << 10
"""Bytes that are unpacked at once."""


class ListenerOptions(TlsServerOptions, frozen=True):
    """What every HTTP listener shares, under Telegraf's names. Inherit from it, with defaults of your own."""

    service_address: Annotated[str, option("where to listen: ':8186', 'host:port', 'tcp://...', 'unix:///path'")] = ""
    socket_mode: Annotated[str, option("permissions of a unix socket, octal, such as '660'")] = ""
    read_timeout: Annotated[Duration, option("longest time for a request to arrive (under 1s: 10s)")] = Duration("10s")
    write_timeout: Annotated[Duration, option("longest time for an answer to leave (under 1s: 10s)")] = Duration("10s")
    max_body_size: Annotated[Size, option("largest body, also after inflating (0: the default)")] = Size(0)


# What a plugin's handler sees ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, status: int, value: object, headers: Mapping[str, str] = MappingProxyType({})) -> "Response":
        text = json.dumps(value, separators=(",", ":"))
        return cls(status, text.encode(), {"Content-Type": "application/json", **headers})


class HttpRefusal(PyagentError):
    """A request that is not taken: the answer's status, its message, and headers that it must have."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class Request:
    """One request; its body comes when it is asked for, so that a refusal costs no transfer."""

    def __init__(self, request: web.BaseRequest, server: "HttpListener") -> None:
        self._request = request
        self._server = server
        self.method = request.method
        self.path = request.path
        self.query: Mapping[str, str] = request.query
        self.raw_query = request.rel_url.raw_query_string
        self.headers: Mapping[str, str] = request.headers
        """Names in any case."""
        self.peer = plain_address(request.remote) if request.remote else ""
        """The sender's IP address; empty on a unix socket."""
        self._held = 0
        """Bytes of memory that its body takes."""

    def credentials(self) -> tuple[str, str]:
        """The `Authorization` header: its scheme in small letters, and the rest. Both empty where there is none."""
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        return scheme.lower(), rest.strip()

    def basic_credentials(self) -> tuple[str, str] | None:
        """User and password by HTTP's basic authentication."""
        scheme, given = self.credentials()
        if scheme != "basic":
            return None
        try:
            text = base64.b64decode(given, validate=True).decode("utf-8", "surrogateescape")
        except (binascii.Error, ValueError):
            return None
        user, colon, password = text.partition(":")
        return (user, password) if colon else None

    async def body(self) -> bytes:
        """The whole body, inflated. Raises HttpRefusal: 400, 408, 413, 415, 503."""
        request, server = self._request, self._server
        limit = server._max_body
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "snappy"):
            raise HttpRefusal(415, f"the content encoding {encoding[:50]!r} is not supported; use gzip, snappy or none")
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        if request.version >= HttpVersion11 and self.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            async with asyncio.timeout(server._read_timeout):
                body = await self._read(Inflater(limit) if "gzip" in encoding else None, limit)
            return await self._unpack(body, limit) if encoding == "snappy" else body
        except TimeoutError:
            message = f"the request did not arrive within {server._read_timeout:g} s"
            raise HttpRefusal(408, message, {"Connection": "close"}) from None
        except TooMuch:
            raise _too_large(limit) from None
        except ValueError as error:
            raise HttpRefusal(400, f"cannot inflate the body: {error}") from None
        except web.RequestPayloadError:
            raise HttpRefusal(400, "the body broke off, or its chunks are damaged", {"Connection": "close"}) from None

    async def _read(self, inflater: Inflater | None, limit: int) -> bytes:
        parts: list[bytes] = []
        received = 0
        while block := await self._request.content.readany():
            received += len(block)
            if received > limit:
                raise TooMuch("it is longer than the bound")
            if inflater is None:
                parts.append(block)
                self._hold(len(block))
                continue
            for part in inflater.feed(block):
                if part:
                    parts.append(part)
                    self._hold(len(part))
                await asyncio.sleep(0)  # others' turn
        if inflater is not None and received:
            inflater.finish()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _unpack(self, body: bytes, limit: int) -> bytes:
        """Of Snappy. A large one is not done at once: others have their turns."""
        from pyagent.kit.snappy import decompress

        content = await asyncio.to_thread(decompress, body, limit) if len(body) > _SMALL else decompress(body, limit)
        self._hold(len(content))
        return content

    def _hold(self, size: int) -> None:
        server = self._server
        self._held += size
        server._held += size
        if server._held > server._most_held:
            raise HttpRefusal(
                503, "too many large bodies at a time; send it again later", {"Retry-After": _RETRY_AFTER}
            )

    async def ingest(
        self,
        acc: Accumulator,
        *,
        precision: PrecisionName = "ns",
        tags: Mapping[str, str] | None = None,
        all_or_nothing: bool = False,
    ) -> Ingested:
        """`acc.ingest` for the body. A full queue holds it up for a second. Raises HttpRefusal as `body` does, and 413, 429."""
        data = await self.body()
        return await self.ingest_data(acc, data, precision=precision, tags=tags, all_or_nothing=all_or_nothing)

    async def ingest_data(
        self,
        acc: Accumulator,
        data: bytes,
        parser: Parser[Any] | None = None,
        *,
        precision: PrecisionName = "ns",
        tags: Mapping[str, str] | None = None,
        all_or_nothing: bool = False,
    ) -> Ingested:
        """The same for data that came in another way than as the body, or that `parser` reads."""

        async def take() -> Ingested | None:
            try:
                return await acc.ingest(data, parser, precision=precision, tags=tags, all_or_nothing=all_or_nothing)
            except QueueFull as full:
                if asyncio.get_running_loop().time() >= deadline or not self._server.listening:
                    raise HttpRefusal(429, str(full), {"Retry-After": _RETRY_AFTER}) from None
                return None
            except TooMuch as much:
                raise HttpRefusal(413, str(much)) from None

        deadline = asyncio.get_running_loop().time() + self._server.patience
        taken = await take()
        if taken is None:
            # One at a time: they would only take turns at being refused.
            async with self._server._waiting:
                while taken is None:
                    await asyncio.sleep(_PATIENCE_PAUSE)
                    taken = await take()
        return taken


def _too_large(limit: int) -> HttpRefusal:
    return HttpRefusal(413, f"the body is larger than max_body_size, {limit} bytes", {"Connection": "close"})


def bad_lines(ingested: Ingested) -> str:
    """Why lines were not taken: one per line, the first few of them."""
    rest = ingested.rejected - _MOST_BAD_LINES
    more = [f"and {rest} more bad line{'s' if rest > 1 else ''}"] if rest > 0 else []
    return "\n".join([*ingested.errors[:_MOST_BAD_LINES], *more])


def header_text(text: str) -> str:
    """`text` as it may stand in a header: one line of ASCII, not too long."""
    return " ".join(text.split()).encode("ascii", "replace").decode()[:500]


def same_secret(given: str, expected: str) -> bool:
    """Whether they are equal, told in a time that says nothing about where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode("utf-8", "surrogateescape"))


# The server ---------------------------------------------------------------------------------------------------------------


class HttpListener:
    """One address, served from `start` to `stop`.

    `handle` answers a request or raises HttpRefusal; `refuse` makes an answer of that. `max_body`: bytes, where the options
    leave it to the plugin. `option`: which one the address was given by. Raises ConfigError for options that cannot work.
    """

    def __init__(
        self,
        options: ListenerOptions,
        handle: Callable[[Request], Awaitable[Response]],
        refuse: Callable[[HttpRefusal], Response],
        log: logging.Logger,
        *,
        max_body: int = 32 * 2**20,
        option: str = "service_address",
        patience: float = _PATIENCE,
    ) -> None:
        self.patience = patience
        """Seconds for which a request waits for room in the queues."""
        self._address = ListenAddress.of(options.service_address, options.socket_mode, option)
        self._ssl = options.ssl_context()
        self._handle = handle
        self._refuse = refuse
        self._log = log
        if options.max_body_size < 0:
            raise ConfigError("cannot use a negative max_body_size; give '32MiB'", option="max_body_size")
        self._max_body = int(options.max_body_size) or max_body
        self._read_timeout = _seconds(options.read_timeout)
        self._write_timeout = _seconds(options.write_timeout)
        self._held = 0
        """Bytes of all bodies that are being received or wait for room."""
        self._most_held = max(2 * self._max_body, _LEAST_HELD)
        self._waiting = asyncio.Lock()
        self._once = Once()
        self._runner: web.ServerRunner | None = None
        self._connections: Connections | None = None
        self.port = 0
        """The TCP port, when it listens."""

    async def start(self) -> None:
        """Listen. Raises PyagentError where the address cannot be had."""
        listening = await self._address.bind()
        if not self._address.path:
            self.port = listening.getsockname()[1]
        server = _Server(self._serve, self._refuse, self._log, self._read_timeout)
        self._runner = web.ServerRunner(server, shutdown_timeout=_STOP_GRACE)
        await self._runner.setup()
        self._connections = Connections(listening, server, self._log, tls=self._ssl)
        self._connections.start()
        self._log.info("listening on %s%s", self._address.text, " with TLS" if self._ssl else "")

    async def stop(self) -> None:
        """Close the address at once, and connections when the requests under way are answered. Safe without `start`."""
        runner, self._runner = self._runner, None
        if runner is not None and self._connections is not None:
            await self._connections.close()
            await runner.cleanup()
            self._address.remove()

    @property
    def listening(self) -> bool:
        return self._runner is not None

    async def _serve(self, given: web.BaseRequest) -> web.StreamResponse:
        request = Request(given, self)
        try:
            answer = await self._handle(request)
        except HttpRefusal as refused:
            answer = self._refuse(refused)
        except ConnectionError:
            raise
        except Exception as error:
            self._failed(error)
            answer = self._refuse(HttpRefusal(500, "internal error"))
        finally:
            self._held -= request._held
        response = _response(answer)
        try:
            async with asyncio.timeout(self._write_timeout):
                await response.prepare(given)
                await response.write_eof()
        except TimeoutError:
            # The client does not read.
            if given.transport is not None:
                given.transport.abort()
        return response

    def _failed(self, error: Exception) -> None:
        """A defect, logged once per kind."""
        kind = f"{type(error).__name__}: {error}"
        if self._once(kind):
            self._log.error("BUG: cannot answer a request: %s", kind, exc_info=error)


class _Server(web.Server):
    """aiohttp's low-level server, with connections that answer nonsense in the plugin's words."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        refuse: Callable[[HttpRefusal], Response],
        log: logging.Logger,
        read_timeout: float,
    ) -> None:
        super().__init__(handler)
        self.refuse = refuse
        self.read_timeout = read_timeout
        self._log = log

    def __call__(self) -> "_Connection":
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            logger=self._log,
            access_log=None,
            lingering_time=_LINGER,
            auto_decompress=False,
            read_bufsize=2**16,  # bytes, twice as many at the most: what waits in each connection
        )


class _Connection(HttpConnection):
    def __init__(self, server: _Server, **settings: Any) -> None:
        super().__init__(server, server.read_timeout, **settings)
        self._refuse = server.refuse

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is an answer, and nothing for the log: anybody can send it."""
        reason = " ".join((message or "this is not HTTP").split())[:200]
        response = _response(self._refuse(HttpRefusal(status, reason)))
        response.force_close()
        return response


def _response(answer: Response) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body or None, headers=dict(answer.headers))
    response.headers["Server"] = f"pyagent/{__version__}"
    if answer.headers.get("Connection") == "close":
        response.force_close()
    return response


def _seconds(duration: Duration) -> float:
    return duration.seconds if duration >= _SECOND else _DEFAULT_TIMEOUT


__getattr__ = moved(
    __name__, {"Answer": "pyagent.kit.http_server:Response", "Refused": "pyagent.kit.http_server:HttpRefusal"}
)
