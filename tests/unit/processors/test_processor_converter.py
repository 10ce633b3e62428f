"""processors.converter: what the recorded cases leave open."""

import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, FieldValue, Metric, Uint
from pyagent.testing import make_processor, process, run_processor
from pyagent_plugins.processors.converter import Converter


def converted(value: FieldValue, kind: str) -> FieldValue | None:
    (metric,) = run_processor(Converter, [Metric("m", {}, {"v": value, "k": 1}, 0)], {"fields": {kind: ["v"]}})
    return metric.fields.get("v")


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("integer", "-9223372036854775808", -(2**63)),
        ("integer", "1_000", 1000),
        ("integer", "+0012", 12),
        ("integer", "0x7fffffffffffffff", 2**63 - 1),
        ("integer", "0x-1f", -31),
        ("integer", "0xffffffffffffffffff", None),
        ("integer", "-1e400", None),
        ("integer", "inf", 2**63 - 1),
        ("integer", "nan", None),
        ("integer", math.nan, None),
        ("integer", 0.49999999999999994, 0),
        ("integer", 0.5, 1),
        ("integer", -0.5, -1),
        ("integer", 4503599627370497.5, 4503599627370498),
        ("integer", -1e300, -(2**63)),
        ("integer", Uint(2**64 - 1), 2**63 - 1),
        ("integer", " 1", None),
        ("integer", "\u0661", None),
        ("unsigned", "-5", 0),
        ("unsigned", "18446744073709551615", 2**64 - 1),
        ("unsigned", "1e30", 2**64 - 1),
        ("unsigned", "0x-1", None),
        ("unsigned", -1, 0),
        ("unsigned", True, 1),
        ("unsigned", 2.5, 3),
        ("float", "0x1_0", 16.0),
        ("float", "0x1p-1", None),
        ("float", "0X1p-1", 0.5),
        ("float", "-Inf", -math.inf),
        ("float", "0x" + "f" * 300, math.inf),
        ("float", False, 0.0),
        ("boolean", "yes", None),
        ("boolean", "T", True),
        ("boolean", -1, False),
        ("boolean", math.nan, False),
        ("string", math.inf, "+Inf"),
        ("string", math.nan, "NaN"),
        ("string", 1e-7, "0.0000001"),
        ("string", Uint(7), "7"),
        ("base64_ieee_float32", "QUkA\nAA==", 12.5625),
        ("base64_ieee_float32", "QUkAAA", None),
        ("base64_ieee_float32", "QUkAAA====", None),
        ("base64_ieee_float32", "QUkA", None),
        ("base64_ieee_float32", 1, None),
        ("base64_ieee_float32", "\udcff", None),
    ],
)
def test_values(kind: str, value: FieldValue, wanted: FieldValue | None) -> None:
    result = converted(value, kind)
    assert result == wanted
    assert type(result) is (Uint if kind == "unsigned" and wanted is not None else type(wanted))


def test_the_first_kind_counts_and_tags_that_cannot_go() -> None:
    metric = Metric("m", {"a": "x", "b": "2", "t": "never"}, {"f": "1.5"}, 7)
    tags = {"integer": ["*"], "string": ["b"], "timestamp": ["t"], "timestamp_format": "unix"}
    fields = {"string": ["f"], "float": ["f"]}
    assert run_processor(Converter, [metric], {"tags": tags, "fields": fields}) == [
        Metric("m", {}, {"f": 1.5, "b": "2"}, 7)
    ]
    only = {"tags": {"timestamp": ["t"], "timestamp_format": "unix"}}
    assert run_processor(Converter, [metric], only) == [metric]


def test_each_kind_of_problem_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    plugin = make_processor(Converter, {"fields": {"integer": ["a"], "boolean": ["b"]}})
    with caplog.at_level(logging.ERROR):
        process(plugin, [Metric("m", {}, {"a": "x\udcff", "b": "y", "c": 1}, 0)] * 3)
    assert [record.getMessage() for record in caplog.records] == [
        r"cannot convert the field 'a' to integer: 'x\xff' is none",
        "cannot convert the field 'b' to boolean: 'y' is none",
    ]


def test_tables_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match="neither tags nor fields are named"):
        make_processor(Converter, {})
    with pytest.raises(ConfigError, match="fields: cannot use float"):
        make_processor(Converter, {"fields": {"float": ["["]}})
    remarks = make_processor(Converter, {"tags": {"timestamp": ["a"]}, "fields": {}}).options.remarks()
    assert [name for name, _ in remarks] == ["tags"]


KINDS = [
    "measurement",
    "tag",
    "string",
    "integer",
    "unsigned",
    "boolean",
    "float",
    "timestamp",
    "base64_ieee_float32",
]
TEXT = st.text(max_size=8) | st.sampled_from(["0x", "0x_1", "1e999", "-0", "nan", "QUkAAA==", "2024", "\udcff"])
VALUE = (
    TEXT | st.integers(-(2**63), 2**63 - 1) | st.builds(Uint, st.integers(0, 2**64 - 1)) | st.floats() | st.booleans()
)
TABLES = st.dictionaries(st.sampled_from(KINDS), st.lists(st.sampled_from(["*", "a", "b*"]), max_size=2))


@given(
    st.builds(Metric, TEXT, st.dictionaries(TEXT, TEXT), st.dictionaries(TEXT, VALUE), st.integers(0, 9)),
    TABLES,
    TABLES,
    st.sampled_from(["", "unix", "2006"]),
)
def test_no_metrics_make_it_raise(metric: Metric, tags: dict[str, Any], fields: dict[str, Any], layout: str) -> None:
    options = {"tags": tags | {"timestamp_format": layout}, "fields": fields | {"timestamp_format": layout}}
    assert make_processor(Converter, options).process([metric]) == [metric]
