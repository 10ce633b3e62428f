"""`pyagent quarantine` and `pyagent buffer`, against the control server and the quarantine of a running agent."""

import io
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from agent_socket import serving
from commands import Done

from pyagent.api import QueueFull, Secret
from pyagent.buffer.quarantine import Quarantine
from pyagent.cli import status
from pyagent.lineprotocol import parse
from pyagent.runtime.routes import StoredBuffer, buffer_routes, quarantine_routes

Run = Callable[..., Done]
LOG = logging.getLogger("pyagent.quarantine")


class Running:
    """The engine's side: outputs that take lines, and those that do not."""

    def __init__(self, quarantine: Quarantine, path: Path) -> None:
        self.quarantine = quarantine
        self.path = path
        self.queued: list[tuple[str, str | None, tuple[bytes, ...]]] = []

    def requeue(self, output: str, partition: str | None, lines: Sequence[bytes]) -> None:
        if output == "gone":
            raise LookupError("no output 'gone' runs")
        if output == "full":
            raise QueueFull("its queue is full")
        self.queued.append((output, partition, tuple(lines)))


@pytest.fixture
def agent(tmp_path: Path) -> Running:
    running = Running(Quarantine(tmp_path / "quarantine", log=LOG), tmp_path / "control.sock")
    now = time.time()
    put = running.quarantine.put
    put("home/ram", None, [b"cpu x=1 1\n", b"cpu x=2 2\n"], "400 invalid: a field's type differs", time=now - 7265)
    put("home/ram", "b", [b"mem y=3 3\n"], "422: outside the retention", suspected=True, time=now - 90)
    put("gone", None, [b"cpu z=4 4\n"], "400 bad", time=now)
    return running


@pytest.fixture
def ask(agent: Running, pyagent: Run) -> Run:
    def run(*words: str) -> Done:
        with serving(agent.path, quarantine_routes(agent.quarantine, agent.requeue)):
            return pyagent("quarantine", "--socket", str(agent.path), *words)

    return run


def test_the_list(ask: Run) -> None:
    done = ask("list")
    assert (done.status, done.err) == (0, "")
    head, first, second, third, empty, sum_ = done.out.splitlines()
    assert head.split() == ["id", "age", "metrics", "output", "reason"]
    assert first.split(maxsplit=6) == [
        "1",
        "2",
        "h",
        "01",
        "min",
        "2",
        "home/ram     400 invalid: a field's type differs",
    ]
    assert "home/ram, b  (suspected) 422: outside" in second
    assert third.endswith("gone         400 bad")
    assert empty == ""
    assert sum_.startswith("4 metrics in 3 entries, ")


def test_the_list_for_programs(ask: Run) -> None:
    document = json.loads(ask("list", "--json").out)
    assert (document["metrics"], document["evicted"]) == (4, 0)
    assert [one["id"] for one in document["entries"]] == [1, 2, 3]
    second = document["entries"][1]
    assert second.pop("time") == pytest.approx(time.time() - 90, abs=60)
    expected = {"id": 2, "output": "home/ram", "partition": "b", "reason": "422: outside the retention"}
    assert second == expected | {"suspected": True, "count": 1, "first": "mem y=3 3\n"}


def test_an_empty_one(ask: Run, agent: Running) -> None:
    assert ask("drop", "all").out == "4 metrics in 3 entries are dropped\n"
    assert ask("list").out == "0 metrics in 0 entries, 0 bytes; 0 older ones had to go since the start\n"
    assert ask("retry", "all").status == 0


def test_what_is_shown_is_line_protocol(ask: Run) -> None:
    done = ask("show", "1")
    assert done.status == 0
    assert "# reason: 400 invalid: a field's type differs\n" in done.out
    assert [line for line in done.out.splitlines() if not line.startswith("#")] == ["cpu x=1 1", "cpu x=2 2"]
    assert not parse(done.out.encode(), 0).errors


def test_nothing_shown_can_harm_a_terminal(ask: Run, agent: Running) -> None:
    Secret("correct-horse")
    line = 'm,t=\xfc f="a\nb\t\x1b[2J\r\u202e\x9b"'.encode() + b' ,g="\xff" 1\n'
    agent.quarantine.put("o\x1b", "p\n", [line], "said \x1b]0;title\x07 correct-horse", time=1.0)
    done = ask("show", "4")
    assert done.out.endswith('m,t=ü f="a\nb\t\\x1b[2J\\r\\u202e\\x9b" ,g="\\xff" 1\n')
    assert "# output: o\\x1b, p\\n\n# reason: said \\x1b]0;title\\x07 ***\n" in done.out
    assert "\x1b" not in ask("list").out
    exact = json.loads(ask("show", "4", "--json").out)["lines"]
    assert [text.encode("utf-8", "surrogateescape") for text in exact] == [line]


def test_one_goes_back_to_its_output(ask: Run, agent: Running) -> None:
    done = ask("retry", "2")
    assert (done.status, done.out) == (0, "1 metric in 1 entry is given to their outputs again\n")
    assert agent.queued == [("home/ram", "b", (b"mem y=3 3\n",))]
    assert agent.quarantine.numbers() == [1, 3]


def test_what_cannot_be_retried_stays(ask: Run, agent: Running) -> None:
    agent.quarantine.put("full", None, [b"m x=1\n"], "r", time=1.0)
    done = ask("retry", "3")
    assert (done.status, done.err) == (2, "E! no output 'gone' runs\n")
    assert (ask("retry", "4").status, agent.queued) == (2, [])
    done = ask("retry", "all")
    assert (done.status, done.out) == (2, "3 metrics in 2 entries are given to their outputs again\n")
    assert done.err.splitlines() == [
        "E! 1 entry stays: no output 'gone' runs",
        "E! 1 entry stays: its queue is full",
    ]
    assert agent.quarantine.numbers() == [3, 4]
    assert len(agent.queued) == 2


def test_one_is_dropped(ask: Run, agent: Running) -> None:
    assert ask("drop", "1").out == "2 metrics in 1 entry are dropped\n"
    assert ask("drop", "1").err == "E! there is no entry 1 in the quarantine\n"
    assert json.loads(ask("drop", "2", "--json").out) == {"entries": 1, "metrics": 1, "errors": {}}
    assert agent.quarantine.numbers() == [3]
    assert not agent.queued


@pytest.mark.parametrize("word", ["99", "x", "-1", "1/drop", "9" * 4000, "9" * 9000, "ü"])
def test_an_id_that_is_none(ask: Run, agent: Running, word: str) -> None:
    for action in ("show", "retry", "drop"):
        done = ask(action, "--", word)
        assert done.status == (2 if len(word) < 5000 else 1)  # of so long a request nothing is read
        assert done.err.startswith("E! ")
        assert done.err.count("\n") == 1
    assert len(agent.quarantine) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show"], "E! cannot show an entry: no ID is given"),
        (["list", "a", "b"], "E! 'list' takes an instance and nothing else"),
        (["steal"], "E! unknown action 'steal'; write one of list, show, retry, drop"),
        ([], "E! no action is given; write one of list, show, retry, drop"),
    ],
)
def test_words_that_make_no_sense(pyagent: Run, words: list[str], message: str) -> None:
    done = pyagent("quarantine", *words)
    assert done.status == 1
    assert done.err.startswith(message)


def test_an_agent_that_is_not_there(pyagent: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "/control.sock: No such file or directory; pyagent@"
    for words in (["quarantine", "list", "ram-x"], ["buffer", "list", "--instance", "ram-x"], ["status", "ram-x"]):
        done = pyagent(*words)
        assert (done.status, done.out) == (1, "")
        assert f"E! cannot ask the agent at /run/pyagent/ram-x{missing}ram-x does not run" in done.err
    monkeypatch.setenv("PYAGENT_INSTANCE", "disk-x")
    assert f"/run/pyagent/disk-x{missing}disk-x does not run" in pyagent("quarantine", "show", "1").err


def test_status_has_a_line_for_it(pyagent: Run, tmp_path: Path) -> None:
    configuration = {
        "sources": ["a.conf"],
        "age_seconds": 1,
        "from_cache": False,
        "waiting": "",
        "last_reload_ok": True,
    }
    document = {"version": "1", "instance": "ram", "pid": 1, "uptime_seconds": 1, "configuration": configuration}
    document |= {"inputs": [], "outputs": []}
    for quarantine, expected in (({"metrics": 1200}, 1), ({"metrics": 0}, 0)):
        with serving(tmp_path / "s", {}, document | {"quarantine": quarantine}):
            done = pyagent("status", "--socket", str(tmp_path / "s"))
        assert (done.status, done.err) == (0, "")
        assert (
            done.out.count("quarantine: 1,200 metrics refused for good; see: pyagent quarantine list --socket")
            == expected
        )


@pytest.mark.parametrize(
    ("damage", "shown"),
    [
        ({}, ""),
        ({"damaged": 0, "damaged_bytes": 0, "set_aside": 0}, ""),
        ({"damaged": 1200}, "has lost 1,200 metrics, 0 bytes cannot be read, 0 files are set aside"),
        (
            {"damaged": 3, "damaged_bytes": 4096, "set_aside": 2},
            "has lost 3 metrics, 4,096 bytes cannot be read, 2 files",
        ),
    ],
)
def test_status_shows_what_is_damaged(damage: dict[str, int], shown: str) -> None:
    configuration = {"sources": ["a.conf"], "age_seconds": 1, "from_cache": False}
    document = {"version": "1", "instance": "ram", "pid": 1, "uptime_seconds": 1, "configuration": configuration}
    numbers = dict.fromkeys(("written", "queued", "limit", "dropped", "rejected", "failures"), 0)
    output = {"name": "outputs.red", "oldest_age_seconds": 0.0, **numbers, "damaged": 0, **damage}
    lines = "\n".join(status._lines(document | {"inputs": [], "outputs": [output], "aggregators": [], "problems": []}))
    assert ("its buffer on disk" in lines) == bool(shown)
    assert shown in lines


def test_an_agent_of_another_version(pyagent: Run, tmp_path: Path) -> None:
    with serving(tmp_path / "s", {}, {}):
        done = pyagent("quarantine", "list", "--socket", str(tmp_path / "s"))
    assert (done.status, done.err) == (2, "E! it does not know this command; is it of another version?\n")


# Queues on disk -------------------------------------------------------------------------------------------------------


class Queues:
    def __init__(self) -> None:
        orphan = StoredBuffer("influxdb_v2%2Fold+b", "influxdb_v2/old", "b", None, 12345, time.time() - 7200)
        used = replace(orphan, name="ram", metrics=1234, used_by="outputs.influxdb_v2")
        self.stored = {one.name: one for one in (orphan, used)}
        self.adopted: list[tuple[str, str]] = []

    def list(self) -> Sequence[StoredBuffer]:
        return list(self.stored.values())

    async def adopt(self, name: str, to: str) -> int:
        self._take(name)
        self.adopted.append((name, to))
        return 7

    def drop(self, name: str) -> int:
        self._take(name)
        return 8

    def _take(self, name: str) -> None:
        if self.stored[name].used_by if name in self.stored else False:
            raise QueueFull(f"the queue {name} is in use")
        if self.stored.pop(name, None) is None:
            raise LookupError(f"there is no queue {name}")


@pytest.fixture
def queues() -> Queues:
    return Queues()


@pytest.fixture
def buffer(queues: Queues, pyagent: Run, tmp_path: Path) -> Run:
    def run(*words: str) -> Done:
        with serving(tmp_path / "control.sock", buffer_routes(queues)):
            return pyagent("buffer", *words, "--socket", str(tmp_path / "control.sock"))

    return run


def test_queues_on_disk_are_listed(buffer: Run, queues: Queues) -> None:
    head, orphan, used = buffer("list").out.splitlines()
    assert head.split() == ["name", "metrics", "size", "oldest", "of", "output"]
    assert orphan.endswith("        ?  12.3 kB  2 h 00 min  none (was influxdb_v2/old)")
    assert used.endswith("    1,234  12.3 kB  2 h 00 min  outputs.influxdb_v2")
    assert json.loads(buffer("list", "--json").out)["buffers"][0]["partition"] == "b"
    queues.stored.clear()
    assert buffer("list").out == "no queue is on disk\n"


def test_an_orphan_is_adopted(buffer: Run, queues: Queues) -> None:
    name = "influxdb_v2%2Fold+b"
    done = buffer("adopt", name, "--to", "influxdb_v2::a&b")
    assert (done.status, done.out) == (0, "7 metrics are given to influxdb_v2::a&b\n")
    assert queues.adopted == [(name, "influxdb_v2::a&b")]
    assert buffer("adopt", name, "--to", "x").err == f"E! there is no queue {name}\n"
    assert buffer("adopt", name).err.startswith("E! cannot adopt a queue: no output is given; add --to OUTPUT")
    assert buffer("adopt", "ram", "--to", "x").status == 2


def test_nothing_is_dropped_without_yes(buffer: Run, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "influxdb_v2%2Fold+b"
    monkeypatch.setattr("sys.stdin", io.StringIO("y"))  # no terminal, as in a script
    done = buffer("drop", name)
    assert (done.status, done.err) == (1, "E! nothing is dropped; add --yes to drop it\n")
    assert name in queues.stored
    assert buffer("drop", name, "--yes").out == "8 metrics are dropped\n"
    assert name not in queues.stored
    assert buffer("drop", "ram", "--yes").err == "E! the queue ram is in use\n"
