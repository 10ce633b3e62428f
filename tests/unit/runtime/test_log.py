"""The agent's log lines, and that no secret gets into one."""

import importlib.util
import io
import json
import logging
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyagent.api import ConfigError, Secret, Size
from pyagent.config import AgentSettings
from pyagent.runtime import log as agent_log
from pyagent.runtime.log_lines import StructuredLines, TextLines, log_zone

Read = Callable[[], str]


@pytest.fixture
def read(capsys: pytest.CaptureFixture[str]) -> Iterator[Read]:
    """The log as configured from nothing; the value gives what was logged since the last call."""
    root, everything = logging.getLogger("pyagent"), logging.getLogger()
    before = (root.handlers[:], everything.handlers[:], root.level, root.propagate)
    root.handlers.clear()
    yield lambda: capsys.readouterr().err
    root.handlers[:], everything.handlers[:] = before[0], before[1]
    root.level, root.propagate = before[2:]


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


def test_the_journal_gets_priorities_on_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    with open(tmp_path / "journal", "w+") as journal:
        status = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        monkeypatch.setattr(sys, "stderr", journal)
        agent_log.configure_logging()
        try:
            raise ValueError("broken")
        except ValueError:
            agent_log.component_logger("agent").exception("a defect")
        agent_log.apply_settings(AgentSettings(logformat="structured"), debug=False, quiet=False)
        agent_log.component_logger("agent").warning("as JSON")
        journal.seek(0)
        lines = journal.read().splitlines()
    assert lines[0] == "<3>[agent] a defect"
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines[:-1])
    assert lines[-1].startswith('<4>{"time":')


@pytest.fixture
def on_terminal(read: Read, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], object]], str]]:
    """What a terminal with colours shows while a function logs."""
    ours, theirs = os.openpty()
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "JOURNAL_STREAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with open(theirs, "w") as stream:

        def shown(log: Callable[[], object]) -> str:
            # Here, as pytest puts its own in place between the fixtures and the test.
            monkeypatch.setattr(sys, "stderr", stream)
            log()
            stream.write("end\n")
            stream.flush()
            text = ""
            while not text.endswith("end\r\n"):  # a terminal hands on what it got piece by piece
                text += os.read(ours, 100_000).decode()
            return text.removesuffix("end\r\n")

        yield shown
    os.close(ours)


def log_everything() -> None:
    log = agent_log.component_logger("agent")
    for level in (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG):
        log.log(level, "x")


@pytest.mark.parametrize("applied", [False, True])
def test_a_terminal_shows_errors_and_warnings_in_colours(
    on_terminal: Callable[[Callable[[], object]], str], applied: bool
) -> None:
    def log() -> None:
        agent_log.configure_logging(debug=True)
        if applied:
            agent_log.apply_settings(AgentSettings(log_with_timezone="UTC"), debug=True, quiet=False)
        log_everything()

    error, warning, information, debug = on_terminal(log).splitlines()
    assert error.endswith("Z \x1b[31mE! [agent] x\x1b[0m")
    assert warning.endswith("Z \x1b[33mW! [agent] x\x1b[0m")
    assert information.endswith("Z I! [agent] x")
    assert debug.endswith("Z \x1b[2mD! [agent] x\x1b[0m")


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"FORCE_COLOR": "1", "NO_COLOR": "yes"}, {"TERM": ""}]
)
def test_a_terminal_without_colours(
    on_terminal: Callable[[Callable[[], object]], str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def log() -> None:
        agent_log.configure_logging()
        log_everything()

    assert "\x1b" not in (shown := on_terminal(log))
    assert "E! [agent] x" in shown


@pytest.mark.usefixtures("read")
@pytest.mark.parametrize("place", ["file", "journal", "logfile"])
def test_files_and_the_journal_have_no_colours(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    file = tmp_path / "log"
    with open(theirs, "w") as pipe, open(file, "w") as regular:
        status = os.fstat(pipe.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        if place != "logfile":
            monkeypatch.setattr(sys, "stderr", regular if place == "file" else pipe)
        settings = AgentSettings(logtarget="file", logfile=str(file)) if place == "logfile" else AgentSettings()
        agent_log.apply_settings(settings, debug=False, quiet=False)
        log_everything()
        agent_log.apply_settings(AgentSettings(), debug=False, quiet=False)
    text = os.read(ours, 100_000).decode() if place == "journal" else file.read_text()
    os.close(ours)
    assert "[agent] x" in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("read")
def test_forced_colours_reach_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with open(theirs, "w") as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        agent_log.configure_logging()
        log_everything()
    text = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "\x1b[31mE! [agent] x\x1b[0m\n" in text


def test_a_terminal_below_a_service_is_not_the_journal(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    agent_log.configure_logging()
    agent_log.component_logger("agent").error("x")
    assert read().endswith("Z E! [agent] x\n")


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


def test_what_nobody_caught_is_logged_without_its_secrets(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", None)
    monkeypatch.setattr(threading, "excepthook", None)
    agent_log.configure_logging()
    agent_log.log_unhandled()
    Secret("s3cret-of-a-thread")

    def fail() -> None:
        raise ValueError("s3cret-of-a-thread at http://h/?token=s3cret")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    text = read()
    assert "*** at http://h/?token=***" in text
    assert "s3cret" not in text
    try:
        fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    assert "s3cret" not in (text := read())
    assert "Traceback" in text
    assert "ValueError" in text


def test_a_secret_never_gets_into_json(read: Read) -> None:
    Secret('say "hunter2"')
    agent_log.apply_settings(AgentSettings(logformat="structured"), debug=False, quiet=False)
    agent_log.component_logger("inputs.mem").error('the password is say "hunter2"!')
    line = read()
    assert "hunter2" not in line
    assert json.loads(line)["msg"] == "the password is ***!"


def record(name: str, message: str, *arguments: object, created: float = 1767323045.25) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.ERROR, "", 0, message, arguments, None)
    made.created = created
    return made


def test_a_structured_line_names_the_plugin_in_keys() -> None:
    lines = StructuredLines(log_zone(""))
    assert lines.format(record("pyagent.inputs.file::gone", "no %s", "file")) == (
        '{"time":"2026-01-02T03:04:05.25Z","level":"ERROR","msg":"no file",'
        '"category":"inputs","plugin":"file","alias":"gone"}'
    )
    assert json.loads(lines.format(record("pyagent.outputs.file", "a\nb"))) == {
        "time": "2026-01-02T03:04:05.25Z",
        "level": "ERROR",
        "msg": "a\nb",
        "category": "outputs",
        "plugin": "file",
    }


def test_a_structured_line_of_the_agent_has_it_in_the_message() -> None:
    lines = StructuredLines(log_zone(""), key="message")
    line = json.loads(lines.format(record("pyagent.agent", "stopping", created=1767323045.0)))
    assert line == {"time": "2026-01-02T03:04:05Z", "level": "ERROR", "message": "[agent] stopping"}


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("", "2026-01-02T03:04:05Z"),
        ("Europe/Berlin", "2026-01-02T04:04:05+01:00"),
        ("America/New_York", "2026-01-01T22:04:05-05:00"),
        ("Europe/London", "2026-01-02T03:04:05Z"),
    ],
)
def test_time_zones(zone: str, shown: str) -> None:
    assert TextLines(log_zone(zone)).format(record("pyagent.agent", "x")) == f"{shown} E! [agent] x"


def test_the_hosts_own_time_zone(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        line = TextLines(log_zone("LOCAL")).format(record("pyagent.agent", "x"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert line == "2026-01-02T08:34:05+05:30 E! [agent] x"


def test_a_message_that_does_not_fit_its_arguments_is_logged_all_the_same(read: Read) -> None:
    class Unshowable:
        def __repr__(self) -> str:
            raise RuntimeError

    agent_log.configure_logging()
    log = agent_log.component_logger("inputs.spool")
    log.error("%d files", "three")
    log.error("%d files", Unshowable())
    assert [line.split("] ")[1] for line in read().splitlines()] == [
        "%d files ('three',)",
        "%d files (arguments that cannot be shown)",
    ]


def test_a_closed_standard_error_stops_nobody(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    agent_log.configure_logging()
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    agent_log.component_logger("agent").error("x")
    with pytest.raises(ValueError, match="closed"):
        sys.stderr.write("x")


def settings_for(path: Path, **more: object) -> AgentSettings:
    return AgentSettings(logfile=str(path), **more)  # type: ignore[arg-type]


def test_a_log_file_gets_the_lines_and_standard_error_none(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "deep" / "agent.log"
    agent_log.apply_settings(settings_for(path), debug=False, quiet=False)
    agent_log.component_logger("agent").error("caf\udce9 %s", "ö")
    assert read() == ""
    assert path.read_text().endswith(r"Z E! [agent] caf\udce9 ö" + "\n")
    assert path.stat().st_mode & 0o777 == 0o644 & ~_umask()
    agent_log.apply_settings(AgentSettings(), debug=False, quiet=False)
    agent_log.component_logger("agent").error("back again")
    assert "back again" in read()


def test_logtarget_stderr_has_the_last_word(read: Read, tmp_path: Path) -> None:
    agent_log.apply_settings(settings_for(tmp_path / "x.log", logtarget="stderr"), debug=False, quiet=False)
    agent_log.component_logger("agent").error("x")
    assert "x" in read()
    assert not (tmp_path / "x.log").exists()


def test_a_log_file_that_cannot_be_opened_changes_nothing(read: Read, tmp_path: Path) -> None:
    first = tmp_path / "first.log"
    agent_log.apply_settings(settings_for(first), debug=False, quiet=False)
    with pytest.raises(ConfigError, match=f"cannot open the log file {tmp_path}: Is a directory; correct logfile"):
        agent_log.apply_settings(settings_for(tmp_path), debug=True, quiet=False)
    with pytest.raises(ConfigError, match="time zone 'Mars/Base'"):
        agent_log.apply_settings(AgentSettings(log_with_timezone="Mars/Base"), debug=True, quiet=False)
    agent_log.component_logger("agent").debug("not shown")
    agent_log.component_logger("agent").info("shown")
    assert first.read_text().count("\n") == 1
    assert read() == ""


def test_a_line_that_the_file_does_not_take_goes_to_standard_error(read: Read) -> None:
    agent_log.apply_settings(settings_for(Path("/dev/full")), debug=False, quiet=False)
    agent_log.component_logger("agent").error("the disk is full")
    assert "the disk is full" in read()


def test_rotation_is_as_the_settings_say(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    limits = settings_for(path, logfile_rotation_max_size=Size(10), logfile_rotation_max_archives=1)
    agent_log.apply_settings(limits, debug=False, quiet=False)
    agent_log.component_logger("agent").error("long enough")
    assert path.read_text() == ""
    (archive,) = tmp_path.glob("agent.????-??-??-*.log")
    assert "long enough" in archive.read_text()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_text_that_takes_for_ever_holds_up_nobody_else(read: Read) -> None:
    agent_log.configure_logging()
    log, entered, go = agent_log.component_logger("inputs.own"), threading.Event(), threading.Event()

    class Endless:
        def __str__(self) -> str:
            entered.set()
            go.wait()
            return "at last"

    thread = threading.Thread(target=log.error, args=("%s", Endless()))
    thread.start()
    entered.wait()
    log.error("meanwhile")
    assert "meanwhile" in read()
    go.set()
    thread.join()
    assert "at last" in read()


THREADS = """
import threading
from pyagent.api import Input

class Threads(Input):
    def gather(self, acc):
        def fail(): raise ValueError("no\\nmore")
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
"""


@pytest.mark.parametrize("debug", [False, True])
def test_a_thread_of_a_plugin_that_fails_is_told_once_and_by_its_plugin(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(agent_log, "_plugins", {})
    agent_log.configure_logging(debug=debug)
    agent_log.log_unhandled()
    path = tmp_path / "threads.py"
    path.write_text(THREADS)
    spec = importlib.util.spec_from_file_location("a_plugin_with_threads", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for known in (False, True):
        agent_log._plugins.update({"inputs.threads": str(path)} if known else {})
        for _ in range(3):
            module.Threads.gather(None, None)
    lines = read()
    message = "logged once: ValueError: no more (threads.py:7)"
    assert f"E! [inputs.threads] an exception has ended a thread of its own, {message}\n" in lines
    assert f"E! [agent] an exception has ended a thread of code that a plugin runs, {message}\n" in lines
    assert lines.count("an exception has ended") == 2
    assert lines.count("Traceback") == (6 if debug else 0)


def test_a_thread_of_the_agent_that_fails_is_told_in_full(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    agent_log.configure_logging()
    agent_log.log_unhandled()
    thread = threading.Thread(target=agent_log.component_logger, args=(None,))
    monkeypatch.setattr(agent_log, "logger_name", lambda name: {}[name] if name is None else name)
    thread.start()
    thread.join()
    lines = read()
    assert "cannot go on here: KeyError" in lines
    assert "Traceback" in lines


def test_what_python_ignores_is_told_once(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    agent_log.configure_logging()
    agent_log.log_unhandled()

    class Leaving:
        def __del__(self) -> None:
            raise SystemExit("on purpose")

    for _ in range(3):
        Leaving()
        warnings.showwarning("never awaited", RuntimeWarning, "own.py", 3)
    lines = read()
    assert lines.count("an exception that Python ignores, logged once: SystemExit: on purpose") == 1
    assert lines.count("W! [agent] own.py:3: RuntimeWarning: never awaited") == 1


@pytest.mark.parametrize("logformat", ["text", "structured"])
def test_a_line_has_a_bound_whatever_others_have_named(read: Read, logformat: str) -> None:
    """An alias, a measurement, what a server says, a traceback of a thousand calls; and no half of a secret at the cut."""
    agent_log.apply_settings(AgentSettings(logformat=logformat), debug=False, quiet=False)
    secret = Secret("the-token-of-the-server-0123456789").reveal()
    log = agent_log.component_logger(f"inputs.mem::{'a' * 100_000}")
    log.error("cannot write %s: %s", "m" * 7_950, secret * 10_000)
    log.error("the end")
    try:
        raise ValueError("x" * 100_000 + "last words")
    except ValueError:
        log.exception("a defect")
    log.error("%s", "y" * 12_000)
    lines = read()
    assert len(lines) < 4 * 13_000
    assert f"[inputs.mem::{'a' * 288}..." in lines or f'"alias":"{"a" * 288}..."' in lines
    assert re.search(r"m{7950}: .* \.\.\. \([\d,]+ characters\) \.\.\. ", lines)
    assert "token-of" not in lines
    assert "a defect" in lines
    assert "last words" in lines
    assert "y" * 12_000 in lines


def test_an_alias_with_dots_is_nobodys_child(read: Read) -> None:
    agent_log.configure_logging()
    other = agent_log.component_logger("inputs.mem::rack")
    other.setLevel(logging.ERROR)
    before = len(logging.Logger.manager.loggerDict)
    agent_log.component_logger("inputs.mem::rack.one" + 100 * ".a").warning("told")
    assert len(logging.Logger.manager.loggerDict) == before + 1
    assert read().endswith("W! [inputs.mem::rack.one" + 100 * ".a" + "] told\n")
    other.setLevel(logging.NOTSET)
