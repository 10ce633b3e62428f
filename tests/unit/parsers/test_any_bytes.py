"""Any bytes give metrics or one ParseError, of every parser that there is."""

import contextlib
from typing import Any

import pytest
from format_cases import FormatCase, format_cases
from hypothesis import given, settings
from hypothesis import strategies as st

from pyagent.api import ParseError
from pyagent.config.catalog import Catalog
from pyagent.kit.gjson_text import find
from pyagent.testing import make_parser

CASES = format_cases(1)
MOST_METRICS = 4
"""For each byte, and as many for none: what one byte of any of the formats can make."""


def parser_of(case: FormatCase) -> Any:
    (entry,) = (entry for entry in Catalog().entries("parsers") if entry.name == case.name)
    options = {key: value for key, value in case.options.items() if key != "data_format"}
    return make_parser(Catalog().load(entry), options)  # type: ignore[arg-type]  # it is one


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Good data with a few bytes changed, left out, put in, or a part that stands there again."""
    data = data[:8000]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 40)))
        again = data[draw(st.integers(0, at)) : at][:100]
        data = data[:at] + draw(st.sampled_from([b"", again]) | st.binary(max_size=6)) + data[end:]
    return data


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=str)
@settings(deadline=None)
@given(drawn=st.data())
def test_any_bytes(case: FormatCase, drawn: st.DataObject) -> None:
    data = drawn.draw(st.binary(max_size=300) | damaged(case.data))
    with contextlib.chdir(case.folder):
        parser = parser_of(case)  # a new one: what it learned of one piece of data may change what it makes of the next
    try:
        metrics = parser.parse(data)
    except ParseError:
        return
    assert len(metrics) <= MOST_METRICS * (len(data) + 1)


@pytest.mark.parametrize("path", ["a", "a*", "a.b", "#.a"])
def test_a_document_whose_key_is_no_text(path: str) -> None:
    """Found so in a document whose quotes were damaged."""
    assert find('{1: 2, "a": 3}', path).raw == ""
