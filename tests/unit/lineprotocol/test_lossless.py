"""Metrics as the queue holds them for outputs that want metrics: all of them comes back, and the form stays what it is."""

import math
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_strategies import metrics, texts, values

from pyagent.api import FieldValue, Metric, MetricType, Uint
from pyagent.lineprotocol import Content
from pyagent.lineprotocol.text import from_bytes, to_bytes

many = settings(max_examples=2 * settings.default.max_examples)
kinds = st.sampled_from(MetricType)
held = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.integers(0, 2**64 - 1).map(Uint) | st.booleans() | texts
whole = st.builds(
    Metric,
    texts,
    st.dictionaries(texts, texts, max_size=4),
    st.dictionaries(texts, held, min_size=1, max_size=5),
    st.integers(-(2**63), 2**63 - 1),
    kinds,
)


def _bytes(text: str) -> str:
    """Text by the bytes that it stands for: a lone surrogate that stands for none is U+FFFD."""
    return from_bytes(to_bytes(text))


def _plain(metric: Metric) -> tuple[Any, ...]:
    """All of a metric, so that -0.0 is not 0.0, True is not 1, and NaN is itself."""

    def value(one: FieldValue) -> tuple[str, str]:
        return type(one).__name__, _bytes(one) if isinstance(one, str) else repr(one)

    return (
        _bytes(metric.name),
        [(_bytes(key), _bytes(text)) for key, text in _merged(metric.tags).items()],
        [(_bytes(key), value(one)) for key, one in _merged(metric.fields).items()],
        metric.time,
        metric.kind,
    )


def _merged(items: dict[str, Any]) -> dict[str, Any]:
    """As two keys that are the same bytes come back."""
    found: dict[str, Any] = {}
    for key, value in items.items():
        found[_bytes(key)] = value
    return found


@many
@given(st.lists(whole, max_size=4))
def test_all_of_a_metric_comes_back(core: SimpleNamespace, given_metrics: list[Metric]) -> None:
    packed = core.pack(given_metrics)
    assert (packed.rejected, packed.count, packed.content) == ([], len(given_metrics), Content.METRICS)
    found = core.unpack(packed.data)
    assert list(map(_plain, found)) == list(map(_plain, given_metrics))
    assert all(type(metric.kind) is MetricType for metric in found)
    start = 0
    for end, metric in zip(packed.ends, given_metrics, strict=True):  # each record by itself as well
        assert list(map(_plain, core.unpack(packed.data[start:end]))) == [_plain(metric)]
        start = end


@many
@given(st.lists(metrics, max_size=5))
def test_the_native_core_gives_the_bytes_of_the_reference(
    native: ModuleType, reference: SimpleNamespace, given_metrics: list[Metric]
) -> None:
    for _ in range(2):  # the second time from the caches
        packed = native.pack(given_metrics)
        assert packed == reference.pack(given_metrics)
        assert list(map(_plain, native.unpack(packed.data))) == list(map(_plain, reference.unpack(packed.data)))


@given(st.binary(max_size=60) | st.lists(whole, min_size=1, max_size=2), st.data())
def test_damaged_data_are_an_error(
    native: ModuleType, reference: SimpleNamespace, given_data: bytes | list[Metric], data: st.DataObject
) -> None:
    raw = given_data if isinstance(given_data, bytes) else reference.pack(given_data).data
    at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
    damaged = raw[:at] + data.draw(st.binary(max_size=2)) + raw[at + 1 :]

    def outcome(core: Any) -> Any:
        try:
            return list(map(_plain, core.unpack(damaged)))
        except ValueError as error:
            return str(error)

    assert outcome(native) == outcome(reference)


def test_what_it_cannot_hold(core: SimpleNamespace) -> None:
    given_metrics: list[Any] = [
        Metric("m", {}, {}, 0),
        Metric("m", {}, {"f": None, "g": object()}, 0),  # type: ignore[dict-item]
        Metric("m", {}, {"f": 1}, 2**63),
        Metric("m", {"t": 1}, {"f": 1}, 0),  # type: ignore[dict-item]
        Metric("m", {}, {"f": 1}, 0.5),  # type: ignore[arg-type]
        object(),
        Metric("", {"": ""}, {"f": math.nan, "g": 2**63, "h": None}, -(2**63), MetricType.COUNTER),  # type: ignore[dict-item]
    ]
    packed = core.pack(given_metrics)
    wrong = "invalid type: names, keys and tags are str, the time is int"
    none = "no serializable fields"
    assert [reason for _, reason in packed.rejected] == [none, none, "time outside range", wrong, wrong, wrong]
    [metric] = core.unpack(packed.data)
    assert (metric.name, metric.tags, metric.time, metric.kind) == ("", {"": ""}, -(2**63), MetricType.COUNTER)
    assert repr(metric.fields) == "{'f': nan, 'g': Uint(9223372036854775808)}"


def test_the_form_is_on_disk_and_stays(core: SimpleNamespace) -> None:
    """These bytes were written by version 1; a change of them needs another number in `Content`."""
    metric = Metric(
        "cpu",
        {"h": "é\udcff"},
        {"f": 1.5, "i": -2, "u": Uint(3), "s": "x", "t": True, "n": False},
        10**18,
        MetricType.GAUGE,
    )
    data = bytes.fromhex(
        "02 0000 64a7b3b6e00d 03637075 01 0168 03c3a9ff 06 0166 00 000000000000f83f 0169 01 feffffffffffffff "
        "0175 02 0300000000000000 0173 03 0178 0174 04 016e 05"
    )
    assert core.pack([metric]).data == data
    assert list(map(_plain, core.unpack(data))) == [_plain(metric)]


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16383, 16384, 70_000])
def test_lengths(core: SimpleNamespace, length: int) -> None:
    metric = Metric("m" * length, {"k" * length: "v" * length}, {"f": "x" * length}, 1)
    assert core.unpack(core.pack([metric]).data) == [metric]


@given(values)
def test_a_value_is_as_in_line_protocol_or_more(core: SimpleNamespace, value: FieldValue) -> None:
    """What line protocol can hold, this form can."""
    metric = Metric("m", {}, {"f": value}, 1)
    assert core.pack([metric]).count >= core.encode([metric]).count
