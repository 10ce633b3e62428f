"""CSV with annotations to line protocol: kinds of values, roles of columns, what is refused and where."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.importer.columns import Settings
from pyagent.importer.csv_lines import CsvConverter
from pyagent.importer.csv_options import CsvOptions
from pyagent.importer.pieces import Piece, Warnings


def convert(text: str, *blocks: int, **options: object) -> tuple[list[Piece], Warnings]:
    """The pieces of a text that comes in blocks that end at `blocks`."""
    warnings = Warnings()
    converter = CsvConverter(CsvOptions(**options), warnings)  # type: ignore[arg-type]
    raw = text.encode("utf-8", "surrogateescape")
    ends = [*sorted(min(block, len(raw)) for block in blocks), len(raw)]
    pieces, start = [], 0
    for end in ends[:-1]:
        pieces.append(converter.feed(raw[start:end]))
        start = end
    pieces.append(converter.feed(raw[start:], final=True))
    return pieces, warnings


def lines(text: str, **options: object) -> list[str]:
    (piece,), _ = convert(text, **options)
    assert not piece.rejected, piece.rejected
    return piece.data.decode().splitlines()


def refused(text: str, **options: object) -> list[tuple[int, int, str, str]]:
    (piece,), _ = convert(text, **options)
    return [(one.line, one.column, one.name, one.reason) for one in piece.rejected]


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("double", "1e3", "1000"), ("double", " 20.5", "20.5"), ("double", "+5", "5"), ("double", "1_000.5", "1000.5"),
        ("double:,.", '"1.234,5"', "1234.5"), ("float", "2", None), ("field:float", "2", "2"), ("field:string", "2", '"2"'),
        ("long", "1.9", "1i"), ("long", "1 000", "1000i"), ("long", "-9223372036854775808", "-9223372036854775808i"),
        ("long", "9223372036854775808", None), ("long", "1e3", None), ("long:strict", "1.9", None), ("long:strict", "2", "2i"),
        ("unsignedLong", "18446744073709551615", "18446744073709551615u"), ("unsignedLong", "-1", None),
        ("boolean", "Yes", "true"), ("boolean", "nope", "false"), ("boolean", "maybe", None), ("boolean:ja:", "nein", "false"),
        ("boolean:ja:nein", "nein", "false"), ("boolean::nein", "x", "true"), ("boolean:a:b", "c", None),
        ("duration", "1h30m", "5400000000000i"), ("duration", "-1.5ms", "-1500000i"), ("duration", "5", None),
        ("base64Binary", "YQ==", '"YQ=="'), ("string", 'C:\\"x"', None), ("string", "C:\\x", '"C:\\\\x"'),
        ("", "5i", "5i"), ("", "text", '"text"'), ("money", "1", None), ("double", "NaN", None), ("double", "1e400", None),
    ],
)  # fmt: skip
def test_values(kind: str, cell: str, value: str | None) -> None:
    text = f'm|measurement,"v|{kind}",t|dateTime:number\nx,{cell},5\n'
    if value is None:
        assert [(line, name or "v") for line, _, name, _ in refused(text)] == [(2, "v")]
    else:
        assert lines(text) == [f"x v={value} 5"]


@pytest.mark.parametrize(
    ("form", "zone", "cell", "time"),
    [
        ("", "", "1970-01-01T00:00:01Z", 1_000_000_000),
        ("RFC3339", "", "1970-01-01t00:00:01.5+00:30", -1_798_500_000_000),
        ("RFC3339", "", "1970-02-30T00:00:01Z", None),
        ("2006-01-02", "+0200", "1970-01-02", 79_200_000_000_000),
        ("2006-01-02", "+02:00", "1970-01-02", 79_200_000_000_000),
        ("02.01.2006 15:04", "Europe/Berlin", "26.03.2023 02:30", None),
        ("02.01.2006 15:04", "Europe/Berlin", "26.03.2023 03:00", 1_679_792_400_000_000_000),
        ("02.01.2006 15:04", "Europe/Berlin", "29.10.2023 02:30", 1_698_543_000_000_000_000),
        ("2006-01-02 15:04 -0700", "Europe/Berlin", "2023-03-26 02:30 +0900", 1_679_765_400_000_000_000),
        ("excel", "", "45291.5", 1_704_024_000_000_000_000),
        ("number", "", "9223372036854775807", None),
        ("number", "", " 5", None),
    ],
)
def test_times(form: str, zone: str, cell: str, time: int | None) -> None:
    text = f"#timezone,{zone}\n" if zone else ""
    text += f"m|measurement,v|long,t|dateTime{':' if form else ''}{form}\nx,1,{cell}\n"
    if time is None:
        assert [name for _, _, name, _ in refused(text)] == ["t"]
    else:
        assert lines(text) == [f"x v=1i {time}"]


def test_a_second_table_begins_at_its_annotations() -> None:
    text = "#datatype measurement,long,dateTime\nm,v,t\na,1,1\n#datatype tag,long,dateTime\n#constant measurement,b\nh,v,t\nx,2,2\n"
    assert lines(text) == ["a v=1i 1", "b,h=x v=2i 2"]


def test_the_time_of_a_query_is_time_wherever_its_column_stands() -> None:
    text = "#datatype measurement,double,dateTime:RFC3339,dateTime:RFC3339\nm,v,_time,_start\nx,1,1970-01-01T00:00:01Z,1970-01-01T00:00:09Z\n"
    assert lines(text) == ["x v=1 1000000000"]


def test_places_are_those_of_the_cells() -> None:
    text = 'm|measurement,v|long,n|long,t|dateTime\n"a\nb","1",x,5\n\nü,1,y,5\n'
    assert [(line, column) for line, column, _, _ in refused(text)] == [(3, 8), (5, 5)]


def test_a_row_of_more_or_fewer_cells_is_taken_as_influxdb_does_it_and_told() -> None:
    (piece,), warnings = convert("m|measurement,v|long,w|long,t|dateTime\nx,1,2,5,6\nx,1\n")
    assert piece.data == b"x v=1i,w=2i 5\n"
    assert [one.reason for one in piece.rejected] == ["the row has no time"]
    assert warnings.texts() == ["line 2: the row has 5 cells, the header 4: those behind are left out"]


def test_a_header_that_comes_again_is_refused() -> None:
    text = "m|measurement,v|long,t|dateTime\nx,1,5\nm|measurement,v|long,t|dateTime\nx,2,6\n"
    assert [(one[0], one[3]) for one in refused(text)] == [(3, "the header comes once more; it is no row of data")]


def test_the_measurement_may_be_given() -> None:
    assert refused("v|long,t|dateTime\n1,5\n")[0][3].startswith("no measurement column found")
    assert lines("v|long,t|dateTime\n1,5\n", settings=Settings("mem")) == ["mem v=1i 5"]


def test_rows_without_a_column_of_times_get_one_each() -> None:
    text = "m|measurement,v|long\nx,1\nx,2\n"
    assert lines(text, start=1000) == ["x v=1i 1000", "x v=2i 1001"]
    assert lines(text) == ["x v=1i", "x v=2i"]


def test_a_row_that_is_too_long_is_refused() -> None:
    text = f"m|measurement,s|string,t|dateTime\nx,{'y' * 100},1\nx,y,2\n"
    assert refused(text, longest=50)[0][:2] == (2, 0)
    assert len(lines(text)) == 2


def test_a_quote_that_is_never_closed_fills_no_memory() -> None:
    converter = CsvConverter(CsvOptions(most_held=1000), Warnings())
    converter.feed(b'm|measurement,s|string\nx,"')
    assert not converter.feed(b"y" * 900).failure
    assert "the row is longer than 1,000 bytes" in converter.feed(b"y" * 900).failure


def test_tags_that_influxdb_refuses_are_refused() -> None:
    assert "a tag cannot be named 'time'" in refused("m|measurement,time|tag,v|long,t|dateTime\nx,1,2,3\n")[0][3]


cells = st.text(st.sampled_from('ab,;"\n\r= \\1.üx'), max_size=6)


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@given(
    st.lists(st.tuples(cells, cells, st.integers(0, 9)), max_size=6),
    st.lists(st.integers(0, 200), max_size=4),
    st.booleans(),
)
def test_blocks_may_end_anywhere(rows: Sequence[tuple[str, str, int]], ends: Sequence[int], crlf: bool) -> None:
    text = "m|measurement,h|tag,s|string,v|long\n"
    text += "".join(f"x,{quoted(tag)},{quoted(string)},{number}\n" for tag, string, number in rows)
    if crlf:
        text = text.replace("\n", "\r\n")
    (whole,), _ = convert(text)
    assert not whole.rejected
    assert whole.count == len(rows)
    pieces, _ = convert(text, *ends)
    assert b"".join(piece.data for piece in pieces) == whole.data
    origins = [piece.origin(index) for piece in pieces for index in range(piece.count)]
    assert origins == [whole.origin(index) for index in range(whole.count)]


@given(st.text(st.sampled_from('#a|,;"\n\r=1.tx \0'), max_size=60), st.lists(st.integers(0, 60), max_size=3))
def test_any_text_gives_lines_or_reasons(text: str, ends: Sequence[int]) -> None:
    (whole,), _ = convert(f"m|measurement,h|tag,s|string,v|double\n{text}")
    pieces, _ = convert(f"m|measurement,h|tag,s|string,v|double\n{text}", *ends)
    assert b"".join(piece.data for piece in pieces) == whole.data
    assert [one for piece in pieces for one in piece.rejected] == whole.rejected
    assert [piece.failure for piece in pieces if piece.failure] == [whole.failure] * bool(whole.failure)


def test_a_time_that_the_clock_showed_twice_is_the_later_one_and_told() -> None:
    text = (
        "#constant,measurement,power\n#timezone,Europe/Berlin\nt|dateTime:02.01.2006 15:04,v|long\n"
        "29.10.2023 01:59,4\n29.10.2023 02:30,5\n29.10.2023 03:00,6\n"
    )
    (piece,), warnings = convert(text)
    assert [int(line.split()[2]) // 10**9 for line in piece.data.splitlines()] == [1698537540, 1698543000, 1698544800]
    assert warnings.texts() == [
        "line 5: the clock was set back, and showed these times twice: the later moment, in standard time, is taken; times "
        "with their offset, such as +02:00, say which is meant"
    ]
