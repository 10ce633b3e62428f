"""The serializer csv: rows as Telegraf writes them, and as a reader of CSV reads them."""

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric, Serialized, Uint
from pyagent.pipeline.outputs.record_format import record_format
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.csv import Csv

TIME = 1_700_000_000_123_456_789
METRIC = Metric("m", {"h": "a", "g": "b"}, {"z": 1.5, "x": "t, u", "y": 1, "u": Uint(7), "b": True}, TIME)


def rows(*metrics: Metric, **options: Any) -> str:
    return make_serializer(Csv, options).serialize_batch(metrics or (METRIC,)).decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, '1700000000,m,b,a,true,7,"t, u",1,1.5\n'),
        ({"csv_header": True}, 'timestamp,measurement,g,h,b,u,x,y,z\n1700000000,m,b,a,true,7,"t, u",1,1.5\n'),
        (
            {"csv_header": True, "csv_column_prefix": True, "csv_separator": ";"},
            "timestamp;measurement;tag_g;tag_h;field_b;field_u;field_x;field_y;field_z\n"
            "1700000000;m;b;a;true;7;t, u;1;1.5\n",
        ),
        (
            {"csv_columns": ["timestamp", "field.y", "name", "tag.h", "field.a.b"], "csv_header": True},
            "timestamp,y,name,h,a.b\n1700000000,1,m,a,\n",
        ),
        (
            {"csv_columns": ["name", "tag.h"], "csv_header": True, "csv_column_prefix": True},
            "name,tag_h\nm,a\n",
        ),
        ({"csv_separator": "1"}, '"1700000000"1m1b1a1true171t, u1"1"1"1.5"\n'),
        ({"csv_separator": "e"}, '1700000000emebeae"true"e7et, ue1e1.5\n'),
        ({"csv_timestamp_format": "unix_ms", "csv_columns": ["timestamp"]}, "1700000000123\n"),
        ({"csv_timestamp_format": "unix_us", "csv_columns": ["timestamp"]}, "1700000000123456\n"),
        ({"csv_timestamp_format": "unix_ns", "csv_columns": ["timestamp"]}, "1700000000123456789\n"),
        (
            {"csv_timestamp_format": "Mon, 02 Jan 06 15:04:05.000 MST", "csv_columns": ["timestamp"]},
            '"Tue, 14 Nov 23 22:13:20.123 UTC"\n',
        ),
    ],
)
def test_options(options: dict[str, Any], wanted: str) -> None:
    assert rows(**options) == wanted


@pytest.mark.parametrize(
    ("text", "written"),
    [
        *(("", ""), (" x", '" x"'), ("x ", "x "), ('a"b', '"a""b"'), ("a\nb", '"a\nb"'), ("\\.", '"\\."')),
        *(("\u2003x", '"\u2003x"'), ("\udcff", "\udcff"), ("é", "é"), ("\r", '"\r"')),
    ],
)
def test_quotes(text: str, written: str) -> None:
    assert rows(Metric("m", {}, {"f": text}, 0)) == f"0,m,{written}\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [(1e21, "1" + "0" * 21), (1e-9, "0.000000001"), (-0.0, "-0"), (float("nan"), "NaN"), (float("-inf"), "-Inf")],
)
def test_numbers(value: float, written: str) -> None:
    assert rows(Metric("m", {}, {"f": value}, -1_500_000_001)) == f"-2,m,{written}\n"


def test_a_time_before_the_epoch_is_cut_towards_it_in_smaller_units() -> None:
    text = rows(Metric("m", {}, {"f": 1}, -1_500_001), csv_timestamp_format="unix_ms", csv_columns=["timestamp"])
    assert text == "-1\n"


def test_the_header_is_written_once_and_shared_with_no_other_output() -> None:
    serializer = make_serializer(Csv, {"csv_header": True})
    assert serializer.serialize(METRIC).count(b"\n") == 2
    assert serializer.serialize(METRIC).count(b"\n") == 1
    formats = [
        record_format(Serialized(make_serializer(Csv, {"csv_header": header}))).key
        for header in (True, True, False, False)
    ]
    assert formats[0] != formats[1]
    assert formats[2] == formats[3]
    assert make_serializer(Csv).serialize_batch([]) == b""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"csv_separator": ";;"}, "cannot separate columns by ';;'"),
        ({"csv_separator": "é"}, "cannot separate columns by 'é'"),
        ({"csv_separator": '"'}, "cannot separate columns by '\"'"),
        ({"csv_timestamp_format": "foo"}, "cannot write times as 'foo'"),
        ({"csv_columns": ["measurement"]}, "cannot write the column 'measurement'"),
        ({"csv_columns": ["tag"]}, "cannot write the column 'tag'"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(message)) as error:
        make_serializer(Csv, options)
    assert error.value.option == next(iter(options))


@given(st.text(), st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.text() | st.integers(0, 9)))
def test_a_reader_gets_what_was_written(name: str, tags: dict[str, str], fields: dict[str, Any]) -> None:
    text = rows(Metric(name, tags, fields, TIME))
    [row] = csv.reader(io.StringIO(text, newline=""))
    wanted = [name, *(tags[key] for key in sorted(tags)), *(str(fields[key]) for key in sorted(fields))]
    assert row == ["1700000000", *wanted]
