"""The process's number in a file, while it runs."""

import logging
import os
import stat
from pathlib import Path

import pytest

from pyagent.runtime.pidfile import pid_file


def test_it_is_there_while_the_process_runs(tmp_path: Path) -> None:
    path = tmp_path / "a.pid"
    mask = os.umask(0o022)
    try:
        with pid_file(str(path)):
            assert path.read_text() == f"{os.getpid()}\n"
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(mask)
    assert not path.exists()


def test_that_of_a_crashed_process_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.pid"
    path.write_text("a longer text from a crash")
    with pid_file(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"


def test_one_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("pyagent").propagate = True
    with pid_file(str(tmp_path)):
        pass
    assert f"cannot write the pid file {tmp_path}: Is a directory" in caplog.text
    assert tmp_path.exists()


def test_without_a_path_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pid_file(""):
        assert list(tmp_path.iterdir()) == []
