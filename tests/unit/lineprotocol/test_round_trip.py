"""What is encoded is read back as it was, and whatever is encoded is line protocol."""

import math
import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_strategies import line_data, metrics, options, returning_metrics

from pyagent.api import FieldValue, LineOptions, Metric, Uint


@given(st.lists(returning_metrics, max_size=4), st.booleans())
def test_metrics_come_back(core: SimpleNamespace, given_metrics: list[Metric], sort_fields: bool) -> None:
    encoded = core.encode(given_metrics, LineOptions(uint_support=True, sort_fields=sort_fields))
    assert encoded.rejected == []
    parsed = core.parse(encoded.data, 0)
    assert parsed.errors == []
    assert parsed.metrics == given_metrics
    for got, wanted in zip(parsed.metrics, given_metrics, strict=True):
        assert sorted(map(_exact, got.fields.items())) == sorted(map(_exact, wanted.fields.items()))


def _exact(item: tuple[str, FieldValue]) -> str:
    """-0.0 is 0.0, and True is 1, for ==."""
    return repr((item[0], type(item[1]), item[1]))


@given(st.lists(metrics, max_size=4), options)
def test_whatever_is_encoded_is_line_protocol(
    core: SimpleNamespace, given_metrics: list[Metric], wanted: LineOptions
) -> None:
    encoded = core.encode(given_metrics, wanted)
    assert encoded.count == len(encoded.ends) == len(given_metrics) - len(encoded.rejected)
    assert [*encoded.ends][-1:] == ([len(encoded.data)] if encoded.count else [])
    parsed = core.parse(encoded.data, 0)
    assert [error for error in parsed.errors if "reserved" not in error.reason] == []
    start = 0
    for end in encoded.ends:
        lines = core.parse(encoded.data[start:end], 0)
        assert encoded.data[:end].endswith(b"\n")
        assert lines.metrics or lines.errors
        if wanted.max_line_bytes <= 0:
            assert len(lines.metrics) + len(lines.errors) == 1
        start = end
    if wanted.max_line_bytes > 0 and b'"' not in encoded.data:
        assert all(len(line) < wanted.max_line_bytes for line in encoded.data.splitlines())


@given(line_data | st.binary())
def test_any_bytes_give_metrics_and_errors(core: SimpleNamespace, data: bytes) -> None:
    parsed = core.parse(data, 5)
    for error in parsed.errors:
        assert error.text.encode("utf-8", "surrogateescape") in data
        assert 1 <= error.line <= data.count(b"\n") + 1
        assert error.column >= 1
    # What was understood is understood again: relaying twice changes nothing.
    once = core.relay(data, 5).encoded.data
    assert core.relay(once, 5).encoded.data == once


@given(st.integers(0, 2**64 - 1))
def test_every_float_has_the_digits_of_go(core: SimpleNamespace, bits: int) -> None:
    [number] = struct.unpack("<d", struct.pack("<Q", bits))
    encoded = core.encode([Metric("m", {}, {"f": number}, 1)])
    if not math.isfinite(number):
        assert encoded.data == b""
        return
    text = encoded.data[len(b"m f=") : -len(b" 1\n")].decode()
    assert set(text) <= set("-.0123456789")
    assert float(text) == number
    shortest = repr(number).lstrip("-").split("e")[0].replace(".", "").strip("0")
    assert text.lstrip("-").replace(".", "").strip("0") == shortest


@pytest.mark.parametrize("number", [Uint(2**64 - 1), 2**63, -(2**63), 5e-324, -0.0, ""])
def test_outermost_values_come_back(core: SimpleNamespace, number: FieldValue) -> None:
    encoded = core.encode([Metric("m", {}, {"f": number}, 1)], LineOptions(uint_support=True))
    [metric] = core.parse(encoded.data, 0).metrics
    assert repr(metric.fields["f"]) == repr(Uint(number) if number == 2**63 else number)  # type: ignore[arg-type]
