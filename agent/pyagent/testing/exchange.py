r"""Both ends of a recorded conversation: a server that gives recorded answers, and a client that sends recorded requests.

A case's `exchange.json` is what a server answers; the plugin is its client:

    [{"request": {"method": "GET", "path": "/status"}, "answer": {"status": 200, "headers": {}, "body": "accepts 3"}}]

A request may also name `headers` and a `body` that it has to have. The same request may stand there several times: its
answers are given one after the other, the last one from then on. For what is not HTTP:

    {"transport": "tcp", "exchanges": [{"receive": "stats\r\n", "send": "STAT pid 7\r\nEND\r\n"}]}

`transport` is `tcp`, `unix` or `udp`. One without `receive` is sent when a client has connected; `"close": true` ends the
connection behind it. A body, a `receive` and a `send` are a text, `{"file": "NAME"}`, `{"base64": "..."}`, or in HTTP any other
JSON value, which is meant as JSON.

A case's `requests.json` is the same for HTTP, with the plugin as the server; its `sequence.json` what a client sends over a
socket: `[{"message": "m v=1\n"}, {"file": "more.bin"}]`.
"""

import asyncio
import base64
import gzip
import http.client
import json
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self, cast

from pyagent.testing.outputs import Answer, Raw, Request, ScriptedServer

__all__ = ["ReplayServer", "send_messages", "send_requests"]

DEADLINE = 20.0
"""Seconds that a client of ours waits for an answer: a hang, not a measure."""


class ReplayServer:
    """Serves one `exchange.json`, found in `folder`, on a free loopback port or a socket in `folder`.

    `problems`: requests that it has no answer for, and those recorded that nobody sent, one text each.
    """

    def __init__(self, recorded: Any, folder: Path) -> None:
        self.problems: list[str] = []
        self._folder = folder
        if isinstance(recorded, list):
            recorded = {"transport": "http", "exchanges": recorded}
        self._transport: str = recorded["transport"]
        self._exchanges: list[dict[str, Any]] = recorded["exchanges"]
        self._used: set[int] = set()
        self._demands: dict[tuple[str, str], list[dict[str, Any]]] = {}
        """What of HTTP is still to come, by method and path; the last of them counts from then on."""
        self._stack = AsyncExitStack()
        self.variables: dict[str, str] = {}
        """What `${NAME}` stands for in the files of the case."""

    async def __aenter__(self) -> Self:
        if self._transport == "http":
            server = await self._stack.enter_async_context(_HttpReplay(self))
            self._serves("127.0.0.1", server.port)
            for one in self._exchanges:
                key = one["request"].get("method", "GET"), one["request"]["path"]
                self._demands.setdefault(key, []).append(one["request"])
        elif self._transport == "tcp":
            listener = await asyncio.start_server(self._talk, "127.0.0.1", 0)
            self._stack.callback(listener.close)
            self._serves("127.0.0.1", listener.sockets[0].getsockname()[1])
        elif self._transport == "unix":
            path = str(self._folder / "server.sock")
            self._stack.callback((await asyncio.start_unix_server(self._talk, path)).close)
            self.variables = {"SERVER": path}
        elif self._transport == "udp":
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=("127.0.0.1", 0))
            self._stack.callback(transport.close)
            self._serves("127.0.0.1", transport.get_extra_info("sockname")[1])
        else:
            raise ValueError(f"exchange.json: unknown transport {self._transport!r}; one of http, tcp, unix, udp")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()
        unused = [index for index in range(len(self._exchanges)) if index not in self._used]
        self.problems += [f"nobody sent {_shown(self._exchanges[index])}" for index in unused]

    def _serves(self, host: str, port: int) -> None:
        self.variables = {"SERVER": f"{host}:{port}", "HOST": host, "PORT": str(port)}

    # HTTP

    def http_answer(self, method: str, path: str) -> Answer:
        """The next answer for this request."""
        found = [
            index
            for index, one in enumerate(self._exchanges)
            if (one["request"].get("method", "GET"), one["request"]["path"]) == (method, path)
        ]
        if not found:
            self._complain(f"there is no answer for {method} {path}")
            return Answer(501, "exchange.json has no such request")
        index = next((one for one in found if one not in self._used), found[-1])
        self._used.add(index)
        answer = self._exchanges[index].get("answer", {})
        headers = {name: value for name, value in answer.get("headers", {}).items() if name != "Content-Length"}
        return Answer(answer.get("status", 200), content(answer.get("body", ""), self._folder), headers)

    def http_request(self, got: Request) -> None:
        """Look whether a request has what the recorded one demands. Nothing of it is kept."""
        recorded = self._demands.get((got.method, got.target))
        if not recorded:
            return
        one = recorded.pop(0) if len(recorded) > 1 else recorded[0]
        name = f"{got.method} {got.target}"
        for header, value in one.get("headers", {}).items():
            if (found := got.headers.get(header.lower())) != value:
                self._complain(f"{name}: the header {header} is {found!r}, expected {value!r}")
        if "body" in one and (body := content(one["body"], self._folder)) != got.text.encode(
            "utf-8", "surrogateescape"
        ):
            self._complain(f"{name}: the body is {got.text!r}, expected {body.decode('utf-8', 'replace')!r}")

    def _complain(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    # Sockets

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            pending = b""
            for index, one in enumerate(self._exchanges):
                if "receive" not in one:
                    self._used.add(index)
                    writer.write(content(one["send"], self._folder))
            while data := await reader.read(65536):
                pending += data
                while pending and (found := self._match(pending)):
                    index, size = found
                    pending = pending[size:]
                    one = self._exchanges[index]
                    writer.write(content(one.get("send", ""), self._folder))
                    await writer.drain()
                    if one.get("close"):
                        return
                if pending and not self._may_become(pending):
                    self._complain(f"there is no answer for {pending[:200]!r}")
                    return
        except OSError:
            pass  # the client left
        finally:
            writer.close()

    def _match(self, data: bytes) -> tuple[int, int] | None:
        """The exchange whose request `data` begin with, and the request's size."""
        found = [
            (index, len(wanted))
            for index, one in enumerate(self._exchanges)
            if "receive" in one and data.startswith(wanted := content(one["receive"], self._folder))
        ]
        if not found:
            return None
        size = max(size for _, size in found)
        longest = [index for index, each in found if each == size]
        index = next((one for one in longest if one not in self._used), longest[-1])
        self._used.add(index)
        return index, size

    def _may_become(self, data: bytes) -> bool:
        return any(
            content(one["receive"], self._folder).startswith(data) for one in self._exchanges if "receive" in one
        )

    def datagram(self, data: bytes) -> bytes | None:
        """The answer to a whole datagram."""
        found = self._match(data)
        if found is None or found[1] != len(data):
            self._complain(f"there is no answer for {data[:200]!r}")
            return None
        return content(self._exchanges[found[0]].get("send", ""), self._folder)


class _HttpReplay(ScriptedServer):
    def __init__(self, replay: ReplayServer) -> None:
        super().__init__()
        self._replay = replay

    def _next_step(self, method: str, target: str) -> Answer | Raw:
        return self._replay.http_answer(method, target)

    def _received(self, request: Request) -> None:
        self._replay.http_request(request)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, replay: ReplayServer) -> None:
        self._replay = replay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if answer := self._replay.datagram(data):
            self._transport.sendto(answer, addr)


def content(value: Any, folder: Path) -> bytes:
    """What a text, `{"file": NAME}`, `{"base64": TEXT}` or another JSON value stands for."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, Mapping) and len(value) == 1:
        if "file" in value:
            return (folder / str(value["file"])).read_bytes()
        if "base64" in value:
            return base64.b64decode(str(value["base64"]))
    return json.dumps(value).encode()


def _shown(exchange: Mapping[str, Any]) -> str:
    request = exchange.get("request")
    if request is None:
        return repr(exchange.get("receive"))
    return f"{request.get('method', 'GET')} {request['path']}"


def send_requests(requests: Sequence[Mapping[str, Any]], address: str, folder: Path) -> list[str]:
    """Send each request to `address` (HOST:PORT), one connection for each; returns what is wrong with the answers.

    Compared are the status and, where they are recorded, headers and body. A recorded body is sent compressed where the
    request's headers say so.
    """
    problems: list[str] = []
    host, _, port = address.rpartition(":")
    for one in requests:
        request, wanted = one["request"], one["answer"]
        name = f"{request.get('method', 'GET')} {request['path']}"
        headers = dict(request.get("headers", {}))
        body = content(request.get("body", ""), folder)
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.compress(body, mtime=0)
        connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE)
        try:
            connection.request(request.get("method", "GET"), request["path"], body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            problems.append(f"{name}: no answer: {error!r}")
            continue
        finally:
            connection.close()
        if answer.status != wanted["status"]:
            problems.append(f"{name}: the status is {answer.status}, expected {wanted['status']}: {text[:200]!r}")
        for header, value in wanted.get("headers", {}).items():
            if (found := answer.headers.get(header)) != value:
                problems.append(f"{name}: the answer's header {header} is {found!r}, expected {value!r}")
        if "body" in wanted and text != content(wanted["body"], folder):
            problems.append(f"{name}: the answer's body is {text!r}, expected {wanted['body']!r}")
    return problems


def send_messages(messages: Sequence[Mapping[str, Any]], address: str, folder: Path) -> None:
    """Send messages to a listener: a connection for all of them, or a datagram for each.

    `address`: as a listener's option has it, `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:///PATH`, `unixgram:///PATH`.
    """
    scheme, _, rest = address.partition("://")
    local = scheme.startswith("unix")
    kind = socket.SOCK_DGRAM if scheme.startswith(("udp", "unixgram")) else socket.SOCK_STREAM
    host, _, port = rest.rpartition(":")
    with socket.socket(socket.AF_UNIX if local else socket.AF_INET, kind) as client:
        client.settimeout(DEADLINE)
        client.connect(rest if local else (host or "127.0.0.1", int(port)))
        for message in messages:
            if "wait" in message:
                continue  # what follows is told from what was before by the framing, not by the time
            client.sendall(content(message.get("message", message), folder))
