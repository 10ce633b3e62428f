"""The parsers form_urlencoded and opentsdb: what Telegraf 1.40 made of the same data."""

import contextlib
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, NoOptions, ParseError
from pyagent_plugins.parsers.form_urlencoded import FormUrlencoded, FormUrlencodedOptions
from pyagent_plugins.parsers.opentsdb import Opentsdb


def form(data: bytes, *tags: str, **default: str) -> list[Metric]:
    options = FormUrlencodedOptions(form_urlencoded_tag_keys=list(tags))
    made = FormUrlencoded(options, logging.getLogger("test"), measurement="m")
    made.now, made.default_tags = lambda: 7, default
    return made.parse(data)


def puts(data: bytes) -> list[Metric]:
    made = Opentsdb(NoOptions(), logging.getLogger("test"))
    made.default_tags = {"z": "y"}
    return made.parse(data)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"a=1&b=2&a=3&=5&c&d=&e=x&g=+7&h=%2B7&i=1e3", {"a": 1.0, "b": 2.0, "h": 7.0, "i": 1000.0}),
        (b"  a+b=1&c%20d=2&%C3%A9=3&&x=y=5\n", {"a b": 1.0, "c d": 2.0, "\xe9": 3.0}),
        (b"\xff=1&b=%ff", {"\udcff": 1.0}),
        (b"%FE=2", {"\udcfe": 2.0}),
        (b"a=x", {}),
    ],
)
def test_forms(data: bytes, fields: dict[str, float]) -> None:
    assert form(data) == [Metric("m", {}, dict(fields), 7)]


def test_tags_of_a_form() -> None:
    assert form(b"a=1&b=2&b=3&d=4", "b", "", "c", d="default") == [
        Metric("m", {"b": "2", "d": "default"}, {"a": 1.0, "d": 4.0}, 7)
    ]


def test_an_empty_form() -> None:
    assert form(b"") == form(b" \n") == []


@pytest.mark.parametrize(
    ("data", "message"), [(b"a=1;b=2", "%3B"), (b"a=%zz", "'%zz' is no escape"), (b"a=1&b=%", "'%' is no")]
)
def test_bad_forms(data: bytes, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        form(data)


@pytest.mark.parametrize(
    ("line", "name", "tags", "value", "time"),
    [
        (b"put a 1700000000 1.5 host=x c= =d e=f=g", "a", {"host": "x"}, 1.5, 1_700_000_000_000_000_000),
        (b"  put a 1700000000123 0x1p2 z=q\r\n", "a", {"z": "q"}, 4.0, 1_700_000_000_123_000_000),
        (b"put a -5 1_0", "a", {}, 10.0, -5_000_000_000),
        (b"put a +5 1", "a", {}, 1.0, 5_000_000_000),
    ],
)
def test_puts(line: bytes, name: str, tags: dict[str, str], value: float, time: int) -> None:
    assert puts(line) == [Metric(name, {"z": "y", **tags}, {"value": value}, time)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"version", "it is not `put NAME TIME VALUE key=value`"),
        (b"", "it is not `put"),
        (b"put a 1.5 1", "the time of 'a' must be an integer, and is '1.5'"),
        (b"put a 1 x", "the value of 'a' must be a number, and is 'x'"),
        (b"put a 999999999999 1", "out of range"),
    ],
)
def test_a_bad_put_costs_itself(line: bytes, message: str, caplog: pytest.LogCaptureFixture) -> None:
    assert [metric.name for metric in puts(b"put b 1 1\n" + line + b"\nput c 1 1\n")] == ["b", "c"]
    assert "line 2 is left out" in caplog.text
    assert message in caplog.text


@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    puts(b"put " + data)
    with contextlib.suppress(ParseError):
        form(data)


def test_a_form_is_read_at_once() -> None:
    fields: dict[str, Any] = {str(n): float(n) for n in range(20_000)}
    assert form("&".join(f"{n}={n}" for n in range(20_000)).encode())[0].fields == fields
