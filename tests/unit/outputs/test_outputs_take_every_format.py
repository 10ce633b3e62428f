"""Every output that writes text takes every serializer, each metric for itself and in batches."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import Metric, Output, Serializer
from pyagent.config.registry import Registry
from pyagent.testing.outputs import ScriptedServer, make_batch, make_output, make_serializer, write
from pyagent_plugins.outputs.file import File
from pyagent_plugins.outputs.http import Http
from pyagent_plugins.outputs.mqtt import MQTT
from pyagent_plugins.outputs.mqtt.messages import Layout, Topic
from pyagent_plugins.outputs.nats import NATS
from pyagent_plugins.outputs.socket_writer import SocketWriter

FORMATS = Registry().names("serializers")
OPTIONS: dict[str, dict[str, Any]] = {
    "binary": {"entries": [{"name": "used", "data_format": "float64"}]},
    "cloudevents": {"cloudevents_event_time": "none"},
    "csv": {"csv_header": True},
    "template": {"template": '{{ .Tag "host" }}\n', "batch_template": "{{ len . }}"},
}
METRICS = [Metric("mem", {"host": name}, {"used": 1.5, "free": 2}, 1_700_000_000_000_000_000) for name in ("a", "b")]


def serializer(name: str) -> Serializer[Any]:
    return make_serializer(Registry().find("serializers", name).plugin, OPTIONS.get(name, {}))


def same(data: bytes) -> bytes:
    """Without what is another one each time."""
    return re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"ID", data)


def wanted(name: str, *, documents: bool) -> bytes:
    made = serializer(name)
    if documents or made.whole_batch:
        return same(made.serialize_batch(METRICS))
    return same(b"".join(map(made.serialize, METRICS)))


def table(name: str, **more: Any) -> dict[str, Any]:
    return {"data_format": name, **OPTIONS.get(name, {}), **more}


@pytest.mark.parametrize("documents", [False, True])
@pytest.mark.parametrize("name", FORMATS)
async def test_a_file(name: str, documents: bool, tmp_path: Path) -> None:
    path = tmp_path / "out"
    output = make_output(File, table(name, files=[str(path)], use_batch_format=documents))
    await write(output, make_batch(output, METRICS))
    await output.close()
    assert same(path.read_bytes()) == wanted(name, documents=documents)


@pytest.mark.parametrize("name", FORMATS)
async def test_requests(name: str) -> None:
    async with ScriptedServer() as server:
        output = make_output(Http, table(name, url=server.url))
        await write(output, make_batch(output, METRICS))
        await output.close()
        [request] = server.requests
        assert same(request.body) == wanted(name, documents=True)


@pytest.mark.parametrize("name", FORMATS)
async def test_datagrams(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        output = make_output(SocketWriter, table(name, address=f"udp://127.0.0.1:{receiver.getsockname()[1]}"))
        await output.connect()
        await write(output, make_batch(output, METRICS))
        await output.close()
        made = serializer(name)
        one = made.serialize_batch if made.whole_batch else lambda metrics: made.serialize(*metrics)
        assert [same(receiver.recv(65536)) for _ in METRICS] == [same(one([metric])) for metric in METRICS]


@pytest.mark.parametrize("layout", ["non-batch", "batch"])
@pytest.mark.parametrize("name", FORMATS)
def test_messages_of_mqtt(name: str, layout: str) -> None:
    refused: dict[int, str] = {}
    messages = Layout(layout, Topic("t", ""), serializer(name), "", "").messages(METRICS, refused)
    assert not refused
    if layout == "batch":
        assert [same(message.payload) for message in messages] == [wanted(name, documents=True)]
    else:
        assert len(messages) == len(METRICS)


@pytest.mark.parametrize("plugin", [MQTT, NATS])
@pytest.mark.parametrize("name", FORMATS)
def test_brokers(plugin: type[Output[Any]], name: str) -> None:
    output = make_output(plugin, table(name, servers=["127.0.0.1:1"] if plugin is MQTT else ["nats://127.0.0.1:1"]))
    output.queue_format()
    assert output.serializer.options == serializer(name).options
