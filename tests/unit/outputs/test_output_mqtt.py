"""outputs.mqtt without a broker: topics, options, what goes to the quarantine, and acknowledgements that do not come."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, NotConnected, PartialWrite, Reject
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent_plugins.outputs.mqtt import MQTT
from pyagent_plugins.outputs.mqtt.messages import Topic

SERVERS = {"servers": ["127.0.0.1:1"]}


@pytest.mark.parametrize(
    ("template", "prefix", "topic"),
    [
        ("", "", "m"),
        ("", "p", "p/h/m"),
        ("a//b/", "", "a/b"),
        ("/a/{{ .Name }}", "", "/a/m"),
        ("/{{ .Name }}", "", "/m"),
        ('{{ .TopicPrefix }}/{{ .Tag "none" }}/{{ .Hostname }}', "p", "p/h"),
        ('{{ .Tag "none" }}', "", "m"),
    ],
)
def test_topics(template: str, prefix: str, topic: str) -> None:
    assert Topic(template, prefix).of(Metric("m", {"host": "h"}, {"v": 1}, 1)) == topic


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("a+b", "'a+b' is no topic: it has the wildcard +"),
        ("#", "'#' is no topic: it has the wildcard #"),
        ("\0", r"'\x00' is no topic: it has a NUL"),
        ("sl/\udcff\udcfe", r"'sl/\xff\xfe' is no topic: it is not UTF-8"),
        ("\ud800", r"'\ud800' is no topic: it is not UTF-8"),
        ("é" * 35_000, "é' is no topic: it has more than 65535 bytes"),
    ],
)
def test_what_is_no_topic(tag: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(message)}$"):
        Topic('{{ .Tag "t" }}', "").of(Metric("m", {"t": tag}, {"v": 1}, 1))


@pytest.mark.parametrize(
    ("table", "option", "message"),
    [
        ({"servers": ["ftp://x"]}, "servers", "it is none"),
        ({"topic": "a/#"}, "topic", "stands for any topics"),
        ({"topic": "{{ .Nothing }}"}, "topic", "there is no .Nothing here"),
        ({"qos": 3}, "qos", "3"),
        ({"protocol": "4"}, "protocol", "3.1.1"),
        ({"layout": "homie-v4", "homie_device_name": "x"}, "homie_node_id", "homie_node_id is missing"),
        ({"layout": "other"}, "layout", "homie-v4"),
        ({"persistent_session": True}, "persistent_session", "without client_id"),
    ],
)
def test_wrong_options(table: dict[str, Any], option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make_output(MQTT, SERVERS | table)
    assert caught.value.option == option


def test_the_old_name_of_a_layout() -> None:
    output = make_output(MQTT, SERVERS | {"batch": True, "topic": "t"})
    found = output._layout.messages([Metric("m", {}, {"v": 1}, 1), Metric("n", {}, {"v": 1}, 1)], {})
    assert [(message.topic, message.payload) for message in found] == [("t", b"m v=1i 1\nn v=1i 1\n")]


@asynccontextmanager
async def broker(acknowledged: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """One that takes any client, acknowledges so many messages and then says nothing; gives its port and what came."""
    received: list[bytes] = []
    tasks: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        try:
            while True:
                kind = (await reader.readexactly(1))[0] >> 4
                length, shift = 0, 0
                while True:
                    byte = (await reader.readexactly(1))[0]
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                data = await reader.readexactly(length)
                if kind == 1:
                    writer.write(b"\x20\x02\0\0")
                elif kind == 3:
                    received.append(data)
                    if len(received) <= acknowledged:
                        size = int.from_bytes(data[:2], "big")
                        writer.write(b"\x40\x02" + data[2 + size : 4 + size])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*[task for task in tasks if task is not None], return_exceptions=True)


async def test_a_message_that_is_not_acknowledged_is_not_delivered() -> None:
    async with broker(acknowledged=4) as (port, received):
        output = make_output(MQTT, {"servers": [f"tcp://127.0.0.1:{port}"], "qos": 1, "timeout": "1s"})
        await output.connect()
        batch = make_batch(output, [Metric("m", {}, {"v": number}, 1) for number in range(5)])
        with pytest.raises(NotConnected, match="no acknowledgement within 1 s"):
            await write(output, batch)
        await output.close()
        assert len(received) == 5


async def test_what_has_no_topic_is_refused_and_the_rest_is_published() -> None:
    async with broker(acknowledged=100) as (port, received):
        table = {"servers": [f"tcp://127.0.0.1:{port}"], "qos": 1, "topic": 't/{{ .Tag "t" }}'}
        output = make_output(MQTT, table)
        await output.connect()
        metrics = [Metric("m", {"t": tag}, {"v": 1}, 1) for tag in ("a", "b#", "c", "+")]
        with pytest.raises(PartialWrite, match="is no topic") as caught:
            await write(output, make_batch(output, metrics))
        assert (caught.value.rejected, caught.value.suspects) == (2, (1, 3))
        assert len(received) == 2
        with pytest.raises(Reject) as whole:
            await write(output, make_batch(output, metrics[1:2]))
        assert type(whole.value) is Reject
        await output.close()
