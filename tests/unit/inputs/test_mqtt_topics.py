"""Names, tags and fields out of topics, and options of mqtt_consumer that cannot work."""

from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, ParseError, Uint
from pyagent.kit.mqtt import Broker
from pyagent.testing import make_input
from pyagent_plugins.inputs.mqtt_consumer import MQTTConsumer
from pyagent_plugins.inputs.mqtt_consumer.topic_parsing import TopicParser, TopicParsing


def parsed(given: str, **options: Any) -> Metric:
    metric = Metric("was", {}, {"v": 1}, 1)
    TopicParser(TopicParsing(**options)).parse(given, metric)
    return metric


UNCHANGED = Metric("was", {}, {"v": 1}, 1)


@pytest.mark.parametrize(
    ("topic", "options", "name", "tags", "fields"),
    [
        ("a/b", {"topic": "a/+", "measurement": "_/measurement"}, "b", {}, {}),
        ("a/b", {"topic": "+/+", "tags": "x/y", "fields": "_/f"}, "was", {"x": "a", "y": "b"}, {"f": "b"}),
        ("a/b/c/d", {"topic": "a/#", "tags": "_/x/#"}, "was", {"x": "b"}, {}),
        ("a/b/c/d", {"topic": "#/d", "tags": "#/x/_", "measurement": "#/measurement"}, "d", {"x": "c"}, {}),
        ("a/b/c/d", {"topic": "a/#/d", "fields": "_/#/f", "types": {}}, "was", {}, {"f": "d"}),
        ("a//b", {"topic": "a/+/b", "measurement": "_/measurement/_", "tags": "_/x/_"}, "was", {"x": ""}, {}),
        ("1/-2/3.5", {"topic": "+/+/+", "fields": "u/i/f", "types": {"u": "uint", "i": "int", "f": "float"}}, "was", {},
         {"u": Uint(1), "i": -2, "f": 3.5}),
    ],
)  # fmt: skip
def test_parts_of_a_topic(topic: str, options: Any, name: str, tags: Any, fields: Any) -> None:
    metric = parsed(topic, **options)
    assert (metric.name, metric.tags, metric.fields) == (name, tags, {"v": 1, **fields})
    assert [type(value) for value in metric.fields.values()] == [type(value) for value in {"v": 1, **fields}.values()]


@pytest.mark.parametrize("topic", ["a", "b/x", "a/b/c", "", "/"])
def test_other_topics_are_left_alone(topic: str) -> None:
    assert parsed(topic, topic="a/+", measurement="_/measurement", tags="x/_") == UNCHANGED
    assert parsed(topic, topic="c/#/d/e", tags="_/#/x") == UNCHANGED


@pytest.mark.parametrize(
    ("kind", "text"),
    [("int", "1.5"), ("int", "9223372036854775808"), ("int", ""), ("int", "1_0"), ("uint", "-1"), ("uint", "٣"),
     ("uint", "18446744073709551616"), ("float", "nan"), ("float", "0x10"), ("float", "x")],
)  # fmt: skip
def test_a_part_that_is_not_of_its_type(kind: str, text: str) -> None:
    with pytest.raises(ParseError, match=f"is no {kind}, as the field 'f' should be"):
        parsed(f"a/{text}", topic="a/+", fields="_/f", types={"f": kind})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"persistent_session": True}, "client_id"),
        ({"qos": 3}, "qos"),
        ({"connection_timeout": "500ms"}, "connection_timeout"),
        ({"max_undelivered_messages": 0}, "max_undelivered_messages"),
        ({"topics": ["a/#/b"]}, "'a/#/b'"),
        ({"topics": ["a+/b"]}, "'a+/b'"),
        ({"servers": ["http://127.0.0.1"]}, "address of 'servers'"),
        ({"servers": ["tcp://"]}, "address of 'servers'"),
        ({"servers": ["tcp://127.0.0.1:x"]}, "address of 'servers'"),
        ({"topic_parsing": [{"topic": "#/#"}]}, "'#'"),
        ({"topic_parsing": [{"topic": "a/b", "tags": "x"}]}, "tags = 'x': it has 1 parts"),
        ({"topic_parsing": [{"topic": "a/b", "measurement": "m/n"}]}, "one place only"),
        ({"topic_parsing": [{"topic": "a/+", "fields": "_/f", "types": {"f": "number"}}]}, "types"),
        ({"data_format": "value", "data_type": "x"}, "data_type"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_input(MQTTConsumer, {"topics": ["a"], **options})
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "text", ["tcp://mon:s3cret@127.0.0.1:2", "mon:s3cret@h", "tcp://mon:s3/cret@h", "tcp://mon@h", "tcp://@h"]
)
def test_an_address_with_a_password_is_told_where_it_belongs(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Broker.of(text)
    assert str(raised.value) == (
        "cannot use an address of 'servers': it has a user or a password; set them by the options 'username' and 'password'"
    )


@pytest.mark.parametrize(
    ("text", "broker"),
    [
        ("tcp://h:1", ("h", 1, False, "tcp")),
        ("h", ("h", 1883, False, "tcp")),
        ("ssl://[::1]", ("::1", 8883, True, "tcp")),
        ("wss://h/x", ("h", 443, True, "websockets")),
    ],
)
def test_addresses(text: str, broker: Any) -> None:
    found = Broker.of(text)
    assert (found.host, found.port, found.tls, found.transport) == broker
