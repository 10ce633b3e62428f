"""`make test` runs its stages to their ends, and says last what failed (scripts/stages.py)."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOME_TESTS = """
import pytest

@pytest.fixture
def broken():
    raise OSError("on purpose")

def test_passes(): pass

@pytest.mark.parametrize("number", [1, 2])
def test_fails(number): assert number == 1

def test_is_not_even_begun(broken): pass
"""
STAGE = """
import pathlib, sys, time
try:
    pathlib.Path(sys.argv[1] + " begins").touch()
    time.sleep(600)
finally:
    pathlib.Path(sys.argv[1] + " ends").touch()
"""
HEAD = """
import sys
sys.path.insert(0, "{scripts}")
from stages import PYTEST, Stage, run
"""


@pytest.fixture
def code(root: Path, tmp_path: Path) -> str:
    """The beginning of a program that runs stages in a folder with some tests."""
    shutil.copy(root / "tests/conftest.py", tmp_path)
    (tmp_path / "test_some.py").write_text(SOME_TESTS)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {root / 'tests/support'}\n")
    return HEAD.format(scripts=root / "scripts")


def test_all_are_run_and_the_last_words_name_the_stages_and_tests_that_failed(code: str, tmp_path: Path) -> None:
    code += """
sys.exit(run([
    Stage("first", *PYTEST, "-q", "-p", "no:cacheprovider", "-n", "2"),
    Stage("beside", "sh", "-c", "echo from beside; exit 3", beside=True),
    Stage("pages", "seq", "1000"),
    Stage("nothing to do", "true", beside=True),
    Stage("last", "true"),
]))
"""
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "\n---- beside (beside the last) ----\nfrom beside\n" in done.stdout
    told = done.stdout.rpartition("---- In short ----\n")[2]
    assert re.sub(r"^ *\d+ s  ", "", told, flags=re.MULTILINE).splitlines() == [
        "first: FAILED with status 1",
        "         test_some.py::test_fails[2]",
        "         test_some.py::test_is_not_even_begun",
        "beside: FAILED with status 3",
        "pages: passed",
        "nothing to do: passed",
        "last: passed",
        "Not all passed.",
    ]


def test_where_nothing_fails_it_says_so(code: str, tmp_path: Path) -> None:
    code += "sys.exit(run([Stage('first', *PYTEST, '-q', '-k', 'passes'), Stage('last', 'true')]))"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("\nAll passed.\n")
    assert "FAILED" not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_leaves_nothing_behind(code: str, tmp_path: Path, number: signal.Signals) -> None:
    """A stage has the time to end what it has started."""
    (tmp_path / "stage.py").write_text(STAGE)
    code += """
import stages
made = [
    Stage("beside", sys.executable, "stage.py", "beside", beside=True),
    Stage("first", sys.executable, "stage.py", "first"),
]
stages.run = lambda _: run(made)
sys.exit(stages.main())
"""
    with subprocess.Popen([sys.executable, "-B", "-c", code], cwd=tmp_path, start_new_session=True) as process:
        while not all((tmp_path / f"{name} begins").exists() for name in ("first", "beside")):
            assert process.poll() is None
            time.sleep(0.01)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does it
        else:
            process.send_signal(number)
        assert process.wait(60) == 128 + number
    assert all((tmp_path / f"{name} ends").exists() for name in ("first", "beside"))
