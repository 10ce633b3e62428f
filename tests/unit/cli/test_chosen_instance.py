"""`--instance NAME`: which instance of the unit is meant, and the settings that it has."""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from agent_socket import serving
from commands import Done

from pyagent.cli import chosen_instance
from pyagent.runtime.environment_files import EnvironmentFile

Run = Callable[..., Done]
STATUS = {
    "version": "1",
    "pid": 1,
    "uptime_seconds": 1,
    "inputs": [],
    "outputs": [],
    "configuration": {"sources": [], "age_seconds": 1, "from_cache": False, "waiting": "", "last_reload_ok": True},
}
ASKING = ("status", "quarantine list", "buffer list", "quarantine drop 1", "buffer drop x --yes")
READING = ("--test", "--once", "config check", "config show", "secrets list")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A root folder of the tests' own, with /run/pyagent, /etc/pyagent and /etc/telegraf. (A socket's path must be short.)"""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("run/pyagent", "etc/pyagent", "etc/telegraf"):
            (root / name).mkdir(parents=True)
        monkeypatch.setattr(chosen_instance, "RUN", f"{root}/run/pyagent")
        monkeypatch.setattr(chosen_instance, "ROOT", str(root))
        monkeypatch.setattr("pyagent.config.default_sources", lambda *_, **__: [])
        monkeypatch.setattr("pyagent.runtime.loading.default_sources", _default_sources)
        monkeypatch.delenv("PYAGENT_INSTANCE", raising=False)
        yield root
    os.environ.clear()
    os.environ.update(before)


def _default_sources(environ: dict[str, str], **_: object) -> list[str]:
    return [environ["TELEGRAF_CONFIG"]] if "TELEGRAF_CONFIG" in environ else []


@pytest.fixture
def run(host: Path) -> Iterator[Callable[..., None]]:
    """Lets agents of these names run, with a control socket each."""
    with ExitStack() as agents:

        def start(*names: str) -> None:
            for name in names:
                folder = host / "run/pyagent" / name
                folder.mkdir()
                agents.enter_context(serving(folder / "control.sock", {}, STATUS | {"instance": name}))

        yield start


def make(host: Path, name: str, text: str = "[[inputs.mem]]\n[[outputs.discard]]\n", more: str = "") -> Path:
    """An instance with a configuration."""
    config = host / f"{name}.conf"
    config.write_text(text)
    (host / f"etc/telegraf/telegraf-{name}.env").write_text(f"TELEGRAF_CONFIG={config}\n{more}")
    return config


def test_the_only_one_that_runs_is_meant(pyagent: Run, run: Callable[..., None]) -> None:
    run("ram")
    done = pyagent("status")
    assert (done.status, done.err) == (0, "")
    assert "instance ram" in done.out


@pytest.mark.parametrize("words", ASKING)
def test_of_several_one_has_to_be_named_and_the_hint_can_be_typed(
    pyagent: Run, run: Callable[..., None], words: str
) -> None:
    run("ram", "disk")
    done = pyagent(*words.split())
    assert (done.status, done.out) == (1, "")
    hint = words.removesuffix(" --yes")
    assert done.err == f"E! several agents run: disk, ram; name one, such as: pyagent {hint} --instance disk\n"
    if words == "status":
        typed = pyagent(*shlex.split(done.err.partition(": pyagent ")[2]))
        assert "instance disk" in typed.out
        assert "instance ram" in pyagent("status", "ram").out


@pytest.mark.parametrize("words", ASKING)
def test_where_none_runs(pyagent: Run, host: Path, words: str) -> None:
    (host / "run/pyagent/ended").mkdir()
    (host / "run/pyagent/ram.env").touch()
    done = pyagent(*words.split())
    assert done.err == "E! no agent runs as pyagent@NAME; start one with: systemctl start pyagent@NAME\n"
    assert (done.status, done.out) == (1, "")


def test_another_one_than_those_that_run(pyagent: Run, run: Callable[..., None]) -> None:
    run("ram")
    done = pyagent("status", "disk")
    assert done.status == 1
    assert done.err.endswith("pyagent@disk does not run; there run ram; see: systemctl status pyagent@disk\n")


def test_one_that_may_not_be_asked(pyagent: Run, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    run("ram")

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pyagent.cli.control._Connection.connect", refused)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = pyagent("status")
    assert done.status == 1
    assert done.err.endswith("control.sock: Permission denied; run it with sudo\n")


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".", "-x", "a b", "a\nb", "x" * 300, "é"])
@pytest.mark.parametrize("words", ["status", "quarantine list", "config check", "--test"])
def test_names_that_no_instance_has(pyagent: Run, host: Path, name: str, words: str) -> None:
    done = pyagent(*words.split(), f"--instance={name}")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("E! ")
    assert "as a name: it becomes pyagent@NAME" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("words", READING)
def test_the_settings_of_an_instance(pyagent: Run, host: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Both files, the later one wins; of the shell's own environment nothing, as with the unit."""
    text = '[[inputs.mem]]\n  [inputs.mem.tags]\n    room = "${ROOM}"\n    mine = "${MINE}"\n[[outputs.discard]]\n'
    config = make(host, "ram", text, "export ROOM='hall'\n")
    (host / "etc/pyagent/ram.env").write_text('ROOM="kitchen"\nnot understood\n')
    monkeypatch.setenv("ROOM", "shell")
    monkeypatch.setenv("MINE", "shell")
    monkeypatch.setenv("TELEGRAF_CONFIG", "/nonexistent")
    if words in ("--test", "--once"):
        # What a run would be given: the run itself is the integration tests' matter.
        monkeypatch.setattr("pyagent.runtime.process.run", lambda settings: _shown(settings.environ))
    done = pyagent(*words.split(), "--instance", "ram")
    assert done.status == 0
    assert f"W! {host}/etc/pyagent/ram.env:2: not understood and left out; write NAME=VALUE\n" in done.err
    if words == "config show":
        assert 'room = "kitchen"' in done.out
        assert 'mine = "${MINE}"' in done.out
    elif words == "config check":
        assert f"{config}: no errors" in done.err
        assert f"{config}:4: inputs.mem.tags.mine: the variable MINE is not set" in done.err
    elif words.startswith("--"):
        assert done.out == f"{config} kitchen None ram /var/lib/pyagent/ram\n"


def _shown(environ: dict[str, str]) -> int:
    names = ("TELEGRAF_CONFIG", "ROOM", "MINE", "PYAGENT_INSTANCE", "STATE_DIRECTORY")
    sys.stdout.write(" ".join(str(environ.get(name)) for name in names) + "\n")
    return 0


@pytest.mark.parametrize("words", ["config check", "config show"])
def test_without_a_name_it_is_the_only_one_that_runs(
    pyagent: Run, host: Path, run: Callable[..., None], words: str
) -> None:
    make(host, "ram")
    make(host, "disk")
    run("ram")
    done = pyagent(*words.split())
    assert done.status == 0
    assert "I! with the settings of pyagent@ram, which runs\n" in done.err
    assert "ram.conf" in done.out + done.err


@pytest.mark.parametrize("words", READING)
def test_without_a_name_several_are_listed(pyagent: Run, host: Path, run: Callable[..., None], words: str) -> None:
    run("ram", "disk")
    done = pyagent(*words.split())
    assert done.err == f"E! several agents run: disk, ram; name one, such as: pyagent {words} --instance disk\n"
    assert (done.status, done.out) == (1, "")


@pytest.mark.parametrize("words", READING)
def test_an_instance_that_is_not_there(pyagent: Run, host: Path, words: str) -> None:
    make(host, "ram")
    (host / "etc/pyagent/disk.env").touch()
    done = pyagent(*words.split(), "--instance", "rum")
    files = f"neither {host}/etc/telegraf/telegraf-rum.env nor {host}/etc/pyagent/rum.env is there"
    assert done.err == f"E! there is no instance rum: {files}; there are disk, ram\n"
    assert (done.status, done.out) == (1, "")


@pytest.mark.parametrize("words", READING)
def test_an_instance_whose_files_may_not_be_read(
    pyagent: Run, host: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    make(host, "ram")
    read = EnvironmentFile.read

    def refused(path: str) -> EnvironmentFile:
        return EnvironmentFile(path, [], [], "Permission denied") if "/etc/pyagent/" in path else read(path)

    monkeypatch.setattr(EnvironmentFile, "read", refused)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = pyagent(*words.split(), "--instance", "ram")
    reason = f"{host}/etc/pyagent/ram.env: Permission denied; run it with sudo"
    assert done.err == f"E! cannot read the settings of pyagent@ram: {reason}\n"
    assert (done.status, done.out) == (1, "")


def test_a_run_as_a_service_is_systemds_matter(pyagent: Run, host: Path) -> None:
    make(host, "ram")
    done = pyagent("--instance", "ram")
    assert done.status == 1
    assert "--instance is for --test and --once; run it with: systemctl start pyagent@ram" in done.err


def test_a_configuration_that_is_named_needs_no_instance(pyagent: Run, host: Path, run: Callable[..., None]) -> None:
    run("ram", "disk")
    config = make(host, "ram")
    assert pyagent("config", "check", "--config", str(config)).status == 0
