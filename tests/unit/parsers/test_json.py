"""The parser json: flattening, tags, names, times, queries, and documents that are none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric, ParseError, Parser
from pyagent.testing import make_parser
from pyagent_plugins.parsers.json import Json


def make(**options: Any) -> Parser[Any]:
    parser = make_parser(Json, options)
    parser.now = lambda: 7
    return parser


def parse(text: str | bytes, **options: Any) -> list[Metric]:
    return make(**options).parse(text if isinstance(text, bytes) else text.encode())


def one(text: str | bytes, **options: Any) -> Metric:
    [metric] = parse(text, **options)
    return metric


def test_nested_values_are_joined_numbers_are_floats_and_text_is_left_out() -> None:
    metric = one('{"a": 5, "b": {"c": 6.5, "d": [1, {"e": 2}]}, "s": "text", "t": true, "n": null}')
    assert metric == Metric("test", {}, {"a": 5.0, "b_c": 6.5, "b_d_0": 1.0, "b_d_1_e": 2.0}, 7)
    assert all(type(value) is float for value in metric.fields.values())


def test_tags_and_text_by_patterns() -> None:
    text = '{"my_a": "x", "my_b": 2, "my_c": {"d": false}, "big": 1e21, "s": "kept", "ok": true, "other": "no"}'
    metric = one(text, tag_keys=["my_*", "big"], json_string_fields=["s", "o?"])
    assert metric.tags == {"my_a": "x", "my_b": "2", "my_c_d": "false", "big": "1000000000000000000000"}
    assert metric.fields == {"s": "kept", "ok": True}


def test_the_measurement_is_a_keys_text() -> None:
    assert one('{"name": "cpu", "v": 1}', json_name_key="name").name == "cpu"
    metric = one('{"name": 5, "v": 1}', json_name_key="name")
    assert (metric.name, metric.fields) == ("test", {"name": 5.0, "v": 1.0})


def test_default_tags_lose_to_those_of_the_document() -> None:
    parser = make(tag_keys=["t"])
    parser.default_tags = {"t": "default", "u": "default"}
    [metric] = parser.parse(b'{"t": "own", "v": 1}')
    assert metric.tags == {"t": "own", "u": "default"}


@pytest.mark.parametrize("text", ["", " \n", "null", "[]", "\ufeff"])
def test_documents_of_nothing(text: str) -> None:
    assert parse(text) == []


def test_times() -> None:
    options = {"json_time_key": "at", "json_time_format": "unix"}
    for given_time, time in (
        ("1700000000", 1_700_000_000_000),
        ('"1700000000.5"', 1_700_000_000_500),
        ("-1.25", -1250),
    ):
        assert one(f'{{"at": {given_time}, "v": 1}}', **options) == Metric("test", {}, {"v": 1.0}, time * 1_000_000)
    with pytest.raises(ParseError, match="'json_time_key': there is no 'at'"):
        parse('{"v": 1}', **options)
    with pytest.raises(ParseError, match="needs 'json_time_format'"):
        parse('{"at": 1}', json_time_key="at")
    with pytest.raises(ParseError, match="invalid number"):
        parse('{"at": "soon", "v": 1}', **options)
    zone = {"json_time_key": "at", "json_time_format": "02 Jan 06 15:04", "json_timezone": "Asia/Kolkata"}
    assert one('{"at": "01 Jan 70 05:31"}', **zone).time == 60_000_000_000


def test_a_bad_object_costs_the_list_or_itself() -> None:
    text = '[{"at": 1, "v": 1}, {"v": 2}, {"at": 3, "v": 3}]'
    options: dict[str, Any] = {"json_time_key": "at", "json_time_format": "unix"}
    with pytest.raises(ParseError):
        parse(text, **options)
    assert [metric.fields["v"] for metric in parse(text, **options, json_strict=False)] == [1.0, 3.0]
    for strict in (True, False):
        with pytest.raises(ParseError, match="must be an object or a list of objects"):
            parse('[{"v": 1}, 2]', json_strict=strict)


def test_a_number_out_of_range_is_no_json_whatever_json_strict_says() -> None:
    for number in ("1e400", "-1e400", "1" * 400):
        for strict in (True, False):
            with pytest.raises(ParseError, match=r"the number of 'v' is out of range"):
                parse(f'[{{"v": 1}}, {{"v": {number}}}]', json_strict=strict)


@pytest.mark.parametrize("text", ["1", '"text"', "true"])
def test_other_documents_are_refused(text: str) -> None:
    with pytest.raises(ParseError, match="must be an object or a list of objects"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "b": }', r"^line 2: column 7: "),
        ("{", "^line 1: "),
        ('{"a": 1} x', "extra data"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1e999}', "the number of 'a' is out of range"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 900 + "[" * 2000 + "]" * 2000 + "}" * 900, "nested too deeply"),
    ],
)
def test_what_is_no_json(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(text)


def test_a_name_for_all() -> None:
    assert [one(text, metric_name="given", json_name_key="n").name for text in ('{"a": 1}', '{"n": "x"}')] == [
        "given",
        "x",
    ]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("{a.b,x}", [{"b": 1.0, "x": 5.0}]),
        ('{"q":x}', [{"q": 5.0}]),
        ("l.#.{c}", [{"c": 1.0}, {"c": 2.0}]),
        ("l|@join", [{"c": 2.0}]),
        ("{none}", [{}]),
        ("..0.a", [{"b": 1.0}]),
        ("a.@tostr", None),
    ],
)
def test_queries_that_make_new_documents(query: str, wanted: list[dict[str, float]] | None) -> None:
    text = '{"a": {"b": 1}, "x": 5, "l": [{"c": 1}, {"c": 2}]}'
    if wanted is None:
        with pytest.raises(ParseError, match="leads to text"):
            parse(text, json_query=query)
    else:
        assert [metric.fields for metric in parse(text, json_query=query)] == wanted


def test_a_query_finds_what_stands_before_a_fault() -> None:
    assert one('{"a": {"b": 1}, "c": ', json_query="a").fields == {"b": 1.0}
    assert parse('{"a": {"b": 1}, "c": ', json_query="d") == []


def test_what_is_not_unicode() -> None:
    metric = one(b'{"a": "\xff", "b": "\\ud800", "c": "\\ud83d\\ude00"}', json_string_fields=["*"])
    assert metric.fields == {"a": "\ufffd", "b": "\ufffd", "c": "\U0001f600"}


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"json_timezone": "Moon/Sea"}, "json_timezone"),
        ({"json_query": "a.#(b"}, "json_query"),
        ({"tag_keys": ["a[*"]}, "tag_keys"),
        ({"json_string_fields": ["[*"]}, "json_string_fields"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], option: str) -> None:
    with pytest.raises(ConfigError, match=option) as caught:
        make(**options)
    assert caught.value.option == option


@given(st.binary(max_size=60) | st.text('{}[]",:0123456789.eE+- truefalsn\\', max_size=60).map(str.encode))
def test_anything_gives_metrics_or_an_error(data: bytes) -> None:
    try:
        metrics = make(json_string_fields=["*"]).parse(data)
    except ParseError:
        return
    assert all(isinstance(value, str | float | bool) for metric in metrics for value in metric.fields.values())
