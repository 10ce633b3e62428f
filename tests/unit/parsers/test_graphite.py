"""The parser graphite: what Telegraf 1.40 made of the same lines."""

import contextlib
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, ParseError
from pyagent_plugins.parsers.graphite import Graphite, GraphiteOptions

NOW = 1_700_000_000_000_000_000


def parser(**options: Any) -> Graphite:
    made = Graphite(GraphiteOptions(**options), logging.getLogger("test"), measurement="m")
    made.now = lambda: NOW
    return made


def read(data: bytes, **options: Any) -> list[Metric]:
    return parser(**options).parse(data)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"cpu.web1.load 1.5 1700000001", Metric("cpu.web1.load", {}, {"value": 1.5}, NOW + 10**9)),
        (b"x;a=b;c=d 1", Metric("x", {"a": "b", "c": "d"}, {"value": 1.0}, NOW)),
        (b"x;e;f=;=g;h=~i;j!k=l;m^n=o;p=q=r 1", Metric("x", {}, {"value": 1.0}, NOW)),
        (b"  \t x 1 1700000001  \r", Metric("x", {}, {"value": 1.0}, NOW + 10**9)),
        (b"x 0x1p3 -1", Metric("x", {}, {"value": 8.0}, NOW)),
        (b"x 1_0 1700000001.5", Metric("x", {}, {"value": 10.0}, NOW + 1_500_000_000)),
        (b"x 1 1.7e9", Metric("x", {}, {"value": 1.0}, NOW)),
        (b"x 1 0", Metric("x", {}, {"value": 1.0}, 0)),
        (b"x 1 -2.25", Metric("x", {}, {"value": 1.0}, -1_250_000_000)),
        (b"x 1 2147472000", Metric("x", {}, {"value": 1.0}, 2_147_472_000 * 10**9)),
        (b"x 1 -2147558400", Metric("x", {}, {"value": 1.0}, -2_147_558_400 * 10**9)),
        (b".. 1", Metric("..", {}, {"value": 1.0}, NOW)),
    ],
)
def test_lines(line: bytes, wanted: Metric) -> None:
    assert read(line) == [wanted]


def test_templates() -> None:
    templates = ["cpu.* measurement.host.field dc=eu", ".x.measurement"]
    metrics = read(b"cpu.web1.load;dc=us 1\na.b.c 2\na 3\n", templates=templates, separator="_")
    assert metrics == [
        Metric("cpu", {"host": "web1", "dc": "us"}, {"load": 1.0}, NOW),
        Metric("c", {"x": "b"}, {"value": 2.0}, NOW),
        Metric("a", {}, {"value": 3.0}, NOW),
    ]


def test_metrics_share_no_tags() -> None:
    made = parser()
    one, other = made.parse(b"x;a=b 1\nx;a=b 2")
    one.tags["a"] = "changed"
    assert other.tags == {"a": "b"}
    made.default_tags = {"a": "default", "z": "y"}
    assert made.parse(b"x;a=b 1")[0].tags == {"a": "b", "z": "y"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"x", "line 1: 'x' is not NAME VALUE TIME"),
        (b"\nx 1 2 3", "line 2: 'x 1 2 3' is not"),
        (b"x 1e400", "the value of 'x' must be a number, and is '1e400'"),
        (b"x 1 y", "the time of 'x' must be a number"),
        (b"x 1 2147472001", "the time 2147472001 of 'x' is out of range"),
        (b"x 1 -2147558401", "out of range"),
        (b"x 1 nan", "out of range"),
        (b"x 1 inf", "out of range"),
        ("x 1 ٢٠٠٠٠٠٠٠٠٠".encode(), "must be a number"),
        (b"x a\ny 1\nz b", "line 1: the value of 'x' must be a number, and is 'a'; line 3: the value of 'z'"),
    ],
)
def test_bad_lines(data: bytes, message: str) -> None:
    with pytest.raises(ParseError, match=message.replace("(", r"\(")):
        read(data)


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        read(data, templates=["a.* measurement.b", "x.measurement"])
