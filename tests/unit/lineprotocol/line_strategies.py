"""Metrics and texts of every kind that can reach the cores, for Hypothesis."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from pyagent.api import LineOptions, Metric, Uint

# What is escaped, cut off, skipped or refused somewhere, so that random text meets it often.
SPECIAL = '\\\\, ==""#\t\n\r\f\v\0ab1é€😀\udc80\udcff\ud800'


class NumpyLike:
    """Stands for numpy's scalars, which are neither int nor float and have `item`."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        return self.value


class Broken:
    def item(self) -> Any:
        raise RuntimeError("no value")


texts = st.text(st.sampled_from(SPECIAL) | st.characters(), max_size=8)
integers = st.integers() | st.integers(-(2**63) - 2, -(2**63) + 2) | st.integers(2**63 - 2, 2**63 + 2)
floats = st.floats() | st.sampled_from([0.0, -0.0, 1e15, 1e16, 1e21, 1e22, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308])
uints = st.integers(-2, 2**64 + 2).map(Uint) | st.integers(2**64 - 2, 2**64 + 2).map(Uint)
values = integers | floats | uints | st.booleans() | texts
odd_values = (
    st.none()
    | st.binary(max_size=4)
    | st.builds(Decimal, st.integers())
    | values.map(NumpyLike)
    | st.builds(Broken)
    | st.builds(object)
    | st.lists(st.integers(), max_size=1)
)
tags = st.dictionaries(texts, texts, max_size=5)
times = st.integers(-(2**63), 2**63) | st.integers(0, 2**62) | st.integers()
metrics = st.builds(Metric, texts, tags, st.dictionaries(texts, values | odd_values, max_size=6), times)
options = st.builds(
    LineOptions,
    uint_support=st.booleans(),
    sort_fields=st.booleans(),
    omit_timestamp=st.booleans(),
    max_line_bytes=st.sampled_from([0, 0, -1, 1, 20, 40, 80, 500]),
)

# Metrics that come back as they went.
plain_texts = st.text(
    st.sampled_from(SPECIAL.replace("\0", "").replace("\ud800", "")) | st.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=8,
)


def _comes_back(text: str) -> bool:
    return not (set(text) & set("\t\n\r\f\0") or text.endswith("\\"))


names = plain_texts.filter(lambda text: _comes_back(text) and not text.startswith("#"))
tag_texts = plain_texts.filter(lambda text: _comes_back(text) and text not in ("time", "_field", "_measurement"))
# A backslash before a separator does not come back from a field's key: no receiver agrees with another how to read it.
field_keys = tag_texts.filter(lambda text: not any("\\" + separator in text for separator in ", ="))
returning_values = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(0, 2**64 - 1).map(Uint)
    | st.booleans()
    | plain_texts
    | st.just("")
)
returning_metrics = st.builds(
    Metric,
    names,
    st.dictionaries(tag_texts, tag_texts, max_size=4),
    st.dictionaries(field_keys, returning_values, min_size=1, max_size=4),
    st.integers(-(2**63) + 2, 2**63 - 2),
)

# Text that is nearly line protocol: its parts in any order.
FRAGMENTS = [
    b"m", b"cpu", b",", b"=", b" ", b"\n", b"a=b", b",t=v", b" f=1", b"f=1i", b"2u", b'"', b'="x"', b'="x\ny"', b"\\",
    b"\\\\", b"#", b"\t", b"\0", b"\r", b"-", b".", b"1e5", b"1e400", b"t", b"FALSE", b" 1", b" 17000000000", b"NaN",
    b"\xff", "é".encode(), b"9223372036854775808i", b"18446744073709551616u", b" m,a=b f=1,g=2i 5\n", b"_field=", b",time=x",
    b"00000000000000000000001i", b"-9223372036854775808",
]  # fmt: skip
line_data = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=25).map(b"".join)
precisions = st.sampled_from(["ns", "us", "ms", "s"])
