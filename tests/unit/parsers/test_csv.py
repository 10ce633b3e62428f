"""The parser csv: rows by RFC 4180 as Go reads them, values by their look, Telegraf's options."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric, ParseError, Parser
from pyagent.testing import make_parser
from pyagent_plugins.parsers.csv import Csv


def make(**options: Any) -> Parser[Any]:
    options.setdefault("csv_header_row_count", 1)
    parser = make_parser(Csv, options)
    parser.now = lambda: 7
    return parser


def parse(text: str, **options: Any) -> list[Metric]:
    return make(**options).parse(text.encode())


def fields(text: str, **options: Any) -> list[Mapping[str, Any]]:
    return [metric.fields for metric in parse(text, **options)]


def value_of(text: str) -> Any:
    [metric] = parse(f"v,end\n{text},x\n")
    return metric.fields["v"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("007", 7),
        ("+5", 5),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", 9223372036854775808.0),
        ("1_000", 1000.0),
        ("1__0", "1__0"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("0x1p-2", 0.25),
        ("0x10", "0x10"),
        ("1e999", "1e999"),
        ("Inf", float("inf")),
        ("-infinity", float("-inf")),
        ("t", True),
        ("F", False),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        (" 5", " 5"),
        ("٣", "٣"),
        ("", ""),
        ("-", "-"),
        ("_1", "_1"),
        ("2024-01-01", "2024-01-01"),
    ],
)
def test_values_take_the_first_type_that_fits(text: str, value: Any) -> None:
    found = value_of(text)
    assert found == value
    assert type(found) is type(value)


def test_a_metric_for_each_row() -> None:
    metrics = parse("a,b\n1,x\n2.5,true\n")
    assert metrics == [Metric("test", {}, {"a": 1, "b": "x"}, 7), Metric("test", {}, {"a": 2.5, "b": True}, 7)]


def test_short_rows_pass_and_further_columns_are_ignored() -> None:
    assert fields("a,b,c\n1\n1,2,3,4\n") == [{"a": 1}, {"a": 1, "b": 2, "c": 3}]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_line_ends_and_blank_lines(end: str) -> None:
    assert fields(f"a,b{end or chr(10)}{end}1,2{end}") == [{"a": 1, "b": 2}]


def test_quotes() -> None:
    text = 'a,b\n"1,5","say ""no"""\n"two\nlines",""\n'
    assert fields(text) == [{"a": "1,5", "b": 'say "no"'}, {"a": "two\nlines", "b": ""}]


@pytest.mark.parametrize(
    ("text", "line"),
    [('a,b\n1,x"y\n', 2), ('a\n1\n\n"x" y\n', 4), ('a\n"open', 2), ('a\n"two\nlines"\n"x"y\n', 4)],
)
def test_a_bare_quote_costs_everything(text: str, line: int) -> None:
    with pytest.raises(ParseError, match=r"quote") as caught:
        parse(text, csv_skip_errors=True)
    assert caught.value.line == line


@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=5).filter(lambda s: s != ""),
            min_size=2,
            max_size=4,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_rows_are_those_of_the_standard_library(rows: list[list[str]]) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    names = [f"c{index}" for index in range(4)]
    found = make(csv_header_row_count=0, csv_column_names=names, csv_column_types=["string"] * 4)
    assert [list(metric.fields.values()) for metric in found.parse(file.getvalue().encode())] == rows


def test_headers_of_several_rows_are_joined() -> None:
    assert fields("a,b\n_x,_y,z\n1,2,3\n", csv_header_row_count=2) == [{"a_x": 1, "b_y": 2, "z": 3}]


def test_given_names_replace_those_of_the_header() -> None:
    assert fields("a,b\n1,2\n", csv_column_names=["x", "y"]) == [{"x": 1, "y": 2}]
    assert fields("1,2\n", csv_column_names=["x", "", "z"], csv_header_row_count=0) == [{"x": 1}]


def test_columns_may_be_skipped() -> None:
    assert fields("no,a,b\n0,1,2\n", csv_skip_columns=1) == [{"a": 1, "b": 2}]
    assert fields("0,1,2\n", csv_skip_columns=1, csv_header_row_count=0, csv_column_names=["a", "b"]) == [
        {"a": 1, "b": 2}
    ]


def test_rows_to_skip_metadata_comments_and_tags() -> None:
    text = "title\n\n# Version=1.1\n# Made: now\nVersion,cpu,v\n#no\n1.2,cpu0,1\n"
    options: dict[str, Any] = {
        "csv_skip_rows": 2,
        "csv_metadata_rows": 2,
        "csv_metadata_separators": [":", "="],
        "csv_metadata_trim_set": " #",
        "csv_tag_columns": ["cpu", "Version"],
        "csv_comment": "#",
    }
    [metric] = parse(text, **options)
    assert metric.tags == {"Version": "1.1", "Made": "now", "cpu": "cpu0"}
    [metric] = parse(text, **options, csv_tag_overwrite=True)
    assert metric.tags == {"Version": "1.2", "Made": "now", "cpu": "cpu0"}
    assert metric.fields == {"v": 1}


def test_the_longest_separator_is_tried_first() -> None:
    [metric] = parse("a::b:c\nv\n1\n", csv_metadata_rows=1, csv_metadata_separators=[":", "::"], csv_header_row_count=1)
    assert metric.tags == {"a": "b:c"}


def test_default_tags_lose_to_columns_only_if_told_so() -> None:
    parser = make(csv_tag_columns=["t"])
    parser.default_tags = {"t": "default", "u": "default"}
    [metric] = parser.parse(b"t,v\nown,1\n")
    assert metric.tags == {"t": "default", "u": "default"}
    parser = make(csv_tag_columns=["t"], csv_tag_overwrite=True)
    parser.default_tags = {"t": "default", "u": "default"}
    [metric] = parser.parse(b"t,v\nown,1\n")
    assert metric.tags == {"t": "own", "u": "default"}


@pytest.mark.parametrize(
    ("given_name", "name"), [("cpu", "cpu"), ("5", "5"), ("2.50", "2.5"), ("", "test"), ("t", "true")]
)
def test_the_measurement_column(given_name: str, name: str) -> None:
    [metric] = parse(f"m,v\n{given_name},1\n", csv_measurement_column="m")
    assert (metric.name, metric.fields) == (name, {"v": 1})


def test_values_to_skip_and_spaces_to_trim() -> None:
    assert fields(" a , b \n x , NA \n", csv_trim_space=True, csv_skip_values=["NA"]) == [{"a": "x"}]
    assert fields('a,b\n  "x,1" ,2\n'.replace('" ,', '",'), csv_trim_space=True) == [{"a": "x,1", "b": 2}]


def test_tabs_are_kept_as_delimiters_when_spaces_are_trimmed() -> None:
    assert fields('a\tb\n"x"\t\n', csv_trim_space=True, csv_delimiter="\t") == [{"a": "x", "b": ""}]


def test_types_of_columns() -> None:
    types = ["int", "float", "bool", "string", "other"]
    assert fields("a,b,c,d,e\n1,1,1,1,1\n", csv_column_types=types) == [
        {"a": 1, "b": 1.0, "c": True, "d": "1", "e": "1"}
    ]
    with pytest.raises(ParseError, match=r"^line 2: the column 'a' must be of type int, and is 'x'"):
        parse("a\nx\n", csv_column_types=["int"])
    with pytest.raises(ParseError, match=r"no type for the column 'b'"):
        parse("a,b\n1,2\n", csv_column_types=["int"])


def test_bad_rows_may_be_left_out() -> None:
    assert fields("a\nx\n2\n", csv_column_types=["int"], csv_skip_errors=True) == [{"a": 2}]


def test_times() -> None:
    options = {"csv_timestamp_column": "at", "csv_timestamp_format": "2006-01-02 15:04", "csv_timezone": "Asia/Kolkata"}
    [metric] = parse("at,v\n1970-01-01 05:31,1\n", **options)
    assert metric == Metric("test", {}, {"v": 1}, 60_000_000_000)
    with pytest.raises(ParseError, match=r"^line 3: cannot read the time ''"):
        parse("at,v\n1970-01-01 05:31,1\n,2\n", **options)
    with pytest.raises(ParseError, match="there is no time in the column 'at'"):
        parse("v\n1\n", **options)
    with pytest.raises(ParseError, match="csv_timestamp_format"):
        parse("at,v\n1,1\n", csv_timestamp_column="at")


def test_the_header_is_read_once_or_every_time() -> None:
    once, always = make(csv_skip_rows=1), make(csv_skip_rows=1, csv_reset_mode="always")
    assert once.parse(b"skipped\na\n1\n") == always.parse(b"skipped\na\n1\n") == [Metric("test", {}, {"a": 1}, 7)]
    assert [metric.fields for metric in once.parse(b"2\n")] == [{"a": 2}]
    assert [metric.fields for metric in always.parse(b"skipped\nb\n2\n")] == [{"b": 2}]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_data_that_end_too_early(text: str) -> None:
    with pytest.raises(ParseError, match="the data end"):
        parse(text, csv_header_row_count=1)
    with pytest.raises(ParseError, match="the data end"):
        parse(text, csv_skip_rows=3)


def test_bytes_that_are_not_utf8_survive() -> None:
    [metric] = make().parse(b"a\n\xff\n")
    assert metric.fields == {"a": "\udcff"}


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"csv_header_row_count": 0}, "data_format"),
        ({"csv_header_row_count": -1}, "csv_header_row_count"),
        ({"csv_column_names": ["a"], "csv_column_types": ["int", "int"]}, "csv_column_types"),
        ({"csv_delimiter": ";;"}, "csv_delimiter"),
        ({"csv_comment": "//"}, "csv_comment"),
        ({"csv_comment": ","}, "csv_comment"),
        ({"csv_metadata_rows": 1}, "csv_metadata_rows"),
        ({"csv_timezone": "Moon/Sea"}, "csv_timezone"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert caught.value.option == option


def test_an_unknown_reset_mode() -> None:
    with pytest.raises(ConfigError, match="'none', 'always'"):
        make(csv_reset_mode="sometimes")


def test_each_of_the_rows_asks_for_the_time() -> None:
    made = make(csv_column_names=["n"], csv_header_row_count=0)
    made.now = iter(range(5, 9)).__next__
    assert [metric.time for metric in made.parse(b"1\n2\n")] == [5, 6]


@pytest.mark.parametrize(
    ("delimiter", "text", "wanted"),
    [('"', 'x"y\n1"2\n', {"x": 1, "y": 2}), ('"', 'x"y\na,b"2\n', {"x": "a\ufffdb", "y": 2})],
)
def test_a_delimiter_that_cannot_be_one(delimiter: str, text: str, wanted: dict[str, Any]) -> None:
    """As in Telegraf: it takes the place of the comma, which is none then."""
    assert fields(text, csv_delimiter=delimiter) == [wanted]


def test_names_of_metrics() -> None:
    text = "m,v\nab,1\n1e21,1\n0.00001,1\n1.50,1\ntrue,1\n,1\n"
    names = [metric.name for metric in parse(text, csv_measurement_column="m", metric_name="given")]
    assert names == ["ab", "1e+21", "1e-05", "1.5", "true", "given"]
