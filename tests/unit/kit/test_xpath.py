"""XPath: what Telegraf 1.40 answered for each expression, as recorded in xpath_recorded.json (null: nothing that a field holds)."""

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.kit.xpath import Context, Query, XPathError
from pyagent.kit.xpath_builder import compile_xpath
from pyagent.kit.xpath_nodes import JsonNode, go_json, go_text
from pyagent.kit.xpath_values import read_json
from pyagent.kit.xpath_xml import read_xml

RECORDED = json.loads((Path(__file__).parent / "xpath_recorded.json").read_text())
ROWS = [(kind, text, wanted) for kind, part in RECORDED.items() for text, wanted in part["rows"]]


def document(kind: str) -> Any:
    data = RECORDED[kind]["document"].encode()
    return read_xml(data) if kind == "xml" else JsonNode.document(read_json(data))


def answer(root: Any, text: str, *, native: bool = False) -> Any:
    value = (query := compile_xpath(text)).evaluate(at := Context(root, root))
    if isinstance(value, Query):
        node = query.first(at)
        value = None if node is None else node.native() if native else node.text()
        if isinstance(value, list | dict):
            value = go_text(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


@pytest.mark.parametrize(("kind", "text", "wanted"), ROWS)
def test_recorded(kind: str, text: str, wanted: Any) -> None:
    root = document(kind)
    if isinstance(wanted, dict):
        with pytest.raises(XPathError):
            answer(root, text)
        return
    found = answer(root, text, native=kind == "native")
    assert found == wanted
    assert type(found) is type(wanted)


@given(st.text("a/b*[]()@.:|-+=<>!'\"$,12 ", max_size=25))
def test_any_expression_is_answered_or_refused(text: str) -> None:
    root = read_xml(b"<a b='1'><b>2</b><b a='3'><a/></b></a>")
    with contextlib.suppress(XPathError):
        answer(root, text)


def test_deep_expressions_and_long_lists_end() -> None:
    with pytest.raises(XPathError, match="nested too deeply"):
        compile_xpath("(" * 300 + "1" + ")" * 300)
    root = JsonNode.document([1.0] * 20_000)
    assert answer(root, "count(/*)") == 20_000


def test_values_as_go_writes_them() -> None:
    value = {"b": [1.0, None, True, "<x>"], "a": {"é": 1e6}}
    assert go_json(value) == '{"a":{"é":1000000},"b":[1,null,true,"\\u003cx\\u003e"]}'
    assert go_text(value) == "map[a:map[é:1e+06] b:[1 <nil> true <x>]]"
    assert go_text({"x": b"\x00\xff", "big": 2**64}) == "map[big:{false [0 1]} x:[0 255]]"
