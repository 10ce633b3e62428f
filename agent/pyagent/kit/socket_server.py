"""A server for plugins that receive messages over sockets and answer nothing: streams (TCP, TLS, unix), datagrams (UDP, unix).

    class FeedOptions(FramedSocketOptions, frozen=True):
        parses: ClassVar[bool] = True
        data_format: Annotated[str, option("format of the messages; it has options of its own")] = "influx"

    class Feed(Input[FeedOptions]):
        def setup(self) -> None:
            self._server = SocketServer(self.options, self.options.framing(self.parser), self.parser, self.log)

        async def start(self, acc: Accumulator) -> None:
            await self._server.start(acc)

        async def stop(self) -> None:
            await self._server.stop()

What a sender does costs nobody else anything: messages, connections and all that waits have bounds. A stream is not read
further while the outputs' queues are full, so that its sender waits; datagrams are dropped then, counted, and logged once.
"""

import logging
import socket
from collections.abc import Callable
from typing import Annotated, Any

from pyagent.api import Accumulator, ConfigError, Duration, Parser, Size, option
from pyagent.kit.connections import Connections
from pyagent.kit.content_encoding import Decoding
from pyagent.kit.datagrams import Datagrams
from pyagent.kit.framing import Framing, LengthField, Strategy
from pyagent.kit.handover import DirectHandover, Handover
from pyagent.kit.listen_address import TlsServerOptions
from pyagent.kit.notices import Notices
from pyagent.kit.socket_address import SocketAddress, peer_address, plain_address
from pyagent.kit.streams import Stream, StreamSettings

__all__ = ["FramedSocketOptions", "SocketServer", "SocketServerOptions"]

_STOP_GRACE = 1.0
"""Seconds for what was received to get into the queues."""
_KEEP_ALIVE_PROBES = 9


class SocketServerOptions(TlsServerOptions, frozen=True):
    """The options of Telegraf's sockets, under its names. Inherit from it, or from `FramedSocketOptions`."""

    service_address: Annotated[str, option("where to listen: 'tcp://:8094', 'udp://:8094', 'unix:///path', ...")] = ""
    socket_mode: Annotated[str, option("permissions of a unix socket, octal, such as '660'")] = ""
    max_connections: Annotated[
        int, option("connections at a time, of streams; a further one is closed (0: any)", ge=0)
    ] = 0
    read_timeout: Annotated[Duration, option("longest time for a message to arrive, of streams (0s: any)", ge=0)] = (
        Duration(0)
    )
    read_buffer_size: Annotated[
        Size, option("the kernel's buffer of a socket, and the longest message (64KiB at least)", ge=0)
    ] = Size(0)
    keep_alive_period: Annotated[Duration, option("time between keep-alive probes, of TCP (0s: none)", ge=0)] = (
        Duration("15s")
    )
    content_encoding: Annotated[str, option("compression of what comes: identity, gzip or zlib")] = "identity"
    max_decompression_size: Annotated[Size, option("largest datagram when inflated (0: the default)", ge=0)] = Size(
        "16MiB"
    )
    max_parallel_parsers: Annotated[
        int, option("messages are parsed in the order in which they come", no_effect=True)
    ] = 0
    allowed_sources: Annotated[list[str], option("IP addresses of those that may send ([]: anybody)")] = []
    multicast_source: Annotated[str, option("the one sender to a multicast group whose packets count (empty: any)")] = (
        ""
    )


class FramedSocketOptions(SocketServerOptions, frozen=True):
    """The same with those that say how a stream is cut into messages."""

    splitting_strategy: Annotated[Strategy, option("how a stream is cut; for datagrams it means nothing")] = "newline"
    splitting_delimiter: Annotated[str, option("for 'delimiter': its bytes in hexadecimal, such as '0x0D0A'")] = ""
    splitting_length: Annotated[int, option("for 'fixed length': bytes of a message")] = 0
    splitting_length_field: Annotated[LengthField, option("for 'variable length': where the length stands")] = (
        LengthField()
    )

    def framing(self, parser: Parser[Any]) -> Framing:
        """Raises ConfigError."""
        return Framing(
            self.splitting_strategy,
            delimiter=self.splitting_delimiter,
            length=self.splitting_length,
            field=self.splitting_length_field,
            limit=int(self.read_buffer_size),
            lines=parser.line_precision is not None,
        )


class SocketServer:
    """One address, served from `start` to `stop`. `framing`: of streams. Raises ConfigError for options that cannot work."""

    def __init__(
        self,
        options: SocketServerOptions,
        framing: Framing,
        parser: Parser[Any] | None,
        log: logging.Logger,
        *,
        take: Callable[[bytes, Any], None] | None = None,
    ) -> None:
        """`take(message, peer)`: has the messages, in place of a parser and the queues; `peer` as sockets show it."""
        self._options = options
        self._address = SocketAddress.parse(options.service_address, options.socket_mode, options.multicast_source)
        for name in (
            "max_connections",
            "read_timeout",
            "read_buffer_size",
            "keep_alive_period",
            "max_decompression_size",
        ):
            if getattr(options, name) < 0:
                raise ConfigError(f"cannot use a negative {name}; 0 is the default", option=name)
        self._tls = options.ssl_context()
        self._framing = framing
        self._decoding = Decoding.of(options.content_encoding)
        self._allowed = _addresses(options.allowed_sources, self._address)
        self._parser = parser
        self._take = take
        self._log = log
        self._notices = Notices(log)
        self._handover: Handover | None = None
        self._connections: Connections | None = None
        self._datagrams: Datagrams | None = None
        self._streams: set[Stream] = set()
        self.port = 0
        """The TCP or UDP port, when it listens."""

    async def start(self, acc: Accumulator) -> None:
        """Listen. Raises PyagentError where the address cannot be had."""
        bound = await self._address.bind()
        if not self._address.path:
            self.port = bound.getsockname()[1]
        handover: Handover
        if self._take is not None:
            handover = DirectHandover(self._take)
        else:
            assert self._parser is not None
            handover = Handover(acc, self._parser, self._notices)
        self._handover = handover
        if self._address.is_datagram:
            self._size_buffer(bound)
            limit = int(self._options.max_decompression_size) or 16 * 2**20
            longest = self._framing.limit if self._address.path else 2**16
            self._datagrams = Datagrams(
                bound, handover, self._notices, longest, self._decoding.whole(limit), self._allowed
            )
            self._datagrams.start()
        else:
            settings = StreamSettings(
                handover,
                self._framing,
                self._decoding,
                self._options.read_timeout.seconds,
                self._notices,
                self._streams,
            )
            self._connections = Connections(
                bound, lambda: Stream(settings), self._log, tls=self._tls, admit=self._admit
            )
            self._connections.start()
        secured = " with TLS" if self._tls and not self._address.is_datagram else ""
        self._log.info("listening on %s%s", self._address.text, secured)

    def read_datagrams(self) -> None:
        """Have all that has come to the socket, where it is one for datagrams."""
        if self._datagrams is not None:
            self._datagrams.read_waiting()

    async def stop(self) -> None:
        """Close the address, and hand on what was received. Safe without `start`."""
        handover, self._handover = self._handover, None
        if handover is None:
            return
        if self._datagrams is not None:
            self._datagrams.close()
        if self._connections is not None:
            await self._connections.close()
        for stream in self._streams:
            stream.hold()
        await handover.close(_STOP_GRACE)
        for stream in list(self._streams):
            stream.abort()
        self._address.remove()

    def _admit(self, accepted: socket.socket, peer: Any) -> bool:
        options = self._options
        if self._allowed is not None and peer_address(peer) not in self._allowed:
            return False
        if options.max_connections and self._connections and len(self._connections.places) >= options.max_connections:
            self._notices.add(
                "connections", f"a connection is refused: {options.max_connections} are open (max_connections)"
            )
            return False
        self._size_buffer(accepted)
        if accepted.family != socket.AF_UNIX:
            seconds = max(round(options.keep_alive_period.seconds), 1)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, options.keep_alive_period > 0)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, min(seconds, 32767))
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, min(seconds, 32767))
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEP_ALIVE_PROBES)
        return True

    def _size_buffer(self, sock: socket.socket) -> None:
        if self._options.read_buffer_size:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, min(int(self._options.read_buffer_size), 2**30))


def _addresses(texts: list[str], address: SocketAddress) -> frozenset[str] | None:
    """None: anybody."""
    if not texts:
        return None
    if address.path:
        message = "cannot use allowed_sources: whoever sends over a unix socket has no IP address; use socket_mode"
        raise ConfigError(message, option="allowed_sources")
    try:
        return frozenset(plain_address(text) for text in texts)
    except ValueError as error:
        raise ConfigError(f"cannot use allowed_sources: {error}", option="allowed_sources") from None
