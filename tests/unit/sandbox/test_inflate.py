"""Bodies that come compressed: members of any number, up to a bound."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.inflate import inflate


@given(st.lists(st.binary(max_size=300) | st.just(bytes(50_000)), max_size=5), st.integers(-3, 3))
def test_members_are_one_text_up_to_the_bound(members: list[bytes], spare: int) -> None:
    wanted, body = b"".join(members), b"".join(map(gzip.compress, members))
    if spare >= 0:
        assert inflate(body, len(wanted) + spare) == wanted
    elif wanted:
        with pytest.raises(InfluxError, match="too large"):
            inflate(body, max(len(wanted) + spare, 0))


def test_what_is_damaged_is_told() -> None:
    body = gzip.compress(b"m f=1 1" * 9)
    for wrong, words in ((body[:-1], "EOF"), (body[:-5] + b"x" + body[-4:], "checksum"), (body + b"x", "header")):
        with pytest.raises(InfluxError, match=words):
            inflate(wrong)
    with pytest.raises(InfluxError, match="corrupt"):
        inflate(body[:10] + b"\xff" * 20)


def test_many_members_take_time_in_proportion() -> None:
    member = gzip.compress(b"")
    assert inflate(member * 200_000) == b""  # each alone copied all that were behind it: minutes
    packer = zlib.compressobj(wbits=31)
    assert inflate(packer.compress(b"m f=1 1\n" * 10_000) + packer.flush()) == b"m f=1 1\n" * 10_000
