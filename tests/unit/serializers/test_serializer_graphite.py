"""The serializer graphite: paths by templates and with tags, as Telegraf writes them."""

import logging
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric, Uint
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.graphite import Graphite

METRIC = Metric(
    "cpu.load", {"host": "web.a", "dc": "x y", "name": "n"}, {"user": 1.5, "value": 3}, 1_700_000_000_999_999_999
)


def paths(metric: Metric = METRIC, **options: Any) -> list[str]:
    text = make_serializer(Graphite, options).serialize(metric).decode()
    return [line.split(" ")[0] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, ["web_a.x_y.n.cpu.load.user", "web_a.x_y.n.cpu.load"]),
        ({"prefix": "top"}, ["top.web_a.x_y.n.cpu.load.user", "top.web_a.x_y.n.cpu.load"]),
        ({"prefix": "top.", "template": "tags.field"}, ["top.x_y.web_a.n.user", "top.x_y.web_a.n"]),
        ({"template": "field"}, ["user", "FIELDNAME"]),
        ({"template": "host.measurement"}, ["web_a.cpu.load"] * 2),
        ({"template": ".measurement..field."}, ["cpu.load.user", "cpu.load"]),
        ({"template": "tags.tags.field.field"}, ["x_y.web_a.n.TAGS.user.FIELDNAME", "x_y.web_a.n.TAGS"]),
        ({"template": "none", "prefix": "p"}, []),
        ({"template": ""}, ["web_a.x_y.n.cpu.load.user", "web_a.x_y.n.cpu.load"]),
        ({"templates": ["mem* host.field", "cpu* tags.field"]}, ["x_y.web_a.n.user", "x_y.web_a.n"]),
        ({"templates": ["measurement.field", "c* field.host", "cpu* field"]}, ["user.web_a", "web_a"]),
        ({"templates": ["measurement.field", "mem* field"]}, ["cpu.load.user", "cpu.load"]),
        (
            {"graphite_tag_support": True},
            ["cpu.load.user;_name=n;dc=x_y;host=web.a", "cpu.load;_name=n;dc=x_y;host=web.a"],
        ),
        (
            {"graphite_tag_support": True, "prefix": "p", "graphite_separator": "_"},
            ["p_cpu.load_user;_name=n;dc=x_y;host=web.a", "p_cpu.load;_name=n;dc=x_y;host=web.a"],
        ),
        ({"graphite_strict_sanitize_regex": "[aeiou]+", "template": "measurement.field"}, ["cp_.l_d._s_r", "cp_.l_d"]),
    ],
)
def test_paths(options: dict[str, Any], wanted: list[str]) -> None:
    assert [path.strip(".") for path in paths(**options)] == wanted


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("strict", "m--x;c_=a.b;dé=_;k=_--_b_c日"),
        ("compatible", "m--x;c~=a..b;dé= \\;k=/@!b_c日"),
    ],
)
def test_what_may_stand(mode: str, wanted: str) -> None:
    tags = {"k": "~/@!b;c日", "c~": "a..b", "dé": " \\"}
    options = {"graphite_tag_support": True, "graphite_tag_sanitize_mode": mode}
    assert make_serializer(Graphite, options).serialize(Metric("m/@\\x", tags, {"value": 1}, 0)).decode() == (
        wanted + " 1 0\n"
    )


def test_values() -> None:
    fields: dict[str, Any] = {"a": 1e21, "b": True, "c": "text", "d": math.nan, "e": math.inf, "f": Uint(2**64 - 1)}
    metric = Metric("m", {}, {**fields, "g": False, "h": -0.0, "i": 1e-9}, -1_500_000_000)
    written = make_serializer(Graphite, {"template": "field"}).serialize(metric).decode()
    assert written == (
        "a 1000000000000000000000 -1\nb 1 -1\nf 18446744073709551615 -1\ng 0 -1\nh -0 -1\ni 0.000000001 -1\n"
    )


def test_a_mode_that_there_is_not_is_strict(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        make_serializer(Graphite, {"graphite_tag_sanitize_mode": "odd"})
    assert "there is no graphite_tag_sanitize_mode 'odd'" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"templates": ["a b c"]}, "cannot use the template 'a b c'"),
        ({"templates": [" "]}, "cannot use the template ' '"),
        ({"templates": ["[a b"]}, "cannot use the template '[a b': "),
        ({"graphite_strict_sanitize_regex": "[a"}, "cannot read the regular expression"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(message)) as error:
        make_serializer(Graphite, options)
    assert error.value.option == next(iter(options))


@given(st.text(), st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.integers()), st.booleans())
def test_a_line_has_three_words(name: str, tags: dict[str, str], fields: dict[str, int], tagged: bool) -> None:
    written = make_serializer(Graphite, {"graphite_tag_support": tagged}).serialize(Metric(name, tags, fields, 0))
    for line in written.decode("utf-8", "surrogateescape").split("\n")[:-1]:
        assert len(line.split(" ")) == 3
