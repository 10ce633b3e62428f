r"""Asking a server that is no HTTP server: a request and its answer over TCP, UDP or a unix socket, with TLS and a deadline.

    address = ServerAddress.of("cache.example", default_port=11211)
    async with connected(address, timeout=5.0) as connection:
        await connection.send(b"stats\r\n")
        while (line := await connection.line()) != b"END":
            ...

Whatever the server does, the deadline holds for all of it, and answers are bounded. What fails is a PyagentError that names
the server and says what to do.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, NoReturn, Protocol

from pyagent.api.errors import ConfigError, PyagentError
from pyagent.kit.connect_errors import explained
from pyagent.kit.held import hold

__all__ = ["Connection", "ServerAddress", "connected"]

_MOST = 64 << 20
_LONGEST_LINE = 1 << 20
_DATAGRAM = 65536
_SCHEMES = ("tcp", "udp", "unix")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    scheme: Literal["tcp", "udp", "unix"]
    host: str = ""
    """Without brackets; empty: this host."""
    port: int = 0
    path: str = ""
    """Of a unix socket."""

    @classmethod
    def of(
        cls, text: str, *, default_port: int, scheme: Literal["tcp", "udp"] = "tcp", option: str = "servers"
    ) -> "ServerAddress":
        """`HOST`, `HOST:PORT`, `:PORT`, `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:///PATH` or `/PATH`. An address of IPv6 may
        have brackets, and must where a port follows. `scheme`: where the text has none. Raises ConfigError."""
        found, separator, rest = text.partition("://")
        if not separator:
            found, rest = ("unix" if text.startswith("/") else scheme), text
        if found not in _SCHEMES:
            raise _no_address(text, f"it begins with none of {', '.join(f'{one}://' for one in _SCHEMES)}", option)
        if found == "unix":
            if not rest.startswith("/"):
                raise _no_address(text, "the path of a unix socket begins with /", option)
            return cls("unix", path=rest)
        host, colon, port = rest.rpartition(":")
        if not colon or (host.count(":") > 0 and not host.endswith("]")):
            host, port = rest, str(default_port)
        if not port.isascii() or not port.isdecimal() or not 0 < int(port) <= 65535:
            raise _no_address(text, f"{port[:20]!r} is no port", option)
        host = host.removeprefix("[").removesuffix("]")
        if not host and not colon:
            raise _no_address(text, "it names no host", option)
        return cls("udp" if found == "udp" else "tcp", host, int(port))

    def __str__(self) -> str:
        """`HOST:PORT`, or the path of the socket."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


def _no_address(text: str, cause: str, option: str) -> ConfigError:
    return ConfigError(f"cannot use the address {text!r}: {cause}; write HOST:PORT or unix:///PATH", option=option)


@asynccontextmanager
async def connected(
    address: ServerAddress,
    *,
    timeout: float,
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
    most: int = _MOST,
) -> "AsyncIterator[Connection]":
    """A connection for the time of the `async with`; whatever is not done then is given up.

    `timeout`: seconds for all of it, from the connecting on. `tls`: speak TLS (`TlsOptions.ssl_context`, or `system_context`
    where that gives None). `server_name`: to expect in the certificate, where it is not the host. `most`: bytes of all answers.
    """
    deadline = asyncio.timeout(timeout)
    try:
        async with deadline:
            try:
                transport = await _open(address, tls, server_name)
            except OSError as error:
                raise PyagentError(f"cannot connect to {address}: {explained(error)}") from None
            try:
                yield Connection(address, transport, most)
            finally:
                transport.close()
    except TimeoutError:
        if not deadline.expired():
            raise
        raise PyagentError(f"cannot read {address}: no answer within {timeout:g} s") from None


class _Transport(Protocol):
    async def send(self, data: bytes) -> None: ...

    async def receive(self) -> bytes:
        """What has come; nothing at the end."""

    def close(self) -> None: ...


class Connection:
    """All methods raise PyagentError, with the server's address."""

    def __init__(self, address: ServerAddress, transport: _Transport, most: int) -> None:
        self.address = address
        self._transport = transport
        self._room = most
        self._most = most
        self._buffer = bytearray()

    async def send(self, data: bytes) -> None:
        """Over UDP, as one datagram."""
        try:
            await self._transport.send(data)
        except OSError as error:
            self.fail(explained(error))

    async def line(self) -> bytes:
        """The next line, without its end, which is LF or CRLF."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > _LONGEST_LINE:
                self.fail(f"a line of the answer is longer than {_LONGEST_LINE} bytes")
            if not await self._more():
                self.fail("the server closed the connection")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    async def exactly(self, count: int) -> bytes:
        """So many bytes."""
        if count > self._room + len(self._buffer):
            self._too_large()
        while len(self._buffer) < count:
            if not await self._more():
                self.fail("the server closed the connection")
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def rest(self) -> bytes:
        """All that comes until the server closes the connection; over UDP, the next datagram."""
        while await self._more() and self.address.scheme != "udp":
            pass
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def fail(self, cause: str) -> NoReturn:
        """Raises PyagentError: `cause` says what is wrong with the answer."""
        raise PyagentError(f"cannot read {self.address}: {cause}")

    async def _more(self) -> bool:
        try:
            data = await self._transport.receive()
        except OSError as error:
            self.fail(explained(error))
        await hold(len(data))
        self._buffer += data
        self._room -= len(data)
        if self._room < 0:
            self._too_large()
        return bool(data)

    def _too_large(self) -> NoReturn:
        self.fail(f"the answer is larger than {self._most} bytes")


async def _open(address: ServerAddress, tls: ssl.SSLContext | None, server_name: str) -> _Transport:
    """Raises OSError."""
    if address.scheme == "udp":
        return await _Datagrams.open(address)
    if address.scheme == "unix":
        name = (server_name or "localhost") if tls else None
        return _Stream(*await asyncio.open_unix_connection(address.path, ssl=tls, server_hostname=name))
    name = (server_name or address.host or "localhost") if tls else None
    host = address.host or "localhost"
    return _Stream(*await asyncio.open_connection(host, address.port, ssl=tls, server_hostname=name))


class _Stream:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        return await self._reader.read(65536)

    def close(self) -> None:
        # Not in peace: a server that does not answer would hold it up.
        self._writer.transport.abort()


class _Datagrams:
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @classmethod
    async def open(cls, address: ServerAddress) -> "_Datagrams":
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(address.host or "localhost", address.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, where = infos[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setblocking(False)
            made.connect(where)
        except BaseException:
            made.close()
            raise
        return cls(made)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._socket, _DATAGRAM)

    def close(self) -> None:
        self._socket.close()
