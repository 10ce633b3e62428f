"""The parser json_v2: what Telegraf 1.40 gave for the same options and documents, as recorded, and what no document may do."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyagent.api import Metric, ParseError, Parser, Uint
from pyagent.kit import gjson_objects, gjson_text
from pyagent.kit.gjson_text import find
from pyagent.testing import make_parser
from pyagent_plugins.parsers.json_v2 import JsonV2


def parser(*selections: dict[str, Any]) -> Parser[Any]:
    made = make_parser(JsonV2, {"json_v2": list(selections)})
    made.now = lambda: 7
    return made


def read(document: str, *objects: dict[str, Any], **selection: Any) -> list[tuple[dict[str, str], dict[str, Any]]]:
    given = [{"path": "@this"} | wanted for wanted in objects]
    return [(m.tags, m.fields) for m in parser(selection | {"object": given}).parse(document.encode())]


@pytest.mark.parametrize(
    ("document", "wanted", "metrics"),
    [
        ('{"a": 1, "b": {"c": "x", "d": true}, "e": null}', {}, [({}, {"a": 1.0, "b_c": "x", "b_d": True})]),
        ('{"a b": {"c d": 1}}', {}, [({}, {"a_b_c_d": 1.0})]),
        ('{"a": {"b": 1}}', {"disable_prepend_keys": True}, [({}, {"b": 1.0})]),
        # A list makes metrics of its elements, each with what stands beside it.
        ('{"a": [1, 2], "b": "x"}', {}, [({}, {"b": "x", "a": 1.0}), ({}, {"b": "x", "a": 2.0})]),
        # An object takes away the metrics of lists before it, an empty one everything.
        ('{"a": [1, 2], "b": {"c": 3}}', {}, [({}, {"b_c": 3.0})]),
        ('{"a": 1, "b": {}}', {}, []),
        ('{"a": 1, "b": {}, "c": 2}', {}, [({}, {"a": 1.0, "c": 2.0})]),
        # The same name twice: the second value, but the first one where another key lies between.
        ('{"a": 1, "b": 2}', {"renames": {"a": "x", "b": "x"}}, [({}, {"x": 2.0})]),
        ('{"a": 1, "c": 5, "b": 2}', {"renames": {"a": "x", "b": "x"}}, [({}, {"x": 1.0, "c": 5.0})]),
        ('{"a": 1, "a": 2}', {}, [({}, {"a": 2.0})]),
        (
            '{"a": 1e6, "b": 0.00001, "c": false, "d": "t"}',
            {"tags": ["a", "b", "c", "d"]},
            [({"a": "1e+06", "b": "1e-05", "c": "false", "d": "t"}, {})],
        ),
        (
            '{"a": 9007199254740993, "b": -1, "c": 1.9}',
            {"fields": {"a": "int", "b": "uint", "c": "int"}},
            [({}, {"a": 9007199254740993, "b": Uint(2**64 - 1), "c": 1})],
        ),
        ('{"a": {"b": "5"}}', {"fields": {"a": "int"}}, [({}, {"a_b": 5})]),
        ('{"a": [1, {"b": 2}]}', {"fields": {"a": "string"}}, [({}, {"a": '[1, {"b": 2}]'})]),
        ('{"a": {"b": 1, "c": 2}, "ab": 3}', {"included_keys": ["a_b"]}, [({}, {"a_b": 1.0})]),
        ('{"a": 1, "b": 2}', {"excluded_keys": ["a"]}, [({}, {"b": 2.0})]),
        ('[{"a": 1}, [{"a": 2}], {"a": 3}]', {}, [({}, {"a": 1.0}), ({}, {"a": 2.0}), ({}, {"a": 3.0})]),
        ('{"a": -0, "b": 1e999}', {}, [({}, {"a": -0.0, "b": float("inf")})]),
        ('{"a": "\\ud83d x", "\\ud800": 1}', {}, [({}, {"a": "\ufffd x", "\ufffd": 1.0})]),
    ],
)
def test_objects(document: str, wanted: dict[str, Any], metrics: list[Any]) -> None:
    assert read(document, wanted) == metrics


def test_paths_within_an_object_choose_by_place() -> None:
    document = '{"a": {"x": 1, "y": 1}, "l": [{"x": 1, "z": 2}, {"x": 3, "z": 4}]}'
    wanted = {"path": "l", "field": [{"path": "#.z", "rename": "zz", "type": "int"}], "tag": [{"path": "#.x"}]}
    assert read(document, wanted) == [({"x": "1"}, {"zz": 2}), ({"x": "3"}, {"zz": 4})]


def test_short_and_long_way_agree() -> None:
    """Most objects take a way of their own, which must give what Telegraf's gives."""
    plain = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=3),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=3),
        max_leaves=10,
    )
    options = {"tags": ["a_b"], "fields": {"b": "int", "c_a": "uint", "a": "string"}, "renames": {"a_c": "c"}}

    def refuse(*_: object) -> list[Metric]:
        raise gjson_objects._Special

    @settings(max_examples=60)
    @given(plain)
    def agree(document: Any) -> None:
        text = json.dumps(document)
        short = read(text, options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gjson_objects.Walk, "_flat", refuse)
            assert repr(read(text, options)) == repr(short)

    agree()


def test_values_give_every_combination() -> None:
    made = parser(
        {
            "measurement_name_path": "n",
            "timestamp_path": "t",
            "timestamp_format": "unix",
            "field": [{"path": "f"}, {"path": "none", "optional": True}, {"path": "o", "type": "string"}],
            "tag": [{"path": "g", "rename": "tag"}],
        }
    )
    metrics = made.parse(b'{"n": "name", "t": "1.5", "f": [1, 2], "o": { }, "g": ["x", "y"]}')
    assert [(m.name, m.time, m.tags["tag"], m.fields) for m in metrics] == [
        ("name", 1500000000, tag, {"f": value, "o": "{ }"}) for tag in "xy" for value in (1.0, 2.0)
    ]


@pytest.mark.parametrize(
    ("document", "selection", "message"),
    [
        ("", {}, "line 1: column 1: expecting value"),
        ('{"a": NaN}', {}, "NaN is no number in JSON"),
        ("{", {}, "line 1: column 2"),
        ("[" * 100_000, {}, "nested too deeply"),
        ("{}", {"field": [{"path": "a"}]}, "there is nothing at the path 'a'"),
        ("{}", {"field": [{}]}, "the option 'path' is missing"),
        ("{}", {"timestamp_path": "t"}, "the time at the path 't' is missing or null"),
        ('{"t": 1}', {"timestamp_path": "t"}, "'timestamp_path' needs 'timestamp_format' beside it"),
        (
            '{"t": "x"}',
            {"field": [{"path": "t", "type": "float"}]},
            "the value of 't' must be of type float, and is 'x'",
        ),
        (json.dumps({key: [0] * 1000 for key in "abc"}), {"object": [{"path": "@this"}]}, "more than 250,000 combin"),
        ('{"t": 2}', {"field": [{"path": "t", "type": "bool"}]}, "the value of 't' must be of type bool, and is 2"),
    ],
)
def test_mistakes(document: str, selection: dict[str, Any], message: str) -> None:
    with pytest.raises(ParseError, match="(?i)" + message.replace("(", r"\(")):
        parser(selection).parse(document.encode())


@pytest.mark.parametrize(
    "path",
    [
        "[@this,@this,@this,@this]|[@this,@this,@this,@this]|[@this,@this,@this,@this]",
        '{"a":@this,"b":@this}|{"a":@this,"b":@this}|{"a":@this,"b":@this}|{"a":@this,"b":@this}',
        "a.#.[@this,@this,@this,@this,@this,@this,@this,@this,@this,@this,@this,@this]",
        "a.#(b>0)#.[@this,@this,@this,@this,@this,@this,@this,@this,@this,@this,@this,@this]",
        "[a,a,a,a,a,a,a,a]|@dig:#",
        "@tostr|@tostr|@tostr|@tostr|@tostr|@tostr|@tostr|@tostr|@tostr|@tostr",
    ],
)
def test_a_path_that_makes_much_of_a_document_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.dumps({"a": [{"b": 1}] * 10})
    find(document, path)
    monkeypatch.setattr(gjson_text, "_MOST_MADE", 60 if "dig" in path else 1000)
    with pytest.raises(
        ParseError, match=r"a path makes more than 0 MiB of the document; name fewer parts of it, and each once"
    ):
        parser({"field": [{"path": path}]}).parse(document.encode())


@given(st.binary(max_size=60) | st.text('{}[]",:0a\\u ', max_size=60).map(str.encode))
def test_any_bytes_give_metrics_or_one_error(data: bytes) -> None:
    made = parser({"object": [{"path": "@this"}], "field": [{"path": "a.#.b", "optional": True}]})
    with contextlib.suppress(ParseError):
        made.parse(data)


@given(st.text('abc.*?|#()@{}[]:,"\\!%=<>0', max_size=20))
def test_any_path_ends(path: str) -> None:
    find('{"a": [1, {"b": "c"}], "b": {"c": [[]]}, "c": "x"}', path)


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("list.#.k", "[1,5]"),
        ("list.#(k>1).k", "5"),
        ("list.#(k>=1)#.k|@reverse", "[5,1]"),
        ("list.#(t=~true)", ""),
        ("a.#", "2"),
        ("a|1", "2"),
        ("n*", "7"),
        ("d\\.t", '"x"'),
        ('{"f":a.0,n}', '{"f":1,"n":7}'),
        ("[n,none,a]", "[7,[1, 2]]"),
        ('!"text"', '"text"'),
        ("@keys.0", '"a"'),
        ("@dig:k", "[1,5]"),
        ("list.@join", '{"k":5,"t":"v"}'),
        ("group.@group", '[{"x":1},{"x":2}]'),
        ("a.@tostr", '"[1, 2]"'),
        ("s.@fromstr.x", "3"),
        ("deep.@flatten", "[1,2, [3]]"),
        ('deep.@flatten:{"deep":true}', "[1,2,3]"),
        ("..0.n", "7"),
        ("s.x", ""),
    ],
)
def test_paths(path: str, raw: str) -> None:
    text = (
        '{"a": [1, 2], "n": 7, "d.t": "x", "list": [{"k": 1, "t": "u"}, {"k": 5, "t": "v"}], '
        '"group": {"x": [1, 2]}, "s": "{\\"x\\": 3}", "deep": [1, [2, [3]]]}'
    )
    assert find(text, path).raw == raw
