"""The agent's log lines, and that no secret gets into one."""

import logging
from collections.abc import Callable, Iterator

import pytest

from pyagent.api import Secret
from pyagent.runtime import log as agent_log

Read = Callable[[], str]


@pytest.fixture
def read(capsys: pytest.CaptureFixture[str]) -> Iterator[Read]:
    """The log as configured from nothing; the value gives what was logged since the last call."""
    root, everything = logging.getLogger("pyagent"), logging.getLogger()
    before = (root.handlers[:], everything.handlers[:], root.level, root.propagate, logging.raiseExceptions)
    root.handlers.clear()
    yield lambda: capsys.readouterr().err
    root.handlers[:], everything.handlers[:] = before[0], before[1]
    root.level, root.propagate, logging.raiseExceptions = before[2:]


def test_a_line_is_telegrafs(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    agent_log.configure_logging()
    agent_log.component_logger("inputs.mem::a").error("cannot %s", "read")
    agent_log.component_logger("agent").debug("not shown")
    line = read()
    assert line.endswith("Z E! [inputs.mem::a] cannot read\n")
    assert len(line.split()[0]) == len("2026-01-02T03:04:05Z")


@pytest.mark.parametrize(
    ("options", "shown"),
    [({}, "EWI"), ({"debug": True}, "EWID"), ({"quiet": True}, "E"), ({"quiet": True, "debug": True}, "E")],
)
def test_levels(read: Read, options: dict[str, bool], shown: str) -> None:
    agent_log.configure_logging()
    agent_log.configure_logging(**options)
    log = agent_log.component_logger("agent")
    for level in (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG):
        log.log(level, "x")
    assert "".join(line.split("!")[0][-1] for line in read().splitlines()) == shown


def test_the_journal_gets_priorities_on_every_line(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    agent_log.configure_logging()
    try:
        raise ValueError("broken")
    except ValueError:
        agent_log.component_logger("agent").exception("a defect")
    lines = read().splitlines()
    assert lines[0] == "<3>[agent] a defect"
    assert len(lines) > 2
    assert all(line.startswith("<3>") for line in lines)


def test_a_secret_never_gets_in(read: Read) -> None:
    agent_log.configure_logging()
    token = Secret("hunter2hunter2")
    log = agent_log.component_logger("agent")
    log.error("401 for token hunter2hunter2")
    log.error("%s and %r", token, [token])
    try:
        raise ValueError("password=hunter2hunter2")
    except ValueError:
        log.exception("told")
    text = read()
    assert "hunter2" not in text
    assert text.count("***") >= 3
    assert token.reveal() == "hunter2hunter2"
