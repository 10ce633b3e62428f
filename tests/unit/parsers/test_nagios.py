"""The parser nagios: what Telegraf 1.40 made of the same output."""

import contextlib
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, NoOptions, ParseError
from pyagent.kit.nagios import add_state, read_output
from pyagent_plugins.parsers.nagios import Nagios

LARGEST, SMALLEST = 1.7976931348623157e308, 5e-324


def values(perfdata: str) -> list[tuple[dict[str, str], dict[str, object]]]:
    return [(metric.tags, metric.fields) for metric in read_output(f"x|{perfdata}".encode(), 7)[:-1]]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("output", "state", "labels"),
    [
        (b"", {"service_output": ""}, []),
        (b"OK\n", {"service_output": "OK"}, []),
        (b" A \r\nB\r\nC |d=1\r\ne=2\r\n", {"service_output": "A", "long_service_output": "B\nC"}, ["d", "e"]),
        (
            b"a|b=1\n\nc\n\n d | e=2 | f=3\ng=4",
            {"service_output": "a", "long_service_output": "c\n\nd"},
            ["b", "e", "g"],
        ),
        (b"|", {"service_output": ""}, []),
        (b"\xff|\xfe=1", {"service_output": "\udcff"}, ["\udcfe"]),
    ],
)
def test_texts(output: bytes, state: dict[str, str], labels: list[str]) -> None:
    *metrics, last = read_output(output, 7)
    assert last == Metric("nagios_state", {}, dict(state), 7)
    assert [metric.tags["perfdata"] for metric in metrics] == labels


@pytest.mark.parametrize(
    ("perfdata", "tags", "fields"),
    [
        ("'a b'=1.5s;2", {"perfdata": "a b", "unit": "s"}, {"value": 1.5, "warning_lt": 0.0, "warning_gt": 2.0}),
        ("a=-1e3%;~:5", {"perfdata": "a", "unit": "%"}, {"value": -1000.0, "warning_lt": SMALLEST, "warning_gt": 5.0}),
        ("a=1;10:", {"perfdata": "a"}, {"value": 1.0, "warning_lt": 10.0, "warning_gt": LARGEST}),
        ("a=1;:7", {"perfdata": "a"}, {"value": 1.0, "warning_lt": 0.0, "warning_gt": 7.0}),
        ("a=1;@10:20", {"perfdata": "a"}, {"value": 1.0, "warning_le": 0.0, "warning_ge": 20.0}),
        ("a=1;@10", {"perfdata": "a"}, {"value": 1.0}),
        ("a=1;:", {"perfdata": "a"}, {"value": 1.0}),
        ("a=1;1:2:3", {"perfdata": "a"}, {"value": 1.0}),
        ("a=7kB;;;0", {"perfdata": "a", "unit": "kB"}, {"value": 7.0, "min": 0.0}),
        ("a=1=2", {"perfdata": "a"}, {"value": 1.0}),
        ("a=1.2.3", {"perfdata": "a"}, {}),
    ],
)
def test_values(perfdata: str, tags: dict[str, str], fields: dict[str, float]) -> None:
    assert values(perfdata) == [(tags, fields)]


@pytest.mark.parametrize(
    ("perfdata", "label", "value", "unread"),
    [
        ("a=1,5s;2,5", "a", 1.5, []),
        ("a=1,234.5", "", None, ["a=1,234.5"]),
        ("a=1.5.2s", "", None, ["a=1.5.2s"]),
        ("a=1=2", "a", 1.0, ["a=1=2"]),
        ("a=1;2;3;4;5;", "a", 1.0, []),
        ("'it''s'=1", "it's", 1.0, []),
        ("a=U;1", "", None, []),
        ("none at all", "", None, ["none at all"]),
        (" ", "", None, []),
    ],
)
def test_values_by_the_guidelines(perfdata: str, label: str, value: float | None, unread: list[str]) -> None:
    found: list[str] = []
    metrics = read_output(f"x|{perfdata}".encode(), 7, found)[:-1]
    assert [(metric.tags["perfdata"], metric.fields["value"]) for metric in metrics] == (
        [(label, value)] if label else []
    )
    assert found == unread


def test_all_limits() -> None:
    [(_, fields)] = values("a=1;2;3;4;5")
    assert fields == {
        "value": 1.0, "warning_lt": 0.0, "warning_gt": 2.0, "critical_lt": 0.0, "critical_gt": 3.0, "min": 4.0, "max": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize("perfdata", ["a=U", "=5", "a=", "a = b", "a", "inf=inf", ""])
def test_what_is_no_value(perfdata: str) -> None:
    assert values(perfdata) == []


@pytest.mark.parametrize(
    ("status", "message", "text", "wanted"),
    [
        (0, b"", b"ok", {"service_output": "ok", "state": 0}),
        (3, b"why", b"", {"service_output": "why", "state": 3}),
        (3, b"why", b"known", {"service_output": "known", "state": 3}),
        (2, b"why", b"", {"service_output": "", "state": 2}),
        (-9, b"one\ntwo", b"", {"service_output": "one...", "state": 3}),
        (4, b"x" * 600, b"", {"service_output": "x" * 512 + "...", "state": 3}),
    ],
)
def test_states(status: int, message: bytes, text: bytes, wanted: dict[str, object]) -> None:
    metrics = read_output(text, 7)
    add_state(metrics, status, message)
    assert metrics == [Metric("nagios_state", {}, dict(wanted), 7)]  # type: ignore[arg-type]


def test_more_than_one_bar() -> None:
    with pytest.raises(ParseError, match=r"line 1: there is more than one \|"):
        Nagios(NoOptions(), logging.getLogger("test")).parse(b"a|b|c")


def test_a_text_without_an_end_takes_no_time() -> None:
    assert values("a" * 1_000_000 + "=") == []


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        read_output(b"x|" + data, 7)
