"""Folders and files that the commands look at by default and may not read: one line each, and the work is done."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done

from pyagent.cli import flags

Run = Callable[..., Done]
COMMANDS = (
    "plugins",
    "plugins inputs --json",
    "plugins show inputs.mem",
    "plugins --deprecated",
    "config create",
    "config schema",
    "--sample-config",
    "--usage mem",
    "--input-list",
    "--deprecation-list",
)
FOLDER = "cannot read the folder of plugins"


@pytest.fixture(params=["not entered", "not listed", "a file", "a link to nowhere"])
def closed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default folder of plugins, of which nothing can be read. The superuser may read everything, so the system's refusal
    is made here."""
    folder = tmp_path / "etc" / "plugins.d"
    folder.parent.mkdir()
    if request.param == "a file":
        folder.touch()
    elif request.param == "a link to nowhere":
        folder.symlink_to(tmp_path / "gone")
    else:
        folder.mkdir()
        barred = (os.listdir, os.stat) if request.param == "not entered" else (os.listdir,)
        for call in barred:
            monkeypatch.setattr(os, call.__name__, refusing(call, str(folder)))
    monkeypatch.setattr(flags, "PLUGIN_DIRECTORY", str(folder))
    return folder


def refusing(call: Callable[..., object], folder: str) -> Callable[..., object]:
    def refused(path: object = ".", *arguments: object, **named: object) -> object:
        if not isinstance(path, int) and os.fspath(path).startswith(folder):  # type: ignore[call-overload]  # a path
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return call(path, *arguments, **named)

    return refused


@pytest.mark.parametrize("words", COMMANDS)
def test_a_folder_of_plugins_that_cannot_be_read_is_one_warning(pyagent: Run, closed: Path, words: str) -> None:
    done = pyagent(*words.split())
    assert done.status == 0
    assert "mem" in done.out or "config" in words or "depreca" in words
    (line,) = done.err.splitlines()
    assert line.startswith(f"W! {FOLDER} {closed}: ")


def test_it_is_one_warning_where_a_configuration_is_read(pyagent: Run, closed: Path, tmp_path: Path) -> None:
    config = tmp_path / "telegraf.conf"
    config.write_text("[[inputs.mem]]\n[[outputs.discard]]\n")
    done = pyagent("config", "check", "--config", str(config))
    assert (done.status, done.err.count(FOLDER), done.err.count("Traceback")) == (0, 1, 0)
    shown = pyagent("config", "show", "--config", str(config))
    assert (shown.status, "[[inputs.mem]]" in shown.out) == (0, True)


def test_a_plugin_that_may_be_in_it_says_so(pyagent: Run, closed: Path, tmp_path: Path) -> None:
    config = tmp_path / "telegraf.conf"
    config.write_text("[[inputs.mine]]\n")
    done = pyagent("config", "check", "--config", str(config))
    assert done.status == 1
    assert f"{config}:1: inputs.mine: undefined but requested input: mine" in done.err
    assert f"{FOLDER} {closed}" in done.err


@pytest.mark.parametrize("way", ["flag", "variable"])
@pytest.mark.parametrize("words", ["plugins", "config create", "config check --config x", "--config x --test"])
def test_a_folder_of_plugins_that_is_named_must_be_there(
    pyagent: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, words: str
) -> None:
    named = [f"--plugin-directory={tmp_path}/nosuch"] if way == "flag" else []
    if way == "variable":
        monkeypatch.setenv("PYAGENT_PLUGIN_DIRECTORY", f"{tmp_path}/nosuch")
    done = pyagent(*words.split(), *named)
    assert (done.status, done.out) == (1, "")
    name = "--plugin-directory" if way == "flag" else "PYAGENT_PLUGIN_DIRECTORY"
    assert done.err == f"E! {FOLDER} {tmp_path}/nosuch: No such file or directory; correct {name}\n"


def test_the_default_folder_of_plugins_need_not_be_there(
    pyagent: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flags, "PLUGIN_DIRECTORY", f"{tmp_path}/nosuch")
    assert pyagent("plugins", "inputs").err == ""
