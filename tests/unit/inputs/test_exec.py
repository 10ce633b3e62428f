"""The input exec, with real commands: words, wildcards, failures, and children that do not want to end."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait_until

from pyagent.api import ConfigError, Metric, PyagentError
from pyagent.config import SourceText, load_plan
from pyagent.kit import command as kit
from pyagent.pipeline.inputs.accumulator import Abandoned, InputAccumulator
from pyagent.testing import assert_declared, lines, make_input, run_input
from pyagent_plugins.inputs.exec import Exec

INFLUX = {"data_format": "influx"}


def gather(options: Mapping[str, Any]) -> tuple[list[Metric], str]:
    """What one gather adds, and how it failed."""
    acc = InputAccumulator()
    try:
        make_input(Exec, options).gather(acc)
    except PyagentError as error:
        return acc.drain(), str(error)
    return acc.drain(), ""


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_timeout_may_be_longer_than_the_kernel_waits() -> None:
    assert lines(run_input(Exec, {**INFLUX, "commands": [["echo", "m v=1"]], "timeout": "720h"})) == ["m v=1"]


def test_json_is_the_default() -> None:
    [metric] = run_input(Exec, {"commands": [["echo", '{"a": 1, "n": {"m": 2}, "t": "x"}']]})
    assert (metric.name, metric.fields) == ("exec", {"a": 1.0, "n_m": 2.0})
    assert_declared(Exec, [metric])


def test_words_of_a_text_and_of_a_list(tmp_path: Path) -> None:
    say = script(tmp_path / "say", r"""printf 'said,n=%s v="%s"\n' "$#" "$1" """)
    options = {**INFLUX, "commands": [f'{say} \'two words\' "b\\"c" d\\ e', [say, "*", "$HOME"]], "command": say}
    assert lines(run_input(Exec, options)) == ['said,n=0 v=""', 'said,n=2 v="*"', 'said,n=3 v="two words"']


def test_wildcards_stand_for_programs(tmp_path: Path) -> None:
    for number in (1, 2):
        script(tmp_path / f"v{number}.sh", f"echo $1{number}.5")
    options = {"commands": [f"{tmp_path}/v*.sh 1"], "data_format": "value", "data_type": "float"}
    assert lines(run_input(Exec, options)) == ["exec value=11.5", "exec value=12.5"]
    assert "No such file or directory" in gather({"commands": [f"{tmp_path}/none*"]})[1]


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "KEPT", "REPLACED"):
        monkeypatch.setenv(name, "agent")
    options = {
        "commands": [["env"]],
        "environment": ["REPLACED=new", "SPACED=a b", "EQUAL=a=b"],
        "data_format": "value",
        "data_type": "string",
    }
    [metric] = run_input(Exec, options)
    found = dict(line.split("=", 1) for line in str(metric.fields["value"]).splitlines())
    assert not found.keys() & {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS"}
    assert {name: found[name] for name in ("KEPT", "REPLACED", "SPACED", "EQUAL")} == {
        "KEPT": "agent",
        "REPLACED": "new",
        "SPACED": "a b",
        "EQUAL": "a=b",
    }


def test_a_variable_without_a_value_is_told(caplog: pytest.LogCaptureFixture) -> None:
    make_input(Exec, {"commands": ["true"], "environment": ["LONELY"]})
    assert "'LONELY'" in caplog.text


def test_a_failing_command_loses_its_own_output_only() -> None:
    failing = ["sh", "-c", "echo m v=1; echo went wrong >&2; echo more >&2; exit 3"]
    metrics, failure = gather({**INFLUX, "commands": [failing, ["echo", "good v=1"], ["echo", "no metric"]]})
    assert lines(metrics) == ["good v=1"]
    assert failure.startswith("cannot parse the output of `echo 'no metric'`: line 1, column ")
    assert "; cannot run `sh -c 'echo m v=1; " in failure
    assert failure.endswith("`: exit status 3: went wrong...")


def test_the_status_may_be_ignored() -> None:
    options = {**INFLUX, "commands": [["sh", "-c", "echo m v=1; exit 3"]], "ignore_error": True}
    assert lines(run_input(Exec, options)) == ["m v=1"]
    metrics, failure = gather({"commands": [["/none/such"]], "ignore_error": True})
    assert metrics == []
    assert failure == "cannot run `/none/such`: No such file or directory; install it, or correct its path"


def test_a_signal_and_a_file_that_is_no_program(tmp_path: Path) -> None:
    assert "ended by signal 9" in gather({"commands": [["sh", "-c", "kill -9 $$"]]})[1]
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    failure = gather({"commands": [str(tmp_path / "text")]})[1]
    assert failure.endswith("Exec format error; begin it with a line such as #!/bin/sh")
    assert "cannot run" in gather({"commands": [["true", "nul\0byte"]]})[1]


def test_standard_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    text = r"printf 'plain\n\nE! error\nW! warning\nI! info\nD! debug\n' >&2; echo m v=1"
    with caplog.at_level(logging.DEBUG):
        run_input(Exec, {**INFLUX, "commands": [["sh", "-c", text]], "log_stderr": True})
    assert [(record.levelname, record.message) for record in caplog.records if record.name == "exec"] == [
        ("ERROR", "plain"),
        ("ERROR", "error"),
        ("WARNING", "warning"),
        ("INFO", "info"),
        ("DEBUG", "debug"),
    ]
    caplog.clear()
    run_input(Exec, {**INFLUX, "commands": [["sh", "-c", text]]})
    assert caplog.records == []


def time_is_up(monkeypatch: pytest.MonkeyPatch, when: Callable[[], bool]) -> None:
    """For a command: until then no time passes."""
    began = time.monotonic()

    class Clock:
        def monotonic(self) -> float:
            return time.monotonic() + 1000 if when() else began

    monkeypatch.setattr(kit, "time", Clock())


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = ["sh", "-c", f"sleep 1000 & echo $! $$ > {pids}; echo late >&2; wait"]
    metrics, failure = gather({**INFLUX, "commands": [command, ["echo", "m v=1"]], "timeout": "2s"})
    assert lines(metrics) == ["m v=1"]
    assert "it took longer than 2s; see `timeout`: late" in failure
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: not alive(pid))  # type: ignore[misc]  # bound for the linter


def test_one_that_closes_its_output_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    time_is_up(monkeypatch, lambda: False)  # not before it has closed it, however slow the machine is
    command = ["sh", "-c", "echo m v=1; exec >&- 2>&-; sleep 1000"]
    assert "did not end" in gather({**INFLUX, "commands": [command], "timeout": "300ms"})[1]


def test_much_standard_error_blocks_nothing() -> None:
    command = ["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo m v=1"]
    assert lines(run_input(Exec, {**INFLUX, "commands": [command], "timeout": "20s"})) == ["m v=1"]


async def test_stop_ends_what_runs(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    plugin = make_input(Exec, {"commands": [["sh", "-c", f"echo $$ > {pids}; exec sleep 1000"]], "timeout": "1000s"})
    acc = InputAccumulator()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            plugin.gather(acc)
        except PyagentError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    await asyncio.to_thread(wait_until, lambda: pids.exists() and bool(pids.read_text()))
    await plugin.stop()
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
    assert not alive(int(pids.read_text()))
    assert "it was ended with the plugin that runs it" in str(failures[0])
    with pytest.raises(PyagentError):
        plugin.gather(acc)  # what begins after it is ended at once


def test_a_gather_that_was_given_up_ends_quietly() -> None:
    acc = InputAccumulator()
    acc.close()
    with pytest.raises(Abandoned):
        make_input(Exec, {**INFLUX, "commands": [["echo", "m v=1"]] * 2}).gather(acc)


def test_no_file_descriptor_and_no_child_is_left() -> None:
    options = {**INFLUX, "commands": [["echo", "m v=1"], ["/none/such"], ["sh", "-c", "exit 1"]]}
    gather(options)
    before = sorted(os.listdir("/proc/self/fd"))
    children = psutil.Process().children()  # servers of other tests
    for _ in range(3):
        gather(options)
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert psutil.Process().children() == children
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("command", "state", "text"),
    [
        (["sh", "-c", "echo 'BAD | b=1'; exit 2"], 2, "BAD"),
        (["sh", "-c", "echo oops >&2; echo more >&2; exit 3"], 3, "oops..."),
        (["sh", "-c", "exit 7"], 3, ""),
        (["sh", "-c", "echo up; kill -9 $$"], 3, "up"),
        (
            ["/none/such"],
            3,
            "cannot run `/none/such`: No such file or directory; install it, or correct its path",
        ),
        (["sleep", "60"], 3, "cannot run `sleep 60`: it took longer than 500ms; see `timeout`"),
    ],
)
def test_how_a_nagios_plugin_ends_is_its_state(command: list[str], state: int, text: str) -> None:
    metrics, failure = gather({"data_format": "nagios", "commands": [command], "timeout": "500ms"})
    assert (metrics[-1].name, metrics[-1].fields, failure) == (
        "nagios_state",
        {"service_output": text, "state": state},
        "",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there is no command"),
        ({"commands": [""]}, "a command is empty"),
        ({"commands": [[]]}, "a command is empty"),
        ({"commands": [["", "x"]]}, "a command is empty"),
        ({"commands": ["echo 'open"]}, "cannot read the command"),
        ({"commands": [5]}, "commands"),
        ({"commands": "ls"}, "must be a list"),
        ({"commands": ["true"], "json_timezone": "Moon/Sea"}, "json_timezone"),
        ({"commands": ["true"], "data_format": "nothing"}, "undefined but requested parser: nothing"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_input(Exec, options)


@pytest.mark.parametrize("key", ['commands = ["true"]', 'command = "true"', 'environment = ["LD_PRELOAD=/x"]'])
def test_a_configuration_from_a_url_may_not_run_commands(key: str) -> None:
    source = SourceText("http://127.0.0.1:8086/api/v2/telegrafs/1", f"[[inputs.exec]]\n{key}")
    with pytest.raises(ConfigError, match="runs commands or code, which a configuration from a URL may not"):
        load_plan([source], environ={}, testing=True)
    assert load_plan([source], environ={"PYAGENT_ALLOW_REMOTE_EXEC": "1"}, testing=True).inputs


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (INFLUX, b"\xef\xbb\xbfm v=1i\n"),
        (INFLUX, b"\xff\xfe" + "m v=1i\r\n".encode("utf-16-le")),
        ({"data_format": "csv", "csv_header_row_count": 1, "csv_measurement_column": "n"}, b"\xef\xbb\xbfn,v\nm,1\n"),
        (
            {"data_format": "csv", "csv_header_row_count": 1, "csv_measurement_column": "n"},
            b"\xfe\xff" + "n,v\nm,1\n".encode("utf-16-be"),
        ),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_output(tmp_path: Path, options: dict[str, Any], text: bytes) -> None:
    (tmp_path / "out").write_bytes(text)
    metrics = run_input(Exec, {"commands": [["cat", str(tmp_path / "out")]], **options})
    assert lines(metrics) == ["m v=1i"]
