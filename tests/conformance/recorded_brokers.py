"""The brokers that recordings of inputs which subscribe were made with."""

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Sequence

from nats_streams import client
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from pyagent.testing.servers import Mosquitto, NatsServer

_DEADLINE = 60.0
_SUBSCRIBED = re.compile(r"^[0-9]+: auto-\S+ \d \S|^[0-9]+: \S+ \d \S+$", re.MULTILINE)


class RecordedMosquitto(Mosquitto):
    """Its log has a line for each subscription."""

    _seen = 0

    def command(self) -> list[str]:
        command = super().command()
        config = self.directory / "mosquitto.conf"
        config.write_text(f"{config.read_text()}log_type subscribe\nlog_dest stderr\n")
        return command

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        until = time.monotonic() + _DEADLINE
        while (count := len(_SUBSCRIBED.findall(self.log_tail(10_000)))) == self._seen:
            assert time.monotonic() < until, "nobody subscribes"
            time.sleep(0.01)
        self._seen = count
        publisher = Client(CallbackAPIVersion.VERSION2)
        publisher.username_pw_set("mon", "monpw")
        publisher.connect("127.0.0.1", self.port)
        publisher.loop_start()
        for topic, payload in messages:
            publisher.publish(topic, payload, 1).wait_for_publish(_DEADLINE)
        publisher.disconnect()
        publisher.loop_stop()

    def recorded(self) -> dict[str, str]:
        return {"18650": str(self.port), "DIR": str(self.directory)}


class RecordedNats(NatsServer):
    """With the stream S1, which has a message."""

    def started(self) -> None:
        super().started()

        async def make_stream() -> None:
            async with client(self) as connection:
                stream = connection.jetstream()
                await stream.add_stream(name="S1", subjects=["js.>"])
                await stream.publish("js.one", b"before v=1i")

        asyncio.run(make_stream())

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        until = time.monotonic() + _DEADLINE
        while not self._is_subscribed():
            assert time.monotonic() < until, "nobody subscribes"
            time.sleep(0.01)

        async def publish_all() -> None:
            async with client(self) as connection:
                for subject, payload in messages:
                    await connection.publish(subject, payload)
                await connection.flush()

        asyncio.run(publish_all())

    def _is_subscribed(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.monitoring}/connz?subs=1", timeout=_DEADLINE) as answer:
            connections = json.load(answer)["connections"]
        return any(one.get("subscriptions_list") for one in connections)

    def recorded(self) -> dict[str, str]:
        return {"18660": str(self.port), "DIR": str(self.directory)}
