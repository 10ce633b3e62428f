"""outputs.mqtt against mosquitto: what it publishes in each layout, and that nothing is lost with the broker."""

import asyncio
from typing import Any

import pytest
from mqtt_subscriber import subscribed

from pyagent.api import Metric, MetricType, NotConnected, PyagentError, Uint
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent.testing.servers import Mosquitto
from pyagent_plugins.outputs.mqtt import MQTT

LOGIN = {"username": "mon", "password": "monpw"}


def options(broker: Mosquitto, **more: Any) -> dict[str, Any]:
    return {"servers": [f"127.0.0.1:{broker.port}"], "topic": 't/{{ .Tag "host" }}/{{ .Name }}', **LOGIN, **more}


def metrics(first: int, last: int) -> list[Metric]:
    return [Metric("m", {"host": "a"}, {"v": number}, number) for number in range(first, last)]


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_each_metric_is_a_message(protocol: str, qos: int, mosquitto: Mosquitto) -> None:
    async with subscribed(mosquitto) as subscriber:
        output = make_output(MQTT, options(mosquitto, protocol=protocol, qos=qos))
        await output.connect()
        await write(output, make_batch(output, metrics(0, 300)))
        await output.close()
        await subscriber.settled()
    assert subscriber.texts == [("t/a/m", f"m,host=a v={number}i {number}\n".encode()) for number in range(300)]
    assert {message.qos for message in subscriber.messages} == {qos}


async def test_properties_of_version_5(mosquitto: Mosquitto) -> None:
    given = {
        "content_type": "text/x",
        "response_topic": "answers",
        "message_expiry": "90s",
        "topic_alias": 1,
        "user_properties": {"a": "1", "b": "2"},
    }
    async with subscribed(mosquitto) as subscriber:
        output = make_output(MQTT, options(mosquitto, protocol="5", qos=1, v5=given, data_format="json", retain=True))
        await output.connect()
        await write(output, make_batch(output, metrics(1, 3)))
        await output.close()
        await subscriber.settled()
    async with subscribed(mosquitto) as later:
        await later.settled()
    assert [(message.topic, message.retain) for message in later.messages] == [("t/a/m", True)]
    for message in subscriber.messages:
        properties = message.properties
        assert (properties.ContentType, properties.ResponseTopic) == ("text/x", "answers")
        assert sorted(properties.UserProperty) == [("a", "1"), ("b", "2")]
        assert 0 < properties.MessageExpiryInterval <= 90


async def test_layouts(mosquitto: Mosquitto) -> None:
    given = [
        Metric("m", {"host": "a"}, {"v": 1.5e20, "on": True}, 1),
        Metric("n", {}, {"Some Text": "x", "u": Uint(7)}, 2, MetricType.GAUGE),
        Metric("m", {"host": "a"}, {"v": 2}, 3),
    ]
    homie = {"homie_device_name": "{{ .Name }}", "homie_node_id": '{{ .Tag "host" | default "None!" }}'}
    found: dict[str, list[tuple[str, bytes]]] = {}
    for layout in ("batch", "field", "homie-v4"):
        async with subscribed(mosquitto) as subscriber:
            output = make_output(MQTT, options(mosquitto, layout=layout, **homie))
            await output.connect()
            await write(output, make_batch(output, given))
            await output.close()
            await subscriber.settled()
        found[layout] = subscriber.texts
    assert found["batch"] == [
        ("t/a/m", b"m,host=a v=150000000000000000000,on=true 1\nm,host=a v=2i 3\n"),
        ("t/n", b'n Some\\ Text="x",u=7i 2\n'),
    ]
    assert found["field"] == [
        ("t/a/m/v", b"150000000000000000000"),
        ("t/a/m/on", b"true"),
        ("t/n/Some Text", b"x"),
        ("t/n/u", b"7"),
        ("t/a/m/v", b"2"),
    ]
    assert found["homie-v4"][:9] == [
        *(("t/a/m/$homie", b"4.0"), ("t/a/m/$name", b"m"), ("t/a/m/$state", b"ready"), ("t/a/m/$nodes", b"a")),
        *(("t/a/m/a/$name", b"a"), ("t/a/m/a/$properties", b"host,on,v"), ("t/a/m/a/host", b"a")),
        *(("t/a/m/a/host/$name", b"host"), ("t/a/m/a/host/$datatype", b"string")),
    ]
    assert {("t/n/none/some-text", b"x"), ("t/n/none/some-text/$name", b"Some Text")} <= set(found["homie-v4"])
    assert found["homie-v4"][-2:] == [("t/a/m/$state", b"lost"), ("t/n/$state", b"lost")]


async def test_a_broker_that_is_killed_loses_nothing(mosquitto: Mosquitto) -> None:
    output = make_output(MQTT, options(mosquitto, qos=1))
    await output.connect()
    async with subscribed(mosquitto) as subscriber:
        await write(output, make_batch(output, metrics(0, 100)))
        await subscriber.settled()
    await asyncio.to_thread(mosquitto.kill)
    rest = make_batch(output, metrics(100, 200))
    with pytest.raises(NotConnected, match="the connection is lost"):
        await write(output, rest)
    with pytest.raises(PyagentError, match="cannot connect to"):
        await output.connect()
    await asyncio.to_thread(mosquitto.start_again)
    async with subscribed(mosquitto) as again:
        await output.connect()
        await write(output, rest)
        await again.settled()
    await output.close()
    found = [payload for _, payload in subscriber.texts + again.texts]
    assert found == [f"m,host=a v={number}i {number}\n".encode() for number in range(200)]


async def test_a_wrong_password(mosquitto: Mosquitto) -> None:
    for protocol in ("3.1.1", "5"):
        output = make_output(MQTT, options(mosquitto, protocol=protocol) | {"password": "wrong-one"})
        with pytest.raises(PyagentError, match=r"the broker refuses: .*authori") as caught:
            await output.connect()
        assert "wrong-one" not in str(caught.value)
        await output.close()
