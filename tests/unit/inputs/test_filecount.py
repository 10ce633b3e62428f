"""Links that lead in circles, folders without files, and a count that takes too long."""

import os
from pathlib import Path

import pytest

from pyagent.api import PyagentError
from pyagent.testing import assert_declared, run_input
from pyagent_plugins.inputs.filecount import Filecount


def test_a_link_to_a_folder_above_ends_the_count_and_gives_no_wrong_number(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    with pytest.raises(PyagentError, match=r"a/up'?: a link leads back to a folder above it"):
        run_input(Filecount, {"directories": [str(tmp_path)], "follow_symlinks": True})
    (metric,) = run_input(Filecount, {"directories": [str(tmp_path)]})
    assert metric.fields["count"] == 0


def test_a_folder_without_files_is_not_the_oldest(tmp_path: Path) -> None:
    for name, second in (("old", 100), ("new", 200)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (second, second))
    (tmp_path / "empty").mkdir()
    metrics = run_input(Filecount, {"directories": [str(tmp_path)]})
    assert metrics[0].fields == {
        "count": 2,
        "size_bytes": 2,
        "oldest_file_timestamp": 100 * 10**9,
        "newest_file_timestamp": 200 * 10**9,
    }
    assert_declared(Filecount, metrics)


def test_a_link_as_the_folder_needs_follow_symlinks(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_bytes(b"")
    (tmp_path / "link").symlink_to("there")
    options = {"directories": [str(tmp_path / "link")]}
    with pytest.raises(PyagentError, match="it is a link; set follow_symlinks"):
        run_input(Filecount, options)
    assert run_input(Filecount, {**options, "follow_symlinks": True})[0].fields["count"] == 1


def test_a_count_that_takes_too_long_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x").write_bytes(b"")
    assert run_input(Filecount, {"directories": [str(tmp_path)], "timeout": "1ns"}) == []
    assert "longer than `timeout`" in caplog.text
