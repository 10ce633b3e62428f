"""The parser logfmt, beside a reader that goes byte by byte as the one of Telegraf does."""

import contextlib
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, ParseError
from pyagent.kit.numbers import guess_value
from pyagent_plugins.parsers.logfmt import Logfmt, LogfmtOptions


def parser(*tags: str) -> Logfmt:
    made = Logfmt(LogfmtOptions(logfmt_tag_keys=list(tags)), logging.getLogger("test"), measurement="m")
    made.now = lambda: 7
    return made


def read(data: bytes) -> list[dict[str, Any]]:
    return [metric.fields for metric in parser().parse(data)]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"", []),
        (b" \t\r\n\n", []),
        (b'words alone key= key2=""', []),
        (
            b"a=1 b=1.5 c=t d=x e=-2 f=1e999 g=0x1",
            [{"a": 1, "b": 1.5, "c": True, "d": "x", "e": -2, "f": "1e999", "g": "0x1"}],
        ),
        (b"a=1\r\nb=2\n", [{"a": 1}, {"b": 2}]),
        (b'a="1" b="x y"c=2', [{"a": 1, "b": "x y", "c": 2}]),
        (
            b'a="\\"\\\\\\/\\\'\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\\ud83dx"',
            [{"a": "\"\\/'\b\f\n\r\t\xe4\U0001f600\ufffdx"}],
        ),
        (b"a=1 a=2", [{"a": 2}]),
        (b'a=\xff b="\xff" c="\\n\xff"', [{"a": "\udcff", "b": "\udcff", "c": "\n\ufffd"}]),
        ("ä=ö".encode(), [{"ä": "ö"}]),
        (b"a='x", [{"a": "'x"}]),
        (b'a="x\ty"', [{"a": "x\ty"}]),
        (b"a=\x7fb", [{"a": "\x7fb"}]),
        (b"a=" + b"x" * 100_000, [{"a": "x" * 100_000}]),
    ],
)
def test_lines(line: bytes, wanted: list[dict[str, Any]]) -> None:
    assert read(line) == wanted


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a=1\nb=c=d", "line 2: column 4: there is a = where none can be"),
        (b'a=b"c', 'line 1: column 4: there is a " where none can be'),
        (b"=a", "line 1: column 1: there is a = where none can be"),
        (b' "a"', 'line 1: column 2: there is a " where none can be'),
        (b'a"=1', 'line 1: column 2: there is a " where none can be'),
        (b'x a="b\\"', "line 1: column 5: the quotes are not closed"),
        (b'a="\\x"', r"line 1: column 4: \\x is no escape"),
        (b'a="\\u12"', r"line 1: column 4: \\u is no escape"),
        (b'a="\\n\t"', "line 1: column 6: a control character within quotes"),
        (b"\xff=1", "line 1: column 1: the key is not UTF-8"),
        ("\ufffd".encode(), "line 1: column 1: the key is not UTF-8"),
    ],
)
def test_what_is_no_line(data: bytes, message: str) -> None:
    with pytest.raises(ParseError, match=f"^{message}$"):
        read(data)


def test_tags() -> None:
    made = parser("ho*", "method")
    made.default_tags = {"host": "default", "place": "here"}
    assert made.parse(b"host=a method=5 n=5\nn=6\nhost=b") == [
        Metric("m", {"host": "a", "method": "5", "place": "here"}, {"n": 5}, 7),
        Metric("m", {"host": "default", "place": "here"}, {"n": 6}, 7),
        Metric("m", {"host": "b", "place": "here"}, {}, 7),
    ]


def reference(line: bytes) -> dict[str, Any]:
    """Byte by byte; raises ValueError."""
    found: dict[str, Any] = {}
    at = 0

    def until(stops: bytes) -> bytes:
        nonlocal at
        start = at
        while at < len(line) and line[at] > 32 and line[at] not in stops:
            at += 1
        return line[start:at]

    while True:
        while at < len(line) and line[at] <= 32:
            at += 1
        if at == len(line):
            return found
        key = until(b'="')
        if line[at : at + 1] == b'"' or not key:
            raise ValueError
        if "\ufffd" in key.decode("utf-8", "replace"):
            raise ValueError
        value = b""
        if line[at : at + 1] == b"=":
            at += 1
            if line[at : at + 1] == b'"':
                start, at = at, at + 1
                while line[at : at + 1] not in (b'"', b""):
                    at += 2 if line[at : at + 1] == b"\\" else 1
                if at >= len(line):
                    raise ValueError
                at += 1
                value = line[start + 1 : at - 1]
                if b"\\" in value:
                    text = value.decode("utf-8", "replace").replace("\\'", "\\u0027")
                    loaded = json.loads(f'"{text}"')
                    value = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in loaded).encode()
            else:
                value = until(b'="')
                if at < len(line) and line[at] > 32:
                    raise ValueError
        if value:
            found[key.decode()] = guess_value(value.decode("utf-8", "surrogateescape"))


PIECES = [
    b"a",
    b"=",
    b'"',
    b"\\",
    b" ",
    b"1",
    b"'",
    b"u0041",
    b"\xc3\xa4",
    b"\xff",
    b"\t",
    b"\r",
    b'="',
    b'" ',
    b"b=2 ",
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_any_line_is_read_alike(line: bytes) -> None:
    # A \' behind a backslash that is escaped itself is beyond the reference's one replacement.
    if b"\\\\" in line:
        return
    try:
        wanted = reference(line)
    except ValueError:
        with pytest.raises(ParseError):
            read(line)
    else:
        found = read(line)
        assert repr(found) == repr([wanted] if wanted else [])


@given(st.binary(max_size=60))
def test_any_bytes_give_metrics_or_one_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        for metric in parser("a*").parse(data):
            assert metric.fields or metric.tags


def test_each_of_the_lines_asks_for_the_time() -> None:
    made = parser()
    made.now = iter(range(5, 9)).__next__
    assert [metric.time for metric in made.parse(b"n=1\nn=2\n")] == [5, 6]
