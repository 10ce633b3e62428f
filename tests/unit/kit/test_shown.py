"""Texts of metrics in messages."""

import pytest

from pyagent.kit.shown import quoted, readable


@pytest.mark.parametrize(
    ("text", "in_quotes", "plain"),
    [
        ("a'b", '"a\'b"', "a'b"),
        ("é", "'é'", "é"),
        ("a\udcff\udc80b", r"'a\xff\x80b'", r"a\xff\x80b"),
        ("\\udcff", r"'\\udcff'", r"\udcff"),
        ("\\\udcff", r"'\\\xff'", r"\\xff"),
        ("\ud800\n", r"'\ud800\n'", "\ud800\n"),
    ],
)
def test_bytes_that_are_not_utf8_are_shown(text: str, in_quotes: str, plain: str) -> None:
    if "\ud800" not in text:
        assert quoted(text.encode("utf-8", "surrogateescape")) == in_quotes
    assert (quoted(text), readable(text)) == (in_quotes, plain)
