"""The parser wavefront: what Telegraf 1.40 made of the same lines."""

import contextlib
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, NoOptions, ParseError
from pyagent_plugins.parsers.wavefront import Wavefront, _Line, _usual

NOW = 1_700_000_000_000_000_000


def read(line: str | bytes) -> list[Metric]:
    made = Wavefront(NoOptions(), logging.getLogger("test"))
    made.now = lambda: NOW + 5
    return made.parse(line.encode() if isinstance(line, str) else line)


@pytest.mark.parametrize(
    ("line", "name", "tags", "value", "time"),
    [
        ("sys.cpu 1.5 1700000001 source=h a=b\n", "sys.cpu", {"source": "h", "a": "b"}, 1.5, 1),
        ("\nsys.cpu 1.5 source=h\n", "sys.cpu", {"source": "h"}, 1.5, 0),
        ('"a,b/c" 1 1700000001 "k k"="v \\" v"x=y', "a,b/c", {"k k": 'v \\" v', "x": "y"}, 1.0, 1),
        ("\u0394d -1.5e3 1700000001123 s=1", "\u0394d", {"s": "1"}, -1500.0, 1),
        ("a 1 1700000001123456 s=t", "a", {"s": "t"}, 1.0, 1),
        ("a 1 1700000001123456789", "a", {}, 1.0, 1),
        ("a 1 00 s=t", "a", {"s": "t"}, 1.0, 0),
        ("a\t1\t1700000001\ts=-x_y.z/w\\q,r  ", "a", {"s": "-x_y.z/w\\q,r"}, 1.0, 1),
        ('a 1 1700000001 s"q=1 t=2', "a", {"q": "1", "t": "2"}, 1.0, 1),
        ("a 1 1700000001 s= t=u", "a", {"s": "", "t": "u"}, 1.0, 1),
        ("a 5 x1=2", "a", {"x1": "2"}, 5.0, 0),
        ('a 1 1700000001 s="\u00e9 \u2206"', "a", {"s": "\u00e9 \u2206"}, 1.0, 1),
    ],
)
def test_lines(line: str, name: str, tags: dict[str, str], value: float, time: int) -> None:
    assert read(line) == [Metric(name, tags, {"value": value}, NOW + time * 10**9)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 1700000000\n\nb 2", "line 2: there is no value"),
        ("a +1 1700000000", "line 1: the value must be a number, and is ''"),
        ("a\u2206 1 1700000000", "within a name"),
        ('a"b 1 1700000000', "there is a quote within 'a'"),
        ("a 1 17000 s=t", "must have 10, 13, 16 or 19 digits"),
        ("a 1 99999999999999999999", "out of range"),
        ("a 1 1700000000 s", "there must be a = behind 's'"),
        ('a 1 1700000000 s="open', "quotes are not closed"),
        ("a 1 1700000000 s=h\r\n", "there must be a = behind ''"),
        ("a", "there is no value"),
    ],
)
def test_bad_lines(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        read(text)


def test_nothing() -> None:
    assert read("") == read("\n") == []


WORDS = st.text('ab1-_./\\,"= \t\u2206\u00e9\r\0', max_size=8)
LINES = st.tuples(
    WORDS, st.sampled_from(["1", "-2.5", "1e3", "x"]), st.sampled_from(["1700000000", "17", ""]), WORDS, WORDS
)


@given(LINES.map(" ".join))
def test_the_usual_way_is_no_other_one(line: str) -> None:
    if usual := _usual(line):
        with contextlib.suppress(ValueError):  # a value that is none
            assert _Line(line).read() == usual


@pytest.mark.parametrize(
    "make", [lambda n: "a" * n, lambda n: "a 1 1 " + "a=b " * n + "=", lambda n: "a 1 1 " + '"' * n]
)
def test_a_long_line_takes_no_time(make: Callable[[int], str]) -> None:
    with pytest.raises(ParseError):
        read(make(100_000))


@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    for text in (data, b"a 1 1700000000 " + data):
        with contextlib.suppress(ParseError):
            read(text)
