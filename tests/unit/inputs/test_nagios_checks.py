"""The input nagios: files of NRPE and Nagios, macros, states, and what cannot be run."""

import asyncio
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from pyagent.api import ConfigError, Input, PyagentError
from pyagent.config import SourceText, load_plan
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, lines, make_input, run_input
from pyagent_plugins.inputs.exec import Exec
from pyagent_plugins.inputs.nagios import Nagios
from pyagent_plugins.inputs.nagios.definitions import expanded, words_of


def states(options: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """State and text of each check."""
    metrics = run_input(Nagios, options)
    assert_declared(Nagios, metrics)
    return {
        metric.tags["check"]: (metric.fields["state"], metric.fields["service_output"])
        for metric in metrics
        if metric.name == "nagios_state"
    }


def check(name: str, command: str | list[str], **more: Any) -> dict[str, Any]:
    return {"check": [{"name": name, "command": command, **more}]}


def test_text_values_and_limits() -> None:
    options = check("disk", "echo 'DISK OK|/=40%;80;@5:90;0;100'; exit 1", tags={"place": "here"})
    assert lines(run_input(Nagios, options)) == [
        "nagios,check=disk,perfdata=/,place=here,unit=% critical_ge=90,critical_le=0,max=100,min=0,value=40,"
        "warning_gt=80,warning_lt=0",
        'nagios_state,check=disk,place=here service_output="DISK OK",state=1i',
    ]


def test_what_cannot_be_run_is_unknown_and_shows_no_argument() -> None:
    failing = {
        "missing": ["/none/such", "secret"],
        "missing in a shell": "/none/such 'secret'",
        "signal": "kill -9 $$$$",
        "status": "(exit 77)",
        "long": "yes secret",
        "slow": "sleep 99",
    }
    options = {"check": [{"name": name, "command": command} for name, command in failing.items()]}
    options["check"][-1]["timeout"] = "10ms"
    found = states(options)
    assert {state for state, _ in found.values()} == {3}
    texts = {name: text for name, (_, text) in found.items()}
    assert texts["missing"] == "cannot run /none/such: No such file or directory"
    assert texts["missing in a shell"].startswith("/bin/sh: ")
    assert texts["long"] == "cannot run yes: it printed more than 1 MiB"
    assert texts["slow"].startswith("cannot run sleep: it took longer than 10ms; see `timeout`")
    assert "secret" not in str(texts)


def test_the_files_of_an_nrpe(tmp_path: Path) -> None:
    (tmp_path / "nrpe.d" / "more").mkdir(parents=True)
    (tmp_path / "nrpe.cfg").write_text(
        "# a comment\nlog_facility=daemon\nserver_port=5666\ncommand_timeout=7\ndont_blame_nrpe=1\n"
        "command[check_one]=echo first|cat\ncommand[check_args]=echo $ARG1$-$ARG2$\n"
        f"include_dir={tmp_path}/nrpe.d\ninclude=nrpe.cfg\ninclude={tmp_path}/none.cfg\n"
    )
    (tmp_path / "nrpe.d" / "two.cfg").write_text("command[check_two]=echo two; exit 2\n")
    (tmp_path / "nrpe.d" / "more" / "one.cfg").write_text("command[check_one]=echo $HOME; echo '#;' is it\n")
    (tmp_path / "nrpe.d" / "left.out").write_text("command[left_out]=false\n")
    options: dict[str, Any] = {"files": [f"{tmp_path}/nrpe.cfg"]}
    home = os.environ.get("HOME", "")
    assert states(options) == {"check_one": (0, home), "check_two": (2, "two")}
    options["check"] = [{"name": "args", "check_command": "check_args!a!b\\!c"}]
    options["command_exclude"] = ["*_two"]
    assert states(options) == {"args": (0, "a-b!c"), "check_one": (0, home)}
    plugin = make_input(Nagios, options)
    assert plugin._timeout == 7.0


def test_a_prefix_and_what_is_missing_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "nrpe.cfg").write_text(
        "command[a]=echo a\ninclude=none.cfg\ninclude_dir=none.d\ncommand_prefix=/usr/bin/env\n"
    )
    plugin = make_input(Nagios, {"files": [f"{tmp_path}/nrpe.cfg"]})
    assert plugin.origins() == [f"a: /usr/bin/env ({tmp_path}/nrpe.cfg:1)"]
    assert f"cannot read '{tmp_path}/none.cfg', which {tmp_path}/nrpe.cfg:2 includes: No such file" in caplog.text
    assert f"{tmp_path}/nrpe.cfg:3 includes" in caplog.text


def test_the_files_of_a_nagios(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "nagios.cfg").write_text("log_file=/x\ncfg_dir=objects\nresource_file=resource.cfg\n")
    (tmp_path / "resource.cfg").write_text("# macros\n$USER1$=/bin\n$USER2$=a=b\n")
    (tmp_path / "objects" / "commands.cfg").write_text(
        "; a comment\ndefine command{\n\tcommand_name\tcheck_a\n"
        "\tcommand_line\t$USER1$/echo \\\n    $HOSTADDRESS$ '$ARG1$' $ARG2$ ; a comment\n\t}\n"
        "define host {\n  host_name x\n}\n"
        "define command {\n command_name check_b\n command_line $USER1$/echo x\\; $$ $_HOSTCOMMUNITY$\n}\n"
    )
    options: dict[str, Any] = {
        "files": [f"{tmp_path}/nagios.cfg"],
        "check": [
            {"check_command": "check_a!$USER2$"},
            {"name": "named", "check_command": "check_a!x!y", "macros": {"HOSTADDRESS": "::1"}},
            {"name": "own", "command": "$USER1$/echo $USER2$"},
            {"name": "b", "check_command": "check_b", "macros": {"_HOSTCOMMUNITY": "'public'"}},
        ],
    }
    assert states(options) == {
        "check_a": (0, "127.0.0.1 a=b"),
        "named": (0, "::1 x y"),
        "own": (0, "a=b"),
        "b": (3, "x"),  # of `x; $ 'public'`
    }
    options["check"] = [{"check_command": "check_b"}]
    with pytest.raises(ConfigError, match=r"check 'check_b': nothing says what \$_HOSTCOMMUNITY\$ stands for; set"):
        make_input(Nagios, options)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("command[x\n", r":1: it is no command; write command\[NAME\]=PROGRAM"),
        ("\ncommand[x]=\n", ":2: it is no command"),
        ("command_timeout=soon\n", "command_timeout is 'soon'; write whole seconds"),
        ("define command {\n command_name x\n", ":1: the object has no }"),
        ("define command {\n command_name x\n}\n", ":1: the command has no command_line; add it"),
        ("define command {\n command_line x\n}\n", ":1: the command has no command_name"),
        ("define host {\ndefine command {\n}\n", ":2: the object of line 1 has no }"),
        ("define command {\n command_name x\n command_line y\n}\n", "there is no check in files: a command of Nagios"),
        ("", "there is no check in files"),
    ],
)
def test_files_that_are_wrong(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "x.cfg").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        make_input(Nagios, {"files": [f"{tmp_path}/x.cfg"]})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "there is no check; add a table"),
        ({"files": ["/none/such"]}, "cannot read '/none/such': there is no such file"),
        ({"check": [{"command": "true"}]}, "check 1 has no name"),
        ({"check": [{"name": "x"}]}, "'x' needs either command or check_command"),
        ({"check": [{"name": "x", "command": " "}]}, "the command of the check 'x' is empty"),
        ({"check": [{"check_command": "x!1"}]}, "files define no command 'x'; there are none"),
        ({"check": [{"name": "x", "command": "true"}] * 2}, "two checks are called 'x'"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_input(Nagios, options)


def test_a_state_that_changed_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    plugin = make_input(Nagios, check("x", f"cat {tmp_path}/text; exit $(cat {tmp_path}/state)"))
    (tmp_path / "text").write_text("it is so|a=1")
    logged = []
    for state in (0, 2, 2, 1, 0, 0):
        (tmp_path / "state").write_text(str(state))
        caplog.clear()
        plugin.gather(InputAccumulator())
        logged.append([(record.levelname, record.getMessage()) for record in caplog.records])
    assert logged == [
        [],
        [("WARNING", "the check x is CRITICAL, and was OK: it is so")],
        [],
        [("WARNING", "the check x is WARNING, and was CRITICAL: it is so")],
        [("INFO", "the check x is OK, and was WARNING: it is so")],
        [],
    ]


def test_at_the_first_gather_nothing_was_before(caplog: pytest.LogCaptureFixture) -> None:
    make_input(Nagios, check("x", "echo so; exit 3")).gather(InputAccumulator())
    assert [record.getMessage() for record in caplog.records] == ["the check x is UNKNOWN: so"]


def test_performance_data_that_cannot_be_read_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    acc = InputAccumulator()
    plugin = make_input(Nagios, check("x", ["echo", "so|e=1,5s;2;3 f=1.5.2s 'it''s'=1 u=U g=20\u00b0C;3"]))
    plugin.gather(acc)
    assert lines(acc.drain()) == [
        "nagios,check=x,perfdata=e,unit=s critical_gt=3,critical_lt=0,value=1.5,warning_gt=2,warning_lt=0",
        "nagios,check=x,perfdata=g value=20",
        "nagios,check=x,perfdata=it's value=1",
        'nagios_state,check=x service_output="so",state=0i',
    ]
    plugin.gather(acc)
    [record] = caplog.records
    assert "the check x prints performance data that cannot be read: f=1.5.2s, g=20" in record.getMessage()


def test_commands_that_take_arguments_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "nrpe.cfg").write_text(
        "command[a]=echo a\ncommand[b]=echo $ARG1$\ncommand[c]=echo $ARG1$\ncommand[d]=echo $ARG2$\n"
    )
    options = {"files": [f"{tmp_path}/nrpe.cfg"], "check": [{"name": "own", "check_command": "c!1"}]}
    make_input(Nagios, options)
    [record] = caplog.records
    assert record.getMessage().startswith("not run, as they take arguments ($ARG1$): b, d; give each a table")
    caplog.clear()
    make_input(Nagios, {**options, "command_exclude": ["b", "d"]})
    assert not caplog.records


def test_a_state_counts_where_the_values_cannot_be_read() -> None:
    acc = InputAccumulator()
    with pytest.raises(PyagentError, match=r"performance data of the check 'x': line 1: there is more than one \|"):
        make_input(Nagios, check("x", "echo 'bad|a=1|b=2'; exit 2")).gather(acc)
    assert lines(acc.drain()) == ['nagios_state,check=x service_output="bad",state=2i']


def test_no_more_at_once_than_allowed(tmp_path: Path) -> None:
    """Each check counts those that are there while it is."""
    script = f"touch {tmp_path}/$$$$; ls {tmp_path} | wc -l; rm {tmp_path}/$$$$"
    options = {"check": [{"name": str(number), "command": script} for number in range(12)], "max_parallel_checks": 3}
    found = states(options)
    assert len(found) == 12
    assert all(1 <= int(text) <= 3 for _, text in found.values())


@pytest.mark.parametrize("plugin", ["nagios", "exec"])
def test_a_check_that_ends_with_the_agent_has_no_state(
    plugin: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    command = f"touch {tmp_path}/began; exec sleep 1000"
    one: Input[Any] = (
        make_input(Nagios, check("x", command))
        if plugin == "nagios"
        else make_input(Exec, {"commands": [["sh", "-c", command]], "data_format": "nagios", "timeout": "60s"})
    )
    acc, failures = InputAccumulator(), list[str]()

    def gather() -> None:
        with pytest.raises(PyagentError) as caught:
            one.gather(acc)
        failures.append(str(caught.value))

    thread = threading.Thread(target=gather)
    thread.start()
    wait_until((tmp_path / "began").exists)
    asyncio.run(one.stop())
    thread.join()
    assert acc.drain() == []
    assert [record.getMessage() for record in caplog.records if record.name != "asyncio"] == []
    assert failures[0].endswith("it was ended with the plugin that runs it")


@pytest.mark.parametrize(
    "option",
    [
        'files = ["/etc/nagios/nrpe.cfg"]',
        '[[inputs.nagios.check]]\nname = "x"\ncommand = "true"',
        '[[inputs.nagios.check]]\ncheck_command = "x"',
        '[[inputs.nagios.check]]\nname = "x"\nmacros = { A = "b" }',
    ],
)
def test_a_text_from_a_url_runs_nothing(option: str) -> None:
    source = SourceText("http://127.0.0.1/x", f"[[inputs.nagios]]\n{option}\n")
    with pytest.raises(ConfigError, match=r"runs commands or code, which a configuration from a URL may not"):
        load_plan([source], environ={}, testing=True)
    load_plan([source], environ={"PYAGENT_ALLOW_REMOTE_EXEC": "1"}, testing=True)


def test_macros_and_words() -> None:
    assert expanded("$$ $ARG2$ $A$ $B", {"A": "1"}, ["x", "y"]) == "$ y 1 $B"
    assert expanded("$X$ $ARG3$.", {}, [], keeps_unknown=True) == "$X$ ."
    assert words_of("a -b  1,2") == ["a", "-b", "1,2"]
    assert words_of("A=b c") == ["/bin/sh", "-c", "A=b c"]
    assert words_of("a 'b'") == ["/bin/sh", "-c", "a 'b'"]
