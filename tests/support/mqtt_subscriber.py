"""All messages that a broker gives to one who subscribes to everything."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from pyagent.testing.servers import Mosquitto

_numbers = itertools.count()


class Subscriber:
    """`messages` are those that came; `settled` waits for what the broker had by then."""

    def __init__(self, broker: Mosquitto) -> None:
        self.messages: list[MQTTMessage] = []
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ends: dict[str, asyncio.Future[None]] = {}
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set("mon", "monpw")
        self._client.on_connect = lambda client, *more: client.subscribe("#", 2)
        self._client.on_subscribe = lambda *more: self._tell(self._ready)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def _take(self, client: Client, data: Any, message: MQTTMessage) -> None:
        if (end := self._ends.get(message.topic)) is not None:
            self._tell(end)
        elif not message.topic.startswith("end/"):
            self.messages.append(message)

    def _tell(self, future: "asyncio.Future[None]") -> None:
        self._loop.call_soon_threadsafe(lambda: future.done() or future.set_result(None))

    async def settled(self) -> None:
        topic = f"end/{next(_numbers)}"
        self._ends[topic] = self._loop.create_future()
        self._client.publish(topic, b"", 2)  # in the order of the others, whatever theirs
        await asyncio.wait_for(self._ends[topic], 60)

    @property
    def texts(self) -> list[tuple[str, bytes]]:
        return [(message.topic, message.payload) for message in self.messages]


@asynccontextmanager
async def subscribed(broker: Mosquitto) -> AsyncIterator[Subscriber]:
    subscriber = Subscriber(broker)
    try:
        await asyncio.wait_for(subscriber._ready, 60)
        yield subscriber
    finally:
        subscriber._client.disconnect()
        await asyncio.to_thread(subscriber._client.loop_stop)
