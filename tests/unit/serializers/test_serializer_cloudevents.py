"""The serializer cloudevents: events as Telegraf writes them, but for their identifiers."""

import json
import math
import re
import time
import uuid
from datetime import datetime
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.cloudevents import Cloudevents

METRIC = Metric("cpu", {"host": "a", "dc": "<x>"}, {"user": 1.5, "b": True}, 1_700_000_000_123_456_789)
OLD = Metric("m", {}, {"v": 1}, -1_500_000_000)


def event(*metrics: Metric, batch: bool = False, **options: Any) -> Any:
    made = make_serializer(Cloudevents, {f"cloudevents_{name}": value for name, value in options.items()})
    return json.loads(made.serialize_batch(metrics) if batch else made.serialize(metrics[0]))


def test_an_event() -> None:
    text = make_serializer(Cloudevents).serialize(METRIC).decode()
    assert re.sub(r'"id":"[0-9a-f-]{36}"', '"id":"ID"', text) == (
        '{"specversion":"1.0","id":"ID","source":"telegraf","type":"com.influxdata.telegraf.metric",'
        '"datacontenttype":"application/json","time":"2023-11-14T22:13:20.123456789Z","data":{"fields":{"b":true,"user":1.5},'
        '"name":"cpu","tags":{"dc":"\\u003cx\\u003e","host":"a"},"timestamp":1700000000123456789}}'
    )
    ids = [event(METRIC)["id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert {uuid.UUID(one).version for one in ids} == {1}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"version": "0.3"}, {"specversion": "0.3"}),
        ({"source": "src x", "source_tag": "host"}, {"source": "a"}),
        ({"source": "src x", "source_tag": "none"}, {"source": "src%20x"}),
        ({"source": "http://e.com/a?b=%20#c", "source_tag": "dc"}, {"source": "%3Cx%3E"}),
        ({"event_type": " t.y "}, {"type": "t.y"}),
        ({"event_time": "earliest"}, {"time": "2023-11-14T22:13:20.123456789Z"}),
        ({"event_time": ""}, {"time": "2023-11-14T22:13:20.123456789Z"}),
    ],
)
def test_options(options: dict[str, str], wanted: dict[str, str]) -> None:
    found, plain = event(METRIC, **options), event(METRIC)
    assert found == plain | wanted | {"id": found["id"]}


def test_times() -> None:
    assert "time" not in event(METRIC, event_time="none")
    assert abs(time.time() - _seconds(event(METRIC, event_time="creation")["time"])) < 3600
    assert event(METRIC, OLD, batch=True, batch_format="metrics")["time"] == "2023-11-14T22:13:20.123456789Z"
    assert (
        event(METRIC, OLD, batch=True, batch_format="metrics", event_time="earliest")["time"]
        == "1969-12-31T23:59:58.5Z"
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp()


def test_batches() -> None:
    assert [one["data"]["name"] for one in event(METRIC, OLD, batch=True)] == ["cpu", "m"]
    found = event(METRIC, OLD, batch=True, batch_format="metrics")
    assert found["type"] == "com.influxdata.telegraf.metrics"
    assert found["data"] == [event(METRIC)["data"], event(OLD)["data"]]
    assert event(batch=True) == []


def test_mistakes() -> None:
    for options in (
        {"source": ":bad"},
        {"source": "a%"},
        {"version": "0.2"},
        {"event_time": "x"},
        {"batch_format": "x"},
    ):
        with pytest.raises(ConfigError, match=f"cloudevents_{next(iter(options))}|cannot use the source"):
            event(METRIC, **options)
    with pytest.raises(ValueError, match="JSON has no number"):
        event(Metric("m", {}, {"f": math.nan}, 0))
