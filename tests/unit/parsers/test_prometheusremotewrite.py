"""The parser prometheusremotewrite: what Telegraf's own cases do not have. Those are in tests/conformance."""

import logging
import struct
from typing import Literal

import pytest
from protobuf_bytes import double, part, varint

from pyagent.api import Metric, ParseError
from pyagent.api.metric import Uint
from pyagent_plugins.parsers.prometheusremotewrite import PrometheusRemoteWrite, PrometheusRemoteWriteOptions

NOW = 1_700_000_000_000_000_000


def read(*series: bytes, version: Literal[1, 2] = 2, tags: dict[str, str] | None = None) -> list[Metric]:
    options = PrometheusRemoteWriteOptions(prometheus_metric_version=version)
    parser = PrometheusRemoteWrite(options, logging.getLogger("test"))
    parser.now = lambda: NOW
    parser.default_tags = tags or {}
    return parser.parse(b"".join(part(1, one) for one in series))


def labels(**texts: str) -> bytes:
    return b"".join(part(1, part(1, key) + part(2, text)) for key, text in texts.items())


def sample(value: float, ms: int = 0) -> bytes:
    return part(2, double(1, value) + part(2, ms))


def zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def test_samples_have_their_times_or_that_of_the_one_before() -> None:
    found = read(labels(__name__="up", job="a", empty="") + sample(1) + sample(2, 5) + sample(3) + sample(4, -7))
    assert [(metric.fields["up"], metric.time) for metric in found] == [
        (1.0, NOW),
        (2.0, 5_000_000),
        (3.0, 5_000_000),
        (4.0, 5_000_000),
    ]
    assert found[0].tags == {"job": "a"}
    assert found[0].name == "prometheus_remote_write"


def test_numbers_that_no_output_can_write_make_no_metric() -> None:
    found = read(labels(__name__="up") + b"".join(sample(one) for one in (float("nan"), float("inf"), 1)), version=1)
    assert [(metric.name, metric.fields) for metric in found] == [("up", {"value": 1.0})]


def test_labels_go_before_the_tags_of_all() -> None:
    [metric] = read(labels(__name__="up", a="own") + sample(1), tags={"a": "x", "b": "y"})
    assert metric.tags == {"a": "own", "b": "y"}


def test_a_histogram_of_whole_numbers() -> None:
    deltas = b"".join(varint(zigzag(one)) for one in (2, -1))
    histogram = part(1, 9) + double(3, 1.5) + part(4, zigzag(1)) + double(5, 0.001) + part(6, 6)
    histogram += (
        part(11, part(1, zigzag(-1)) + part(2, 1)) + part(11, part(1, zigzag(2)) + part(2, 1)) + part(12, deltas)
    )
    [metric] = read(labels(__name__="lat") + part(4, histogram + part(15, 1000)), version=1)
    assert metric.time == 1_000_000_000
    assert metric.fields == {
        "counter_reset_hint": Uint(0),
        "schema": 1,
        "zero_threshold": 0.001,
        "zero_count": 6.0,
        "count": 9.0,
        "sum": 1.5,
        "0.001": 6.0,
        "0.7071067811865475": 8.0,
        "2": 9.0,
        "positive_span_0_offset": -1,
        "positive_span_0_length": Uint(1),
        "positive_span_1_offset": 2,
        "positive_span_1_length": Uint(1),
        "positive_bucket_0": 2.0,
        "positive_bucket_1": 1.0,
    }


def test_a_histogram_with_bounds_of_its_own() -> None:
    histogram = double(2, 3.0) + double(3, 1.5) + part(4, zigzag(-53)) + part(11, part(2, 3))
    histogram += part(13, struct.pack("<3d", 1, 1, 1)) + part(16, struct.pack("<2d", 0.5, 2.5))
    found = read(labels(__name__="lat") + part(4, histogram))
    assert [metric.tags.get("lat_le") for metric in found] == [None, None, "0.5", "2.5", "+Inf"]
    assert [next(iter(metric.fields.values())) for metric in found] == [1.5, 3.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("series", "cause"),
    [
        (labels(a="b") + sample(1), "a series has no label __name__, or it is empty"),
        (labels(__name__="a") + part(2, part(2, 2**62)), "out of range"),
        (labels(__name__="a") + part(4, double(2, 1) + part(4, zigzag(40))), "there is no schema 40"),
        (labels(__name__="a") + part(4, part(13, b"123")), "cut short"),
        (
            labels(__name__="a")
            + part(4, double(2, 1) + part(4, 105) + part(11, part(1, 200) + part(2, 1)) + part(13, b"\0" * 8)),
            "bound",
        ),
        (b"\x0a\x7f", "has 127 bytes, and 0 are left"),
        (b"\x0b", "unknown wire type 3"),
        (b"\x00\x00", "the number 0"),
    ],
    ids=range(8),
)
def test_damage_costs_the_request(series: bytes, cause: str) -> None:
    with pytest.raises(ParseError, match=cause):
        read(labels(__name__="good") + sample(1), series)


def test_a_span_of_billions_takes_no_more_than_its_buckets() -> None:
    histogram = double(2, 1) + part(11, part(2, 2**32 - 1)) + part(13, struct.pack("<1d", 1))
    assert len(read(labels(__name__="a") + part(4, histogram))) == 3
