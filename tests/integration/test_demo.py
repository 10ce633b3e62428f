"""The demonstration as a user runs it, and InfluxDB's management API against the server that it starts."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyagent.cli.demo_processes import BUCKET, MEM, EmbeddedInfluxDB
from pyagent.influxdb import InfluxDB, InfluxDBError
from pyagent.testing.servers import PostgresServer

COMMAND = [sys.executable, "-m", "pyagent", "demo"]


class Demo:
    """A demonstration that runs. Its diagnostics go to a file, as a pipe that nobody reads would stop it."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._log = folder / "log"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str) -> None:
        while text not in self.log:
            assert self.process.poll() is None, f"it ended before {text!r} was there:\n{self.log}"
            time.sleep(0.05)

    def children(self) -> set[int]:
        """Of all generations."""
        return _descendants(self.process.pid)

    def end(self) -> tuple[int, str]:
        """Exit status and standard output."""
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output


@pytest.fixture
def start(tmp_path: Path) -> Iterator[type[Demo]]:
    started: list[Demo] = []

    class Started(Demo):
        def __init__(self, *words: str) -> None:
            super().__init__(tmp_path, *words)
            started.append(self)

    yield Started  # type: ignore[misc]
    for demo in started:
        demo.process.kill()
        demo.process.communicate()


def _descendants(of: int) -> set[int]:
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(folder.name)] = int(fields[1])
    found = {of}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {of}


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_shows_points_and_leaves_nothing_behind(start: type[Demo]) -> None:
    demo = start("--json")
    for name in ("ram", "postgres") if PostgresServer.installed() else ("ram",):
        demo.wait_for(f"agent {name}: first point stored")
    children = demo.children()
    assert len(children) >= 2  # server and agent
    demo.process.send_signal(signal.SIGINT)
    status, output = demo.end()
    assert status == 0, demo.log
    document = json.loads(output.splitlines()[-1])
    assert document["points"]["mem"] > 0
    assert document["seconds_to_first_point"]["ram"] > 0
    if PostgresServer.installed():
        assert document["points"]["postgresql"] > 0
        assert document["seconds_to_first_point"]["postgres"] > 0
    else:
        assert "apt install postgresql" in document["postgresql"]
    assert not [pid for pid in children if _alive(pid)]


def test_tokens_are_neither_arguments_nor_shown(start: type[Demo]) -> None:
    demo = start("--json")
    demo.wait_for("agent ram: first point stored")
    arguments, tokens = "", set()
    for pid in demo.children():
        arguments += Path(f"/proc/{pid}/cmdline").read_text()
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        tokens |= {each[13:].decode() for each in environ if each.startswith(b"INFLUX_TOKEN=")}
    demo.process.send_signal(signal.SIGINT)
    _, output = demo.end()
    assert tokens
    for token in tokens:
        assert len(token) > 20
        assert token not in arguments + output + demo.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_with_status_0(start: type[Demo], number: signal.Signals) -> None:
    demo = start("--json")
    demo.wait_for("agent ram: first point stored")
    children = demo.children()
    demo.process.send_signal(number)
    demo.process.send_signal(number)  # an impatient second one does not break the end off
    status, output = demo.end()
    assert status == 0
    assert json.loads(output.splitlines()[-1])["points"]["mem"] > 0
    assert not [pid for pid in children if _alive(pid)]


def test_no_child_survives_a_kill(start: type[Demo]) -> None:
    demo = start("--json")
    demo.wait_for("agent ram: first point stored")
    children = demo.children()
    assert children
    demo.process.kill()
    while any(_alive(pid) for pid in children):  # ended by the time limit of the test
        time.sleep(0.05)


def test_it_runs_with_standard_input_closed_and_without_a_terminal() -> None:
    for seconds in ("4", "40"):  # four are enough, unless the machine has much else to do
        command = ["/bin/sh", "-c", '"$@" <&-', "sh", *COMMAND, "--for", seconds]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    assert "first point stored" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "make install" in done.stdout
    assert done.stderr == ""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """For files of one test alone. Its path is short, as sockets want it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_a_reader_that_leaves_ends_it(scratch: Path) -> None:
    environ = os.environ | {"TMPDIR": str(scratch)}
    demo = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    assert demo.stdout is not None
    assert demo.stderr is not None
    for line in demo.stdout:
        if "agent ram: first point stored" in line:
            break
    children = _descendants(demo.pid)
    assert children
    assert list(scratch.iterdir()) != []
    demo.stdout.close()
    errors = demo.stderr.read()
    demo.stderr.close()
    assert (demo.wait(60), errors) == (0, "")
    assert not [pid for pid in children if _alive(pid)]
    assert list(scratch.iterdir()) == []


class OnTerminal:
    """A demonstration on a terminal of a size."""

    def __init__(self, term: str, width: int, height: int) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        environ = {**os.environ, "TERM": term, "LC_ALL": "C.UTF-8"}
        environ.pop("COLUMNS", None)
        environ.pop("LINES", None)
        self.process = subprocess.Popen(
            COMMAND, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, text: str) -> None:
        while text not in self.text:
            self._read()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            while True:
                self._read()
        except OSError:  # all who had the terminal open have gone
            os.close(self._ours)
        return self.process.wait(60)

    def _read(self) -> None:
        self.text += os.read(self._ours, 65536).decode(errors="replace")


def test_two_at_once_on_terminals_one_of_which_cannot_be_drawn_on() -> None:
    screen, dumb = OnTerminal("xterm", 60, 20), OnTerminal("dumb", 60, 20)
    try:
        screen.read_until("mem used: ")
        dumb.read_until("agent ram: first point stored")
        children = _descendants(screen.process.pid) | _descendants(dumb.process.pid)
        assert len(children) >= 4
        assert (screen.end(), dumb.end()) == (0, 0)
    finally:
        screen.process.kill()
        dumb.process.kill()
    assert not [pid for pid in children if _alive(pid)]
    assert "\x1b" not in dumb.text
    left = screen.text.rindex("\x1b[?1049l")  # the screen is left, and what follows stays
    assert screen.text.index("\x1b[?1049h") < left < screen.text.index("Points stored: ")
    for end in (screen.text[left + 8 :], dumb.text):
        assert "\x1b" not in end
        assert "How to go on" in end


def test_a_run_without_a_point_of_memory_fails() -> None:
    done = subprocess.run([*COMMAND, "--for", "0", "--json"], capture_output=True, text=True, timeout=60)
    points = json.loads(done.stdout.splitlines()[-1])["points"]
    assert done.returncode == (0 if points.get("mem") else 1)


# InfluxDB's management API --------------------------------------------------------------------------------------------


@pytest.fixture
def influxdb(tmp_path: Path) -> Iterator[InfluxDB]:
    server = EmbeddedInfluxDB(tmp_path)
    with InfluxDB(server.url) as influxdb:
        influxdb.setup(org="home", bucket=BUCKET, username="admin", password="a long password")
        yield influxdb
    server.stop()


def test_a_configuration_is_the_one_of_the_page(influxdb: InfluxDB) -> None:
    made = influxdb.create_configuration("ram", BUCKET, MEM, plugin="mem")
    request = urllib.request.Request(made.url, headers={"Authorization": f"Token {made.token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    assert text.endswith(MEM)
    assert text.count("[[inputs.mem]]") == 1
    assert 'token = "$INFLUX_TOKEN"' in text
    assert made.token not in text + repr(made)


def test_what_the_server_refuses_is_told_in_one_line(influxdb: InfluxDB) -> None:
    with pytest.raises(InfluxDBError, match=r"^cannot query InfluxDB at http://127\.0\.0\.1:\d+: 404 .*nothing"):
        influxdb.query('from(bucket: "nothing") |> range(start: -1h)')
    with pytest.raises(InfluxDBError, match=r"^cannot set up InfluxDB at .*already been completed"):
        influxdb.setup(org="home", bucket=BUCKET, username="admin", password="a long password")
    with pytest.raises(InfluxDBError, match=r"^cannot find the bucket 'nothing'"):
        influxdb.create_configuration("ram", "nothing", MEM, plugin="mem")


def test_a_server_that_is_not_there_is_told_in_one_line() -> None:
    with InfluxDB("http://127.0.0.1:9", "token", "home") as influxdb, pytest.raises(InfluxDBError) as caught:
        influxdb.query('from(bucket: "b") |> range(start: -1h)')
    assert str(caught.value).startswith("cannot query InfluxDB at http://127.0.0.1:9: ")
    assert "\n" not in str(caught.value)
