"""The parser parquet: types of columns, bounds, and damage. A whole file is in tests/plugins."""

import io
import logging
from typing import Any

import msgspec
import pytest

from pyagent.api import ConfigError, ParseError
from pyagent_plugins.parsers import parquet
from pyagent_plugins.parsers.parquet import Parquet, ParquetOptions

arrow: Any = pytest.importorskip("pyarrow", reason="the library pyarrow (the extra parquet) is missing")


def parser(**options: Any) -> Parquet:
    made = Parquet(msgspec.convert(options, ParquetOptions), logging.getLogger("test"), measurement="m")
    made.now = lambda: 7
    return made


def file_of(**columns: Any) -> bytes:
    from pyarrow.parquet import write_table

    buffer = io.BytesIO()
    write_table(arrow.table(columns), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("int8", -1, -1),
        ("uint16", 65535, 65535),
        ("uint32", 2**32 - 1, -1),
        ("uint64", 2**63, -(2**63)),
        ("float32", 0.1, 0.10000000149011612),
        ("float64", 0.1, 0.1),
        ("bool_", True, True),
        ("string", "ä", "ä"),
        ("large_string", "b", "b"),
        ("binary", b"\xff", "\udcff"),
        ("date32", 18262, 18262),
    ],
)
def test_types(kind: str, given: Any, value: Any) -> None:
    [metric] = parser().parse(file_of(v=arrow.array([given], getattr(arrow, kind)())))
    assert metric.fields == {"v": value}


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ((["a"], "dictionary"), "a"),
        (([1_700_000_000_123], "timestamp"), 1_700_000_000_123),
        (([12], "time"), 12),
        ((["1.25"], "decimal"), 1.25),
    ],
    ids=["dictionary", "timestamp", "time", "decimal"],
)
def test_types_with_a_meaning(array: tuple[list[Any], str], value: Any) -> None:
    values, kind = array
    column = {
        "dictionary": lambda: arrow.array(values).dictionary_encode(),
        "timestamp": lambda: arrow.array(values, arrow.int64()).cast(arrow.timestamp("ms", tz="UTC")),
        "time": lambda: arrow.array(values, arrow.int64()).cast(arrow.time64("us")),
        "decimal": lambda: arrow.array(values).cast(arrow.decimal128(5, 2)),
    }[kind]()
    [metric] = parser().parse(file_of(v=column))
    assert metric.fields == {"v": value}


def test_nulls_and_nested_columns_are_left_out() -> None:
    data = file_of(a=arrow.array([1, None, None]), b=arrow.array([None, None, "x"]), c=arrow.array([[1], None, None]))
    assert [metric.fields for metric in parser().parse(data)] == [{"a": 1}, {"b": "x"}]


def test_many_rows_come_in_their_order() -> None:
    metrics = parser().parse(file_of(a=arrow.array(range(10_000))))
    assert [metric.fields["a"] for metric in metrics] == list(range(10_000))


def test_a_few_bytes_do_not_become_any_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of(a=arrow.nulls(parquet._MOST_ROWS + 1, arrow.int32()))
    assert len(data) < 10_000
    with pytest.raises(ParseError, match="it has 1,000,001 rows, and 1,000,000 are read at the most"):
        parser().parse(data)
    monkeypatch.setattr(parquet, "_MOST_BYTES", 100)
    with pytest.raises(ParseError, match="bytes when it is decompressed, and 100 are read at the most"):
        parser().parse(file_of(a=arrow.array(range(1000))))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 5, file_of(a=arrow.array([1]))[:-1]])
def test_damage(data: bytes) -> None:
    with pytest.raises(ParseError, match="the data are no file of Parquet that can be read: "):
        parser().parse(data)


def test_a_time_that_is_none_costs_the_file() -> None:
    with pytest.raises(ParseError, match="cannot read the time 'x'"):
        parser(timestamp_column="t").parse(file_of(t=arrow.array(["1", "x"]), v=arrow.array([1, 2])))


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(
        ConfigError, match=r"cannot read files of Parquet: the Python library 'pyarrow' is missing; .*install"
    ):
        parser()
    with pytest.raises(ConfigError, match=r"cannot read|the option 'timestamp_timezone': unknown time zone 'X/Y'"):
        parser(timestamp_timezone="X/Y")
