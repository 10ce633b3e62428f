"""A few bytes are a metric in most formats: what a text becomes in memory is bounded, and so is what is said of bad lines."""

import logging
from typing import Any

import pytest
from protobuf_bytes import part

from pyagent.api import ParseError
from pyagent.api.errors import TooMuch
from pyagent.kit import page_room
from pyagent.testing import make_parser
from pyagent_plugins.parsers.csv import Csv
from pyagent_plugins.parsers.graphite import Graphite
from pyagent_plugins.parsers.grok import Grok
from pyagent_plugins.parsers.influx import Influx
from pyagent_plugins.parsers.json import Json
from pyagent_plugins.parsers.logfmt import Logfmt
from pyagent_plugins.parsers.opentsdb import Opentsdb
from pyagent_plugins.parsers.prometheusremotewrite import PrometheusRemoteWrite
from pyagent_plugins.parsers.wavefront import Wavefront

CSV = {"csv_column_names": ["a", "b"]}


@pytest.mark.parametrize(
    ("plugin", "options", "data"),
    [
        (Csv, CSV, b"1,1\n" * 20),
        (Graphite, {}, b"a 1\n" * 20),
        (Grok, {"grok_patterns": ["%{NOTSPACE:x}"]}, b"1\n" * 20),
        (Influx, {}, b"a a=1\n" * 20),
        (Json, {}, b" [" + b",".join([b'{"a":1}'] * 20) + b"]"),
        (Json, {"json_query": "x"}, b'{"x":[' + b",".join([b'{"a":1}'] * 20) + b"]}"),
        (Json, {}, b'{"a":[' + b",".join([b"1"] * 200) + b"]}"),
        (Logfmt, {}, b"a=1\n" * 20),
        (Opentsdb, {}, b"put a 1 1 a=b\n" * 20),
        (Wavefront, {}, b"a 1 source=x\n" * 20),
    ],
)
def test_what_a_text_becomes_is_bounded(
    plugin: Any, options: dict[str, Any], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_parser(plugin, options)
    monkeypatch.setattr(page_room, "_MOST", 8_000)
    monkeypatch.setattr(page_room, "_MOST_TIMES", 1_000)
    assert made.parse(data)
    monkeypatch.setattr(page_room, "_MOST_TIMES", 32)
    with pytest.raises(
        TooMuch, match=r"it holds too many metrics: they take more than 0 MiB; divide it, or leave some out"
    ):
        made.parse(data)


def test_samples_of_a_remote_write_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is two bytes at the least."""
    label = part(1, part(1, b"__name__") + part(2, b"m"))
    buckets = part(11, part(1, 0) + part(2, 100)) + part(12, b"\2" * 100)
    for content in (part(2, b"") * 100, part(4, b"") * 100, part(4, buckets)):
        data = part(1, label + content)
        made = make_parser(PrometheusRemoteWrite)
        assert len(made.parse(data)) >= 100
        with monkeypatch.context() as patch:
            patch.setattr(page_room, "_MOST", 1_000)
            with pytest.raises(TooMuch, match="it holds too many metrics"):
                made.parse(data)


def test_bad_lines_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    assert make_parser(Opentsdb).parse(b"bad\n" * 1000) == []
    assert len(caplog.messages) == 11
    assert caplog.messages[-1] == "990 more lines are left out"


def test_an_error_names_five_lines_of_all() -> None:
    with pytest.raises(ParseError) as caught:
        make_parser(Graphite).parse(b"bad\n" * 1000)
    assert str(caught.value).startswith("line 1: 'bad' is not NAME VALUE TIME; line 2: ")
    assert "line 5: " in str(caught.value)
    assert "line 6: " not in str(caught.value)
