"""The recorded command lines: the same exit statuses, texts on the same stream, and log lines of the same form.

What differs for good is in differences.py, with the reason. Names and wording are free; a recording that cannot be compared is not here.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from differences import MEANT

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE.parent.parent.parent / "shared" / "golden" / "telegraf" / "cli"
DEADLINE = 60.0
CONFIG = """\
[agent]
  interval = "1s"
  flush_interval = "1s"
  omit_hostname = true
[[inputs.mock]]
  metric_name = "weather"
  [[inputs.mock.constant]]
    name = "temp"
    value = 21.5
[[outputs.file]]
  files = ["out.txt"]
"""
FAILING = """\
[[inputs.file]]
  alias = "gone"
  files = ["nowhere"]
"""


class Recording:
    """A recording of one run: the words, the exit status, and what went to standard output and to standard error."""

    def __init__(self, path: Path) -> None:
        first, self.status, self.out, self.err = "", None, "", ""
        lines = path.read_text().splitlines()
        first = lines[0] if lines else ""
        self.words = shlex.split(first.removeprefix("$ telegraf")) if first.startswith("$ telegraf") else None
        if self.words is None or len(lines) < 2 or not lines[1].startswith("exit status "):
            return
        self.status = int(lines[1].split()[-1])
        parts = re.split(r"^--- (stdout|stderr)$\n", "\n".join(lines[2:]) + "\n", flags=re.MULTILINE)
        streams = dict(zip(parts[1::2], parts[2::2], strict=True))
        self.out, self.err = streams.get("stdout", ""), streams.get("stderr", "")


ALL = {path.stem: Recording(path) for path in sorted(RECORDINGS.glob("*.txt"))}
RUNS = {name: recording for name, recording in ALL.items() if recording.status is not None}


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "telegraf.conf").write_text(CONFIG)
    return tmp_path


def difference(recording: Recording, folder: Path) -> str | None:
    assert recording.words is not None
    done = subprocess.run(
        [sys.executable, "-m", "pyagent", *recording.words],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    if "Traceback" in done.stderr or done.returncode < 0:
        return f"it crashed: {done.stderr}"
    if bool(done.returncode) != bool(recording.status):
        return f"status {done.returncode}, recorded {recording.status}: {done.stderr}"
    if not recording.status and bool(recording.out.strip()) != bool(done.stdout.strip()):
        return f"on standard output is {done.stdout[:100]!r}, recorded {recording.out[:100]!r}"
    if recording.status and not re.search(r"(^|Z )E! ", done.stderr, re.MULTILINE):
        return f"no error is told: {done.stderr!r}"
    if "+------+" in recording.err and "SOURCE(S)" not in done.stderr:
        return "the table of sources is missing"
    return None


OURS_ALONE = {
    "inputs.collectd_python",
    "inputs.datadog_check",
    "inputs.journald",
    "inputs.munin",
    "inputs.nagios",
    "inputs.prometheus_textfile",
    "processors.python",
}


@pytest.mark.skipif(not ALL, reason=f"the recordings are missing: {RECORDINGS} is not there")
@pytest.mark.parametrize("name", RUNS or ["none"])
def test_recorded_run(name: str, folder: Path) -> None:
    found = difference(RUNS[name], folder)
    if name in MEANT:
        assert found, f"{name} agrees now: remove it from differences.py"
    else:
        assert found is None


@pytest.mark.parametrize("kind", ["inputs", "outputs", "processors", "aggregators", "parsers"])
def test_plugins_are_called_as_there(kind: str, shared: Path, tmp_path: Path) -> None:
    theirs = (shared / f"golden/telegraf/cli/plugins_{kind}.txt").read_text().split()
    done = subprocess.run(
        [sys.executable, "-m", "pyagent", "plugins", kind, "--plugin-directory", str(tmp_path)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    ours = done.stdout.split()
    assert ours
    assert set(ours) - OURS_ALONE <= set(theirs)
    assert ours == sorted(ours)


# Log lines ------------------------------------------------------------------------------------------------------------


class Agent:
    """A running agent, its standard error in a file."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self._log = folder / "stderr"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pyagent", "--config", "telegraf.conf", *words],
                cwd=folder,
                env=environment(folder),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    @property
    def err(self) -> str:
        return self._log.read_text()

    def wait_until(self, fact: Callable[[], object]) -> None:
        end = time.monotonic() + DEADLINE
        while not fact():
            assert self.process.poll() is None, self.err
            assert time.monotonic() < end, self.err
            time.sleep(0.02)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


@contextmanager
def running(folder: Path, settings: str = "", *words: str) -> Iterator[Agent]:
    (folder / "telegraf.conf").write_text(CONFIG.replace("[agent]\n", f"[agent]\n{settings}\n") + FAILING)
    agent = Agent(folder, *words)
    try:
        yield agent
    finally:
        agent.process.kill()
        agent.process.wait()


def recorded_lines(shared: Path, name: str, stream: str = r"\+\d\d\.\d\d err ") -> list[str]:
    lines = (shared / f"golden/telegraf/cli/{name}.txt").read_text().splitlines()
    return [re.sub(stream, "", line) for line in lines if re.match(stream, line)]


def form(line: str) -> str:
    """A line's time and level, with digits as letters."""
    return re.sub(r"\d", "9", re.sub(r"YYYY-MM-DDThh:mm:ss", "9999-99-99T99:99:99", line)).split("! ")[0][:-1]


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("log_text", "", ()),
        ("log_text_quiet", "", ("--quiet",)),
        ("log_timezone", 'log_with_timezone = "Europe/Berlin"', ()),
    ],
)
def test_text_lines(name: str, settings: str, words: tuple[str, ...], shared: Path, folder: Path) -> None:
    # What comes before the settings are known is without them, there and here.
    recorded = {form(line).replace("+01", "+09") for line in recorded_lines(shared, name)}
    with running(folder, settings, *words) as agent:
        agent.wait_until(lambda: "[inputs.file::gone]" in agent.err)
        assert agent.end() == 0
        assert {form(line) for line in agent.err.splitlines()} <= {*recorded, form("YYYY-MM-DDThh:mm:ss+09:99 E! ")}
        levels = {line.split("! ")[0][-1] for line in agent.err.splitlines()}
    assert "E" in levels
    assert ("I" in levels) == (name != "log_text_quiet")
    assert ("+0" in agent.err) == (name == "log_timezone")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("log_structured", 'logformat = "structured"'),
        ("log_structured_debug_key", 'logformat = "structured"\nstructured_log_message_key = "message"'),
    ],
)
def test_structured_lines(name: str, settings: str, shared: Path, folder: Path) -> None:
    recorded = [json.loads(line) for line in recorded_lines(shared, name) if line.startswith("{")]
    # Also of a plugin that has no alias; here an output says that its first batch is written.
    forms = {tuple(line) for line in recorded} | {tuple(key for key in line if key != "alias") for line in recorded}
    with running(folder, settings) as agent:
        agent.wait_until(lambda: '"alias":"gone"' in agent.err)
        assert agent.end() == 0
        lines = [json.loads(line) for line in agent.err.splitlines() if line.startswith("{")]
    assert {tuple(line) for line in lines} <= forms
    theirs = next(line for line in recorded if "alias" in line)
    ours = next(line for line in lines if "alias" in line)
    for key in ("level", "category", "plugin", "alias"):
        assert ours[key] == theirs[key]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", line["time"]) for line in lines)
    key = list(theirs)[2]
    assert any(line[key].startswith("[agent] ") for line in lines)


def test_a_log_file_that_is_moved_away(shared: Path, folder: Path) -> None:
    # Telegraf makes the new one at a reload; here the next line does.
    assert "--- agent.log (mode 644)" in (shared / "golden/telegraf/cli/log_file.txt").read_text()
    log = folder / "agent.log"
    with running(folder, 'logfile = "agent.log"') as agent:
        agent.wait_until(lambda: log.exists() and "[inputs.file::gone]" in log.read_text())
        assert log.stat().st_mode & 0o133 == 0
        log.rename(folder / "agent.log.1")
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_until(lambda: log.exists() and "reloaded" in log.read_text())
        assert agent.end() == 0
        # As there, it has what came before the settings were known.
        assert "inputs" not in agent.err


def test_the_pid_file(shared: Path, folder: Path) -> None:
    assert "--- pidfile looked at" in (shared / "golden/telegraf/cli/pidfile.txt").read_text()
    path = folder / "a.pid"
    with running(folder, "", "--pidfile", "a.pid") as agent:
        agent.wait_until(lambda: path.exists() and path.read_text())
        assert path.read_text() == f"{agent.process.pid}\n"
        assert path.stat().st_mode & 0o137 == 0
        agent.wait_until((folder / "out.txt").exists)
        assert agent.end() == 0
    assert not path.exists()


@pytest.mark.parametrize("words", [("notify",), ("poll", "--watch-interval", "100ms")])
def test_watched_files(words: tuple[str, ...], folder: Path) -> None:
    # As recorded in watch_config_*, but that a broken text changes nothing.
    config = folder / "telegraf.conf"
    with running(folder, "", "--watch-config", *words) as agent:
        agent.wait_until((folder / "out.txt").exists)
        assert "I! [config] watching telegraf.conf\n" in agent.err
        config.write_text(config.read_text().replace("out.txt", "other.txt"))
        agent.wait_until((folder / "other.txt").exists)
        assert agent.err.count("telegraf.conf has changed") == 1
        config.write_text("[agent\n")
        agent.wait_until(lambda: "goes on" in agent.err)
        config.write_text(CONFIG.replace("out.txt", "third.txt"))
        agent.wait_until((folder / "third.txt").exists)
        assert agent.end() == 0
