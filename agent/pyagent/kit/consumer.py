"""Messages from a broker: parsed, queued, and acknowledged when the outputs' queues hold them.

    self._consumer = Consumer(acc, self.parser, self.log, most=self.options.max_undelivered_messages, adjust=self._tagged)
    self._consumer.put(Message(payload, topic, acknowledge))      # as they come
    if not self._consumer.has_room: ...                           # read no more until `on_room` is called

A message is acknowledged once, and never before it is held: whatever is killed when, the broker has those that are not. One
that cannot be read is acknowledged as well, and logged: it would come again for ever. Where the engine itself fails, the
message stays with the broker, and comes again with the next connection.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyagent.api import Accumulator, Metric, Parser
from pyagent.kit.handover import ingest_patiently
from pyagent.kit.notices import Notices

__all__ = ["Consumer", "Message"]

_AT_ONCE, _BYTES_AT_ONCE = 1000, 1 << 20
"""Messages, and bytes, that are queued together."""


@dataclass(frozen=True, slots=True)
class Message:
    data: bytes
    source: str
    """The topic, subject or queue that it came by."""
    acknowledge: Callable[[], None] | None = None
    """Tells the broker; None where it wants to know nothing. It must not raise; the connection may be another one by now."""


class Consumer:
    """`most`: messages that may wait, those included whose metrics are on their way to the queues. `adjust` changes the metrics
    of a message, and may raise ParseError. `on_room` is called each time that messages were acknowledged and there is room."""

    def __init__(
        self,
        acc: Accumulator,
        parser: Parser[Any],
        log: logging.Logger,
        *,
        most: int = 1000,
        adjust: Callable[[Message, list[Metric]], list[Metric]] | None = None,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.undelivered = 0
        """Messages that are not acknowledged yet."""
        self._acc = acc
        self._parser = parser
        self._most = max(most, 1)
        self._adjust = adjust
        self._on_room = on_room
        self._notices = Notices(log)
        self._waiting: deque[Message] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def has_room(self) -> bool:
        return self.undelivered < self._most

    @property
    def room(self) -> int:
        """Messages that may come yet."""
        return max(self._most - self.undelivered, 0)

    def put(self, message: Message) -> None:
        """Takes it in any case; ask `has_room` before reading another one."""
        self._waiting.append(message)
        self.undelivered += 1
        if self._task is None and not self._closing:
            self._task = asyncio.create_task(self._run())

    def forget(self) -> None:
        """A new connection goes on where the last one was, and the broker sends again what is not acknowledged: drop what waits
        of that. What is on its way to the queues goes on, and comes twice."""
        kept = [message for message in self._waiting if message.acknowledge is None]
        self.undelivered -= len(self._waiting) - len(kept)
        self._waiting = deque(kept)

    async def close(self, grace: float) -> None:
        """Hand over what waits, for `grace` seconds at the most. What is not held by then is not acknowledged."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=grace)
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._notices.finish()

    async def _run(self) -> None:
        try:
            while self._waiting:
                messages = self._next()
                held = await ingest_patiently(
                    self._acc, [one.data for one in messages], self._parser, self._notices, self._adjusted(messages)
                )
                self.undelivered -= len(messages)
                for message in messages:
                    if held and message.acknowledge is not None:
                        message.acknowledge()
                if self.has_room:
                    self._on_room()
        finally:
            self._task = None

    def _next(self) -> list[Message]:
        waiting = self._waiting
        messages = [waiting.popleft()]
        size = len(messages[0].data)
        while waiting and len(messages) < _AT_ONCE and size + len(waiting[0].data) <= _BYTES_AT_ONCE:
            messages.append(waiting.popleft())
            size += len(messages[-1].data)
        return messages

    def _adjusted(self, messages: list[Message]) -> Callable[[int, list[Metric]], list[Metric]] | None:
        adjust = self._adjust
        return None if adjust is None else lambda index, metrics: adjust(messages[index], metrics)
