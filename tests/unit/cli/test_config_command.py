"""`pyagent config`: create, check, show, schema, migrate."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli
from commands import Done

from pyagent.cli import config as config_command

Run = Callable[..., Done]

GOOD = "[agent]\ninterval = '5s'\n[[inputs.mem]]\n[[outputs.file]]\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "telegraf.conf"
    path.write_text(GOOD)
    return path


def test_create_and_check(pyagent: Run, tmp_path: Path) -> None:
    made = pyagent(
        "config", "create", "-input-filter", "mem", "--output-filter=discard", "--section-filter", "inputs:outputs"
    )
    assert made.status == 0
    assert tomli.loads(made.out) == {"inputs": {"mem": [{}]}, "outputs": {"discard": [{}]}}
    path = tmp_path / "made.conf"
    path.write_text(made.out)
    checked = pyagent("config", "check", "--config", str(path))
    assert (checked.status, checked.out) == (0, "")
    assert "1 input, 1 output, 0 processors, 0 aggregators" in checked.err


def test_without_a_word_it_creates(pyagent: Run) -> None:
    assert pyagent("config").out == pyagent("config", "create").out == pyagent("--sample-config").out
    assert "[[inputs.mem]]" in pyagent("config").out


@pytest.mark.parametrize("words", [("--input-filter", "memm"), ("--section-filter", "nope")])
def test_create_names_what_is_not_known(pyagent: Run, words: tuple[str, ...]) -> None:
    done = pyagent("config", "create", *words)
    assert (done.status, done.out) == (1, "")
    assert words[1] in done.err


def test_flags_before_the_command_count(pyagent: Run, config: Path) -> None:
    assert pyagent("--config", str(config), "config", "check").status == 0
    assert pyagent("config", "--config", str(config), "check").status == 0
    config.write_text("[[inputs.memm]]\n")
    assert pyagent("-config", str(config), "config", "check").status == 1
    assert pyagent("config", "-config", str(config), "check").status == 1


@pytest.mark.parametrize("text", ["[[outputs.discard]]\n", "[agent]\n", ""])
def test_check_looks_at_one_file_of_several(pyagent: Run, config: Path, text: str) -> None:
    config.write_text(text)
    done = pyagent("config", "check", "--config", str(config))
    assert (done.status, done.out) == (0, "")
    assert " W! [config] no inputs found; the agent needs one to start" in done.err


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[inputs.memm]]\n", ("telegraf.conf:1", "memm")),
        (GOOD + "[[outputs.influxdb_v2]]\ntls_ca = 'nowhere.pem'\n", ("telegraf.conf:6", "nowhere.pem")),
        (GOOD + "[[outputs.influxdb_v2]]\ntimeout = 'soon'\n", ("telegraf.conf:6", "timeout", "soon")),
        ("a = \n", ("telegraf.conf:1",)),
    ],
)
def test_check_tells_what_would_keep_it_from_starting(
    pyagent: Run, config: Path, text: str, named: tuple[str, ...]
) -> None:
    config.write_text(text)
    done = pyagent("config", "check", "--config", str(config))
    assert (done.status, done.out) == (1, "")
    (error,) = [line for line in done.err.splitlines() if " E! " in line]
    assert all(word in error for word in named)


def test_check_tells_of_every_plugin_that_cannot_be_set_up(pyagent: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "dream.py").write_text(
        "from pyagent.api import Input\nclass D(Input):\n  def setup(self): raise KeyError(1)\n"
    )
    (tmp_path / "night.py").write_text("1/0\n")
    config.write_text(GOOD + "[[inputs.dream]]\n[[inputs.night]]\n[[outputs.influxdb_v2]]\ntls_ca = 'nowhere.pem'\n")
    done = pyagent("config", "check", "--config", str(config), "--plugin-directory", str(tmp_path))
    assert done.status == 1
    errors = [line for line in done.err.splitlines() if " E! " in line]
    assert len(errors) == 3
    assert all(any(word in line for line in errors) for word in ("dream", "ZeroDivisionError", "nowhere.pem"))


def test_check_does_not_wait_for_ever(
    pyagent: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_command, "SETUP_DEADLINE", 0.05)
    text = "import threading\nfrom pyagent.api import Input\nclass S(Input):\n  def setup(self): threading.Event().wait()\n"
    (tmp_path / "sleepy.py").write_text(text)
    config.write_text(GOOD + "[[inputs.sleepy]]\n")
    done = pyagent("config", "check", "--config", str(config), "--plugin-directory", str(tmp_path))
    assert done.status == 2
    assert "telegraf.conf:5: its setup did not end within 0.05 s" in done.err


def test_check_warns_and_goes_on(pyagent: Run, config: Path) -> None:
    config.write_text("[[inputs.mem]]\nmetric_batch_size = 3\nlog_level = 'loud'\n")
    done = pyagent("config", "check", "--config", str(config))
    assert done.status == 0
    assert "W! [config]" in done.err
    assert "no outputs" in done.err
    assert "E! [config]" not in done.err
    assert "'loud'" in done.err


def test_check_names_every_plugin_and_option_that_is_not_there(pyagent: Run, config: Path) -> None:
    config.write_text(
        "[[inputs.memm]]\n[[inputs.mem]]\nwrong = 1\n[[inputs.mem]]\n[[outputs.fiile]]\n" + "[[inputs.x]]\n" * 30
    )
    done = pyagent("config", "check", "--config", str(config))
    assert done.status == 1
    lines = done.err.splitlines()
    for number, words in ((1, "memm"), (3, "unknown option 'wrong'")):
        assert any(f"telegraf.conf:{number}: " in line and words in line for line in lines)
    assert len(lines) == 22
    assert lines[-1].endswith("and more, which are told when these are mended")


def test_check_starts_nothing(pyagent: Run, config: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "agent.log", tmp_path / "out.txt"
    config.write_text(GOOD.replace("[[inputs", f"logfile = '{log}'\n[[inputs") + f"files = ['{out}']\n")
    assert pyagent("config", "check", "--config", str(config)).status == 0
    assert not log.exists()
    assert not out.exists()


def test_check_of_a_missing_file(pyagent: Run, tmp_path: Path) -> None:
    done = pyagent("config", "check", "--config", str(tmp_path / "nope.conf"))
    assert done.status == 1
    assert "nope.conf" in done.err


def test_check_wants_a_flag_before_the_file(pyagent: Run, config: Path) -> None:
    done = pyagent("config", "check", str(config))
    assert done.status == 1
    assert str(config) in done.err


def test_environment_handling(pyagent: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", "true")
    config.write_text("[[inputs.mem]]\ncollect_extended = $SWITCH\n")
    assert pyagent("config", "check", "--config", str(config)).status == 1
    assert pyagent("config", "check", "--config", str(config), "--non-strict-env-handling").status == 0
    both = pyagent("config", "check", "--non-strict-env-handling", "--strict-env-handling")
    assert both.status == 1
    assert "exclude each other" in both.err


def test_show(pyagent: Run, config: Path) -> None:
    done = pyagent("config", "show", "--config", str(config))
    assert done.status == 0
    assert tomli.loads(done.out)["agent"]["interval"] == "5s"
    assert f"# {config}:2\n" in done.out
    document = json.loads(pyagent("config", "show", "--json", "--config", str(config)).out)
    assert document["inputs"][0]["options"]["interval"] == {"value": "5s", "from": f"{config}:2"}


def test_show_of_what_does_not_load(pyagent: Run, config: Path) -> None:
    config.write_text("[[inputs.memm]]\n")
    done = pyagent("config", "show", "--config", str(config))
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("E! ")


def test_schema(pyagent: Run) -> None:
    document = json.loads(pyagent("config", "schema").out)
    assert "collect_extended" in document["$defs"]["inputs.mem"]["properties"]


def test_a_wrong_word(pyagent: Run) -> None:
    done = pyagent("config", "nope")
    assert done.status == 1
    assert "nope" in done.err


def test_migrate_writes_beside_the_file(pyagent: Run, tmp_path: Path) -> None:
    path, target = tmp_path / "a.conf", tmp_path / "a.conf.migrated"
    path.write_text('[[inputs.mem]]\n  pass = ["a"]\n')
    words = ("config", "migrate", "--config", str(path))
    done = pyagent(*words)
    assert done.status == 0
    assert "inputs.mem: pass is fieldinclude" in done.err
    assert target.read_text() == '[[inputs.mem]]\n  fieldinclude = ["a"]\n'
    assert path.read_text() == '[[inputs.mem]]\n  pass = ["a"]\n'
    target.write_text("mine")
    done = pyagent(*words)
    assert done.status == 1
    assert "a.conf.migrated: it is there already; add --force" in done.err
    assert target.read_text() == "mine"
    assert pyagent(*words, "--force").status == 0
    assert "fieldinclude" in target.read_text()
    path.write_text("[[inputs.mem]]\n")
    target.unlink()
    done = pyagent(*words)
    assert (done.status, target.exists()) == (0, False)
    assert "nothing to migrate" in done.err


def test_check_names_a_file_without_plugins(pyagent: Run, tmp_path: Path) -> None:
    files = {"agent": "[agent]\n[global_tags]\n  a = 'b'\n", "none": "# [[inputs.mem]]\n", "some": GOOD}
    for name, text in files.items():
        (tmp_path / f"{name}.conf").write_text(text)
    done = pyagent("config", "check", "--config-directory", str(tmp_path))
    told = [line.partition("[config] ")[2] for line in done.err.splitlines() if " W! " in line]
    assert (done.status, told) == (0, [f"{tmp_path}/{name}.conf:1: no plugin is in it" for name in ("agent", "none")])
