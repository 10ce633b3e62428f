"""A receiver of line protocol that fails in every way there is, and remembers every metric it took."""

import asyncio
import contextlib
import json
import re
import socket
import struct
import zlib
from collections import Counter
from typing import Any
from urllib.parse import unquote

from pyagent.testing.servers import free_port

_OURS = (b"load,", b"disk,", b"net,")
_NUMBER = re.compile(rb"^(\w+),(?:[^ ]*,)?source=(\w+)(?:,[^ ]*)? number=(\d+)i,check=(\d+)i \d+$")
_BUCKET = re.compile(r"[?&]bucket=([^& ]*)")

Key = tuple[str, int]
"""Source and number of a metric."""


def line(source: str, number: int, time_ns: int, name: str = "load", tags: str = "") -> str:
    """A metric that can be told from all others, and from a damaged one. `name`: load, disk or net; `tags`: further ones,
    each with a comma before it."""
    return f"{name},source={source}{tags} number={number}i,check={_check(name, source, number)}i {time_ns}\n"


def key_of(row: bytes) -> Key | None:
    """Which metric a line is; None where it is none of ours, or not as it was sent."""
    match = _NUMBER.match(row)
    if match is None:
        return None
    name, source, number = match[1].decode(), match[2].decode(), int(match[3])
    return (source, number) if int(match[4]) == _check(name, source, number) else None


def _check(name: str, source: str, number: int) -> int:
    return zlib.crc32(f"{name} {source} {number}".encode())


class Receiver:
    """`mode` names what the next requests meet; `taken` counts metrics by (source, number), `placed` by bucket as well."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.taken: Counter[Key] = Counter()
        self.placed: Counter[tuple[str, Key]] = Counter()
        self.corrupted: list[bytes] = []
        self.requests: Counter[str] = Counter()
        self.bad: set[Key] = set()
        """Metrics that are refused by name."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> "Receiver":
        """Listen: at the port of before, where there was one."""
        self.port = self.port or free_port()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 26)
        return self

    async def stop(self) -> None:
        """Gone, as when the machine is: connections are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def revive(self) -> None:
        """It works, whatever was the matter."""
        self.mode = "ok"
        if self._server is None:
            await self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._request(reader, writer):
                    pass
        finally:
            self._connections.discard(task)
            with contextlib.suppress(Exception):
                writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        bucket = _BUCKET.search(head)
        to = unquote(bucket[1]) if bucket else ""
        head = head.lower()
        length = int(re.search(r"content-length: (\d+)", head)[1])  # type: ignore[index]
        mode = self.mode
        self.requests[mode] += 1
        if mode == "reset unread":
            _reset(writer)
            return False
        body = await reader.readexactly(length)
        if "content-encoding: gzip" in head:
            body = _gunzip(body)
        return await self._answer(mode, to, body, writer)

    async def _answer(self, mode: str, to: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """`to`: the bucket. False where the connection is at its end."""
        match mode:
            case "ok":
                return self._judge(to, body, writer)
            case "reset":
                _reset(writer)
            case "half a status line":
                writer.write(b"HTTP/1.1 2")
                await writer.drain()
            case "endless headers":
                writer.write(b"HTTP/1.1 204 No Content\r\n")
                for number in range(2000):
                    writer.write(b"X-More-%d: %s\r\n" % (number, b"x" * 500))
                    await writer.drain()
            case "slow":
                writer.write(b"HTTP/1.1 ")
                await writer.drain()
                await asyncio.sleep(30)
            case "wrong gzip":
                self._take(to, body)
                return self._say(writer, 200, b"\x1f\x8b not gzip at all", "Content-Encoding: gzip\r\n")
            case "huge body":
                writer.write(b"HTTP/1.1 500 Error\r\nContent-Length: 100000000000\r\n\r\n")
                for _ in range(200):
                    writer.write(b"x" * 65536)
                    await writer.drain()
            case "html":
                return self._say(writer, 200, b"<html>log in first</html>", "Content-Type: text/html\r\n")
            case "413 above 20":
                if body.count(b"\n") > 20:
                    return self._say(writer, 413, _error("request too large", "too large"))
                return self._judge(to, body, writer)
            case "stored, then reset":
                self._take(to, body)
                _reset(writer)
            case _:
                status = int(mode.split()[0])
                retry = "Retry-After: 1\r\n" if status in (429, 503) else ""
                return self._say(writer, status, _error("fault", f"this is a {mode}"), retry)
        return False

    def _judge(self, to: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """As InfluxDB does: one bad line costs the request, and is named."""
        if self.bad:
            for row in body.splitlines():
                if key_of(row) in self.bad:
                    text = f"unable to parse '{row.decode()}': bad number"
                    self.requests["named"] += 1
                    return self._say(writer, 400, _error("invalid", text))
        self._take(to, body)
        return self._say(writer, 204, b"")

    def _say(self, writer: asyncio.StreamWriter, status: int, body: bytes, headers: str = "") -> bool:
        kind = "" if "Content-Type" in headers else "Content-Type: application/json\r\n"
        length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status} X\r\n{kind}{headers}{length}\r\n".encode() + body)
        return True

    def _take(self, to: str, body: bytes) -> None:
        for row in body.splitlines():
            if (key := key_of(row)) is not None:
                self.taken[key] += 1
                self.placed[to, key] += 1
            elif row.startswith(_OURS):
                self.corrupted.append(row)


def _error(code: str, message: str) -> bytes:
    document: dict[str, Any] = {"code": code, "message": message}
    return json.dumps(document).encode()


def _gunzip(data: bytes) -> bytes:
    text = b""
    while data:
        member = zlib.decompressobj(31)
        text += member.decompress(data)
        data = member.unused_data
    return text


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
