"""Content types that are none, in the words of Go's mime.ParseMediaType."""

import pytest

from pyagent.sandbox.mediatype import refusal


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("application/json", ""),
        ("Application/VND.flux; charset=utf-8", ""),
        ("text", ""),
        ('text/plain; a="b;\\" c"; d=e;', ""),
        (";", "no media type"),
        ("/json", "no media type"),
        ("text plain", "expected slash after first token"),
        ("text/", "expected token after slash"),
        ("text/a/b", "unexpected content after media subtype"),
        ("text/plain; charset", "invalid media parameter"),
        ("text/plain; =x", "invalid media parameter"),
        ("text/plain;;", "invalid media parameter"),
    ],
)
def test_refusals(header: str, message: str) -> None:
    assert refusal(header) == (message and f"mime: {message}")
