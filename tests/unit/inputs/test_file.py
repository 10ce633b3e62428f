"""The input file: which files, in which order, what is kept when one of them is bad."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, Input, Metric, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import lines, make_input, run_input
from pyagent_plugins.inputs.file import File


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gather(options: Mapping[str, Any]) -> tuple[list[Metric], str]:
    """What one gather adds, and how it failed."""
    plugin: Input[Any] = make_input(File, options)
    acc = InputAccumulator()
    failure = ""
    try:
        plugin.gather(acc)
    except PyagentError as error:
        failure = str(error)
    return acc.drain(), failure


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


def test_folders_that_a_pattern_matches_are_no_files(folder: Path) -> None:
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "deep" / "a").write_text("m v=1")
    assert lines(run_input(File, {"files": ["data/**"]})) == ["m v=1"]
    assert gather({"files": ["data"]}) == ([], "cannot read 'data': Is a directory")


def test_a_pattern_that_is_none(folder: Path) -> None:
    assert gather({"files": ["[a"]})[1].startswith("cannot read the pattern '[a'")


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


def test_metrics_without_fields_are_left_out(folder: Path) -> None:
    (folder / "in").write_text('{"text": "only"}')
    assert gather({"files": ["in"], "data_format": "json"}) == ([], "")
