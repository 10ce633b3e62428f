"""The serializer msgpack: the bytes of Telegraf's library, and what any reader makes of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, Uint
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.msgpack import Msgpack


def packed(metric: Metric) -> bytes:
    return make_serializer(Msgpack).serialize(metric)


def test_a_metric() -> None:
    metric = Metric("cpu", {"host": "a"}, {"user": 1.5, "on": True, "text": "é"}, 1_700_000_000_000_000_000)
    assert packed(metric) == (
        b"\x84\xa4name\xa3cpu\xa4time\xd6\xff\x65\x53\xf1\x00\xa4tags\x81\xa4host\xa1a"
        b"\xa6fields\x83\xa4user\xcb\x3f\xf8\0\0\0\0\0\0\xa2on\xc3\xa4text\xa2\xc3\xa9"
    )
    assert make_serializer(Msgpack).serialize_batch([metric, metric]) == packed(metric) * 2


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *((0, "00"), (127, "7f"), (128, "d10080"), (255, "d100ff"), (-1, "ff"), (-32, "e0"), (-33, "d0df")),
        *((-128, "d080"), (-129, "d1ff7f"), (2**15, "d200008000"), (-(2**15), "d18000")),
        *((2**31, "d30000000080000000"), (-(2**63), "d38000000000000000"), (2**63 - 1, "d37fffffffffffffff")),
        *((Uint(5), "05"), (Uint(128), "cc80"), (Uint(256), "cd0100"), (Uint(2**16), "ce00010000")),
        *((Uint(2**32), "cf0000000100000000"), (Uint(2**64 - 1), "cfffffffffffffffff"), (False, "c2")),
        *(("x" * 31, "bf" + "78" * 31), ("x" * 32, "d920" + "78" * 32), ("x" * 256, "da0100" + "78" * 256)),
        *(("\udcff", "a1ff"), (-0.0, "cb8000000000000000")),
    ],
)
def test_values(value: Any, written: str) -> None:
    assert packed(Metric("m", {}, {"f": value}, 0)).partition(b"fields\x81\xa1f")[2].hex() == written


@pytest.mark.parametrize(
    ("time", "written"),
    [
        *((0, "d6ff00000000"), ((2**32 - 1) * 10**9, "d6ffffffffff"), (2**32 * 10**9, "d7ff0000000100000000")),
        *((1_000_000_007, "d7ff0000001c00000001"), (-1_500_000_000, "c70cff1dcd6500fffffffffffffffe")),
    ],
)
def test_times(time: int, written: str) -> None:
    assert packed(Metric("m", {}, {"f": 1}, time)).partition(b"\xa4time")[2].partition(b"\xa4tags")[0].hex() == written


def test_maps_of_any_size() -> None:
    for count in (15, 16, 70_000):
        found = msgspec.msgpack.decode(packed(Metric("m", {}, {str(number): 1 for number in range(count)}, 0)))
        assert len(found["fields"]) == count


@given(
    st.text(),
    st.dictionaries(st.text(), st.text()),
    st.dictionaries(
        st.text(), st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.booleans() | st.text()
    ),
    st.integers(-(2**63), 2**63 - 1),
)
def test_what_is_read_is_what_was_written(name: str, tags: dict[str, str], fields: dict[str, Any], time: int) -> None:
    fields = {key: Uint(value) if type(value) is int and value >= 2**63 else value for key, value in fields.items()}
    found = msgspec.msgpack.decode(packed(Metric(name, tags, fields, time)))
    assert found == {"name": name, "time": found["time"], "tags": tags, "fields": fields}
    # A datetime has microseconds.
    microseconds = (found["time"] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert abs(microseconds * 1000 - time) <= 1000
