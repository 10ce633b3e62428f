"""Connections of clients: how many there may be at a time, and which one goes when there are too many.

Clients in all get half of the file descriptors that the process may have; the rest is for what the agent itself does. Where
there is no room for a new one, the connection goes that has been idle longest. One with a request in work never does.
"""

import asyncio
import errno
import logging
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from weakref import WeakSet

from pyagent.kit.once import Once

__all__ = ["Client", "Connections", "StreamClient", "limit_connections"]

_HANDSHAKE, _SHUTDOWN = 10.0, 5.0
"""Seconds for the client's part of TLS, in the beginning and in the end."""
_PAUSE = 0.2
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_most = 1024
_listening: "WeakSet[Connections]" = WeakSet()


def limit_connections(most: int) -> None:
    """Let each listener have so many connections; 1,024 where this is never called."""
    global _most
    _most = most


class Client(Protocol):
    """What the protocol of a connection tells."""

    @property
    def idle_since(self) -> float | None:
        """Loop time; None while a request is in work."""

    ended: Callable[[], None]
    """To be called when the connection is lost."""


class _Place:
    """One connection, from the moment it is accepted."""

    def __init__(self, listener: "Connections", accepted: socket.socket) -> None:
        self.listener = listener
        self.socket = accepted
        self.since = asyncio.get_running_loop().time()
        self.client: Client | None = None
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def idle_since(self) -> float | None:
        return self.since if self.client is None or self.transport is None else self.client.idle_since

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()  # it is at its handshake
        self.leave()

    def leave(self) -> None:
        self.listener.places.pop(self, None)


class Connections:
    """Accepts connections on a bound socket, and serves each by a protocol that `client` makes."""

    def __init__(
        self,
        listening: socket.socket,
        client: Callable[[], Client],
        log: logging.Logger,
        *,
        tls: ssl.SSLContext | None = None,
        most: int | None = None,
        admit: Callable[[socket.socket, Any], bool] | None = None,
        pause: float = _PAUSE,
    ) -> None:
        """`most`: at a time, where that is fewer than others may have. `admit`: whether a new one, with its peer's address, is
        wanted at all; if not, it is closed. `pause`: seconds until it looks again, where there is no room."""
        self.places: dict[_Place, None] = {}
        """The oldest first."""
        self._socket = listening
        self._client = client
        self._tls = tls
        self._most = most
        self._admit = admit
        self._pause = pause
        self._log = log
        self._once = Once()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._socket.setblocking(False)
        self._socket.listen(512)
        self._task = asyncio.create_task(self._run())
        _listening.add(self)

    async def close(self) -> None:
        """Accept no more. Those that are open stay."""
        _listening.discard(self)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._socket.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(self._socket)
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._tell(
                        "cannot accept a connection: %s; raise the limit of file descriptors (LimitNOFILE)", error
                    )
                    _close_one(_everywhere())
                    await asyncio.sleep(self._pause)
                elif error.errno != errno.ECONNABORTED:
                    self._tell("cannot accept a connection: %s", error)
                    await asyncio.sleep(self._pause)
                continue
            if self._admit is not None and not self._admit(accepted, peer):
                accepted.close()
                await asyncio.sleep(0)
                continue
            try:
                while not self._make_room():  # noqa: ASYNC110  # connections of all listeners count
                    await asyncio.sleep(self._pause)
            except asyncio.CancelledError:
                accepted.close()
                raise
            place = _Place(self, accepted)
            self.places[place] = None
            place.task = asyncio.create_task(self._connect(place))
            await asyncio.sleep(0)  # those that wait to be accepted come without a pause

    def _make_room(self) -> bool:
        """For one more. False where all that there are have a request in work."""
        in_all, share = sum(len(listener.places) for listener in _listening), _share()
        most = min(_most, share, self._most or share)
        if len(self.places) >= most:
            self._tell("%d connections are open, more than there may be: those that are idle longest are closed", most)
            return _close_one(self.places)
        return in_all < share or _close_one(_everywhere())

    async def _connect(self, place: _Place) -> None:
        def client() -> asyncio.BaseProtocol:
            made = self._client()
            made.ended = place.leave
            place.client = made
            return made  # type: ignore[return-value]  # it is both

        tls = {"ssl_handshake_timeout": _HANDSHAKE, "ssl_shutdown_timeout": _SHUTDOWN} if self._tls else {}
        loop = asyncio.get_running_loop()
        try:
            place.transport, _ = await loop.connect_accepted_socket(client, place.socket, ssl=self._tls, **tls)
        except OSError:  # it went away, or speaks no TLS
            place.leave()
            place.socket.close()
        except BaseException:
            place.leave()
            place.socket.close()
            raise
        finally:
            place.task = None

    def _tell(self, message: str, *arguments: object) -> None:
        if self._once(message):
            self._log.warning(message, *arguments)


def _everywhere() -> list[_Place]:
    return [place for listener in _listening for place in listener.places]


def _close_one(places: Iterable[_Place]) -> bool:
    """That which has been idle longest; False where none is."""
    idle = ((since, place) for place in places if (since := place.idle_since) is not None)
    found = min(idle, key=lambda pair: pair[0], default=None)
    if found is None:
        return False
    found[1].close()
    return True


def _share() -> int:
    """The file descriptors that clients may have in all."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 65_536 if soft == resource.RLIM_INFINITY else max(soft // 2, 1)


class StreamClient(asyncio.StreamReaderProtocol):
    """A connection that `serve` reads from and writes to: it sets `idle_since` to None when there is a request."""

    def __init__(
        self,
        serve: "Callable[[StreamClient, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]",
        limit: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.idle_since: float | None = loop.time()
        self.ended: Callable[[], None] = lambda: None
        super().__init__(
            asyncio.StreamReader(limit, loop), lambda reader, writer: serve(self, reader, writer), loop=loop
        )

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.ended()
