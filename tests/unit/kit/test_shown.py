"""Texts of metrics in messages."""

import pytest

from pyagent.kit.shown import escaped, quoted, readable


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("héllo\tworld \\x", "héllo\tworld \\x"),
        ("\x1b[31m\r\n\0\x07", r"\x1b[31m\r\n\x00\x07"),
        ("\x9b1m\u202eb\u2028", r"\x9b1m\u202eb\u2028"),
        ("\udcff", r"\xff"),
    ],
)
def test_what_commands_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown
