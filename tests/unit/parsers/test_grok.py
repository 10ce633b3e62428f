"""The parser grok: what Telegraf 1.40 made of the same lines."""

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric
from pyagent.testing import make_parser
from pyagent_plugins.parsers.grok import Grok, GrokOptions
from pyagent_plugins.parsers.grok.patterns import compile_lines
from pyagent_plugins.parsers.grok.stock import STOCK, TELEGRAF

NOW = 1_700_000_000_000_000_000
ACCESS = '127.0.0.1 user frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326 "-" "Mozilla (X11)"'


def parser(*patterns: str, **options: Any) -> Grok:
    made = Grok(GrokOptions(grok_patterns=list(patterns), **options), logging.getLogger("test"), measurement="m")
    made.now = lambda: NOW
    return made


def fields(pattern: str, line: str, **options: Any) -> list[dict[str, Any]]:
    return [metric.fields for metric in parser(pattern, **options).parse(line.encode("utf-8", "surrogateescape"))]


@pytest.mark.parametrize("name", [*STOCK, *TELEGRAF])
def test_every_pattern_can_be_used(name: str) -> None:
    (line,) = compile_lines((f"%{{{name}:x}}",), ())
    assert line.find("") in (None, ("",))


def test_an_access_log() -> None:
    (metric,) = parser().parse(ACCESS.encode())
    assert metric == Metric(
        "m",
        {"verb": "GET", "resp_code": "200"},
        {
            "client_ip": "127.0.0.1",
            "ident": "user",
            "auth": "frank",
            "request": "/a.gif",
            "http_version": 1.0,
            "resp_bytes": 2326,
            "referrer": "-",
            "agent": "Mozilla (X11)",
        },
        971_211_336_000_000_000,
    )


def test_a_line_that_must_be_searched_gives_the_same() -> None:
    (plain,) = parser().parse(ACCESS.encode())
    (searched,) = parser().parse(b"web1 said: " + ACCESS.encode())
    assert searched == plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1f", 31),
        ("0b11", 3),
        ("017", 15),
        ("0o17", 15),
        ("1_000", 1000),
        ("-5", -5),
        ("+6", 6),
        ("00", 0),
        ("-0x8", -8),
        ("9223372036854775808", None),
        ("08", None),
        ("1__0", None),
        ("abc", None),
    ],
)
def test_integers(text: str, value: int | None, caplog: pytest.LogCaptureFixture) -> None:
    assert fields("%{NOTSPACE:v:int}", text) == [{} if value is None else {"v": value}]
    assert (f"cannot read '{text}' as an integer, for 'v'" in caplog.text) == (value is None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1h3m", 3_780_000_000_000),
        ("-1.5s", -1_500_000_000),
        ("0", 0),
        (".5ms", 500_000),
        ("1µs", 1000),
        ("1μs", 1000),
        ("1.s", 1_000_000_000),
        ("+3ns", 3),
        ("1.123456789123s", 1_123_456_789),
        ("9223372036854775807ns", 2**63 - 1),
        ("9223372036854775808ns", None),
        ("5", None),
        ("1d", None),
        (".s", None),
        ("-", None),
    ],
)
def test_durations(text: str, value: int | None) -> None:
    assert fields("%{NOTSPACE:v:duration}", text) == [{} if value is None else {"v": value}]


@pytest.mark.parametrize(
    ("modifier", "text", "time"),
    [
        ("ts-epoch", "1700000001", 1_700_000_001_000_000_000),
        ("ts-epoch", "1700000001.1234567891", 1_700_000_001_123_456_789),
        ("ts-epoch", "-5.5", -4_500_000_000),
        ("ts-epoch", "1.", 1_000_000_000),
        ("ts-epochmilli", "1700000001123", 1_700_000_001_123_000_000),
        ("ts-epochnano", "1700000001123456789", 1_700_000_001_123_456_789),
        ("ts-epochmilli", "1.5", NOW),
        ("ts-epoch", "x", NOW),
        ("ts", "Mon Jan  2 15:04:05 2006", 1_136_214_245_000_000_000),
        ("ts", "2006-01-02T15:04:05.25Z", 1_136_214_245_250_000_000),
        ("ts", "02/Jan/2006:15:04:05 -0700", 1_136_239_445_000_000_000),
        ("ts", "never", NOW),
        ("ts-httpd", "02/Jan/2006:15:04:05 -0700", 1_136_239_445_000_000_000),
        ("ts-httpd", "31/Feb/2006:15:04:05 -0700", NOW),
        ('ts-"2006-01-02 15:04:05.000"', "2006-01-02 15:04:05,250", 1_136_214_245_250_000_000),
        ('ts-"unix"', "1700000001", 1_700_000_001_000_000_000),
        ("ts-nothing", "1700000001", NOW),
        ("minutes", "5", NOW),
    ],
)
def test_times(modifier: str, text: str, time: int) -> None:
    (metric,) = parser(f"^%{{GREEDYDATA:t:{modifier}}}$", grok_unique_timestamp="no").parse(text.encode())
    assert (metric.time, metric.fields) == (time, {})


def test_a_zone(caplog: pytest.LogCaptureFixture) -> None:
    pattern, line = '%{DATA:t:ts-"2006-01-02 15:04"} -', b"2024-05-06 07:08 -"
    (east,) = parser(pattern, grok_timezone="America/New_York").parse(line)
    (nowhere,) = parser(pattern, grok_timezone="Nowhere/Bad").parse(line)
    assert (east.time - nowhere.time, "Nowhere/Bad" in caplog.text) == (4 * 3600 * 10**9, True)


def test_equal_times_are_moved_apart() -> None:
    """By a unit below the last one that the time shows."""
    pattern = "%{NUMBER:t:ts-epochnano} %{NUMBER:v:int}"
    for time, step in (
        (1_700_000_000_000_000_000, 10**6),
        (1_700_000_000_123_000_000, 1000),
        (1_700_000_000_123_456_000, 1),
    ):
        metrics = parser(pattern).parse(f"{time} 1\n{time} 2\n{time} 3\n{time + 5} 1".encode())
        assert [metric.time - time for metric in metrics] == [0, step, 2 * step, 5]
    metrics = parser("%{NUMBER:t:ts-epoch}").parse(b"1700000000\n" * 1002)
    assert [metric.time - NOW for metric in metrics[-4:]] == [998_000_000, 999_001_000, 999_002_000, 999_003_000]


def test_patterns_of_ones_own(tmp_path: Path) -> None:
    """Named without a key they are text, with their modifiers; with one, a group without any."""
    file = tmp_path / "patterns"
    file.write_text("# ours\nW %{WORD:w:tag}\n")
    own = {"grok_custom_patterns": "T x %{NUMBER:v:int} %{W}\n", "grok_custom_pattern_files": [str(file)]}
    (metric,) = parser("%{T}", **own).parse(b"x 12 y")
    assert (metric.tags, metric.fields) == ({"w": "y"}, {"v": 12})
    assert fields("%{T:all}", "x 12 y", **own) == [{"all": "x 12 y", "v": "12", "w": "y"}]
    assert fields("%{NUMBER:n:int} x %{A}", "a2", grok_custom_patterns="A a|a%{NUMBER:c:int}") == [{"c": 2}]


@pytest.mark.parametrize(
    ("pattern", "line", "wanted"),
    [
        ("%{NUMBER:a.b} %{NUMBER:c-d}", "1 2", [{"a.b": "1", "c-d": "2"}]),
        ("(?P<n>[0-9]+)", "12", [{"n": "12"}]),
        ("%{WORD:m} *%{WORD:m}", "aa bb", [{"m": "bb"}]),
        ("%{NUMBER}", "12", []),
        ("%{WORD:w:drop}:%{NUMBER:x:int}?", "a:", [{}]),
        ("^%{WORD:a}$", "x\n x\ny \r\nz\r\n", [{"a": "x"}, {"a": "z"}]),
        ("%{GREEDYDATA:a}", "\udcff", [{"a": "\udcff"}]),
    ],
)
def test_lines(pattern: str, line: str, wanted: list[dict[str, Any]]) -> None:
    assert fields(pattern, line) == wanted


def test_the_first_pattern_that_matches_counts() -> None:
    made = parser("%{NUMBER:n:int} units", "%{WORD:first}")
    assert [metric.fields for metric in made.parse(b"7 units\nabc 8\n...")] == [{"n": 7}, {"first": "abc"}]


def test_the_name_of_a_line_holds_for_those_behind_it() -> None:
    metrics = parser("%{WORD:m:measurement}? %{NUMBER:v:float}").parse(b" 0\na 1\n 3\nb 1")
    assert [metric.name for metric in metrics] == ["m", "a", "a", "b"]


def test_many_lines_as_one() -> None:
    assert fields("%{MULTILINEDATA:m}", "a\nb\nc\n", grok_multiline=True) == [{"m": "a\nb\nc\n"}]


@pytest.mark.parametrize(
    ("patterns", "options", "message"),
    [
        (["%{NOSUCH:x}"], {}, "no pattern found for %{NOSUCH}"),
        (["%{WORD:a}"], {"grok_custom_patterns": "UNUSED %{NOSUCH}"}, "no pattern found for %{NOSUCH}"),
        (["%{WORD:a}"], {"grok_custom_patterns": "ALONE"}, "'ALONE' has no regular expression"),
        (["%{NUMBER:a.b:tag}"], {}, "%{NUMBER:a.b:tag} is no reference"),
        (["%{DATA:a:ts-epoch} %{DATA:b:ts}"], {}, "has two times"),
        (["(unclosed"], {}, r"a \( is not closed"),
        ([" "], {}, "all are empty"),
        (["%{A}"], {"grok_custom_patterns": "A x%{B}\nB y%{A}"}, "stands for itself"),
        (["%{A:x}"], {"grok_custom_patterns": "A x%{A:y}"}, "stands for itself"),
        (["%{A}"], {"grok_custom_pattern_files": ["/no/such/file"]}, "cannot use grok_custom_pattern_files"),
        (
            ["%{L9}"],
            {
                "grok_custom_patterns": "\n".join(
                    ["L0 abcdefghij", *[f"L{n} {f'%{{L{n - 1}}}' * 9}" for n in range(1, 10)]]
                )
            },
            "more than 100000 characters",
        ),
    ],
)
def test_what_cannot_be_used(patterns: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("{", r"\{")):
        parser(*patterns, **options)


def test_without_the_linear_engine(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Lines that can be read from the left are read; others are left out, and the log says why."""
    monkeypatch.setitem(sys.modules, "re2", None)
    compile_lines.cache_clear()
    try:
        made = parser(grok_custom_patterns="# without it")
        metrics = made.parse(f"{ACCESS}\nx {ACCESS}\nno such line\n".encode())
    finally:
        compile_lines.cache_clear()
    assert [metric.tags["verb"] for metric in metrics] == ["GET"]
    assert caplog.text.count("a line is left out") == caplog.text.count("google-re2") == 1


def test_a_line_that_almost_matches_in_many_ways_takes_no_time() -> None:
    pytest.importorskip("re2", reason="google-re2 is not installed")
    assert parser(" ".join(["%{DATA:a}"] * 12) + " end").parse(b"a " * 3000) == []


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    parser().parse(data + ACCESS.encode())


def test_values_that_cannot_be_read_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    made = make_parser(Grok, {"grok_patterns": ["%{NOTSPACE:v:int} %{NOTSPACE:w:float} %{NOTSPACE:time:ts-epoch}"]})
    assert len(made.parse(b"x y z\n" * 1000)) == 1000
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "cannot read 'x' as an integer, for 'v'",
        "cannot read 'y' as a number, for 'w'",
        "cannot read 'z' as a time; the present is taken",
    ]
