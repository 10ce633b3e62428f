"""Writes metrics to a socket, in any format: TCP, TLS, UDP and unix sockets."""

import asyncio
import errno
import fcntl
import gzip
import re
import socket
import ssl
import struct
import termios
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal

from pyagent.api import (
    Batch,
    ConfigError,
    Duration,
    NotConnected,
    Output,
    PartialWrite,
    PyagentError,
    Reject,
    option,
)
from pyagent.api.masking import mask_url
from pyagent.kit.connect_errors import explained
from pyagent.kit.tls import TlsOptions, system_context

__all__ = ["SocketWriter", "SocketWriterOptions"]


class SocketWriterOptions(TlsOptions, frozen=True):
    serializes: ClassVar[bool] = True

    address: Annotated[
        str,
        option("'tcp://HOST:PORT', also tcp4 and tcp6, 'tls://...', 'udp://...', 'unix:///PATH' or 'unixgram:///PATH'"),
    ] = ""
    keep_alive_period: Annotated[
        Duration | None,
        option("time between TCP's probes of a silent connection (0: none; without it: as the system has it)"),
    ] = None
    content_encoding: Annotated[
        Literal["", "identity", "gzip", "zlib"], option("compress what is written, or not (empty: identity)")
    ] = "identity"
    data_format: Annotated[str, option("format of what is written; it has options of its own")] = "influx"

    def remarks(self) -> Iterable[tuple[str, str]]:
        if self.keep_alive_period is not None and not self.address.startswith(("tcp", "tls")):
            yield "keep_alive_period", "does nothing but for TCP"


_FAMILIES = {"": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}
_SCHEMES = ("tls", "unix", "unixgram", *[f"{kind}{version}" for kind in ("tcp", "udp") for version in _FAMILIES])
_PORT = re.compile(r"[0-9A-Za-z_-]+")
_ELSEWHERE = ("unixpacket", "vsock", "ip", "ip4", "ip6")
_CONNECT_SECONDS = 30.0
_SOME = 64
"""Datagrams between two turns of others on the event loop."""
_FIRST_LOOK, _LAST_LOOK = 0.001, 0.05
"""Seconds between two looks at what the other side has acknowledged."""


class SocketWriter(Output[SocketWriterOptions]):
    def setup(self) -> None:
        options = self.options
        scheme, found, rest = options.address.partition("://")
        if scheme in _ELSEWHERE:
            raise _wrong(options.address, f"{scheme} is not supported")
        if not found or scheme not in {
            "tls",
            "unix",
            "unixgram",
            *(f"{kind}{six}" for kind in ("tcp", "udp") for six in _FAMILIES),
        }:
            raise _wrong(options.address, "it is no address")
        self._scheme, self._path, self._host, self._port = scheme, "", "", ""
        if scheme in ("unix", "unixgram"):
            if not rest.startswith("/"):
                raise _wrong(options.address, "the path of a unix socket begins with /")
            self._path = rest
        else:
            host, colon, self._port = rest.rpartition(":")
            self._host = host.removeprefix("[").removesuffix("]")
            if (
                not colon
                or not _PORT.fullmatch(self._port)
                or "@" in rest
                or (":" in host and not host.startswith("["))
            ):
                raise _wrong(options.address, "it is no HOST:PORT")
        self._is_datagram = scheme.startswith("udp") or scheme == "unixgram"
        self._tls: ssl.SSLContext | None = options.ssl_context()
        if self._tls is None and scheme == "tls":
            self._tls = system_context()
        if self._tls is not None and self._is_datagram:
            raise ConfigError(
                f"cannot speak TLS to {options.address}: it is for streams; remove the TLS options", option="address"
            )
        self._compress: Callable[[bytes], bytes] | None = {
            "gzip": lambda data: gzip.compress(data, mtime=0),
            "zlib": zlib.compress,
        }.get(options.content_encoding)
        self._stream: _Stream | None = None
        self._socket: socket.socket | None = None

    def destination(self, partition: str | None) -> str:
        return self.options.address

    async def connect(self) -> None:
        await self.close()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                if self._is_datagram:
                    self._socket = await self._open_datagrams()
                else:
                    self._stream = _Stream(*await self._open_stream())
        except (OSError, TimeoutError) as error:
            cause = explained(error) if isinstance(error, OSError) and error.args else "no answer"
            raise PyagentError(f"cannot connect to {self.options.address}: {cause}") from None

    async def write(self, batch: Batch) -> None:
        refused: dict[int, str] = {}
        try:
            if self._stream is not None:
                data = batch.payload()
                await self._stream.send(self._compress(data) if self._compress else data)
            else:
                await self._send_datagrams(batch, refused)
        except OSError as error:
            raise NotConnected(f"cannot write to {self.options.address}: {explained(error)}") from None
        if refused:
            reason = f"cannot write to {self.options.address}: {next(iter(refused.values()))}"
            indices = tuple(refused)
            raise (
                Reject(reason, indices) if len(refused) == batch.count else PartialWrite(reason, len(indices), indices)
            )

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _open_stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._path:
            name = (self.options.tls_server_name or "localhost") if self._tls else None
            return await asyncio.open_unix_connection(self._path, ssl=self._tls, server_hostname=name)
        host = self._host or "localhost"
        reader, writer = await asyncio.open_connection(
            host,
            self._port,
            family=_FAMILIES[self._scheme.removeprefix("tcp") if self._scheme != "tls" else ""],
            ssl=self._tls,
            server_hostname=(self.options.tls_server_name or host) if self._tls else None,
        )
        self._keep_alive(writer.get_extra_info("socket"))
        return reader, writer

    def _keep_alive(self, connection: socket.socket) -> None:
        period = self.options.keep_alive_period
        if period is None:
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, period > 0)
        if period > 0:
            seconds = max(1, -(-period // 1_000_000_000))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, seconds)

    async def _open_datagrams(self) -> socket.socket:
        where: Any = self._path
        family: int = socket.AF_UNIX
        if not self._path:
            infos = await asyncio.get_running_loop().getaddrinfo(
                self._host or "localhost",
                self._port,
                family=_FAMILIES[self._scheme.removeprefix("udp")],
                type=socket.SOCK_DGRAM,
            )
            # Nobody tells that an address is the wrong one: IPv4 where there is one.
            family, _, _, _, where = min(infos, key=lambda info: info[0] != socket.AF_INET)
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.connect(where)
        except BaseException:
            made.close()
            raise
        return made

    async def _send_datagrams(self, batch: Batch, refused: dict[int, str]) -> None:
        """A datagram for each metric. One that is too long goes into `refused`, by its index."""
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        for index, record in enumerate(batch.records()):
            data = self._compress(record) if self._compress else record
            if not data:
                continue
            try:
                await loop.sock_sendall(self._socket, data)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                refused[index] = f"a metric of {len(data)} bytes is too long for a datagram"
            if index % _SOME == _SOME - 1:
                await asyncio.sleep(0)


class _Stream:
    """A connection on which nothing is expected to come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._watch = asyncio.create_task(_until_closed(reader))
        self._is_given = False
        """The transport has what is to be sent."""

    async def send(self, data: bytes) -> None:
        """Returns when the other side's system has acknowledged all. Raises OSError where the connection is lost before."""
        if self._watch.done():
            raise self._watch.result() or _closed()
        self._is_given = False
        sending = asyncio.create_task(self._send(data))
        try:
            await asyncio.wait([sending, self._watch], return_when=asyncio.FIRST_COMPLETED)
            reset = self._watch.result() if self._watch.done() else None
            if reset is None and not sending.done() and self._is_given and not _unacknowledged(self._writer):
                return  # who has read all may close, too; whoever has not breaks the connection by it
            if reset is not None or not sending.done():
                raise reset or _closed()
            sending.result()
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await sending

    async def _send(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise _closed()  # it would throw away what is written
        self._writer.write(data)
        self._is_given = True
        await self._writer.drain()
        pause = _FIRST_LOOK
        while _unacknowledged(self._writer):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)

    async def close(self) -> None:
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        self._writer.transport.abort()


async def _until_closed(reader: asyncio.StreamReader) -> OSError | None:
    """Returns when the other side has closed the connection, with what broke it, if anything."""
    try:
        while await reader.read(65536):
            pass
    except OSError as error:
        return error
    return None


def _closed() -> OSError:
    return ConnectionResetError(errno.ECONNRESET, "the other side has closed the connection")


def _unacknowledged(writer: asyncio.StreamWriter) -> int:
    """Bytes that are not sent, or not known to have arrived; on a unix socket, that nobody has read. Where the system does not
    tell of those, of the others."""
    if waiting := writer.transport.get_write_buffer_size():
        return waiting
    try:
        connection = writer.get_extra_info("socket")
        return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except (OSError, ValueError):
        return 0


def _wrong(address: str, cause: str) -> ConfigError:
    advice = "give 'tcp://HOST:PORT', 'udp://HOST:PORT', 'unix:///PATH' or 'unixgram:///PATH'"
    return ConfigError(f"cannot write to {mask_url(address)!r}: {cause}; {advice}", option="address")
