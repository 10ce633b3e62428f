"""The script that runs pip and apt: what is seen of them."""

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

STEP = Path(__file__).parents[2] / "scripts" / "step"
PIP = "for name in one two; do echo Collecting $name==2; done; echo flood"


def _step(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.run([STEP, *words], capture_output=True, text=True, timeout=60, env=environ)


def test_a_step_that_succeeds_is_one_line(tmp_path: Path) -> None:
    done = _step(tmp_path, "Installing", "sh", "-c", PIP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Installing ...\n", "")
    assert not list(tmp_path.iterdir())


def test_a_step_that_fails_shows_all_that_it_printed(tmp_path: Path) -> None:
    done = _step(tmp_path, "Installing", "sh", "-c", "seq 100; echo last >&2; exit 7")
    assert done.returncode == 7
    lines = done.stderr.splitlines()
    assert lines[:100] == [str(number) for number in range(1, 101)]
    assert lines[100] == "last"
    assert lines[101].startswith("cannot go on: 'Installing' failed with status 7, see above; the command was: sh -c ")
    assert not list(tmp_path.iterdir())


def test_a_terminal_sees_how_far_it_is() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [STEP, "--of", "3", "Installing", "sh", "-c", f"{PIP}; sleep 2"],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    text = ""
    try:
        while part := os.read(ours, 4096):
            text += part.decode()
    except OSError:  # closed by all who wrote to it
        os.close(ours)
    assert process.wait(60) == 0
    assert "\rInstalling ... 2 of 3, two, " in text
    assert "flood" not in text
    assert text.rpartition("\r")[0].splitlines()[-1].split("\r")[-1].startswith("Installing: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_step_that_is_broken_off_ends_its_command(tmp_path: Path, number: signal.Signals) -> None:
    running = tmp_path / "running"
    process = subprocess.Popen(
        [STEP, "Waiting", "sh", "-c", f"echo $$ > {running}.new; mv {running}.new {running}; exec sleep 600"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # one in the background ignores it
    )
    while not running.exists():
        time.sleep(0.01)
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "Waiting ...\n"
    assert process.returncode == 128 + number
    assert not Path(f"/proc/{running.read_text().strip()}").exists()
    assert list(tmp_path.iterdir()) == [running]


def test_a_step_that_nobody_reads_ends_its_command(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    process = subprocess.Popen(
        [STEP, "Waiting", "sleep", "600"], stdout=theirs, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    os.close(theirs)
    assert process.wait(60) == 141
    assert not list(tmp_path.iterdir())
