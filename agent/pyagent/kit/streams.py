"""One connection that only sends: its bytes are decoded, cut into messages and handed over, as fast as there is room."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from pyagent.kit.content_encoding import Decoder, Decoding
from pyagent.kit.framing import BadFrame, Framing
from pyagent.kit.handover import Handover
from pyagent.kit.notices import Notices

__all__ = ["Stream", "StreamSettings"]

_BLOCK = 64 * 2**10
"""Bytes that are read at a time: no more than the shortest limit of a message, so that each message is measured."""
_MOST_UNFINISHED = 64 * 2**20
"""Bytes of all messages that have begun and not ended."""


@dataclass(slots=True)
class StreamSettings:
    """What the connections of a server share."""

    handover: Handover
    framing: Framing
    decoding: Decoding
    read_timeout: float
    """Seconds for a message to arrive; 0: any time."""
    notices: Notices
    streams: "set[Stream]"
    buffer: bytearray = field(default_factory=lambda: bytearray(_BLOCK))
    """Where bytes are read into: what is read is taken out before the next one reads."""
    unfinished: int = 0


class Stream(asyncio.BufferedProtocol):
    """See `pyagent.kit.connections.Client`."""

    def __init__(self, shared: StreamSettings) -> None:
        self.held = 0
        self.peer: Any = None
        self.ended: Callable[[], None] = lambda: None
        self._shared = shared
        self._view = memoryview(shared.buffer)
        self._splitter = shared.framing.splitter()
        self._decoder: Decoder | None = shared.decoding.stream()
        self._blocks: Iterator[bytes] = iter(())
        """What was read and not cut yet."""
        self._unfinished = 0
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self._is_over = False
        self._has_said_all = False
        """It ended as it should; what follows the last separator is a message."""
        self._last_message = asyncio.get_running_loop().time()
        self._timer: asyncio.TimerHandle | None = None
        shared.streams.add(self)

    # For the server -------------------------------------------------------------------------------------------------

    @property
    def idle_since(self) -> float | None:
        return None if self.held or self._is_paused else self._last_message

    def hold(self) -> None:
        """Read no more."""
        self._is_over = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def go_on(self) -> None:
        self._last_message = asyncio.get_running_loop().time()
        self._cut()

    # For the transport ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.peer = transport.get_extra_info("peername")
        self._wait()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        if self._is_over:
            return
        block = bytes(self._view[:nbytes])
        self._blocks = iter((block,)) if self._decoder is None else self._decoder.feed(block)
        self._cut()

    def eof_received(self) -> bool:
        if not self._is_over:
            self._is_over = self._has_said_all = True
            self._cut()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if not self._is_over:
            self._drop_rest("its connection broke off")
        self._is_over = True
        self._count_unfinished(0)
        self._transport = None
        if not self._has_said_all:
            self._blocks = iter(())
            self._shared.handover.forget(self)
        if self._timer is not None:
            self._timer.cancel()
        self._shared.streams.discard(self)
        self.ended()

    # ----------------------------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        """Hand over the messages of what was read, as far as there is room, and have more read then."""
        handover = self._shared.handover
        try:
            while handover.has_room(self):
                block = next(self._blocks, None)
                if block is None and self._has_said_all:
                    self._finish()
                    return
                if block is None:
                    self._count_unfinished(len(self._splitter.rest))
                    self._resume()
                    return
                self._hand_over(self._splitter.feed(block))
        except (BadFrame, ValueError) as error:
            self._refuse(str(error))
            return
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if self._transport is not None and not self._transport.is_closing() and not self._is_over:
                self._transport.resume_reading()

    def _hand_over(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            self._last_message = asyncio.get_running_loop().time()
            self._shared.handover.put(message, self)

    def _finish(self) -> None:
        """The sender has said that this was all."""
        self._has_said_all = False
        try:
            if self._decoder is not None:
                self._decoder.finish()
            if last := self._splitter.finish():
                self._hand_over([last])
        except (BadFrame, ValueError) as error:
            self._shared.notices.add("frame", f"a part of a stream is dropped: {error}")

    def _refuse(self, reason: str) -> None:
        """Nothing more of it can be read."""
        self._is_over, self._has_said_all = True, False
        self._shared.notices.add("frame", f"a connection is closed: {reason}", logging.ERROR)
        if self._transport is not None:
            self._transport.abort()

    def _drop_rest(self, why: str) -> None:
        if count := len(self._splitter.rest):
            self._splitter.rest.clear()
            self._shared.notices.add("rest", f"a message that had begun is dropped, {count} bytes: {why}")

    def _count_unfinished(self, count: int) -> None:
        shared = self._shared
        shared.unfinished += count - self._unfinished
        self._unfinished = count
        if shared.unfinished > max(_MOST_UNFINISHED, 2 * shared.framing.limit) and count:
            raise BadFrame("there is no room for another message that has begun and not ended")

    def _wait(self) -> None:
        """Close the connection where a message takes longer than it may."""
        limit = self._shared.read_timeout
        if not limit:
            return
        loop = asyncio.get_running_loop()
        since = self.idle_since
        left = limit if since is None else since + limit - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._wait)
            return
        self._drop_rest(f"it did not arrive within {limit:g} s")
        self._is_over = True
        if self._transport is not None:
            self._transport.close()
