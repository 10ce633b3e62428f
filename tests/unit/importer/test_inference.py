"""CSV without annotations: what the columns are, found out of all rows, or refused with the remedy."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from pyagent.importer.csv_head import separator_of
from pyagent.importer.csv_options import CsvOptions
from pyagent.importer.pieces import ImportFailure, Rejected
from pyagent.importer.reading import Reading, ReadingOptions
from pyagent.importer.sources import Source
from pyagent.importer.time_column import Given


class Read:
    def __init__(self, folder: Path, text: str, given: Given, csv: CsvOptions) -> None:
        path = folder / "power.csv"
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        options = ReadingOptions(given=given, csv=csv, unit=given.unit or 1)
        self.reading = Reading(Source("file", str(path)), options)
        self.pieces = list(self.reading.pieces())
        self.notes = " ".join(self.reading.notes)

    @property
    def lines(self) -> list[str]:
        return b"".join(piece.data for piece in self.pieces).decode().splitlines()

    @property
    def rejected(self) -> Sequence[Rejected]:
        return [one for piece in self.pieces for one in piece.rejected]


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str, csv: CsvOptions | None = None, **given: object) -> Read:
        return Read(tmp_path, text, Given(**given), csv or CsvOptions())  # type: ignore[arg-type]

    return read


def test_columns_have_one_type_each(read) -> None:
    text = "time,a,b,c,d\n2024-01-01T00:00:00Z,1,x,true,1\n2024-01-01T00:00:01Z,2.5,7,FALSE,n/a\n"
    assert read(text).lines == [
        'power a=1,b="x",c=true,d=1 1704067200000000000',
        'power a=2.5,b="7",c=false 1704067201000000000',
    ]
    assert "fields a (double), b (string), c (boolean), d (double)" in read(text).notes


@pytest.mark.parametrize(
    ("dates", "first"),
    [
        (("2024-01-02", "2024-01-03"), 1704153600),
        (("2/1/2024", "13/1/2024"), 1704153600),
        (("1/2/2024", "1/13/2024"), 1704153600),
        (("2.1.2024", "3.1.2024"), 1704153600),
        (("02-01-24 00:00", "31-01-24 00:00"), 1704153600),
        (("1/2/2024 12:00 AM", "1/13/2024 1:00 pm"), 1704153600),
        (("2024-01-02 00:00:00.5", "2024-01-02 00:00:01"), 1704153600.5),
        (("1704153600", "1704153601"), 1704153600),
        (("1704153600000", "1704153600001"), 1704153600),
        (("2024-01-02 01:00+01:00", "2024-01-02 01:00 +0100"), 1704153600),
        (("20240102", "20240131"), 1704153600),
        (("20240102000000", "20240131235959"), 1704153600),
        (("02-Jan-2024 00:00", "31-Jan-2024 10:00"), 1704153600),
        (("Jan 2, 2024 12:00 AM", "Jan 31, 2024 1:00 PM"), 1704153600),
    ],
)
def test_times_are_known_by_all_values(dates: tuple[str, str], first: float, read) -> None:
    assert read(f"date;v\n{dates[0]};1\n{dates[1]};2\n").lines[0] == f"power v=1 {int(first * 1e9)}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("day,v\n01/02/2024,1\n", ["'01/02/2024' is 1 February 2024", "2 January 2024", "--time-format day-first"]),
        ("t;v\n2024-01-01;1.234\n2024-01-02;2\n", ["two ways", "'1.234'", "--decimal"]),
        ("a,b\n1,2\n", ["no column of times", "--time-column"]),
        ("x date,y date,v\n2024-01-01,2024-01-01,1\n", ["several columns", "'x date', 'y date'"]),
        ("date,v\n45291.5,1\n", ["no times by themselves", "excel"]),
        ("time,v\nyesterday,1\n", ["of no form that is known", "'yesterday'", "--time-format"]),
        ("time,v\n13/13/2024,1\n", ["of no form", "'13/13/2024'"]),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_the_remedy(text: str, words: list[str], read) -> None:
    with pytest.raises(ImportFailure) as failed:
        read(text)
    for word in words:
        assert word in str(failed.value)


def test_the_remedies_work(read) -> None:
    assert read("day,v\n01/02/2024,1\n", form="month-first").lines == ["power v=1 1704153600000000000"]
    assert read("day,v\n01/02/2024,1\n", form="02/01/2006").lines == ["power v=1 1706745600000000000"]
    assert read("t;v\n2024-01-01;1.234\n", decimal=",").lines == ["power v=1234 1704067200000000000"]
    assert read("t;v\n2024-01-01;1.234\n", decimal=".").lines == ["power v=1.234 1704067200000000000"]
    assert read("date,v\n45291.5,1\n", form="excel").lines == ["power v=1 1704024000000000000"]
    assert read("x,v\n2024-01-01,1\n", time="x", measurement="m", types={"v": "long"}).lines == [
        "m v=1i 1704067200000000000"
    ]
    with pytest.raises(ImportFailure, match="there is no column 'y'; there are 'x', 'v'"):
        read("x,v\n2024-01-01,1\n", time="y")


def test_a_column_of_doubtful_numbers_follows_the_others(read) -> None:
    assert read("t;a;b\n2024-01-01;1.234;12,25\n").lines == ["power a=1234,b=12.25 1704067200000000000"]
    assert read("t;a;b\n2024-01-01;1,234;12.25\n").lines == ["power a=1234,b=12.25 1704067200000000000"]


def test_rows_of_another_width_are_refused_and_empty_ones_left_out(read) -> None:
    found = read("time,v\n2024-01-01,1\n2024-01-02,1,2\n2024-01-03\n,\n2024-01-04,\n")
    assert len(found.lines) == 1
    assert [(one.line, one.column) for one in found.rejected] == [(3, 14), (4, 1)]
    assert sum(piece.skipped for piece in found.pieces) == 2


def test_rows_of_one_series_and_time_are_told_or_kept(read) -> None:
    text = "time,host,v\n2024-01-01,a,1\n2024-01-01,a,2\n2024-01-01,b,3\n"
    assert "1 of 3 rows has the series and time of another" in read(text, tags=["host"]).notes
    times = [line.rpartition(" ")[2] for line in read(text, CsvOptions(keep_duplicates=True), tags=["host"]).lines]
    assert times == ["1704067200000000000", "1704067200000000001", "1704067200000000000"]


def test_a_file_without_names_of_columns_gets_them_by_header(read) -> None:
    assert read("2024-01-01,5\n", CsvOptions(headers=("time,v",))).lines == ["power v=5 1704067200000000000"]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("2024-01-01T00:00:00Z,1\n2024-01-01T00:00:01Z,2\n", "time,value"),
        ("a,2024-01-01 10:00,1\nb,2024-01-01 10:00,2\n", "value,time,value2"),
        ("31.12.2023;1,5\n01.01.2024;2\n", "time,value"),
        ("02-Jan-2024,x\n03-Jan-2024,y\n", "time,value"),
        ("a,b,1704067200\na,c,1704067201\n", "value,value2,time"),
        ("1,2.5,x\n2,3.5,y\n", "time,value,value2"),
    ],
)
def test_a_first_row_of_values_is_not_taken_for_names(text: str, header: str, read) -> None:
    with pytest.raises(ImportFailure, match=rf"has no names of columns.*--header '{header}'"):
        read(text)
    with pytest.raises(ImportFailure, match="has no names of columns"):
        read(text, time="time")


@pytest.mark.parametrize(
    "header", ["time,1,2,3", "date,00:00,01:00,02:00", "when,2023-01-01,2024-01-01", "t,v1,2,when it was"]
)
def test_names_may_be_numbers_where_the_time_has_one(header: str, read) -> None:
    cells = ["2024-01-01", "5", "6", "7"][: header.count(",") + 1]
    assert len(read(f"{header}\n{','.join(cells)}\n").lines) == 1


def test_a_few_cells_of_another_kind_make_no_text_of_numbers_and_no_text_of_times(read) -> None:
    rows = "".join(f"2024-01-01 00:{number % 60:02},{number}.5\n" for number in range(200))
    found = read(f"time,temp\n{rows}2024-01-02,broken\nTotal,5\n")
    assert len(found.lines) == 200
    assert [(one.line, one.column, one.name) for one in found.rejected] == [(202, 12, "temp"), (203, 1, "time")]
    assert "1 cell of the column 'temp' without a number, such as 'broken'" in found.notes


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        (["{0};1,5", "{1};2,5", "Summe;4,0 kWh"], [4]),
        (["[s];[C]", "{0};1,5", "{1};2,5"], [2]),
        (["{0};1,5", "Zwischensumme:;1,5", "{1};2,5", ";", "Stand 01.03.2024;x"], [3, 6]),
        (["{0};1,5", "{1};2,5", ";Summe 4,0", "Erstellt am 1.1.2024"], [4, 5]),
    ],
)
@pytest.mark.parametrize(
    ("dates", "given"),
    [
        (("31.01.2024 00:00", "01.02.2024 00:00"), {}),
        (("2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z"), {}),
        (("1706659200", "1706745600"), {}),
        (("31 January 2024", "1 February 2024"), {}),
        (("45322", "45323"), {"form": "excel"}),
    ],
)
@pytest.mark.parametrize("name", ["Zeit", "wann"])
def test_rows_of_totals_and_units_cost_no_others(
    name: str, dates: tuple[str, str], given: dict[str, str], rows: list[str], refused: list[int], read
) -> None:
    text = "\n".join([f"{name};Wert", *rows]).format(*dates) + "\n"
    given = given | ({"time": name} if dates[0].isdecimal() or "J" in dates[0] else {})
    found = read(text, **given)
    assert found.lines == ["power Wert=1.5 1706659200000000000", "power Wert=2.5 1706745600000000000"]
    assert [one.line for one in found.rejected] == refused


AUTUMN = ["01:45", "02:00", "02:30", "02:00", "02:30", "03:00"]
"""What the clock shows in Berlin on 27 October 2024, from 23:45 UTC on."""
MOMENTS = [1729986300, 1729987200, 1729989000, 1729990800, 1729992600, 1729994400]


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
@pytest.mark.parametrize("form", ["27.10.2024 {};{};1", "27.10.2024;{};{};1"], ids=["one column", "two columns"])
def test_an_hour_that_came_twice_is_told_apart_by_the_order_of_the_rows(order: int, form: str, read) -> None:
    header = "Zeit;Ort;Wert" if form.count(";") == 2 else "Datum;Uhrzeit;Ort;Wert"
    rows = [form.format(shown, room) for shown in AUTUMN for room in "ab"][::order]
    found = read("\n".join([header, *rows]) + "\n", tags=("Ort",), zone="Europe/Berlin")
    wanted = [f"power,Ort={room} Wert=1 {moment}000000000" for moment in MOMENTS for room in "ab"][::order]
    assert found.lines == wanted
    (warning,) = found.reading.warnings.texts()
    assert warning.startswith(
        "line 4 and 7 more: the clock was set back, and showed these times twice: the rows are taken"
    )
    assert "of which the last is kept" not in found.notes


def test_hourly_rows_of_that_night_are_told_apart(read) -> None:
    rows = [f"27.10.2024 {hour}:00;1" for hour in (1, 2, 2, 3)]
    found = read("\n".join(["Zeit;Wert", *rows]) + "\n", zone="Europe/Berlin")
    assert [int(line.split()[2]) // 10**9 for line in found.lines] == [1729983600, 1729987200, 1729990800, 1729994400]


def test_a_time_with_its_zone_came_once(read) -> None:
    rows = ["27.10.2024 02:30 +02:00;1", "27.10.2024 02:30 +01:00;2", "28.10.2024 02:30 +01:00;3"]
    found = read("\n".join(["Zeit;Wert", *rows]) + "\n", zone="Europe/Berlin")
    assert [int(line.split()[2]) // 10**9 for line in found.lines] == [1729989000, 1729992600, 1730079000]
    assert not found.reading.warnings.texts()


def test_doubles_of_other_hours_are_told_all_the_same(read) -> None:
    rows = [f"27.10.2024 {hour}:00;1" for hour in (1, 1, 2, 2)]
    found = read("\n".join(["Zeit;Wert", *rows]) + "\n", zone="Europe/Berlin")
    assert "1 of 4 rows has the series and time of another" in found.notes


def test_dates_of_both_orders_are_refused(read) -> None:
    rows = "".join(f"1/{number % 12 + 1}/2024,1\n" for number in range(200))
    with pytest.raises(ImportFailure, match="of no form that is known, such as '1/13/2024'"):
        read(f"time,v\n{rows}13/1/2024,1\n1/13/2024,1\n")


def test_a_date_and_its_time_of_the_day_may_be_two_columns(read) -> None:
    assert read("Date,Time,v\n31.12.2023,23:45,1\n01.01.2024,0:00:30,2\n", zone="+0100").lines == [
        "power v=1 1704062700000000000",
        "power v=2 1704063630000000000",
    ]


@pytest.mark.parametrize(
    ("rows", "form", "times"),
    [
        (("01/02/2024,11:59 PM", "03/02/2024,12:10 AM"), "day-first", (1706831940, 1706919000)),
        (("01/02/2024,11:59 PM", "03/02/2024,12:10 AM"), "month-first", (1704239940, 1709338200)),
        (("2024/02/01,23:59", "2024/02/03,0:10:00"), "year-first", (1706831940, 1706919000)),
        (("01/02/2024,23:59", "03/02/2024,0:10"), "02/01/2006", (1706831940, 1706919000)),
        (("01/02/2024,23:59:00", "03/02/2024,00:10:00"), "02/01/2006 15:04:05", (1706831940, 1706919000)),
        (("01/02/2024,11:59 PM", "03/02/2024,12:10 AM"), "02/01/2006 3:04 PM", (1706831940, 1706919000)),
        (("01Feb2024,23:59", "03Feb2024,00:10"), "02Jan2006T15:04", (1706831940, 1706919000)),
        (("01Feb2024,23:59", "03Feb2024,00:10"), "02Jan2006", (1706831940, 1706919000)),
        (("20240201,23:59", "20240203,00:10"), "", (1706831940, 1706919000)),
        (("01-Feb-2024,23:59", "03-Feb-2024,00:10"), "", (1706831940, 1706919000)),
    ],
)
def test_a_format_that_is_given_leaves_date_and_time_of_the_day_together(
    rows: tuple[str, str], form: str, times: tuple[int, int], read
) -> None:
    found = read(f"Date,Time,v\n{rows[0]},1\n{rows[1]},2\n", form=form)
    assert found.lines == [f"power v={number + 1} {time}000000000" for number, time in enumerate(times)]
    assert "with 'Time'" in found.notes
    assert found.reading.warnings.texts() == []


@pytest.mark.parametrize("form", ["", "day-first", "02.01.2006"])
def test_rows_of_one_time_are_told_whatever_says_the_time(form: str, read) -> None:
    text = "Time,V,Date\n10:00,1,13.02.2024\n10:00,1,14.02.2024\n10:00,2,14.02.2024\n"
    assert "1 of 3 rows has the series and time of another" in read(text, form=form).notes
    text = "V,Day of it\n1,13.02.2024\n1,14.02.2024\n2,14.02.2024\n"
    assert "1 of 3 rows has the series and time of another" in read(text, form=form).notes


@pytest.mark.parametrize("separator", [",", ";"])
def test_the_comments_of_an_errors_file_are_none_of_its_rows(separator: str, read) -> None:
    reasons = ("line 3: x", 'line 3: x, y; "z"')
    comments = [f"# error : {reason}" for reason in reasons]
    comments += ['"' + comment.replace('"', '""') + '"' for comment in comments]
    rows = "".join(f"{comment}\n2024-01-0{day}{separator}{day}\n" for day, comment in enumerate(comments, 1))
    found = read(rows, CsvOptions(headers=(f"time{separator}v",)))
    assert [line.partition(" ")[2].partition(" ")[0] for line in found.lines] == ["v=1", "v=2", "v=3", "v=4"]
    assert not found.rejected


def test_a_text_that_influxdb_does_not_take_is_refused_with_its_place(read) -> None:
    most = 1_048_576
    for sign in "ä", ",":
        text = f'time,v,t\n2024-01-01,1,"{"a" * most}"\n2024-01-02,1,"{sign}{"a" * most}"\n2024-01-03,1,x\n'
        found = read(text)
        assert len(found.lines) == 2
        assert [(one.line, one.column, one.name) for one in found.rejected] == [(3, 14, "t")]
        assert "InfluxDB takes 1,048,576 at the most" in found.rejected[0].reason
    found = read(f"time,v,t\n2024-01-01,1,x\n2024-01-02,1,{'a' * 65_600}\n", tags=["t"])
    assert [one.line for one in found.rejected] == [3]
    assert len(found.lines) == 1


def test_a_cell_that_never_ends_is_one_failure_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"time,v,t\n2024-01-01,1," + b"a" * 4_000_000))
    reading = Reading(Source("file", str(path)), ReadingOptions(csv=CsvOptions(longest=50_000, most_held=50_000)))
    *_, last = reading.pieces()
    assert "line 2: the row is longer than 50,000 bytes" in last.failure
    assert sum(len(piece.text) for piece in reading.pieces()) < 2_000_000


def test_numbers_with_zeros_before_them_are_text_and_told(read) -> None:
    rows = "".join(f"2024-01-01 00:00:{number % 60:02},{number}\n" for number in range(4100))
    found = read("time,zip,v\n2024-01-01,1234,0\n2024-01-02,01234,0.5\n")
    assert [line.split(" ")[1] for line in found.lines] == ['zip="1234",v=0', 'zip="01234",v=0.5']
    assert "the column 'zip' is text, as numbers lose the zeros before them, such as '01234'" in found.notes
    assert read(f"time,zip\n{rows}2024-01-02,01234\n").lines[5].startswith('power zip="5" ')
    assert read("time,zip\n2024-01-02,01234\n", types={"zip": "double"}).lines[0].startswith("power zip=1234 ")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("50%", "because of '%' in '50%'"),
        ("$3.50", "because of '$'"),
        ("($1,000.00)", "because of '$'"),
        ('"1,5 \u20ac"', "because of '\u20ac'"),
        ("12 EUR", "because of 'EUR'"),
        ("WAHR", "--type 'v=boolean:WAHR:FALSCH' says which words are"),
        ("Nein", "--type 'v=boolean:Ja:Nein' says which words are"),
        ("no", "--type 'v=boolean:yes:no' says which words are"),
        ("10A", ""),
        ("x", ""),
    ],
)
def test_text_that_may_be_meant_for_something_else_is_told(cell: str, words: str, read) -> None:
    found = read(
        f"time,v\n2024-01-01,{cell}\n" if "," not in cell or cell[0] == '"' else f'time,v\n2024-01-01,"{cell}"\n'
    )
    assert "fields v (string)" in found.notes
    assert words in found.notes
    assert ("the column 'v' is text" in found.notes) == bool(words)


def test_the_words_of_a_boolean_can_be_given(read) -> None:
    found = read("time,v\n2024-01-01,WAHR\n2024-01-02,FALSCH\n", types={"v": "boolean:WAHR:FALSCH"})
    assert [line.split(" ")[1] for line in found.lines] == ["v=true", "v=false"]


def test_a_nul_costs_its_row_alone(read) -> None:
    for cell in ("a\0b", '"a\0b"'):
        found = read(f"time,v,t\n2024-01-01,1,{cell}\n2024-01-02,2,b\n")
        assert [line.split(" ")[1] for line in found.lines] == ['v=2,t="b"']
        assert [(one.line, one.column) for one in found.rejected] == [(2, 14)]


def test_columns_of_one_name_are_refused(read) -> None:
    with pytest.raises(ImportFailure, match="two columns are named 'v'"):
        read("time,v,v\n2024-01-01,1,2\n")


def test_lines_before_the_names_of_the_columns_have_a_remedy(read) -> None:
    text = "Report of the year\ntime,v\n2024-01-01,1\n"
    with pytest.raises(ImportFailure, match="--skipHeader passes over lines"):
        read(text)
    assert len(read(text, CsvOptions(skip=1)).lines) == 1


def test_a_table_of_a_query_without_annotations(read) -> None:
    text = ",result,table,_start,_stop,_time,_measurement,host,used\n,,0,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z,2024-01-01T01:00:00Z,mem,a,5\n"
    assert read(text, tags=["host"]).lines == ["mem,host=a used=5 1704070800000000000"]


def test_times_of_1970_are_told(read) -> None:
    warnings = read("m|measurement,v|long,t|dateTime\nx,1,1704067200\n").reading.warnings.texts()
    assert warnings == ["the first time, 1704067200, is one of 1970; --precision s takes times as s"]


def test_blanks_around_cells_and_quotes_are_no_part_of_them(read) -> None:
    found = read('time , host, note\n2024-01-01, a , "x, y" \n2024-01-02 ,b,z\n', tags=["host"])
    assert found.lines == [
        'power,host=a note="x, y" 1704067200000000000',
        'power,host=b note="z" 1704153600000000000',
    ]


def test_a_result_of_one_type_is_read_natively_and_by_the_reference_alike(read) -> None:
    text = "_time,_measurement,_field,_value,host\n2024-01-01T00:00:00Z,m,f,5,a\n2024-01-01T00:00:01Z,m,g,1.5,b\n"
    assert read(text).lines == ["m,host=a f=5 1704067200000000000", "m,host=b g=1.5 1704067201000000000"]


def test_csv_is_known_by_its_content(tmp_path: Path) -> None:
    for name, text, is_csv in (
        ("a.txt", "m|measurement,v|long,t|dateTime\nx,1,5\n", True),
        ("b.txt", "# comment\nmem,host=a v=1\n", False),
        ("c.lp", "mem,host\n", False),
        ("c.txt", "mem,host\nmem,host=a v=1 5\n", False),
        ("d", "", False),
        ("e.tsv", "time\tv\n2024-01-01\t1\n", True),
    ):
        (tmp_path / name).write_text(text)
        reading = Reading(Source("file", str(tmp_path / name)), ReadingOptions())
        list(reading.pieces())
        assert reading.is_csv == is_csv, name


@pytest.mark.parametrize(("name", "form"), [("a.lp", ""), ("a.lp.gz", ""), ("a.txt", "lp")])
def test_line_protocol_gets_no_measurement(name: str, form: Literal["", "lp"], tmp_path: Path) -> None:
    (tmp_path / name).write_text("m v=1 1\n")
    reading = Reading(Source("file", str(tmp_path / name)), ReadingOptions(form, given=Given(measurement="x")))
    with pytest.raises(ImportFailure, match="line protocol has one in each line; leave --measurement out"):
        list(reading.pieces())


def test_separators() -> None:
    assert separator_of(["a;b", "1,5;2"]) == ";"
    assert separator_of(["a\tb c", "1\t2, 3"]) == "\t"
    assert separator_of(["sep=|", "a|b"]) == "|"
    assert separator_of(["m|measurement,v|long"]) == ","


class TestNamesOfInfluxDB:
    @pytest.mark.parametrize("name", ["_value", "_field", "_start", "table"])
    def test_a_column_that_is_announced_as_a_field_is_written_as_one(self, read, name: str) -> None:
        alone = read(f"time,{name}\n2024-01-01T00:00:00Z,1\n")
        assert alone.lines == [f"power {name}=1 1704067200000000000"]
        assert f"fields {name} (double)" in alone.notes
        assert read(f"time,{name},ok\n2024-01-01T00:00:00Z,1,2\n").lines == [f"power {name}=1,ok=2 1704067200000000000"]

    def test_both_together_name_a_field_and_its_value(self, read) -> None:
        got = read("time,_field,_value,host,n\n2024-01-01T00:00:00Z,a,2,x,3\n", tags=("host",))
        assert got.lines == ["power,host=x a=2 1704067200000000000"]
        assert "fields named by _field, with _value (double)" in got.notes
        assert "left out: the column 'n'" in got.notes

    def test_a_value_that_is_a_tag_leaves_the_other_a_field(self, read) -> None:
        got = read("time,_field,_value\n2024-01-01T00:00:00Z,1,2\n", tags=("_value",))
        assert got.lines == ["power,_value=2 _field=1 1704067200000000000"]

    def test_the_time_is_in_the_column_that_is_announced(self, read) -> None:
        got = read("ts,_time\n2024-01-01T00:00:00Z,5\n", time="ts")
        assert got.lines == ["power _time=5 1704067200000000000"]
        assert "fields _time (double)" in got.notes

    def test_a_field_that_influxdb_drops_is_refused_before_anything_is_written(self, read) -> None:
        with pytest.raises(ImportFailure, match=r"the column 'time' cannot be a field.*--type time=ignored"):
            read("ts,time,x\n2024-01-01T00:00:00Z,5,1\n", time="ts")

    def test_a_column_without_a_name_is_told(self, read) -> None:
        got = read("time,,x\n2024-01-01T00:00:00Z,5,1\n")
        assert got.lines == ["power x=1 1704067200000000000"]
        assert "left out: the column number 2, which has no name" in got.notes

    def test_a_measurement_that_is_in_a_column_is_told_so(self, read) -> None:
        got = read("time,_measurement,x\n2024-01-01T00:00:00Z,cpu,1\n")
        assert got.lines == ["cpu x=1 1704067200000000000"]
        assert "measurement by _measurement" in got.notes
