"""Datagrams of one socket, on their way to the queues."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

from pyagent.api.errors import TooMuch
from pyagent.kit.handover import Handover
from pyagent.kit.notices import Notices
from pyagent.kit.socket_address import peer_address

__all__ = ["Datagrams"]

_AT_A_TIME = 256
"""Datagrams that are read before others get their turn."""
_ROUNDS = 100
_MOST_HELD = 4 * 2**20


class Datagrams:
    """`longest`: bytes of one; `decode` gives its content, and raises ValueError or TooMuch. `allowed`: the addresses that may
    send; None: all."""

    def __init__(
        self,
        bound: socket.socket,
        handover: Handover,
        notices: Notices,
        longest: int,
        decode: Callable[[bytes], bytes] | None,
        allowed: frozenset[str] | None,
        *,
        most_held: int = _MOST_HELD,
    ) -> None:
        self.held = 0
        self.most_held = most_held
        """Bytes that wait for the queues; what comes beyond is dropped."""
        self.peer: Any = None
        self.dropped = 0
        """Datagrams, for want of room."""
        self._socket = bound
        self._handover = handover
        self._notices = notices
        self._buffer = bytearray(longest + 1)
        self._view = memoryview(self._buffer)
        self._decode = decode
        self._allowed = allowed

    def start(self) -> None:
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Read what has come, and give the socket back."""
        asyncio.get_running_loop().remove_reader(self._socket)
        while self._read():
            pass
        self._socket.close()

    def go_on(self) -> None:
        pass  # it never stops

    def _read(self) -> bool:
        """A number of them; returns whether there may be more."""
        receive, view = self._socket.recvfrom_into, self._view
        for _ in range(_AT_A_TIME):
            try:
                size, peer = receive(view)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:  # an ICMP message about something that was sent
                self._notices.add("socket", f"cannot receive: {error.strerror or error}")
                return False
            if self._allowed is None or peer_address(peer) in self._allowed:
                self.peer = peer
                self._take(bytes(view[:size]))
        return True

    def read_waiting(self) -> None:
        """Read what has come; of a flood a part."""
        for _ in range(_ROUNDS):
            if not self._read():
                return

    def _take(self, data: bytes) -> None:
        if len(data) == len(self._buffer):
            self._notices.add(
                "long", f"a datagram is dropped: it is longer than {len(data) - 1} bytes (read_buffer_size)"
            )
            return
        if self._decode is not None:
            try:
                data = self._decode(data)
            except (ValueError, TooMuch) as error:
                self._notices.add("content", f"a datagram is dropped: cannot inflate it: {error}", logging.ERROR)
                return
        if not data:
            return
        if self.held + len(data) > self.most_held and self.held:
            self.dropped += 1
            self._notices.add(
                "full", "a datagram is dropped: the outputs' queues are full, and so is what waits for them"
            )
            return
        self._handover.put(data, self)
