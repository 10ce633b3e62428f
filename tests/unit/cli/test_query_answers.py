"""Answers of queries: where they end too early, the error behind rows, and rows as JSON, tables and charts."""

import json
import re
import tracemalloc
from collections.abc import Iterator

import pytest

from pyagent.cli.demo_chart import ASCII, UNICODE
from pyagent.cli.query import json_lines
from pyagent.cli.query.series import Outline, Trace
from pyagent.cli.query.table import Style, lines_of
from pyagent.influxdb import InfluxDBError
from pyagent.influxdb.queries import QueryFailed, guarded, rows_of

HEAD = (
    "#group,false,false,true,true,false,false,true,true\r\n"
    "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,{kind},string,string\r\n"
    "#default,{result},,,,,,,\r\n"
    ",result,table,_start,_stop,_time,_value,_field,host\r\n"
)
START, STOP = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"
ERROR = (
    "#group,true,true\r\n#datatype,string,string\r\n#default,,\r\n,error,reference\r\n,cannot group: a collision,\r\n"
)


def body(*values: str, kind: str = "double", result: str = "_result", table: int = 0) -> str:
    rows = [f",,{table},{START},{STOP},2026-01-01T00:00:{at:02}Z,{value},used,a\r\n" for at, value in enumerate(values)]
    return "".join([HEAD.format(kind=kind, result=result), *rows, "\r\n"])


def pieces(text: str, size: int) -> list[bytes]:
    data = text.encode()
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 7, 31, 32, 33, 64, 100_000])
def test_an_answer_passes_as_it_is_and_its_error_is_found_in_pieces_of_any_size(size: int) -> None:
    text = body("1.5", "2", "") + body("x", kind="string", result="other") + "\r\n"
    assert b"".join(guarded(pieces(text, size))).decode() == text
    got: list[bytes] = []
    with pytest.raises(QueryFailed, match=r"^cannot group: a collision$"):
        got.extend(guarded(pieces(body("1") + ERROR, size)))
    assert b"".join(got).decode() == body("1") + ERROR, "all that came is given before"


@pytest.mark.parametrize("size", [1, 40, 100_000])
def test_an_error_that_is_the_value_of_a_field_is_none(size: int) -> None:
    text = body('"a\r\n,error,reference\r\n,no,\r\n"', '"say ""x"""', kind="string")
    assert b"".join(guarded(pieces(text, size))).decode() == text
    cells = [row.cells[3] for row in rows_of(pieces(text, size))]
    assert cells == ["a\r\n,error,reference\r\n,no,\r\n", 'say "x"']


@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_an_answer_that_ends_too_early_is_told(size: int) -> None:
    text = body("1.5", '"a\r\n\r\nb"', kind="string")
    ends = [text[:-2], text[: text.index("#default")], text[: text.index("\r\nb")], text[:-20], text[:-1]]
    for cut in ends:
        with pytest.raises(InfluxDBError, match="cut off"):
            list(guarded(pieces(cut, size)))


@pytest.mark.parametrize("text", ["", "\r\n", "\r\n\r\n", "\n"])
def test_no_rows_are_an_answer(text: str) -> None:
    assert list(guarded(pieces(text, 1))) == pieces(text, 1)
    assert list(rows_of(pieces(text, 1))) == []


def test_an_error_alone_and_an_error_without_words() -> None:
    for message, told in (("a, b", "a, b"), ("", "it does not say why")):
        with pytest.raises(QueryFailed, match=f"^{told}$"):
            list(guarded([f',error,reference\r\n,"{message}",\r\n'.encode()]))


def test_rows_have_the_defaults_of_their_own_table() -> None:
    text = body("", kind="double").replace("#default,_result,,,,,,,", "#default,r,7,,,,3.5,,")
    [row] = rows_of([text.replace(",,0,", ",,,").encode()])
    assert (row.result, row.table, row.cells[3]) == ("r", "7", "3.5")
    assert [column.name for column in row.head.columns if column.in_key] == ["_start", "_stop", "_field", "host"]


def test_tables_without_rows_are_left_out() -> None:
    empty = HEAD.format(kind="double", result="_result") + "\r\n"
    assert len(list(rows_of([(empty + body("1")).encode()]))) == 1


@pytest.mark.parametrize("bad", [",,0,x\r\n", ',,0,"x"y,,,,,\r\n', ',,0,"'])
def test_what_is_no_csv_is_told_with_its_line(bad: str) -> None:
    text = HEAD.format(kind="double", result="_result") + bad
    with pytest.raises(InfluxDBError, match=r"^cannot read the answer: line 5 "):
        list(rows_of([text.encode()]))


def test_a_cell_may_have_megabytes() -> None:
    long = "x" * 3_000_000
    [row] = rows_of(pieces(body(long, kind="string"), 1 << 16))
    assert row.cells[3] == long


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("double", "0.1", 0.1),
        ("double", "NaN", None),
        ("double", "+Inf", None),
        ("double", "-Inf", None),
        ("double", "123456789012345680000", 1.2345678901234568e20),
        ("long", "-9223372036854775808", -9223372036854775808),
        ("unsignedLong", "18446744073709551615", 18446744073709551615),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("string", "a ü 日本 🎉", "a ü 日本 🎉"),
        ("string", '"a, ""b""\r\nc\\n"', 'a, "b"\r\nc\\n'),
        ("string", "0", "0"),
        ("dateTime:RFC3339", "2026-01-01T00:00:00.000000001Z", "2026-01-01T00:00:00.000000001Z"),
        ("duration", "1h", "1h"),
        *((kind, "", None) for kind in ("double", "long", "unsignedLong", "boolean", "string", "dateTime:RFC3339")),
    ],
)
def test_json_has_the_types(kind: str, text: str, value: object) -> None:
    [line] = json_lines(rows_of([body(text, kind=kind).encode()]))
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "result": "_result", "table": 0, "_start": START, "_stop": STOP, "_time": "2026-01-01T00:00:00Z",
        "_value": value, "_field": "used", "host": "a",
    }  # fmt: skip
    found = json.loads(line)["_value"]
    assert type(found) is type(value)
    assert list(json.loads(line))[:2] == ["result", "table"]


def test_json_takes_the_columns_of_each_table() -> None:
    text = body("1", kind="long") + body("1.5", result="b", table=3)
    found = [json.loads(line) for line in json_lines(rows_of([text.encode()]))]
    assert [(one["result"], one["table"], one["_value"]) for one in found] == [("_result", 0, 1), ("b", 3, 1.5)]


def test_bytes_that_are_not_utf_8_are_marked() -> None:
    [line] = json_lines(rows_of([body("@", kind="string").encode().replace(b"@", b"a\xff")]))
    assert json.loads(line)["_value"] == "a\ufffd"


def shown(*texts: str, limit: int = 0, width: int = 0, unicode: bool = True) -> list[str]:
    style = Style(limit, width, UNICODE if unicode else ASCII, colours=False)
    return list(lines_of(rows_of([text.encode() for text in texts]), style))


def test_a_table_stands_below_its_key() -> None:
    assert shown(body("1.5", "20", "")) == [
        f"From {START} to {STOP}",
        "_field=used  host=a",
        "  _time                 _value",
        "  2026-01-01T00:00:00Z     1.5",
        "  2026-01-01T00:00:01Z      20",
        "  2026-01-01T00:00:02Z",
    ]


def test_the_range_is_said_once_and_a_yield_has_its_name() -> None:
    first = body("1")
    other = body("2", table=1).replace(",a\r\n", ",b\r\n")
    assert shown(first + other + body("x", kind="string", result="texts")) == [
        f"From {START} to {STOP}",
        "_field=used  host=a",
        "  _time                 _value",
        "  2026-01-01T00:00:00Z       1",
        "",
        "_field=used  host=b",
        "  _time                 _value",
        "  2026-01-01T00:00:00Z       2",
        "",
        "Result texts",
        "_field=used  host=a",
        "  _time                 _value",
        "  2026-01-01T00:00:00Z  x",
    ]


def test_on_a_terminal_the_first_and_the_last_rows_are_shown_and_a_sparkline() -> None:
    lines = shown(body(*map(str, range(30))), limit=5, width=60)
    assert [line.split()[-1] for line in lines[3:5]] == ["0", "1"]
    assert lines[5] == "  … 25 rows more"
    assert [line.split()[-1] for line in lines[6:9]] == ["27", "28", "29"]
    assert lines[9] == "  _value  ▁▁▁▂▂▂▂▃▃▃▃▄▄▄▄▅▅▅▅▆▆▆▆▇▇▇▇███  0 to 29"
    assert len(lines) == 10
    assert re.fullmatch(r"  _value  [ -~]{30}  0 to 29", shown(body(*map(str, range(30))), limit=5, width=60, unicode=False)[-1])  # fmt: skip


@pytest.mark.parametrize("count", [1, 4, 5, 6, 11])
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_no_row_is_shown_twice_or_lost_without_a_word(count: int, limit: int) -> None:
    lines = shown(body(*map(str, range(count))), limit=limit, width=60)
    values = [int(line.split()[-1]) for line in lines if line.startswith("  2026")]
    missing = sum(int(line.split()[1]) for line in lines if line.startswith("  … "))
    assert len(values) == min(count, limit)
    assert len(values) + missing == count
    assert values == sorted(set(values))
    assert values[-1] == count - 1


def test_many_tables_are_counted() -> None:
    texts = [body("1", "2", table=at).replace(",a\r\n", f",h{at}\r\n") for at in range(50)]
    lines = shown(*texts, limit=20, width=80)
    assert sum("host=" in line for line in lines) == 20
    assert lines[-1] == "... and 30 tables more with 60 rows; --limit 0 shows all"
    assert sum("host=" in line for line in shown(*texts)) == 50


def test_no_line_is_wider_than_the_terminal() -> None:
    names = [f"column{at}" for at in range(30)]
    text = (
        f"#group,false,false,true{',false' * 30}\r\n#datatype,string,long,string{',double' * 30}\r\n#default,_result{',' * 32}\r\n"
        f",result,table,key,{','.join(names)}\r\n,,0,{'日本' * 100}{',1.5' * 30}\r\n,,0,{'日本' * 100}{',1.5' * 30}\r\n\r\n"
    )
    lines = shown(text, limit=20, width=60)
    assert all(len(line) <= 60 for line in lines)
    assert lines[-1].startswith("  no room for: column6, column7")
    assert shown(body("x" * 200, kind="string"), limit=20, width=60)[3].endswith("…")
    assert shown(body("x" * 200, kind="string"))[3].endswith("x" * 200)


def test_what_would_steer_a_terminal_is_shown_as_text() -> None:
    lines = shown(body('"\x1b[2Ja\nb"', kind="string").replace(",a\r\n", ",\x1b[1mh\r\n"), limit=20, width=80)
    assert "\x1b" not in "".join(lines)
    assert lines[1].endswith("host=\\x1b[1mh")
    assert lines[3].endswith("\\x1b[2Ja\\nb")


def test_many_rows_are_not_kept() -> None:
    """As tables, as JSON and on a terminal: a hundred times as many take no more memory."""

    def peak(ways: int, count: int) -> int:
        block = body(*map(str, range(60)))
        lines = block.split("\r\n")
        head, some = "\r\n".join(lines[:4]) + "\r\n", "\r\n".join(lines[4:-2]) + "\r\n"

        def chunks() -> Iterator[bytes]:
            yield head.encode()
            for _ in range(count):
                yield some.encode()
            yield b"\r\n"

        tracemalloc.start()
        if ways == 0:
            number = sum(1 for _ in json_lines(rows_of(guarded(chunks()))))
        else:
            limit = 0 if ways == 1 else 20
            style = Style(limit, 80 * (ways - 1), UNICODE, colours=False)
            number = sum(1 for _ in lines_of(rows_of(guarded(chunks())), style))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert number == {0: 60 * count, 1: 60 * count + 3, 2: 25}[ways]
        return found

    for ways in range(3):
        few = peak(ways, 5)
        assert peak(ways, 100) < 2 * few + 100_000


def test_a_trace_is_the_means_of_all_values() -> None:
    trace = Trace(10)
    for value in range(10_000):
        trace.add(float(value))
        trace.add(float("nan"))
    values = trace.values()
    assert 5 <= len(values) <= 10
    assert values == sorted(values)
    assert (trace.least, trace.most) == (0, 9999)
    assert abs(values[0] - 10_000 / len(values) / 2) < 700


def test_an_outline_keeps_the_peaks() -> None:
    outline = Outline(100)
    for at in range(100_000):
        outline.add(float(at), 1000.0 if at == 77_777 else float(at % 3))
    points = outline.points()
    assert outline.count == 100_000
    assert len(points) <= 100
    assert (77_777.0, 1000.0) in points
    assert points == sorted(points)


def test_charts_have_the_series_of_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("plotille", reason="plotille is not installed")
    from pyagent.cli.query.plot import charts_of

    texts = [body("1", "5", "2", "NaN").replace(",a\r\n", f",h{at}\r\n") for at in range(8)]
    lines = list(charts_of(rows_of([text.encode() for text in texts]), 80, colours=False))
    assert lines[0] == "used"
    assert all(len(line) <= 90 for line in lines)
    assert [line for line in lines if "host=" in line] == [f"⠤⠤ host=h{at}" for at in range(6)]
    assert lines[-1] == "more than 6 series: 6 points of others are not drawn"
    assert any("00:00.00" in line for line in lines), "the time of the first point, in UTC"
    monkeypatch.setenv("FORCE_COLOR", "1")  # the library looks at it as well
    coloured = list(charts_of(rows_of([text.encode() for text in texts]), 80, colours=True))
    assert "\x1b[36m" in "".join(coloured)
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("values", [["1"], ["5", "5"], ["0", "0"], ["NaN"], ["1e308", "-1e308"], ["1e-300", "2e-300"]])
def test_charts_of_odd_values_are_drawn_or_left_out(values: list[str]) -> None:
    pytest.importorskip("plotille", reason="plotille is not installed")
    from pyagent.cli.query.plot import charts_of

    lines = list(charts_of(rows_of([body(*values).encode()]), 60, colours=False))
    assert lines
    if values in (["NaN"], ["1e308", "-1e308"]):
        assert lines == ["There is nothing to draw: a series has times in _time, and numbers."]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        (["0", "100"], ["100", "80", "60", "40", "20", "0"]),
        (["-3", "97", "100"], ["100", "80", "60", "40", "20", "0", "-20"]),
        (["20.1", "20.9"], ["21.0", "20.8", "20.6", "20.4", "20.2", "20.0"]),
        (["5", "5"], ["5.6", "5.4", "5.2", "5.0", "4.8", "4.6", "4.4"]),
        (["0", "0"], ["1.0", "0.5", "0.0", "-0.5", "-1.0"]),
        (["0.00012", "0.00034"], ["0.00035", "0.00030", "0.00025", "0.00020", "0.00015", "0.00010"]),
        (["1e-20", "2e-20"], ["2e-20", "1.8e-20", "1.6e-20", "1.4e-20", "1.2e-20", "1e-20"]),
        (["0", "3e300"], []),
    ],
)
def test_a_chart_ends_at_round_numbers(values: list[str], ticks: list[str]) -> None:
    pytest.importorskip("plotille", reason="plotille is not installed")
    from pyagent.cli.query.plot import charts_of

    lines = list(charts_of(rows_of([body(*values).encode()]), 70, colours=False))
    named = [line.partition("|")[0].strip() for line in lines if "|" in line and not line.startswith("-")]
    assert not ticks or [text for text in named if text] == ticks
    assert len(lines) <= 18


def test_the_times_of_a_chart_differ() -> None:
    pytest.importorskip("plotille", reason="plotille is not installed")
    from pyagent.cli.query.plot import charts_of

    for count in (2, 5, 60):
        lines = list(charts_of(rows_of([body(*["1"] * count).encode()]), 70, colours=False))
        times = lines[-1].partition("|")[2].split()
        assert len(set(times)) == len(times) > 3


def test_texts_are_not_drawn() -> None:
    pytest.importorskip("plotille", reason="plotille is not installed")
    from pyagent.cli.query.plot import charts_of

    lines = list(charts_of(rows_of([body("a", kind="string").encode()]), 60, colours=False))
    assert lines == ["There is nothing to draw: a series has times in _time, and numbers."]
