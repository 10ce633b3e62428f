"""Pulls messages of a stream: as many as there is room for, so that another of those who share the consumer gets the rest."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyagent.api import PyagentError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["Pull", "find_consumer"]

_EXPIRES, _HEARTBEAT = 30.0, 1.0
"""Seconds that the server holds a request, and after which it says that it does."""
_MOST = 1000
"""Messages of one request."""
_PAUSE_FIRST, _PAUSE_MOST = 0.2, 5.0
"""Seconds until the next request, where the last one came to nothing."""
_IN_FLIGHT = 20_000
"""Messages that all who share a consumer may have at once: each has a bound of its own."""
_ENDED = ("404", "408")
"""Statuses of a request that found no more messages."""


async def find_consumer(client: "Client", subject: str, stream: str, group: str) -> tuple[str, bool]:
    """The stream of a subject, where it is not given, and whether its messages are pulled. The durable consumer `group` is made
    where there is none. One that pushes, as Telegraf makes it, stays so. Raises PyagentError."""
    from nats.js.api import AckPolicy, ConsumerConfig
    from nats.js.errors import NotFoundError

    jetstream = client.jetstream()
    manager = jetstream._jsm
    if not stream:
        try:
            stream = await manager.find_stream_name_by_subject(subject)
        except NotFoundError:
            raise PyagentError(f"no stream has the subject {subject!r}; make one, or set jetstream_stream") from None
    if not group:
        return stream, False
    try:
        config = (await manager.consumer_info(stream, group)).config
    except NotFoundError as error:
        if error.err_code != 10014:  # the stream is what is missing
            raise
        made = ConsumerConfig(
            durable_name=group, ack_policy=AckPolicy.EXPLICIT, filter_subject=subject, max_ack_pending=_IN_FLIGHT
        )
        config = (await manager.add_consumer(stream, made)).config
    if config.filter_subject not in (subject, None, ""):
        raise PyagentError(
            f"the consumer {group!r} of the stream {stream!r} reads {config.filter_subject!r}, not {subject!r}; "
            "use another queue_group, or one subject with wildcards"
        )
    return stream, not config.deliver_subject


class Pull:
    """One request after the other. `room` tells how many messages may come, `received` gets them; `lost` is called with the
    reason where the consumer is gone."""

    def __init__(
        self,
        client: "Client",
        stream: str,
        group: str,
        *,
        room: Callable[[], int],
        received: "Callable[[Msg], None]",
        lost: Callable[[str], None],
    ) -> None:
        self._client = client
        self._stream = stream
        self._group = group
        self._room = room
        self._received = received
        self._lost = lost
        self._inbox = client.new_inbox()
        self._news = asyncio.Event()
        self._due = 0
        """Messages that the request under way may still bring."""
        self._alive = False
        """The server said something of it."""
        self._status = ""

    async def start(self) -> None:
        await self._client.subscribe(self._inbox, cb=self._message)

    def wake(self) -> None:
        """There may be room again."""
        self._news.set()

    async def run(self) -> None:
        pause = _PAUSE_FIRST
        while True:
            while not (room := min(self._room(), _MOST)):
                self._news.clear()
                await self._news.wait()
            if await self._request(room):
                pause = _PAUSE_FIRST
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSE_MOST)
            await self._look()

    async def _request(self, count: int) -> bool:
        """Returns when all have come, or none will any more; whether it was answered as it should be."""
        self._due, self._status = count, ""
        body = {"batch": count, "expires": int(_EXPIRES * 1e9), "idle_heartbeat": int(_HEARTBEAT * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._group}"
        await self._client.publish(subject, json.dumps(body).encode(), reply=self._inbox)
        while self._due > 0 and not self._status:
            self._news.clear()
            self._alive = False
            try:
                async with asyncio.timeout(3 * _HEARTBEAT):
                    await self._news.wait()
            except TimeoutError:
                if not self._alive:
                    return False  # the server that had it is gone
        return self._status in ("", *_ENDED)

    async def _message(self, message: "Msg") -> None:
        self._alive = True
        status = (message.headers or {}).get("Status", "") if not message.data else ""
        if not status:
            self._due -= 1
            self._received(message)
        elif status != "100":
            self._status = status
        self._news.set()

    async def _look(self) -> None:
        from nats.js.errors import NotFoundError

        try:
            await self._client.jetstream()._jsm.consumer_info(self._stream, self._group)
        except NotFoundError:
            self._lost(f"the consumer {self._group!r} of the stream {self._stream!r} is gone")
        except Exception:  # it has no leader now: the next request tells
            pass
