"""The native reader of rows gives what the reference in Python gives: lines, their ends and rows, what is refused and told."""

import importlib
import os
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyagent.importer import fast
from pyagent.importer.annotations import Column
from pyagent.importer.columns import Settings
from pyagent.importer.csv_lines import CsvConverter
from pyagent.importer.csv_options import CsvOptions
from pyagent.importer.dialects import TABLE, Plain
from pyagent.importer.pieces import Piece, Warnings
from pyagent.importer.times import DAY_FIRST, MONTH_FIRST, YEAR_FIRST, zone_of

TYPES = [
    "string",
    "double",
    "double:,.",
    "long",
    "long:strict",
    "long:,.",
    "unsignedLong",
    "boolean",
    "boolean:ja:nein",
    "duration",
    "",
]
CLOCKS = ["", "number", "RFC3339", "2006-01-02"]
CELLS = [
    "", "0", "-0", "1", "-1", "+1", "007", "1.5", "-1.50", ".5", "5.", "1e3", "1e400", "-0.0", "1 000", "1_000.5", "1.234,5", "x",
    "123456789012345", "1234567890123456", "0.1234567890123456", "0.12345678901234567", "12345678901234567.25", "6.1e-05", "0.000001234", "123456.7890123456789", "9223372036854775807", "9223372036854775808",
    "18446744073709551615", "18446744073709551616", "true", "No", "maybe", "NULL", "n/a", " - ", "na\0", "\0", "ä", "\udcff", "a,b", 'q"q',
    "a\nb", "a\r\nb", "c:\\", "\\", "#x", " ", "=", "a b=c,d", "\t", "2024-01-01T00:00:00Z", "2024-02-30T00:00:00Z", "1e", "--", "mm", "1h",
    "2024-01-01t00:00:00.123456789123+05:30", "1677-01-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00", "2024-01-01", "nan",
]  # fmt: skip
DATES = [
    "2024-01-01", "2024-1-1 0:00", "2024-01-01T10:20:30.5", "2024-01-01 10:20:30,123Z", "1/2/2024", "13/02/2024", "2.1.2024 5:06",
    "31.12.2023 23:45:59", "2024-03-31 02:30", "2024-10-27 02:30:00", "2024-13-01", "29.02.2023", "1.1.24", "0000-01-01", "1/2/2024 1:00 PM",
    "2024-01-01 10:20:30+01:00", "2024-01-01 24:00", "2024-01-01 ", "1.1.2300", "1.1.1600 10:00", "2024/01/01", "2024.01-01", "", "5",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def native() -> None:
    try:
        importlib.import_module("pyagent.lineprotocol.native._rows")
    except ImportError as error:
        if os.environ.get("PYAGENT_REQUIRE_NATIVE") == "1":
            raise
        pytest.skip(f"the native core is not built ({error}); install the project where a C++ compiler is")


def converted(
    text: bytes, options: CsvOptions, plain: Plain | None, *, native: bool, ends: Sequence[int] = ()
) -> tuple:
    with pytest.MonkeyPatch.context() as patch:
        if not native:
            patch.setattr(fast, "native", None)
        warnings = Warnings()
        converter = CsvConverter(options, warnings, plain)
        pieces: list[Piece] = []
        start = 0
        for end in sorted(ends):
            pieces.append(converter.feed(text[start:end]))
            start = max(start, end)
        pieces.append(converter.feed(text[start:], final=True))
        rejected = [one for piece in pieces for one in piece.rejected]
        data = b"".join(piece.data for piece in pieces)
        rest = [(piece.text, piece.ends, piece.starts, piece.skipped, piece.failure) for piece in pieces]
        return data, rejected, rest, warnings.texts()


def quoted(cell: str, always: bool) -> str:
    return '"' + cell.replace('"', '""') + '"' if always or set(cell) & set(',"\n\r') else cell


cell = st.sampled_from(CELLS) | st.text(max_size=5)
rows = st.lists(st.tuples(st.lists(cell, max_size=7), st.booleans()), max_size=8)


def text_of(given_rows: Sequence[tuple[list[str], bool]], end: str) -> bytes:
    lines = [",".join(quoted(one, always) for one in cells) + end for cells, always in given_rows]
    return "".join(lines).encode("utf-8", "surrogatepass")


@settings(max_examples=2 * settings.default.max_examples)
@given(
    st.lists(st.sampled_from(["measurement", "tag", "ignored", "time", *TYPES]), min_size=1, max_size=6),
    st.sampled_from(CLOCKS), rows, st.sampled_from(["\n", "\r\n"]), st.sampled_from([None, 5]), st.sampled_from([1, 1000]),
    st.lists(st.integers(0, 300), max_size=2),
)  # fmt: skip
def test_annotated_tables(
    kinds: list[str],
    clock: str,
    given_rows: Sequence[tuple[list[str], bool]],
    end: str,
    start: int | None,
    unit: int,
    ends: list[int],
) -> None:
    types = [f"dateTime:{clock}".rstrip(":") if kind == "time" else kind for kind in kinds]
    head = (
        "#datatype "
        + ",".join(quoted(kind, False) for kind in types)
        + "\n"
        + ",".join(f"c{i}" for i in range(len(kinds)))
        + "\n"
    )
    text = head.encode() + text_of(given_rows, end)
    options = CsvOptions(start=start, unit=unit, settings=Settings("given" if start else "", unit))
    found, expected = (converted(text, options, None, native=native, ends=ends) for native in (True, False))
    assert found == expected


@given(rows)
@example([(["", "", "0", "2024-01-01T00:00:00Z", "1.5", "f", "m", "h"], False)])
def test_results_of_queries(given_rows: Sequence[tuple[list[str], bool]]) -> None:
    head = b"#group,false,false,false,false,true,true,true\n#datatype,string,long,dateTime:RFC3339,double,string,string,string\n"
    head += b"#default,_result,,,,,m,\n,result,table,_time,_value,_field,_measurement,host\n"
    text = head + text_of(given_rows, "\n")
    assert converted(text, CsvOptions(), None, native=True) == converted(text, CsvOptions(), None, native=False)


@settings(max_examples=2 * settings.default.max_examples)
@given(
    st.lists(st.tuples(st.sampled_from(DATES), cell, cell, cell), max_size=8), st.sampled_from([YEAR_FIRST, DAY_FIRST, MONTH_FIRST]),
    st.sampled_from(["", "Europe/Berlin", "+0530", "America/St_Johns"]),
)  # fmt: skip
def test_plain_tables(given_rows: Sequence[tuple[str, ...]], order: str, zone: str) -> None:
    columns = [
        Column(0, "t", "time", "dateTime", order),
        Column(1, "a", "", "double"),
        Column(2, "b", "", "string"),
        Column(3, "h", "tag"),
    ]
    columns[1].form = ",. '\u00a0"
    for column in columns:
        column.zone = zone_of(zone)
    text = b"t,a,b,h\n" + text_of([([*cells], False) for cells in given_rows], "\n")

    def plain() -> Plain:
        return Plain(TABLE, b",", Settings("m", missing_words=True, skip_empty=True), columns)

    assert converted(text, CsvOptions(), plain(), native=True) == converted(text, CsvOptions(), plain(), native=False)


def test_most_rows_are_read_natively() -> None:
    class Reference(Exception):
        pass

    def refuse(*_: object, **__: object) -> None:
        raise Reference

    with pytest.MonkeyPatch.context() as patch:
        warnings = Warnings()
        converter = CsvConverter(CsvOptions(), warnings)
        converter.feed(
            b"#datatype measurement,tag,double,long,boolean,string,dateTime:RFC3339\nm,h,d,l,b,s,t\nx,a,1.5,2,true,y,2024-01-01T00:00:00Z\n"
        )
        patch.setattr("pyagent.importer.csv_lines.read_record", refuse)
        piece = converter.feed(b'x,b,0.12345678901234567,-3,F,"a,b",2024-01-01T00:00:00.5+01:00\n' * 1000, final=True)
        assert piece.count == 1000
