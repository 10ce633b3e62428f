"""Streams are cut alike whatever blocks their bytes come in, and nothing that comes makes a splitter hold more than its limit."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyagent.api import ConfigError
from pyagent.kit.framing import BadFrame, Framing, LengthField, find_open, is_closed, reference_find_open, split_open

LIMIT = 64 * 2**10


def cut(framing: Framing, stream: bytes, sizes: list[int] | None = None) -> list[bytes]:
    """The messages of a stream that comes in blocks of these sizes, over and over."""
    splitter = framing.splitter()
    messages: list[bytes] = []
    at, turn = 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)] if sizes else len(stream)
        messages += splitter.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    if last := splitter.finish():
        messages.append(last)
    return messages


FRAMINGS = {
    "newline": Framing(),
    "null": Framing("null"),
    "delimiter": Framing("delimiter", delimiter="0x0D 0A x0d0a"),
    "fixed": Framing("fixed length", length=3),
    "variable": Framing("variable length", field=LengthField(offset=1, bytes=2, header_length=3)),
}
SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("framing", "stream", "messages"),
    [
        ("newline", b"a\nbb\r\n\n\r\nc", [b"a", b"bb", b"c"]),
        ("newline", b"a\r\r\n", [b"a\r"]),
        ("null", b"a\0b\n\0", [b"a", b"b\n"]),
        ("delimiter", b"a\r\n\r\nb\r\nc\r\n\r\n\r\n\r\nd", [b"a", b"b\r\nc", b"d"]),
        ("fixed", b"aaabbb", [b"aaa", b"bbb"]),
        ("variable", b"x\0\1ay\0\0z\0\2bb", [b"a", b"bb"]),
    ],
)
@given(sizes=SIZES)
def test_messages_do_not_depend_on_blocks(framing: str, stream: bytes, messages: list[bytes], sizes: list[int]) -> None:
    assert cut(FRAMINGS[framing], stream, sizes) == messages


@given(st.binary(max_size=80), SIZES)
@example(b"\xff" * 40, [1])
def test_any_bytes_are_cut_alike_in_any_blocks(stream: bytes, sizes: list[int]) -> None:
    for framing in FRAMINGS.values():
        results: list[Any] = []
        for blocks in (None, sizes):
            try:
                results.append(cut(framing, stream, blocks))
            except BadFrame as error:
                results.append(re.sub(r"\d+", "#", str(error)))
        assert results[0] == results[1]


@pytest.mark.parametrize("order", ["be", "LE", ""])
@pytest.mark.parametrize("width", range(1, 9))
def test_lengths_of_every_width(order: str, width: int) -> None:
    field = LengthField(offset=2, bytes=width, endianness=order, header_length=2 + width)
    length = (5).to_bytes(width, "little" if order == "LE" else "big")
    framing = Framing("variable length", field=field)
    assert cut(framing, (b"zz" + length + b"12345") * 2, [3]) == [b"12345"] * 2


def test_a_header_may_be_a_part_of_the_message() -> None:
    framing = Framing("variable length", field=LengthField(offset=0, bytes=1))
    assert cut(framing, b"\4abc\1\3xy") == [b"\4abc", b"\1", b"\3xy"]


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"\x7f" + b"\xff" * 7, "more than 65536"),
        (b"\x80" + bytes(7), "more than 65536"),
        (bytes(6) + b"\x01\x00", "ended within a message"),
        (bytes(5), "ended within a message"),
    ],
    ids=["2^63-1", "2^63", "half", "half a header"],
)
def test_a_length_that_makes_no_sense_ends_the_stream(stream: bytes, reason: str) -> None:
    framing = Framing("variable length", field=LengthField(bytes=8, header_length=8))
    with pytest.raises(BadFrame, match=reason):
        cut(framing, stream)
    with pytest.raises(BadFrame, match="not even a header"):
        cut(Framing("variable length", field=LengthField(bytes=1)), b"\0\0")


@pytest.mark.parametrize("framing", ["newline", "null", "delimiter", "lines"])
@pytest.mark.parametrize("block", [1000, LIMIT])
def test_a_message_longer_than_the_limit_is_none_whenever_its_end_comes(framing: str, block: int) -> None:
    made = Framing(lines=True) if framing == "lines" else FRAMINGS[framing]
    end = {"null": b"\0", "delimiter": b"\r\n\r\n"}.get(framing, b"\n")
    assert sum(map(len, cut(made, b"x" * LIMIT + end, [block]))) >= LIMIT
    with pytest.raises(BadFrame, match="longer than 65536 bytes"):
        cut(made, b"x" * (LIMIT + 1) + end, [block])
    with pytest.raises(BadFrame, match="longer than 65536 bytes"):
        cut(made, b"x" * (LIMIT + 1), [block])


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"strategy": "delimiter"}, "splitting_delimiter"),
        ({"strategy": "delimiter", "delimiter": "0x0"}, "splitting_delimiter"),
        ({"strategy": "delimiter", "delimiter": "end"}, "splitting_delimiter"),
        ({"strategy": "fixed length"}, "splitting_length"),
        ({"strategy": "fixed length", "length": -1}, "splitting_length"),
        ({"strategy": "variable length"}, "splitting_length_field"),
        ({"strategy": "variable length", "field": LengthField(bytes=9)}, "splitting_length_field"),
        ({"strategy": "variable length", "field": LengthField(bytes=1, offset=-1)}, "splitting_length_field"),
        ({"strategy": "variable length", "field": LengthField(bytes=1, header_length=-1)}, "splitting_length_field"),
        ({"strategy": "variable length", "field": LengthField(bytes=1, endianness="middle")}, "splitting_length_field"),
    ],
)
def test_options_that_cannot_work(settings: dict[str, Any], option: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Framing(**settings)
    assert raised.value.option == option


# Lines ------------------------------------------------------------------------------------------------------------------


def test_all_lines_of_a_block_are_one_message() -> None:
    splitter = Framing(lines=True).splitter()
    assert splitter.feed(b"a v=1\nb v=2\nc v") == [b"a v=1\nb v=2\n"]
    assert splitter.feed(b"=3") == []
    assert splitter.feed(b"\n") == [b"c v=3\n"]
    assert splitter.feed(b"d v=4") == []
    assert splitter.finish() == b"d v=4"


@given(st.lists(st.text('ab="\\ ,', max_size=12), max_size=6), SIZES)
def test_a_string_that_its_line_does_not_end_never_reaches_into_the_next_line(
    lines: list[str], sizes: list[int]
) -> None:
    stream = "".join(line + "\n" for line in lines).encode()
    pieces = cut(Framing(lines=True), stream, sizes)
    assert b"".join(pieces) == stream
    for piece in pieces:
        assert is_closed(b"".join(piece.splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    ("lines", "closed"),
    [
        (b'm s="a" 1\n', True),
        (b'm s="a\\"b" 1\n', True),
        (b'm s="a\\\\" 1\n', True),
        (b'm s="a\n', False),
        (b'm s="a\\"\n', False),
        (b'm s="a\\\n', False),
        (b'm s="a"\nm s="b', False),
        (b"m v=1\nm v=2", True),
    ],
)
def test_closed_lines(lines: bytes, closed: bool) -> None:
    assert is_closed(lines) == closed
    assert len(split_open(lines + b"\nx v=1\n")) == (1 if closed else 2)


@pytest.mark.skipif(find_open is reference_find_open, reason="the native core is not built, or is off")
@given(st.text('=" \\\n\ra', max_size=30), st.integers(0, 30))
@example('="\\\n="\\', 0)
@example('="a\\"\n', 1)
def test_native_strings_are_found_as_in_python(text: str, start: int) -> None:
    lines = text.encode()
    start = min(start, len(lines))
    assert find_open(lines, start) == reference_find_open(lines, start)
