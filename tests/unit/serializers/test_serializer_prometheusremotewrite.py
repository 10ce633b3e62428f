"""The serializer prometheusremotewrite: requests as Telegraf writes them, which its parser reads."""

import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, MetricType, Uint
from pyagent.kit.snappy import compress, decompress
from pyagent.testing.inputs import make_parser
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.parsers.prometheusremotewrite import PrometheusRemoteWrite as Parser
from pyagent_plugins.serializers.prometheusremotewrite import PrometheusRemoteWrite

MS = 1_000_000


def request(*metrics: Metric, **options: Any) -> bytes:
    table = {f"prometheus_{name}": value for name, value in options.items()}
    return decompress(make_serializer(PrometheusRemoteWrite, table).serialize_batch(metrics), 1 << 20)


def series(*metrics: Metric, **options: Any) -> dict[tuple[Any, ...], list[tuple[int, float]]]:
    """Labels, and times in milliseconds with values."""
    found: dict[tuple[Any, ...], list[tuple[int, float]]] = {}
    for one in make_parser(Parser, {"prometheus_metric_version": 2}).parse(request(*metrics, **options)):
        [(name, value)] = one.fields.items()
        found.setdefault((name, *sorted(one.tags.items())), []).append((one.time // MS, float(value)))
    return found


def test_the_bytes_of_a_request() -> None:
    metric = Metric("cpu", {"host": "a", "empty": ""}, {"user": 1.5, "zero": 0, "s": "x"}, 1_700_000_000_123_456_789)
    assert request(metric) == (
        b"\x0a\x33\x0a\x14\x0a\x08__name__\x12\x08cpu_user\x0a\x09\x0a\x04host\x12\x01a"
        b"\x12\x10\x09\0\0\0\0\0\0\xf8\x3f\x10\xfb\xd0\x95\xff\xbc\x31"
        b"\x0a\x2a\x0a\x14\x0a\x08__name__\x12\x08cpu_zero\x0a\x09\x0a\x04host\x12\x01a\x12\x07\x10\xfb\xd0\x95\xff\xbc\x31"
    )
    assert make_serializer(PrometheusRemoteWrite).whole_batch


def test_samples_of_a_series_stand_together(caplog: pytest.LogCaptureFixture) -> None:
    metrics = [Metric("m", {"h": "a"}, {"f": value}, time * MS) for value, time in ((1, 5), (2, 7), (3, 7), (4, 6))]
    with caplog.at_level(logging.WARNING):
        assert series(*metrics) == {("m_f", ("h", "a")): [(5, 1), (7, 3)]}
    assert "some series are left out, 1 are sent; the last one: a sample of 'm_f' is older" in caplog.text


def test_names_and_labels() -> None:
    metric = Metric("1bad-name", {"a-b": "c", "1x": "2"}, {"field.x": True, "é": 2, "text": "t", "a_b": "no"}, MS)
    assert series(metric) == {
        ("bad_name_field_x", ("a_b", "c"), ("x", "2")): [(1, 1)],
        ("bad_name", ("a_b", "c"), ("x", "2")): [(1, 2)],
    }
    [first, _] = series(metric, string_as_label=True)
    assert first == ("bad_name_field_x", ("a_b", "c"), ("text", "t"), ("x", "2"))
    assert list(series(Metric("prometheus", {}, {"v": 1}, MS))) == [("v",)]


def test_sorted_series() -> None:
    metrics = [Metric("z", {}, {"f": 1}, MS), Metric("b", {"h": "a"}, {"f": 1}, MS), Metric("a", {}, {"f": 1}, MS)]
    assert [one[0] for one in series(*metrics, sort_metrics=True)] == ["a_f", "z_f", "b_f"]


def test_histograms_and_summaries() -> None:
    def part(kind: MetricType, fields: dict[str, Any], **tags: str) -> Metric:
        return Metric("m", {"h": "a", **tags}, fields, MS, kind)

    found = series(part(MetricType.HISTOGRAM, {"t_bucket": 3}, le="0.50"), part(MetricType.HISTOGRAM, {"other": 1}))
    bucket = ("h", "a")
    assert found == {
        ("m_t_sum", bucket): [(1, 0)],
        ("m_t_count", bucket): [(1, 0)],
        ("m_t_bucket", bucket, ("le", "+Inf")): [(1, 0)],
        ("m_t_bucket", bucket, ("le", "0.5")): [(1, 3)],
    }
    found = series(part(MetricType.HISTOGRAM, {"t_sum": 1.5, "t_count": 4}))
    assert found[("m_t_bucket", bucket, ("le", "+Inf"))] == [(1, 4)]
    found = series(
        part(MetricType.SUMMARY, {"t": 2}, quantile="1e6"), part(MetricType.SUMMARY, {"t_sum": 1, "t_count": -1})
    )
    assert found == {("m_t", bucket, ("quantile", "1e+06")): [(1, 2)], ("m_t_sum", bucket): [(1, 1)]}


def test_a_native_histogram_is_read_as_it_was() -> None:
    fields: dict[str, Any] = {
        "counter_reset_hint": Uint(2),
        "schema": -1,
        "zero_threshold": 0.001,
        "zero_count": 2.0,
        "count": 9.0,
        "sum": -3.5,
        "positive_span_0_offset": -2,
        "positive_span_0_length": Uint(2),
        "positive_span_1_offset": 1,
        "positive_span_1_length": Uint(1),
        "positive_bucket_0": 1.0,
        "positive_bucket_1": 2.0,
        "positive_bucket_2": 3.0,
        "negative_span_0_offset": 0,
        "negative_span_0_length": Uint(1),
        "negative_bucket_0": 1.0,
    }
    metric = Metric("m", {"h": "a"}, fields, MS, MetricType.HISTOGRAM)
    [found] = make_parser(Parser, {"prometheus_metric_version": 1}).parse(request(metric))
    assert (found.name, found.tags, found.time, found.kind) == (metric.name, metric.tags, metric.time, metric.kind)
    assert {key: found.fields[key] for key in fields} == fields
    # One whose buckets do not fit its spans is none.
    broken = Metric("m", {}, fields | {"positive_span_1_length": Uint(2)}, MS, MetricType.HISTOGRAM)
    assert set(series(broken)) == {("m_zero_bucket", ("le", "+Inf")), ("m_zero_count",)}


@given(
    st.lists(
        st.builds(
            lambda host, field, value, time: Metric("m", {"host": host}, {field: value}, time * MS),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
            st.sampled_from(["a", "b"]),
            st.floats(allow_nan=False, allow_infinity=False),
            st.integers(1, 100),
        )
    )
)
def test_what_is_read_is_the_latest_of_each_time(metrics: list[Metric]) -> None:
    metrics.sort(key=lambda metric: metric.time)
    wanted = {
        (f"m_{key}", ("host", one.tags["host"]), one.time): value
        for one in metrics
        for key, value in one.fields.items()
    }
    found = {(*key, time * MS): value for key, samples in series(*metrics).items() for time, value in samples}
    assert found == wanted


@given(st.lists(st.binary(max_size=200) | st.sampled_from([b"same" * 30, b"abcd", b"x" * 70])))
def test_snappy(pieces: list[bytes]) -> None:
    assert decompress(compress(pieces), 1 << 20) == b"".join(pieces)


def test_snappy_refers_to_what_came_before() -> None:
    data = [b"label=%d" % (number % 10) for number in range(50_000)]
    made = compress(data)
    assert decompress(made, 1 << 20) == b"".join(data)
    assert len(made) < len(b"".join(data)) // 2
    long = [bytes(range(256)) * 300, b"tail", bytes(range(256)) * 300, b"tail"]
    assert decompress(compress(long), 1 << 20) == b"".join(long)


def test_not_a_number() -> None:
    assert request(Metric("m", {}, {"f": math.nan}, 0)).endswith(b"\x12\x09\x09\0\0\0\0\0\0\xf8\x7f")
