"""Inputs through `influx write dryrun`, recorded, and the same through `pyagent write dryrun`."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent import cli

CASES = Path(__file__).resolve().parents[3] / "shared" / "golden"

# Recorded cases in which another result is meant: the lines that come out, where they differ, and why.
DIFFERENT: dict[str, tuple[list[str], str]] = {
    "bom_before_annotation": (["mem,host=a used=1.5 5"], "a byte order mark is no part of the annotation"),
    "datatype_comma_shifts_columns": (
        ["mem,host=a used=2.5 1482669077000000000"],
        "as many types as columns: the comma behind the annotation is one too many",
    ),
    "datatype_without_group": (
        ["weather,city=Ulm t=15.43 1640998800000000000"],
        "a query's columns of strings are tags, also where #group is missing",
    ),
    "date_dst_gap_and_fold": (
        [
            "power v=1i 1679792340000000000",
            "power v=3i 1679792400000000000",
            "power v=4i 1698537540000000000",
            "power v=5i 1698543000000000000",
            "power v=6i 1698544800000000000",
        ],
        "a time that the clock never showed is refused",
    ),
    "field_colon_type": (
        ['contract,address=0x1f name="Big Coin: one",score=0.0032 1630454400000000000'],
        "`field:string` is a string",
    ),
    "lp_crlf": (["mem,host=a used=1 5", "mem,host=a free=2i"], "the CR belongs to the end of the line"),
    "lp_header_option": (["mem,host=a used=1 5"], "comments are not sent"),
    "lp_utf16": (["mem,host=a used=1 5"], "the CR belongs to the end of the line"),
    "name_starts_with_hash": (
        ["x#1 load\\,\\ \\=\\ total=1 1"],
        "a row whose measurement begins with # is refused, not passed over",
    ),
    "plain_csv": ([], "without a column of times the whole file is refused, not row by row"),
    "precision_s_and_rfc3339": (["x v=1i 1577836800"], "all times are in the precision that is named"),
    "tag_backslash_end": (
        ["x,path=C: v=1i 1", "x,path=two\\nlines v=2i 2", 'x,path=say\\ "hi" v=3i 3'],
        "tags are written as the agent does it, so that InfluxDB takes the lines",
    ),
    "timezone_forms": (["m v=1i 1672524000000000000"], "an offset with a colon is one"),
    "untyped_mixed": (
        ["x v=1 1", "x v=1.5 2", 'x v="text" 3', "x v=true 4", "x v=5i 5", 'x v="a b" 6'],
        "text without a type is a string",
    ),
}
# What is given besides the file, where something is.
GIVEN: dict[str, list[str]] = {
    "duplicate_times": ["--keep-duplicates"],
    "german_spreadsheet": ["--tag", "Zähler", "--timezone", "Europe/Berlin"],
    "separator_for_data_only": [
        "--header",
        "sep=;",
        "--header",
        "#constant measurement,birds",
        "--header",
        "#datatype dateTime:2006-01-02,long,tag",
    ],
    "unannotated": ["--measurement", "speed", "--tag", "server"],
    "us_spreadsheet": ["--timezone", "America/New_York"],
}
FAILS = {"ambiguous_date_refused", "lp_one_bad_line", "query_error"}
"""Of `csv_beyond`: those with an exit status other than 0."""


def names(folder: str) -> list[str]:
    if not (CASES / folder).is_dir():
        return ["missing"]
    return sorted(path.name for path in (CASES / folder).iterdir() if path.is_dir())


@pytest.fixture
def dryrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(case: Path, words: list[str]) -> tuple[int, str, str]:
        (tmp_path / "case").mkdir()  # the recordings, and so a copy of their folder, may be read-only
        for path in case.iterdir():
            shutil.copyfile(path, tmp_path / "case" / path.name)
        monkeypatch.chdir(tmp_path / "case")
        try:
            status = cli.main(words)
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return run


@pytest.mark.parametrize("name", names("influx_write"))
def test_it_agrees_with_the_importer_of_influxdb(
    name: str, shared: Path, dryrun: Callable[..., tuple[int, str, str]]
) -> None:
    case = shared / "golden" / "influx_write" / name
    status, out, err = dryrun(case, json.loads((case / "command.json").read_text()))
    expected = DIFFERENT[name][0] if name in DIFFERENT else lines((case / "expected.out").read_text())
    assert sorted(lines(out)) == sorted(expected), err
    refused = (case / "expected.err").exists() and any(
        not text.startswith("WARNING") for text in (case / "expected.err").read_text().splitlines()
    )
    if name not in DIFFERENT:
        assert (status != 0) == refused, err
        for text in re.findall(r"^line (\d+): ", (case / "expected.err").read_text() if refused else "", re.MULTILINE):
            assert f"line {text}" in err
    if (case / "expected.rejected.csv").exists():
        ours = Path("rejected.csv").read_text().splitlines()
        theirs = (case / "expected.rejected.csv").read_text().splitlines()
        assert [row for row in ours if "# error" not in row] == [row for row in theirs if "# error" not in row]
        assert len(ours) == len(theirs)


@pytest.mark.parametrize("name", names("csv_beyond"))
def test_it_takes_what_the_importer_of_influxdb_spoils(
    name: str, shared: Path, dryrun: Callable[..., tuple[int, str, str]]
) -> None:
    case = shared / "golden" / "csv_beyond" / name
    given = [os.fsdecode(word) for word in GIVEN.get(name, [])]
    (file,) = (path for path in case.iterdir() if path.name not in ("wish.md", "expected.out"))
    status, out, err = dryrun(case, ["write", "dryrun", *given, file.name])
    assert points(out) == points((case / "expected.out").read_text()), err
    assert (status != 0) == (name in FAILS), err


def lines(text: str) -> list[str]:
    """Lines of protocol; a string may have line breaks."""
    found: list[str] = []
    open_quote = False
    for line in text.split("\n"):
        if open_quote:
            found[-1] += f"\n{line}"
        elif line.strip() and not line.startswith("#"):
            found.append(line)
        if line.replace('\\"', "").count('"') % 2 and " " in (found or [""])[-1]:
            open_quote = not open_quote
    return found


def points(text: str) -> set[tuple[str, frozenset[str], str]]:
    """Series, fields and time of each line; the order of lines and fields is free."""
    from pyagent.lineprotocol import parse

    return {
        (metric.name, frozenset([*map(str, metric.tags.items()), *map(repr, metric.fields.items())]), str(metric.time))
        for metric in parse(text, 0).metrics
    }
