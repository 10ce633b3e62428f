"""Flags of `pyagent write`, without a server."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done

from pyagent.cli.write_flags import parse_rate
from pyagent.importer.pieces import ImportFailure

Run = Callable[..., Done]


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("", None),
        ("5 MB / 5 min", (5 << 20, 300.0)),
        ("100B/1s", (100, 1.0)),
        ("2kB/sec", (2048, 1.0)),
        ("MB/m", (1 << 20, 60.0)),
        ("10 kB/10 sec", (10240, 10.0)),
    ],
)
def test_rates(text: str, rate: tuple[int, float] | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["fast", "5", "5 MB", "0 MB/s", "5 MB/0 s", "5 GB/s", "-1 MB/s", "5MB/h"])
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(ImportFailure, match="cannot use --rate-limit"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.csv"], "no bucket is given; add --bucket NAME"),
        (["dryrun", "--format", "xml", "x"], "invalid value 'xml' for --format: write csv or lp"),
        (["dryrun", "--precision", "m", "x"], "invalid value 'm' for --precision"),
        (["dryrun", "--skipHeader", "one", "x"], "write a whole number"),
        (["dryrun", "--separator", ";;", "x"], "write one character"),
        (["dryrun", "--type", "v", "x"], "write NAME=TYPE"),
        (["dryrun", "--url", "ftp://x/y"], "it is no address of http or https"),
        (["--bucket", "b", "--url", "http://localhost:8086"], "the server that is written to is --host"),
        (["dryrun", "-", "-"], "standard input can be read once only"),
        (["--bucket", "b", "--retry-for", "long", "x"], "invalid value for --retry-for"),
        (["dryrun", "--token", "abc"], "cannot take a token as an argument"),
    ],
)
def test_mistakes_have_the_status_2(
    words: list[str], message: str, pyagent: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INFLUX_BUCKET", raising=False)
    done = pyagent("write", *words)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_inputs_of_all_kinds_in_their_order(pyagent: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("m|measurement,v|long,t|dateTime\nx,1,5\n")
    (tmp_path / "b.lp").write_text("y v=2i 6")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"w v=4i 8\n")))
    done = pyagent("write", "dryrun", "-f", str(tmp_path / "a.csv"), f"@{tmp_path / 'b.lp'}", "z v=3i 7", "-")
    assert done.out.splitlines() == ["x v=1i 5", "y v=2i 6", "z v=3i 7", "w v=4i 8"]
    assert done.status == 0


def test_standard_input_without_annotations_is_read_twice(pyagent: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"time,v\n2024-01-01,1.5\n")))
    done = pyagent("write", "dryrun", "--measurement", "m", "-")
    assert done.out == "m v=1.5 1704067200000000000\n"


def test_refused_rows_are_shown_up_to_a_number(pyagent: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("m|measurement,v|long\n" + "x,y\n" * 25)
    done = pyagent("write", "dryrun", str(tmp_path / "a.csv"))
    assert done.status == 1
    assert done.err.count("'y' is no whole number") == 10
    assert "E! ... and 15 rows more; --errors-file FILE keeps them" in done.err
    assert done.err.endswith("25 rows refused.\n")


def test_debug_tells_what_the_columns_are(pyagent: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("m|measurement,h|tag,v|long,w,t|dateTime\nx,a,1,2,5\n")
    done = pyagent("write", "dryrun", "--debug", str(tmp_path / "a.csv"))
    assert "measurement: m; tags: h; fields: v (long), w (as it stands); time: t" in done.err


def test_a_time_zone_is_that_of_annotated_files_too(pyagent: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("m|measurement,v|long,t|dateTime:2006-01-02\nx,1,1970-01-02\n")
    assert pyagent("write", "dryrun", "--timezone", "+0200", str(tmp_path / "a.csv")).out == "x v=1i 79200000000000\n"
    assert "cannot use --timezone" in pyagent("write", "dryrun", "--timezone", "Nowhere", str(tmp_path / "a.csv")).err
