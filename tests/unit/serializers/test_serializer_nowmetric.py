"""The serializer nowmetric: lists and objects as Telegraf writes them."""

import math

import pytest

from pyagent.api import ConfigError, Metric
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.nowmetric import Nowmetric

METRIC = Metric(
    "cpu", {"host": "a", "objectname": "C:\\", "dc": "x"}, {"user": 1.5, "on": True, "s": "x", "": 1}, -1_500_000
)
OBJECTS = (
    '{"metric_type":"user","resource":"C:\\\\","node":"a","value":1.5,"timestamp":-1,"ci2metric_id":{"node":"a"},"source":"Telegraf"},'
    '{"metric_type":"on","resource":"C:\\\\","node":"a","value":true,"timestamp":-1,"ci2metric_id":{"node":"a"},"source":"Telegraf"}'
)


def test_formats() -> None:
    assert make_serializer(Nowmetric).serialize(METRIC).decode() == f"[{OBJECTS}]"
    other = make_serializer(Nowmetric, {"nowmetric_format": "jsonv2"})
    assert other.serialize_batch([METRIC, METRIC]).decode() == f'{{"records":[{OBJECTS},{OBJECTS}]}}'


def test_what_has_no_node_or_no_number() -> None:
    assert make_serializer(Nowmetric).serialize(Metric("m", {}, {"f": 1}, 0)) == (
        b'[{"metric_type":"f","resource":"","node":"","value":1,"timestamp":0,"ci2metric_id":null,"source":"Telegraf"}]'
    )
    text = Metric("m", {}, {"s": "x"}, 0)
    assert make_serializer(Nowmetric).serialize(text) == b"null"
    assert make_serializer(Nowmetric).serialize_batch([text]) == b"[]"
    with pytest.raises(ValueError, match=r"^JSON has no number inf$"):
        make_serializer(Nowmetric).serialize(Metric("m", {}, {"f": math.inf}, 0))


def test_a_format_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="nowmetric_format"):
        make_serializer(Nowmetric, {"nowmetric_format": "x"})
