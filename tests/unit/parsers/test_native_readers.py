"""The native readers of CSV, logfmt and JSON make what the parsers make in Python: the same metrics or the same error. So does
the writer of JSON."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyagent.api import Metric, ParseError, Uint
from pyagent.kit import records
from pyagent.testing import make_parser, make_serializer
from pyagent_plugins.parsers.csv import Csv
from pyagent_plugins.parsers.json import Json
from pyagent_plugins.parsers.logfmt import Logfmt
from pyagent_plugins.serializers.csv import Csv as CsvSerializer
from pyagent_plugins.serializers.json import Json as JsonSerializer
from pyagent_plugins.serializers.msgpack import Msgpack

many = settings(max_examples=2 * settings.default.max_examples)
NOW = 1_700_000_000_123_456_789


@pytest.fixture(scope="session", autouse=True)
def native() -> None:
    try:
        from pyagent.kit.native import read_objects  # noqa: F401
    except ImportError as error:
        reason = f"the native readers are not built ({error}); install the project where a C++ compiler is"
        if os.environ.get("PYAGENT_REQUIRE_NATIVE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    if records.read_objects is None:
        pytest.skip("PYAGENT_NATIVE=0 turns the native readers off")


def make(kind: Any, options: dict[str, Any], tags: dict[str, str]) -> Any:
    parser = make_parser(kind, options)
    times = iter(range(NOW, NOW + 10_000_000))
    parser.now = lambda: next(times)
    parser.measurement = "m"
    parser.default_tags = tags
    return parser


def answer(read: Callable[[bytes], list[Metric]], data: bytes) -> str:
    """As text: NaN is no number that equals itself, and a boolean equals an integer."""
    try:
        return repr(read(data))
    except ParseError as error:
        return f"ParseError: {error}"


def same(kind: Any, options: dict[str, Any], data: bytes, tags: dict[str, str]) -> None:
    one, other = make(kind, options, tags), make(kind, options, tags)
    # `now` is asked for each record: what both start from must be the same, and a reader that gave up has asked already.
    one.now = other.now = lambda: NOW
    assert answer(one.parse, data) == answer(other.reference, data)


numbers = st.one_of(
    st.sampled_from(
        [
            "1",
            "-0",
            "007",
            "+5",
            "1_0",
            "1__0",
            ".5",
            "5.",
            ".",
            "-",
            "+",
            "_",
            "1e3",
            "1e999",
            "0x10",
            "0x1p3",
            "1-2",
            "--1",
            "1.5.2",
            "1e-400",
            "-.5",
            "1.",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "18446744073709551616",
            "12345678901234567890123",
            "0.1234567890123456789",
            "00000000000000000000007",
            "2024-02-11T10:00:00Z",
            "Inf",
            "-inf",
            "+Infinity",
            "nan",
            "NaN",
            "nano",
            "iota",
            "infinity",
            "x",
            "t",
            "F",
            "true",
            "True",
            "TRUE",
            "tRUE",
            "false",
            "False",
            "f",
            "truest",
        ]
    ),
    st.floats().map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.from_regex(r"\A[-+]?[0-9]{0,20}[.]?[0-9]{0,20}([eE][-+]?[0-9]{1,3})?\Z"),
)
odd_texts = st.sampled_from(["", " ", "ü", "\U0001f600", "\udcff", "a b", "a\tb", "\0", "x" * 70, "h1", "eu", "\u2028"])

cells = st.one_of(
    numbers,
    odd_texts,
    st.sampled_from(
        ['"a"', '"a,b"', '"a\nb"', '"a\r\nb"', '"a""b"', 'a"b', '"', '"a"b', "\r", "a\r", "1700000000", "#"]
    ),
)
rows = st.lists(cells, min_size=1, max_size=6).map(",".join)
line_ends = st.sampled_from(["\n", "\n", "\n", "\r\n", "\n\n", "\r\r\n"])
tables = st.builds(lambda rows, end: end.join(rows), st.lists(rows, max_size=5), line_ends)
csv_options = st.fixed_dictionaries(
    {},
    optional={
        "csv_column_names": st.sampled_from([["a", "b", "t", "d"], ["a", "a", "b"], ["a", "", "t"]]),
        "csv_tag_columns": st.sampled_from([["b"], ["a", "b"], ["t"]]),
        "csv_timestamp_column": st.sampled_from(["t", "a"]),
        "csv_timestamp_format": st.sampled_from(["unix", "unix_ms", "unix_ns", "2006-01-02T15:04:05Z07:00"]),
        "csv_measurement_column": st.sampled_from(["a", "b", "t"]),
        "csv_skip_columns": st.integers(0, 2),
        "csv_skip_values": st.sampled_from([["", "x"], ["1"]]),
        "csv_skip_errors": st.booleans(),
        "csv_skip_rows": st.integers(0, 2),
        "csv_trim_space": st.booleans(),
        "csv_tag_overwrite": st.booleans(),
        "csv_comment": st.just("#"),
        "csv_reset_mode": st.just("always"),
    },
)
tags = st.sampled_from([{}, {"host": "x"}, {"a": "given", "b": "given"}])


@many
@given(
    csv_options,
    st.integers(0, 2),
    st.sampled_from(["a,b,t,d\n", "a,b\nt,d\n", '"a",b\n', "", "t,a\r\n\r\n"]),
    tables,
    tags,
)
@example(
    {"csv_column_names": ["v", "t"], "csv_timestamp_column": "t", "csv_timestamp_format": "unix"}, 0, "", "1,\n", {}
)
def test_csv(options: dict[str, Any], header: int, head: str, table: str, tags: dict[str, str]) -> None:
    if not header and "csv_column_names" not in options:
        options = options | {"csv_column_names": ["a", "b", "t"]}
    options = options | {"csv_header_row_count": header}
    same(Csv, options, (head + table).encode("utf-8", "surrogateescape"), tags)


@many
@given(st.lists(st.sampled_from(["int", "float", "bool", "string"]), min_size=3, max_size=3), tables)
def test_csv_with_types(types: list[str], table: str) -> None:
    options = {"csv_column_names": ["a", "b", "t"], "csv_column_types": types}
    same(Csv, options, table.encode("utf-8", "surrogateescape"), {})


pairs = st.builds(
    "{}{}{}".format,
    st.sampled_from(["host", "a", "b", "ü", "\udcff", "", "a.b", "'"]),
    st.sampled_from(["=", "=", "=", "", "=="]),
    st.one_of(
        numbers,
        st.sampled_from(
            ['"x y"', '""', '"', '"a\\"b"', '"\\n\\u00e4"', '"\\x"', '"1"', '"true"c=2', "a=b", "ü", "\udcff"]
        ),
    ),
)
log_lines = st.lists(pairs, max_size=4).map(" ".join)


@many
@given(
    st.lists(log_lines, max_size=4),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.lists(st.sampled_from(["host", "a*"])),
    tags,
)
@example(['a="x'], "\n", [], {})
def test_logfmt(lines: list[str], end: str, keys: list[str], tags: dict[str, str]) -> None:
    data = end.join(lines).encode("utf-8", "surrogateescape")
    same(Logfmt, {"logfmt_tag_keys": keys}, data, tags)


keys = st.sampled_from(["a", "b", "c", "a_b", "time", "name", "ü", "", "0", "\u2028"])
plain_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.sampled_from(["", "x", "ü", "1", '"\\\n']),
)
values = st.recursive(
    plain_values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(keys, values, max_size=5)
documents = st.builds(
    lambda document, ascii, space: json.dumps(document, ensure_ascii=ascii, indent=space),
    st.one_of(st.lists(objects, max_size=3), objects, values),
    st.booleans(),
    st.sampled_from([None, 1]),
)
fragments = st.lists(
    st.sampled_from(
        [
            *[
                "{",
                "}",
                "[",
                "]",
                ",",
                ":",
                '"a"',
                '"a":1',
                '"a":{"b":2}',
                '"a_b":3',
                "1",
                "-",
                "01",
                "1.",
                "1e5",
                "-0",
                "1E999",
                "1e-9",
                "NaN",
                "-Infinity",
                "true",
                "null",
                "nul",
                '"',
                '"\\x"',
            ],
            *('"\\ud83d"', '"\\ud83d\\ude00"', '"\t"', " ", "\ufeff", "\udcff", "\x0c"),
        ]
    ),
    max_size=8,
).map("".join)
json_options = st.fixed_dictionaries(
    {},
    optional={
        "tag_keys": st.sampled_from([["a"], ["*_b", "c"], ["name", "time"]]),
        "json_string_fields": st.sampled_from([["b"], ["*"]]),
        "json_name_key": st.sampled_from(["name", "a"]),
        "json_time_key": st.sampled_from(["time", "a_b"]),
        "json_time_format": st.sampled_from(["unix", "unix_ms", "RFC3339"]),
        "json_strict": st.booleans(),
        "json_query": st.just("a"),
    },
)


@many
@given(json_options, st.one_of(documents, fragments, fragments.map('{{"a":{}}}'.format)), tags)
@example({}, '{"a":{"x":1},"a":{"y":2}}', {})
@example({}, '{"a":"x","a":1,"a":"y"}', {})
@example({}, '[{"a":1},]', {})
@example({}, "[" * 100 + "]" * 100, {})
@example({"tag_keys": ["a"]}, '{"a":1e21,"b":12345678901234567890123}', {"a": "x"})
def test_json(options: dict[str, Any], document: str, tags: dict[str, str]) -> None:
    same(Json, options, document.encode("utf-8", "surrogateescape"), tags)


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    same(Csv, {"csv_column_names": ["a", "b"]}, data, {})
    same(Logfmt, {}, data, {})
    same(Json, {"json_string_fields": ["*"]}, data, {})


texts = st.one_of(
    st.text(max_size=8), st.sampled_from(['<a href="x">&', "\x7f\x1f\b\f\n\r\t\\", "\u2028\u2029", "\udcff", ""])
)
field_values = st.one_of(
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1).map(Uint),
    st.booleans(),
    texts,
    st.sampled_from([0.0, -0.0, 1e21, 1e-6, 9.99e-7, 1e20, 123456789012345680.0, 5e-324, 1.5, 100.0]),
)
metrics = st.builds(
    Metric,
    texts,
    st.dictionaries(texts, texts, max_size=4),
    st.dictionaries(texts, field_values, max_size=5),
    st.integers(-(2**63), 2**63 - 1),
)


@many
@given(st.lists(metrics, max_size=3), st.sampled_from(["1s", "1ms", "1ns"]))
def test_json_is_written_as_in_python(metrics: list[Metric], unit: str) -> None:
    serializer = make_serializer(JsonSerializer, {"json_timestamp_units": unit})
    assert serializer.serialize_batch(metrics) == serializer.reference(metrics)


@many
@given(
    st.lists(metrics, min_size=1, max_size=3),
    st.sampled_from(["unix", "unix_ms", "unix_us", "unix_ns"]),
    st.sampled_from(",;\t |\\"),
    st.booleans(),
)
def test_csv_is_written_as_in_python(metrics: list[Metric], time: str, separator: str, header: bool) -> None:
    options = {"csv_timestamp_format": time, "csv_separator": separator, "csv_header": header}
    native, python = make_serializer(CsvSerializer, options), make_serializer(CsvSerializer, options)
    for _ in range(2):
        assert native.serialize_batch(metrics) == python.reference(metrics)


large = st.one_of(st.integers(0, 40), st.sampled_from([255, 256, 65_535, 65_536])).map("x".__mul__)
counted = st.sampled_from([0, 15, 16, 17, 300]).map(lambda count: {str(number): number * 7 for number in range(count)})
numbers = st.sampled_from([2**power + off for power in (7, 8, 15, 16, 31, 32, 33, 34, 62) for off in (-1, 0, 1)])


@many
@given(st.lists(metrics, max_size=3), large, counted, st.one_of(numbers, numbers.map(int.__neg__)))
def test_messagepack_is_written_as_in_python(
    metrics: list[Metric], text: str, fields: dict[str, Any], number: int
) -> None:
    serializer = make_serializer(Msgpack)
    more = [Metric(text, {text: text}, {**fields, text: number}, number), Metric("m", {}, {"t": text}, number * 10**9)]
    assert serializer.serialize_batch(metrics + more) == serializer.reference(metrics + more)


def test_usual_rows_and_maps_are_written_natively() -> None:
    metric = Metric("m", {"b": "x y", "a": "1"}, {"y": 1.5, "x": -2, "s": "a", "t": True}, 1_500_000_000)
    rows, packs = make_serializer(CsvSerializer), make_serializer(Msgpack)
    rows._row_bytes = unused  # type: ignore[method-assign]
    packs.reference = unused  # type: ignore[method-assign]
    assert rows.serialize_batch([metric, metric]) == b"1,m,1,x y,a,true,-2,1.5\n" * 2
    assert packs.serialize_batch([metric])[:7] == b"\x84\xa4name\xa1"


def test_usual_metrics_are_written_natively() -> None:
    serializer = make_serializer(JsonSerializer)
    serializer._object = unused  # type: ignore[method-assign]
    metric = Metric(
        "m", {"b": "<", "a": "1"}, {"y": 1.5, "x": -2, "s": "\n", "t": True, "n": float("nan")}, -1_500_000_000
    )
    assert json.loads(serializer.serialize_batch([metric, metric]))["metrics"][1]["timestamp"] == -1


def unused(*_: object) -> Any:
    raise AssertionError("the reference was asked")


def test_usual_data_are_read_natively() -> None:
    """Else the comparisons say nothing, and nothing is gained."""
    csv = make(
        Csv, {"csv_column_names": ["t", "h", "v"], "csv_timestamp_column": "t", "csv_timestamp_format": "unix"}, {}
    )
    csv._metrics = unused
    assert len(csv.parse(b'1700000000,"h 1",2.5\n1700000001,h2,-3\n')) == 2
    for reader, options, data in (
        (Logfmt, {"logfmt_tag_keys": ["h"]}, b'h=1 msg="a \\"b\\" c" ts=2024-02-11T10:00:00Z took=1.5\n'),
        (Json, {"tag_keys": ["h"]}, b'[{"h":"x","u":{"a":1.5,"b":[1,2e3]},"s":"a\\nb"},{"h":"y","u":{"a":2}}]'),
    ):
        parser = make(reader, options, {})
        parser.reference = unused
        assert parser.parse(data)


def test_a_time_for_each_record() -> None:
    csv, logfmt = make(Csv, {"csv_column_names": ["v"]}, {}), make(Logfmt, {}, {})
    assert [metric.time - NOW for metric in csv.parse(b"1\n2\n")] == [0, 1]
    assert [metric.time - NOW for metric in logfmt.parse(b"a=1\nb=2\n")] == [0, 1]


def test_an_end_that_no_error_is() -> None:
    """What ends the program gets through."""

    def stop() -> int:
        raise KeyboardInterrupt

    parser = make(Csv, {"csv_column_names": ["v"]}, {})
    parser.now = stop
    with pytest.raises(KeyboardInterrupt):
        parser.parse(b"1\n")
