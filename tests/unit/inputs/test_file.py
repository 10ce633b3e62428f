"""The input file: which files, in which order, what is kept when one of them is bad."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, Input, Metric, PyagentError
from pyagent.pipeline.inputs.accumulator import Accumulator
from pyagent.testing import assert_declared, lines, make_input, run_input
from pyagent_plugins.inputs.file import File


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gather(options: Mapping[str, Any]) -> tuple[list[Metric], str]:
    """What one gather adds, and how it failed."""
    plugin: Input[Any] = make_input(File, options)
    acc = Accumulator()
    failure = ""
    try:
        plugin.gather(acc)
    except PyagentError as error:
        failure = str(error)
    return acc.drain(), failure


def test_line_protocol_is_the_default(folder: Path) -> None:
    (folder / "in").write_text("m,t=a v=1i 5\nn v=2\n")
    metrics = run_input(File, {"files": ["in"]})
    assert lines(metrics) == ["m,t=a v=1i", "n v=2"]
    assert metrics[0].time == 5


def test_a_table_in_utf_16_is_read_by_its_mark(folder: Path) -> None:
    (folder / "in.csv").write_bytes("grün,b\r\n1,2\r\n".encode("utf-16"))
    [metric] = run_input(File, {"files": ["in.csv"], "data_format": "csv", "csv_header_row_count": 1})
    assert metric.fields == {"grün": 1, "b": 2}


def test_what_is_no_file_or_has_no_end_is_told(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with open(folder / "large", "wb") as file:
        file.truncate(1 << 40)
    for path, words in (("/dev/zero", "name a file"), ("pipe", "name a file"), ("large", "PYAGENT_MAX_FILE_SIZE")):
        metrics, failure = gather({"files": [path]})
        assert metrics == []
        assert words in failure
        assert path in failure


def test_files_of_the_kernel_are_read(folder: Path) -> None:
    options = {"data_format": "value", "data_type": "integer"}
    [metric] = run_input(File, {"files": ["/proc/sys/kernel/pid_max"], **options})
    assert metric.fields["value"] == int(Path("/proc/sys/kernel/pid_max").read_text())


def test_another_format_with_its_options(folder: Path) -> None:
    (folder / "in.json").write_text('{"t": 3, "n": {"v": 1}, "id": "x", "s": "no"}')
    options = {"files": ["in.json"], "data_format": "json", "tag_keys": ["id"], "json_time_key": "t"}
    [metric] = run_input(File, {**options, "json_time_format": "unix"})
    assert metric == Metric("file", {"id": "x"}, {"n_v": 1.0}, 3_000_000_000)
    assert_declared(File, [metric])


def test_each_file_has_its_own_header(folder: Path) -> None:
    (folder / "a.csv").write_text("x,y\n1,2\n")
    (folder / "b.csv").write_text("y,x\n3,4\n")
    options = {"files": ["*.csv"], "data_format": "csv", "csv_header_row_count": 1}
    assert lines(run_input(File, options)) == ["file x=1i,y=2i", "file x=4i,y=3i"]


def test_patterns_and_tags(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "a.lp").write_text("m,origin=own v=1")
    (folder / "sub" / "b.lp").write_text("m v=2")
    options = {"files": ["**.lp", "a.lp"], "file_tag": "origin", "file_path_tag": "path"}
    assert lines(run_input(File, options)) == [
        f"m,origin=a.lp,path={folder}/a.lp v=1",
        f"m,origin=a.lp,path={folder}/a.lp v=1",
        f"m,origin=b.lp,path={folder}/sub/b.lp v=2",
    ]


def test_folders_that_a_pattern_matches_are_no_files(folder: Path) -> None:
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "deep" / "a").write_text("m v=1")
    assert lines(run_input(File, {"files": ["data/**"]})) == ["m v=1"]
    assert gather({"files": ["data"]}) == ([], "cannot read 'data': Is a directory")


def test_a_pattern_without_files_stops_everything(folder: Path) -> None:
    (folder / "in").write_text("m v=1")
    metrics, failure = gather({"files": ["in", "none.*"]})
    assert metrics == []
    assert failure.startswith("cannot find file(s): none.*; ")


def test_a_pattern_that_is_none(folder: Path) -> None:
    assert gather({"files": ["[a"]})[1].startswith("cannot read the pattern '[a'")


def test_the_first_bad_file_ends_it_and_earlier_ones_stay(folder: Path) -> None:
    for name, text in (("a", "m v=1"), ("b", "m v=2\nbad\n"), ("c", "m v=3")):
        (folder / name).write_text(text)
    metrics, failure = gather({"files": ["a", "b", "c"]})
    assert lines(metrics) == ["m v=1"]
    assert failure.startswith("cannot parse 'b': line 2, ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "in").touch(mode=0)
    assert gather({"files": ["in"]}) == ([], "cannot read 'in': Permission denied")


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("", 'm s="grün"'.encode()),
        ("none", b"\xef\xbb\xbf" + 'm s="grün"'.encode()),
        ("utf-8", b"\xef\xbb\xbf" + 'm s="grün"'.encode()),
        ("", b"\xef\xbb\xbf" + 'm s="grün"'.encode()),
        ("", b"\xff\xfe" + 'm s="grün"'.encode("utf-16-le")),
        ("none", b"\xfe\xff" + 'm s="grün"'.encode("utf-16-be")),
        ("utf-16le", 'm s="grün"'.encode("utf-16-le")),
        ("utf-16le", b"\xff\xfe" + 'm s="grün"'.encode("utf-16-le")),
        ("utf-16be", b"\xfe\xff" + 'm s="grün"'.encode("utf-16-be")),
    ],
)
def test_encodings(folder: Path, encoding: str, data: bytes) -> None:
    (folder / "in").write_bytes(data)
    assert lines(run_input(File, {"files": ["in"], "character_encoding": encoding})) == ['m s="grün"']


def test_bytes_that_are_no_text(folder: Path) -> None:
    (folder / "in").write_bytes(b'm s="\xff"')
    [kept] = run_input(File, {"files": ["in"]})
    [replaced] = run_input(File, {"files": ["in"], "character_encoding": "utf-8"})
    assert (kept.fields, replaced.fields) == ({"s": "\udcff"}, {"s": "\ufffd"})


def test_an_unknown_encoding() -> None:
    with pytest.raises(ConfigError, match="'latin-1'") as caught:
        make_input(File, {"character_encoding": "latin-1"})
    assert caught.value.option == "character_encoding"


def test_what_the_parser_cannot_work_with_is_told_at_the_gather(folder: Path) -> None:
    # As in Telegraf, where it does not stop the load either.
    (folder / "in").write_text("1")
    _, failure = gather({"files": ["in"], "data_format": "value", "data_type": "number"})
    assert "unknown data_type 'number'" in failure


def test_metrics_without_fields_are_left_out(folder: Path) -> None:
    (folder / "in").write_text('{"text": "only"}')
    assert gather({"files": ["in"], "data_format": "json"}) == ([], "")
