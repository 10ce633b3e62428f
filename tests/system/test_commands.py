"""What the Makefile does on machines that differ: with a compiler that comes later, with several Pythons."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOOLS = ("bash", "cat", "dirname", "env", "find", "make", "mkdir", "readlink", "sh", "touch")

Run = Callable[..., str]


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    """The Makefile with the scripts that are tried, and a set-up that only says that it ran."""
    tree = tmp_path / "tree"
    shutil.copytree(root / "requirements", tree / "requirements")
    for name in ("Makefile", "pyproject.toml", "setup.py"):
        shutil.copy(root / name, tree)
    (tree / "scripts").mkdir()
    for name in ("compiler", "find-python", "unit-elsewhere"):
        shutil.copy(root / "scripts" / name, tree / "scripts")
    native = tree / "agent/pyagent/lineprotocol/native"
    native.mkdir(parents=True)
    for name in ("_core.pyx", "scan.hpp"):
        (native / name).touch()
    script(tree / "scripts/debian-packages", "true")
    script(tree / "scripts/set-up", 'venv=${PYAGENT_VENV:-.venv}; mkdir -p $venv/bin; echo "set up $venv"')
    script(tree / ".venv/bin/python", f'exec "{sys.executable}" "$@"')
    return tree


@pytest.fixture
def run(tree: Path, tmp_path: Path) -> Run:
    """Run a command in the tree; nothing but a few tools, and what a test adds, is on its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        if found is None:
            pytest.skip(f"the program {tool} is missing")
        (folder / tool).symlink_to(found)

    def command(*words: str) -> str:
        done = subprocess.run(
            words, cwd=tree, env={"PATH": str(folder)}, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return command


def test_a_compiler_that_came_later_is_noticed(run: Run, tree: Path, tmp_path: Path) -> None:
    script(tmp_path / "bin/python3", f'exec "{sys.executable}" "$@"')
    assert "set up .venv" in run("make", "setup")
    assert "set up" not in run("make", "setup")
    script(tmp_path / "bin/c++", "true")
    assert "set up .venv" in run("make", "setup")
    assert "set up" not in run("make", "setup")
    os.utime(tree / "agent/pyagent/lineprotocol/native/scan.hpp", (2**32, 2**32))
    assert "set up .venv" in run("make", "setup")


def python(path: Path, version: str, *, complete: bool = True) -> None:
    """What answers the questions of the script as that Python would."""
    script(path, f'case "$2" in *version*) echo {version} ;; *) {str(complete).lower()} ;; esac')


def test_the_unit_tests_run_on_every_other_python(run: Run, tree: Path, tmp_path: Path) -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert run("scripts/unit-elsewhere") == ""
    others = [f"3.{minor}" for minor in (11, 12, 13, 14) if f"3.{minor}" != own]
    python(tmp_path / "bin" / f"python{own}", own)
    python(tmp_path / "bin" / f"python{others[0]}", others[0])
    script(tmp_path / "bin" / f"python{others[1]}", "exit 127")  # a shim that has none
    python(tmp_path / "bin" / f"python{others[2]}", others[2], complete=False)
    python(tmp_path / "bin/python3.10", "3.10")
    script(tree / f".venv-{others[0]}/bin/python", 'echo "pytest ran: $*"')

    said = run("scripts/unit-elsewhere", "-q").splitlines()
    assert said[:-1] == [
        f"set up .venv-{others[0]}",
        f"The unit tests on Python {others[0]}:",
        "pytest ran: -m pytest tests/unit tests/plugins -m not system -p no:cacheprovider -q",
    ]
    assert said[-1].startswith(f"The unit tests do not run on Python {others[2]}: ")
    assert "set up" not in run("scripts/unit-elsewhere", "-q")
