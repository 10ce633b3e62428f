from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, ParseError
from pyagent.testing import make_parser
from pyagent_plugins.parsers.value import Value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("", "5\n", 5),
        ("integer", "one two 3", 3),
        ("int", "-7", -7),
        ("float", "1e3", 1000.0),
        ("long", "2", 2.0),
        ("string", " some text \n\0", "some text"),
        ("string", "", ""),
        ("base64", "hi\n", "aGkK"),
        ("boolean", "True", True),
        ("bool", "0", False),
        ("float", "0x1p3", 8.0),
        ("auto_float", "1e400", "1e400"),
        ("auto_integer", "\u0663", "\u0663"),
        ("auto_integer", "5", 5),
        ("auto_integer", "x 5.5", "5.5"),
        ("auto_float", "5", 5.0),
        ("auto_float", "none", "none"),
    ],
)
def test_values(kind: str, text: str, value: Any) -> None:
    parser = make_parser(Value, {"data_type": kind})
    parser.now = lambda: 7
    assert parser.parse(text.encode()) == [Metric("test", {}, {"value": value}, 7)]
    assert type(parser.parse(text.encode())[0].fields["value"]) is type(value)


def test_nothing_is_no_value() -> None:
    assert make_parser(Value, {"data_type": "integer"}).parse(b" \n\0") == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1.5"),
        ("integer", "1_0"),
        ("integer", str(2**63)),
        ("float", "x"),
        ("bool", "yes"),
        ("float", "\u0663"),
    ],
)
def test_what_is_of_another_type(kind: str, text: str) -> None:
    with pytest.raises(ParseError, match="is not of the type"):
        make_parser(Value, {"data_type": kind}).parse(text.encode())


def test_names() -> None:
    parser = make_parser(Value, {"value_field_name": "reading"}, measurement="probe")
    parser.default_tags = {"t": "a"}
    [metric] = parser.parse(b"5")
    assert (metric.name, metric.tags, metric.fields) == ("probe", {"t": "a"}, {"reading": 5})
    with pytest.raises(ConfigError, match="unknown data_type 'number'"):
        make_parser(Value, {"data_type": "number"})
