"""A telegraf command that is this agent, and never one in place of Telegraf."""

import sys
from pathlib import Path

import pytest

from pyagent.cli import link as command
from pyagent.cli import main


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "usr/bin").mkdir(parents=True)
    program = tmp_path / "opt/bin/pyagent"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PYAGENT_ROOT", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", str(tmp_path / "usr/bin"))
    monkeypatch.setattr(command, "_has_account", lambda: True)
    return tmp_path


def test_it_is_made_found_done_and_removed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "usr/bin/telegraf"
    assert main(["link", "--as", "telegraf"]) == 0
    assert path.readlink() == root / "opt/bin/pyagent"
    assert (root / "etc/telegraf").is_dir()
    assert "is this agent now" in capsys.readouterr().out
    assert main(["link", "--as", "telegraf"]) == 0
    assert "is this agent already" in capsys.readouterr().out
    assert main(["link", "--as=telegraf", "--remove"]) == 0
    assert not path.is_symlink()
    assert main(["link", "--as", "telegraf", "--remove"]) == 0


def test_a_link_to_an_older_place_is_replaced(root: Path) -> None:
    path = root / "usr/bin/telegraf"
    path.symlink_to("/elsewhere/pyagent")
    assert main(["link", "--as", "telegraf"]) == 0
    assert path.readlink() == root / "opt/bin/pyagent"


@pytest.mark.parametrize("words", [["link", "--as", "telegraf"], ["link", "--as", "telegraf", "--remove"]])
def test_telegraf_itself_is_left_alone(root: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    path = root / "usr/bin/telegraf"
    path.write_text("the real one")
    assert main(words) == 1
    assert path.read_text() == "the real one"
    assert "Telegraf" in capsys.readouterr().err


def test_one_elsewhere_in_the_path_counts(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = root / "other/telegraf"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert main(["link", "--as", "telegraf"]) == 1
    assert f"there is another telegraf, {other}" in capsys.readouterr().err
    assert not (root / "usr/bin/telegraf").exists()


def test_a_name_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["link"])
    assert "--as telegraf" in capsys.readouterr().err


def test_a_folder_that_may_not_be_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "usr/bin").rmdir()
    assert main(["link", "--as", "telegraf"]) == 1
    assert f"E! cannot change {root}/usr/bin/telegraf: No such file" in capsys.readouterr().err
