r"""Running an output without an agent: batches in memory, and an HTTP server that answers, or fails to, by a script.

In a test:

    async with ScriptedServer(Answer(503, headers={"Retry-After": "2"}), Raw(then="reset")) as server:
        output = make_output(InfluxDB, {"urls": [server.url], "bucket": "b"})
        with pytest.raises(Retry):
            await write(output, MemoryBatch(["mem used=1i 10"]))
        assert server.requests[0].text == "mem used=1i 10\n"
"""

import asyncio
import gzip
import inspect
import json
import logging
import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Self, TypeVar

from pyagent.api import Batch, Metric, Output, Serializer
from pyagent.api.line_options import CompressionName
from pyagent.buffer import Chunk, QueueBatch
from pyagent.config.data_format import create_serializer, serializer_plan
from pyagent.config.options import Policy
from pyagent.config.plan import SerializerPlan
from pyagent.lineprotocol import parse
from pyagent.pipeline.outputs.record_format import record_format
from pyagent.testing.inputs import make_options, plugin_name, read_table

__all__ = [
    "Answer",
    "MemoryBatch",
    "Raw",
    "Request",
    "ScriptedServer",
    "make_batch",
    "make_output",
    "make_serializer",
    "run_output",
    "write",
]

_O = TypeVar("_O", bound=Output[Any])


class MemoryBatch:
    """A `pyagent.api.Batch` of lines that are encoded already, without their line ends."""

    def __init__(
        self, lines: Sequence[str | bytes], oldest: int = 0, newest: int = 0, partition: str | None = None
    ) -> None:
        self._lines = [line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line for line in lines]
        self.oldest = oldest
        self.newest = newest
        self.partition = partition

    @property
    def count(self) -> int:
        return len(self._lines)

    def payload(self, encoding: CompressionName = "identity") -> bytes:
        body = b"".join(line + b"\n" for line in self._lines)
        return gzip.compress(body, mtime=0) if encoding == "gzip" else body

    def metrics(self) -> list[Metric]:
        return parse(self.payload(), self.newest).metrics

    def records(self) -> list[bytes]:
        return [line + b"\n" for line in self._lines]

    def slice(self, start: int, stop: int) -> "MemoryBatch":
        return MemoryBatch(self._lines[start:stop], self.oldest, self.newest, self.partition)

    def parts(self) -> "list[MemoryBatch]":
        return [self]

    @property
    def position(self) -> None:
        return None


def make_output(plugin: type[_O], options: Mapping[str, Any] | None = None, log: logging.Logger | None = None) -> _O:
    """Make an output from a table as it stands in the configuration. Raises ConfigError."""
    made, found, view = read_table(plugin, options)
    log = log or logging.getLogger(plugin_name(plugin))
    serializer, _ = serializer_plan(found, view, Policy())
    if serializer is None:
        return plugin(made, log)
    return plugin(made, log, partial(create_serializer, serializer, log))


def make_serializer(plugin: type[Serializer[Any]], options: Mapping[str, Any] | None = None) -> Serializer[Any]:
    """Make a serializer from a table of its options. Raises ConfigError."""
    name = plugin_name(plugin)
    plan = SerializerPlan(data_format=name, plugin=plugin, options=make_options(plugin, options))
    return create_serializer(plan, logging.getLogger(name))


def make_batch(output: Output[Any], metrics: Sequence[Metric]) -> Batch:
    """The batch that the engine would give the output of these metrics. Raises ValueError for what cannot be queued."""
    wanted = record_format(output.queue_format())
    encoded = wanted.encode(metrics)
    if encoded.rejected:
        raise ValueError("; ".join(f"{metric!r}: {reason}" for metric, reason in encoded.rejected))
    return QueueBatch([Chunk(encoded)], body=wanted)


async def run_output(plugin: type[Output[Any]], batch: Batch, options: Mapping[str, Any] | None = None) -> None:
    """Make an output from its table of options, connect it, write one batch, and close it.

    Raises what the plugin raises: Retry, Reject, TooLarge, or ConfigError for options that it does not take.
    """
    output = make_output(plugin, options)
    try:
        await output.connect()
        await write(output, batch)
    finally:
        await output.close()


async def write(output: Output[Any], batch: Batch) -> None:
    """Write one batch, a plain `def` in a thread as the engine does. Raises what the output raises."""
    if inspect.iscoroutinefunction(output.write):
        await output.write(batch)
    else:
        await asyncio.to_thread(output.write, batch)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; the connection is kept."""

    status: int = 204
    body: bytes | str = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = "Reason"

    @classmethod
    def error(cls, status: int, code: str, message: str, **headers: str) -> "Answer":
        """An error as InfluxDB 2 puts it. Keywords are header names with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = json.dumps({"code": code, "message": message})
        return cls(status, body, {"Content-Type": "application/json; charset=utf-8", **named})

    def encode(self) -> bytes:
        body = self.body.encode() if isinstance(self.body, str) else self.body
        fields = dict(self.headers)
        if self.status not in (204, 304):
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status} {self.reason}\r\n{head}\r\n".encode() + body


@dataclass(frozen=True, slots=True)
class Raw:
    """Any bytes in place of an answer, none too, and what follows: the connection is closed, reset, or just left open.

    `unread`: the request's body is not read first.
    """

    data: bytes = b""
    then: Literal["close", "reset", "stall"] = "close"
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was received."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def text(self) -> str:
        """The body, inflated where its headers say so."""
        body = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return body.decode("utf-8", "surrogateescape")


class ScriptedServer:
    """An HTTP/1.1 server on loopback that takes each request's answer from its script, and after its end answers 204.

    `requests`: those received, in order. `connections`: how many were opened.
    """

    def __init__(self, *script: Answer | Raw, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0
        self._script = list(script)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def add(self, *script: Answer | Raw) -> None:
        """Append to the script."""
        self._script += script

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the listener and what is still open. The port is remembered: the server can be entered again."""
        assert self._server is not None
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def _next_step(self, method: str, target: str) -> Answer | Raw:
        return self._script.pop(0) if self._script else Answer()

    def _received(self, request: Request) -> None:
        self.requests.append(request)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        step = self._next_step(method, target)
        unread = isinstance(step, Raw) and step.unread
        body = b"" if unread else await reader.readexactly(int(headers.get("content-length", 0)))
        self._received(Request(method, target, headers, body))
        writer.write(step.encode() if isinstance(step, Answer) else step.data)
        await writer.drain()
        if isinstance(step, Answer):
            return True
        if step.then == "stall":
            await asyncio.Event().wait()
        elif step.then == "close":
            writer.close()
            await writer.wait_closed()
        else:
            # No time to linger: what TCP does then is a reset.
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
