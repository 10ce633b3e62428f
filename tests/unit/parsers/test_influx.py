"""The parser influx: line protocol behind `data_format`."""

import pytest

from pyagent.api import ConfigError, Metric, ParseError
from pyagent.testing import make_parser
from pyagent_plugins.parsers.influx import Influx, InfluxOptions


def test_lines() -> None:
    parser = make_parser(Influx)
    parser.now = lambda: 7
    assert parser.parse(b"m,t=a v=1i 5\n# no\n\nn v=2u") == [
        Metric("m", {"t": "a"}, {"v": 1}, 5),
        Metric("n", {}, {"v": 2}, 7),
    ]
    assert parser.parse(b"") == []


@pytest.mark.parametrize(
    ("precision", "time"), [("1ns", 5), ("1us", 5000), ("1ms", 5_000_000), ("1s", 5_000_000_000), (0, 5)]
)
def test_the_unit_of_times(precision: str, time: int) -> None:
    [metric] = make_parser(Influx, {"influx_timestamp_precision": precision}).parse(b"m v=1 5")
    assert metric.time == time


def test_times_that_are_not_given_are_cut_to_the_unit() -> None:
    parser = make_parser(Influx, {"influx_timestamp_precision": "1s"})
    parser.now = lambda: 1_999_999_999
    [metric] = parser.parse(b"m v=1")
    assert metric.time == 1_000_000_000


def test_a_unit_that_line_protocol_does_not_know() -> None:
    with pytest.raises(ConfigError, match="1m0s") as caught:
        make_parser(Influx, {"influx_timestamp_precision": "1m"})
    assert caught.value.option == "influx_timestamp_precision"


def test_a_bad_line_costs_everything_and_is_told() -> None:
    with pytest.raises(ParseError, match=r"^line 2, column 5: "):
        make_parser(Influx).parse(b"m v=1\nm v=\nm v=3\n")


def test_line_ends_of_windows() -> None:
    metrics = make_parser(Influx).parse(b'm v=1,s="x" 1\r\n\r\n# no\r\nm s="a\r\nb" 2\r\n')
    assert [(metric.fields, metric.time) for metric in metrics] == [({"v": 1.0, "s": "x"}, 1), ({"s": "a\r\nb"}, 2)]
    [metric] = make_parser(Influx).parse(b'm s="a\r\nb" 2\n')
    assert metric.fields == {"s": "a\r\nb"}
    with pytest.raises(ParseError, match=r"^line 2, "):
        make_parser(Influx).parse(b"m v=1\r\nbad\r\n")


def test_default_tags() -> None:
    parser = make_parser(Influx)
    parser.default_tags = {"t": "default", "u": "default"}
    [metric] = parser.parse(b"m,t=own v=1")
    assert metric.tags == {"t": "own", "u": "default"}


def test_without_the_engine_it_says_so() -> None:
    import logging

    with pytest.raises(RuntimeError, match="without the engine"):
        Influx(InfluxOptions(), logging.getLogger("x")).parse(b"m v=1")
