"""The serializer splunkmetric: events as Telegraf writes them."""

import math
from typing import Any

import pytest

from pyagent.api import Metric
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.splunkmetric import Splunkmetric

METRIC = Metric(
    "cpu",
    {"host": "a", "dc": "<x>", "index": "i", "source": ""},
    {"user": 1.5, "on": True, "s": "x"},
    1_700_000_000_123_000_000,
)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (
            "",
            '{"_value":1.5,"dc":"\\u003cx\\u003e","metric_name":"cpu.user","time":1700000000.1230001}'
            '{"_value":1,"dc":"\\u003cx\\u003e","metric_name":"cpu.on","time":1700000000.1230001}',
        ),
        (
            "multimetric",
            '{"dc":"\\u003cx\\u003e","metric_name:cpu.on":1,"metric_name:cpu.user":1.5,"time":1700000000.1230001}',
        ),
        (
            "multimetric hec_routing",
            '{"time":1700000000.1230001,"event":"metric","host":"a","index":"i","fields":'
            '{"dc":"\\u003cx\\u003e","metric_name:cpu.on":1,"metric_name:cpu.user":1.5}}',
        ),
        (
            "hec_routing omit_event_tag",
            '{"time":1700000000.1230001,"host":"a","index":"i","fields":'
            '{"_value":1.5,"dc":"\\u003cx\\u003e","metric_name":"cpu.user"}}'
            '{"time":1700000000.1230001,"host":"a","index":"i","fields":'
            '{"_value":1,"dc":"\\u003cx\\u003e","metric_name":"cpu.on"}}',
        ),
    ],
)
def test_options(options: str, wanted: str) -> None:
    table = {f"splunkmetric_{name}": True for name in options.split()}
    assert make_serializer(Splunkmetric, table).serialize(METRIC).decode() == wanted
    assert make_serializer(Splunkmetric, table).serialize_batch([METRIC] * 2).decode() == wanted * 2


@pytest.mark.parametrize("table", [{}, {"splunkmetric_multimetric": True}])
def test_what_is_no_number_of_json_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^JSON has no number nan$"):
        make_serializer(Splunkmetric, table).serialize(Metric("m", {}, {"f": math.nan}, 0))


def test_text_alone() -> None:
    metric = Metric("m", {"t": "v"}, {"s": "x"}, 0)
    assert make_serializer(Splunkmetric).serialize(metric) == b""
    assert make_serializer(Splunkmetric, {"splunkmetric_multimetric": True}).serialize(metric) == b'{"t":"v","time":0}'
