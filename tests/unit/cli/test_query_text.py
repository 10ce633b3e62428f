"""The text of a query: where it comes from, the variables of dashboards, and mistakes with their place."""

import argparse
import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pyagent.cli.query.mistakes import explained
from pyagent.cli.query.text import QueryError, dashboard_variables, query_text

USING = 'from(bucket: "b") |> range(start: v.timeRangeStart, stop: v.timeRangeStop)'


def given(query: str | None = None, file: str = "", **others: str) -> argparse.Namespace:
    return argparse.Namespace(query=query, file=file, **{"token_file": "", "password_file": "", **others})


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_input(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return set_input


def test_the_query_is_an_argument_a_file_or_standard_input(tmp_path: Path, stdin: Any) -> None:
    (tmp_path / "q.flux").write_bytes(b"\xef\xbb\xbfbuckets()\n// \xc3\xbc")
    assert query_text(given("buckets()")) == "buckets()"
    assert query_text(given(file=str(tmp_path / "q.flux"))) == "buckets()\n// ü"
    for arguments in (given("-"), given(), given(file="-")):
        stdin(b"a()")
        assert query_text(arguments) == "a()"


@pytest.mark.parametrize(
    ("arguments", "data", "problem"),
    [
        (given(""), b"", "cannot run an empty query; write"),
        (given(" \n"), b"", "cannot run an empty query"),
        (given(), b"", "cannot run an empty query"),
        (given("-"), b"a\nb\xff", "cannot read the query in standard input: line 2 is not UTF-8"),
        (given("a", "b"), b"", "cannot run two queries at once"),
        (given(file="/nonexistent"), b"", "cannot read the query in /nonexistent: no such file or directory"),
        (given(file="/"), b"", "cannot read the query in /: is a directory"),
        (given("-", token_file="-"), b"", "cannot read both a secret and the query"),
        (given(file="-", password_file="-"), b"", "cannot read both a secret and the query"),
    ],
)
def test_what_is_no_query_is_told(arguments: argparse.Namespace, data: bytes, problem: str, stdin: Any) -> None:
    stdin(data)
    with pytest.raises(QueryError, match=f"^{problem}"):
        query_text(arguments)


def test_a_large_file_is_no_query(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate((1 << 24) + 1)
    with pytest.raises(QueryError, match="it has more than 16 MiB"):
        query_text(given(file=str(tmp_path / "large")))


def variables(text: str, range_: str = "") -> dict[str, Any] | None:
    tree = dashboard_variables(text, range_)
    if tree is None:
        return None
    assignment = tree["body"][0]["assignment"]
    assert assignment["id"]["name"] == "v"
    return {one["key"]["name"]: one["value"] for one in assignment["init"]["properties"]}


@pytest.mark.parametrize(
    ("text", "defined"),
    [
        (USING, True),
        ("f |> aggregateWindow(every: v.windowPeriod, fn: mean)", True),
        ('range(start: v["timeRangeStart"])', True),
        ("range(start: v\n  . timeRangeStart)", True),
        ('"${v.timeRangeStop}"', True),
        ("range(start: -1h)", False),
        ("map(fn: (v) => v.x)", False),
        ("rev.timeRangeStart", False),
        (f"option v = {{timeRangeStart: -2h}}\n{USING}", False),
        (f"v = {{timeRangeStart: -2h}}\n{USING}", False),
        (f"// option v = {{}}\n{USING}", True),
        (f"x = 1\n  option   v={{timeRangeStart: -2h}}\n{USING}", False),
        (f"v == 1\n{USING}", True),
    ],
)
def test_v_is_defined_where_it_is_used_and_not_defined(text: str, defined: bool) -> None:
    assert (variables(text) is not None) is defined


@pytest.mark.parametrize(
    ("text", "parts", "period"),
    [
        ("", [(1, "h")], 10_000),
        ("-1h", [(1, "h")], 10_000),
        ("1h", [(1, "h")], 10_000),
        ("-7d", [(7, "d")], 1_680_000),
        ("-1h30m", [(1, "h"), (30, "m")], 15_000),
        ("-1mo", [(1, "mo")], 7_305_000),
        ("-1ms", [(1, "ms")], 1),
        ("-2h,now()", [(2, "h")], 20_000),
    ],
)
def test_a_range_counts_back_from_now(text: str, parts: list[tuple[int, str]], period: int) -> None:
    found = variables(USING, text)
    assert found is not None
    start = found["timeRangeStart"]
    assert (start["type"], start["operator"]) == ("UnaryExpression", "-")
    assert [(part["magnitude"], part["unit"]) for part in start["argument"]["values"]] == parts
    assert found["timeRangeStop"]["callee"]["name"] == "now"
    assert found["windowPeriod"]["values"] == [{"magnitude": period, "unit": "ms"}]


def test_a_range_may_have_two_times() -> None:
    found = variables(USING, "2026-01-31T08:00:00+01:00,2026-01-31T08:00:00Z")
    assert found is not None
    values = [found[name]["value"] for name in ("timeRangeStart", "timeRangeStop")]
    assert values == ["2026-01-31T07:00:00Z", "2026-01-31T08:00:00Z"]
    assert found["windowPeriod"]["values"] == [{"magnitude": 10_000, "unit": "ms"}]
    day = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    found = variables(USING, f"{day},-1d")
    assert found is not None
    assert found["timeRangeStart"]["value"] == f"{day}T00:00:00Z"


@pytest.mark.parametrize("text", ["yesterday",
        "-9999999999999999999y",
        "0001-01-01T00:00:00+23:59", "-1", "-1x", "2026-01-31T08:00:00", "-1h,", ",-1h", "1h,2h", "now()", "-1h,-1h"])  # fmt: skip
def test_what_is_no_range_is_told(text: str) -> None:
    with pytest.raises(QueryError, match=r"^cannot use --range"):
        variables(USING, text)


@pytest.mark.parametrize("text", ["buckets()", f"option v = {{timeRangeStart: -2h}}\n{USING}"])
def test_a_range_without_effect_is_told(text: str) -> None:
    with pytest.raises(QueryError, match=r"^cannot use --range: the query"):
        variables(text, "-1h")


QUERY = 'from(bucket: "own")\n\t|> rangee(start: -1h)\n"ü日本" |> nothing()\n'


@pytest.mark.parametrize(
    ("message", "said", "lines"),
    [
        (
            "error @2:5-2:11: undefined identifier rangee",
            "line 2, column 5: undefined identifier rangee",
            ["      |> rangee(start: -1h)", "         ^^^^^^"],
        ),
        (
            "runtime error @1:1-1:20: from: no such",
            "line 1, column 1: from: no such",
            ['  from(bucket: "own")', "  ^^^^^^^^^^^^^^^^^^^"],
        ),
        # Columns are bytes; two columns of the terminal for each of the wide characters.
        (
            "compilation failed: error @3:15-3:22: undefined identifier nothing",
            "line 3, column 15: undefined identifier nothing",
            ['  "ü日本" |> nothing()', "             ^^^^^^^"],
        ),
        (
            'error calling function "w" @1:1-1:5: error calling @universe/universe.flux|3894:12-3900:10: no',
            'line 1, column 1: error calling function "w" @1:1-1:5: error calling @universe/universe.flux|3894:12-3900:10: no',
            ['  from(bucket: "own")', "  ^^^^"],
        ),
        ("error @1:6-3:2: over lines", "line 1, column 6: over lines", ['  from(bucket: "own")', "       ^^^^^^^^^^^^^^"]),
        ("error @99:1-99:2: far", "line 99, column 1: far", []),
        ("error @1:500-1:502: far", "line 1, column 500: far", []),
        ("could not find bucket", "could not find bucket", []),
        ("", "", []),
        ("a\x1b[2J\nb", "a\\x1b[2J b", []),
        (
            "error @1:1-1:5: one\n\nerror @2:5-2:11: two",
            "line 1, column 1: one",
            [
                '  from(bucket: "own")', "  ^^^^", "and line 2, column 5: two",
                "      |> rangee(start: -1h)", "         ^^^^^^",
            ],
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_at_its_place(message: str, said: str, lines: list[str]) -> None:
    assert explained(message, QUERY, 80) == (said, lines)


def test_many_mistakes_are_counted() -> None:
    message = "\n\n".join(f"error @1:{at}-1:{at + 1}: no" for at in range(1, 12))
    _, lines = explained(message, QUERY, 80)
    assert lines[-1] == "and 6 more"
    assert sum("^" in line for line in lines) == 5


@pytest.mark.parametrize("start", [1, 20, 100, 250, 490, 497])
@pytest.mark.parametrize("length", [1, 3, 200])
def test_a_long_line_is_cut_around_the_place(start: int, length: int) -> None:
    text = "".join(chr(ord("a") + at % 26) for at in range(500))
    end = min(start + length, 501)
    _, (line, mark) = explained(f"error @1:{start}-1:{end}: no", text, 60)
    assert max(len(line), len(mark)) <= 60
    marked = line[mark.index("^") : len(mark)]
    assert text[start - 1 : end - 1].startswith(marked)
    assert len(marked) == min(end - start, 52)
