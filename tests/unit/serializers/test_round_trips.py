"""What a serializer writes, the parser of its format reads as it was."""

import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, Parser, Uint
from pyagent.config.registry import Registry
from pyagent.testing.inputs import make_parser
from pyagent.testing.outputs import make_serializer

WORDS = st.text(string.ascii_letters, min_size=1, max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
SECONDS = st.integers(10**9, 2_147_472_000)  # as late as graphite keeps
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SECOND = 1_000_000_000


def read_again(name: str, metrics: list[Metric], written: dict[str, Any], read: dict[str, Any]) -> list[Metric]:
    serializer = make_serializer(Registry().find("serializers", name).plugin, written)
    parser: Parser[Any] = make_parser(Registry().find("parsers", name).plugin, read)
    return parser.parse(serializer.serialize_batch(metrics))


@given(
    st.lists(
        st.tuples(WORDS, TEXTS, NUMBERS, st.integers(-(2**63), 2**63 - 1), st.booleans(), TEXTS, SECONDS), min_size=1
    )
)
def test_csv(rows: list[tuple[Any, ...]]) -> None:
    metrics = [
        Metric(name, {"host": host}, {"f": f, "i": i, "b": b, "s": s}, time * SECOND)
        for name, host, f, i, b, s, time in rows
    ]
    columns = ["timestamp", "name", "tag.host", "field.f", "field.i", "field.b", "field.s"]
    found = read_again(
        "csv",
        metrics,
        {"csv_columns": columns, "csv_header": True},
        {
            "csv_header_row_count": 1,
            "csv_timestamp_column": "timestamp",
            "csv_timestamp_format": "unix",
            "csv_measurement_column": "name",
            "csv_tag_columns": ["host"],
            "csv_column_names": ["timestamp", "name", "host", "f", "i", "b", "s"],
            "csv_column_types": ["int", "string", "string", "float", "int", "bool", "string"],
        },
    )
    assert [(one.name, one.tags.get("host", ""), one.fields.get("s", ""), one.time) for one in found] == [
        (one.name, one.tags["host"], one.fields["s"], one.time) for one in metrics
    ]
    assert [[one.fields[key] for key in "fib"] for one in found] == [
        [one.fields[key] for key in "fib"] for one in metrics
    ]


@given(WORDS, st.dictionaries(WORDS, NUMBERS | st.integers(-(2**63), 2**63 - 1), min_size=1), SECONDS)
def test_influx(name: str, fields: dict[str, Any], time: int) -> None:
    metric = Metric(name, {"host": "a b"}, {**fields, "u": Uint(2**64 - 1), "s": 'q"\\'}, time)
    assert read_again("influx", [metric], {"influx_uint_support": True}, {}) == [metric]


@given(WORDS, WORDS, st.floats(-1e6, 1e6), SECONDS)
def test_wavefront(name: str, host: str, value: float, time: int) -> None:
    metric = Metric(name, {"source": host, "tag": "a b"}, {"value": value}, time * SECOND)
    [found] = read_again("wavefront", [metric], {}, {})
    assert (found.name, found.tags, found.time) == (metric.name, metric.tags, metric.time)
    assert found.fields == {"value": float(f"{value:.6f}")}


@given(WORDS, WORDS, NUMBERS, SECONDS)
def test_graphite(name: str, host: str, value: float, time: int) -> None:
    metric = Metric(name, {"host": host}, {"load": value}, time * SECOND)
    [found] = read_again(
        "graphite", [metric], {"template": "host.measurement.field"}, {"templates": ["host.measurement.field"]}
    )
    assert found == metric


@given(NUMBERS, st.integers(-(2**31), 2**31 - 1), st.text(string.ascii_letters, max_size=9), st.integers(0, 2**62))
def test_binary(number: float, integer: int, text: str, time: int) -> None:
    metric = Metric("m", {"t": text}, {"f": number, "i": integer}, time)
    written = [
        {"read_from": "time", "data_format": "int64", "time_format": "unix_ns"},
        {"name": "f", "data_format": "float64"},
        {"name": "i", "data_format": "int32"},
        {"read_from": "tag", "name": "t", "data_format": "string", "string_length": 10},
    ]
    read = [
        {"type": "unix_ns", "assignment": "time"},
        {"name": "f", "type": "float64"},
        {"name": "i", "type": "int32"},
        {"name": "t", "type": "string", "bits": 80, "terminator": "fixed", "assignment": "tag"},
    ]
    options = {"endianness": "be", "binary": [{"metric_name": "m", "entries": read}]}
    [found] = read_again("binary", [metric], {"endianness": "be", "entries": written}, options)
    assert (found.fields, found.time) == (metric.fields, metric.time)
    assert found.tags.get("t", "").rstrip("\0") == text


@given(WORDS, st.dictionaries(WORDS, NUMBERS, min_size=1, max_size=4), SECONDS)
def test_json(name: str, fields: dict[str, float], time: int) -> None:
    metric = Metric(name, {"host": "é<"}, dict(fields), time * SECOND)
    [found] = read_again(
        "json",
        [metric],
        {},
        {
            "json_query": "metrics",
            "json_name_key": "name",
            "tag_keys": ["tags_host"],
            "json_time_key": "timestamp",
            "json_time_format": "unix",
        },
    )
    assert (found.name, found.tags, found.time) == (name, {"tags_host": "é<"}, metric.time)
    assert found.fields == {f"fields_{key}": value for key, value in fields.items()}


@given(WORDS, WORDS, st.dictionaries(WORDS, NUMBERS, min_size=1, max_size=4), st.integers(1, 2**40))
def test_prometheus(name: str, host: str, fields: dict[str, float], time: int) -> None:
    metric = Metric(name, {"host": host}, dict(fields), time * 1_000_000)
    found = read_again("prometheus", [metric], {"prometheus_export_timestamp": True}, {"prometheus_metric_version": 2})
    values = {key: value for one in found for key, value in one.fields.items()}
    assert values == {f"{name}_{key}": value for key, value in fields.items()}
    assert {(one.time, one.tags["host"]) for one in found} == {(metric.time, host)}
