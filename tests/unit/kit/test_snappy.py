"""Snappy's block format: pieces, references that overlap, and damage."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyagent.api.errors import TooMuch
from pyagent.kit.snappy import decompress

LIMIT = 1 << 20


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"\x00", b""),
        (b"\x03\x08abc", b"abc"),
        (b"\x0c\x08abc\x15\x03", b"abcabcabcabc"[:12]),
        (b"\x08\x0cabcd\x0e\x04\x00", b"abcdabcd"),
        (b"\x08\x0cabcd\x0f\x04\x00\x00\x00", b"abcdabcd"),
        (b"\x46\xf0\x45" + b"x" * 70, b"x" * 70),
        (b"\x05\x00a\x01\x01", b"aaaaa"),
    ],
)
def test_blocks(data: bytes, content: bytes) -> None:
    assert decompress(data, LIMIT) == content


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "its length"),
        (b"\xff\xff\xff\xff\xff\x01", "its length"),
        (b"\x03\x08ab", "is cut short"),
        (b"\x05\x00a\x01", "is cut short"),
        (b"\x05\x00a\x01\x02", "leads out"),
        (b"\x05\x00a\x01\x00", "leads out"),
        (b"\x05\x00a", "becomes 1"),
        (b"\x01\x08abc", "becomes more"),
    ],
)
def test_damage(data: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        decompress(data, LIMIT)


def test_the_bound_counts_before_anything_is_made() -> None:
    with pytest.raises(TooMuch):
        decompress(b"\xff\xff\xff\xff\x0f\x00a" + b"\xfe\x01\x00" * 1000, LIMIT)


@given(st.binary(max_size=200))
@example(b"\xff\x7f\x00a" + b"\xfe\x01\x00" * 10)
def test_any_bytes_give_content_or_one_error(data: bytes) -> None:
    with contextlib.suppress(ValueError, TooMuch):
        assert len(decompress(data, 4096)) <= 4096
