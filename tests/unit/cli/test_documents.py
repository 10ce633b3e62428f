"""The manual page and the completions that `make install` makes."""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pyagent.cli import COMMANDS
from pyagent.cli.run_flags import run_parser


@pytest.fixture(scope="module")
def documents(root: Path) -> ModuleType:
    for name in ("shtab", "argparse_manpage"):
        pytest.importorskip(name, reason=f"{name} is missing: make setup")
    specification = importlib.util.spec_from_file_location("documents", root / "scripts" / "documents.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def share(documents: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["documents.py", str(folder)])
        documents.main()
    return folder


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is missing: make test installs it as root on Debian")
    return found


@pytest.mark.parametrize(
    "command", [["groff", "-man", "-ww", "-z"], ["mandoc", "-T", "lint", "-W", "warning"], ["man", "--warnings", "-l"]]
)
def test_the_manual_page_has_no_mistakes(share: Path, command: list[str]) -> None:
    page = share / "man/man1/pyagent.1"
    environment = {**os.environ, "MANPAGER": "cat", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [need(command[0]), *command[1:], page], capture_output=True, text=True, timeout=60, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert command[0] == "man" or done.stdout == ""


def test_the_manual_page_has_every_flag_and_command(share: Path) -> None:
    page = (share / "man/man1/pyagent.1").read_text()
    for name in COMMANDS:
        assert f".SS \\fBpyagent {name}\\fR\n" in page
    shown = [action for flags in run_parser().groups.values() for action in flags if action.help != argparse.SUPPRESS]
    for action in shown:
        if (flag := action.option_strings[-1]) != "--help":
            assert f".TP\n\\fB{flag.replace('-', chr(92) + '-')}\\fR" in page
    for heading in ("NAME", "SYNOPSIS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"):
        assert f"\n.SH {heading}\n" in page


def test_no_text_is_a_request_of_roff(documents: ModuleType) -> None:
    mended = documents._mended(".TH X\n.SH NAME\n'quoted'\n.conf files\n\nmore\n\n\n.TP\n")
    assert mended == ".TH X\n.SH NAME\n\\&'quoted'\n\\&.conf files\n.PP\nmore\n.TP\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sta"], ["status"]),
        (["config", ""], ["create", "check", "show", "schema", "migrate"]),
        (["config", "check", "--config-"], ["--config-directory"]),
        (["config", "check", "--config", "a."], ["a.conf"]),
        (["--debug", "--config-directory", "con"], ["conf.d"]),
        (["--drain-order", ""], ["oldest", "newest"]),
        (["--config", "a.conf", "plug"], ["plugins"]),
        (["plugins", "show", "inputs.m"], ["inputs.mem", "inputs.mock"]),
        (["plugins", "out"], ["outputs"]),
        (["help", "quar"], ["quarantine"]),
    ],
)
def test_completion_in_bash(share: Path, words: list[str], expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.conf").touch()
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "pyagent").write_text(
        "#!/bin/sh\nprintf 'inputs.mem   Memory.\\ninputs.mock  Mock.\\noutputs.file\\n'\n"
    )
    (tmp_path / "pyagent").chmod(0o755)
    script = (
        'source "$1"; shift; COMP_WORDS=(pyagent "$@"); COMP_CWORD=$#; _shtab_pyagent; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        [need("bash"), "--norc", "-c", script, "bash", share / "bash-completion/completions/pyagent", *words],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completions_are_valid(documents: ModuleType, share: Path, shell: str) -> None:
    script = share / documents.COMPLETIONS[shell]
    subprocess.run([need(shell), "-n", script], check=True, timeout=60)
    assert "quarantine" in script.read_text()
