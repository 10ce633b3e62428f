"""The serializer prometheus: samples of one name together, histograms and summaries whole, names as they may be."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric, MetricType, Uint
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.prometheus import Prometheus

TIME = 1_700_000_000_123_456_789


def text(*metrics: Metric, **options: Any) -> str:
    return (
        make_serializer(Prometheus, {"prometheus_compact_encoding": True, **options}).serialize_batch(metrics).decode()
    )


def one(name: str, fields: dict[str, Any], tags: dict[str, str] | None = None, **options: Any) -> list[str]:
    lines = text(Metric(name, tags or {}, fields, TIME), **options).splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_samples_of_one_name_stand_together() -> None:
    metrics = [
        Metric("cpu", {"host": "b"}, {"usage": 1.5, "busy": Uint(7)}, TIME, MetricType.GAUGE),
        Metric("cpu", {"host": "a", "core": "0"}, {"usage": 2}, TIME, MetricType.GAUGE),
    ]
    assert make_serializer(Prometheus).serialize_batch(metrics).decode() == (
        "# HELP cpu_usage Telegraf collected metric\n"
        "# TYPE cpu_usage gauge\n"
        'cpu_usage{host="b"} 1.5\n'
        'cpu_usage{core="0",host="a"} 2\n'
        "# HELP cpu_busy Telegraf collected metric\n"
        "# TYPE cpu_busy gauge\n"
        'cpu_busy{host="b"} 7\n'
    )
    assert make_serializer(Prometheus).whole_batch


def test_sorted() -> None:
    metrics = [Metric("z", {"a": "2"}, {"f": 1}, 1), Metric("a", {}, {"f": 1}, 1), Metric("z", {"a": "1"}, {"f": 1}, 1)]
    lines = text(*metrics, prometheus_sort_metrics=True).splitlines()
    assert lines == ["# TYPE a_f untyped", "a_f 1", "# TYPE z_f untyped", 'z_f{a="1"} 1', 'z_f{a="2"} 1']


def test_the_latest_value_of_a_series_counts() -> None:
    metrics = [Metric("m", {}, {"f": value}, time) for value, time in ((1, 20), (2, 30), (3, 10))]
    assert text(*metrics).splitlines()[1:] == ["m_f 2"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (42.5, "42.5"),
        (True, "1"),
        (False, "0"),
        (999_999, "999999"),
        (1_000_000, "1e+06"),
        (1_234_567, "1.234567e+06"),
        (-1.5e300, "-1.5e+300"),
        (0.0001, "0.0001"),
        (0.00012, "0.00012"),
        (0.00001, "1e-05"),
        (0.1 + 0.2, "0.30000000000000004"),
        (5e-324, "5e-324"),
        (100.25, "100.25"),
        (Uint(2**64 - 1), "1.8446744073709552e+19"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_values(value: Any, written: str) -> None:
    assert one("m", {"f": value}) == [f"m_f {written}"]


@given(st.floats(allow_nan=False))
def test_a_value_reads_back_as_itself(value: float) -> None:
    [line] = one("m", {"f": value})
    assert float(line.split()[1]) == value


class TestNames:
    @pytest.mark.parametrize(
        ("name", "field", "legacy", "utf8"),
        [
            ("1bad-name", "field.x", "bad_name_field_x", "_bad_name_field_x"),
            ("prometheus", "a:b", "a:b", "a:b"),
            ("_m_", "f_", "_m__f_", "_m__f_"),
            ("m", "é", "m", "m__"),
        ],
    )
    def test_names(self, name: str, field: str, legacy: str, utf8: str) -> None:
        assert one(name, {field: 1}) == [f"{legacy} 1"]
        assert one(name, {field: 1}, prometheus_name_sanitization="utf8") == [f"{utf8} 1"]

    def test_labels(self) -> None:
        tags = {"a-b": 'q"\\\n', "é": "left out", "1x": "y"}
        assert one("m", {"f": 1}, tags) == ['m_f{x="y",a_b="q\\"\\\\\\n"} 1']

    def test_text_as_labels(self) -> None:
        fields = {"f": 1, "z": "tag wins", "b": "text"}
        assert one("m", fields, {"z": "tag"}) == ['m_f{z="tag"} 1']
        assert one("m", fields, {"z": "tag"}, prometheus_string_as_label=True) == ['m_f{b="text",z="tag"} 1']


def test_types_by_pattern() -> None:
    types = {"counter": ["m_a*"], "gauge": ["m_ab"]}
    lines = text(Metric("m", {}, {"a": 1, "ab": 2, "c": 3}, TIME), prometheus_metric_types=types).splitlines()
    assert lines[::2] == ["# TYPE m_a counter", "# TYPE m_ab gauge", "# TYPE m_c untyped"]


def test_times() -> None:
    assert one("m", {"f": 1}, prometheus_export_timestamp=True) == ["m_f 1 1700000000123"]


def test_a_histogram_of_several_metrics() -> None:
    def part(fields: dict[str, Any], **tags: str) -> Metric:
        return Metric("http", {"host": "a", **tags}, fields, TIME, MetricType.HISTOGRAM)

    metrics = [
        part({"time_bucket": 3}, le="0.5"),
        part({"time_bucket": 1.0}, le="0.1"),
        part({"time_bucket": 9}, le="odd"),
        part({"time_bucket": -1}, le="0.7"),
        part({"time_sum": 12.5, "time_count": 4, "other": 1}),
    ]
    assert text(*metrics).splitlines() == [
        "# TYPE http_time histogram",
        'http_time_bucket{host="a",le="0.1"} 1',
        'http_time_bucket{host="a",le="0.5"} 3',
        'http_time_bucket{host="a",le="+Inf"} 4',
        'http_time_sum{host="a"} 12.5',
        'http_time_count{host="a"} 4',
    ]


def test_a_summary() -> None:
    tags = {"host": "a", "quantile": "0.9"}
    metrics = [
        Metric("rpc", tags, {"time": 0.25}, TIME, MetricType.SUMMARY),
        Metric("rpc", {"host": "a"}, {"time_sum": 2, "time_count": Uint(8)}, TIME, MetricType.SUMMARY),
    ]
    assert text(*metrics).splitlines() == [
        "# TYPE rpc_time summary",
        'rpc_time{host="a",quantile="0.9"} 0.25',
        'rpc_time_sum{host="a"} 2',
        'rpc_time_count{host="a"} 8',
    ]


def test_a_batch_of_nothing_numeric_is_empty() -> None:
    assert text(Metric("m", {}, {"s": "x"}, 1)) == ""


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match=re.escape("prometheus_metric_types.gauge: ")):
        make_serializer(Prometheus, {"prometheus_metric_types": {"gauge": ["[a"]}})
