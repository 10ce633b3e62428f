"""What the doctor looks at on the host: each check fails, and its own remedy mends it. Commands are run as they are printed.

`systemctl` is a program that keeps what it is told in files; there is no systemd in these tests.
"""

import ast
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from doctor_hosts import HOST_CHECKS, wrong

from pyagent.cli.doctor import host
from pyagent.cli.doctor.findings import Level, Report

SYSTEMCTL = """\
#!/bin/sh
# State of a unit: FOLDER/UNIT.active, .enabled and .pid
cd {folder}
case "$1" in
show)
    [ -e "$2.known" ] && echo LoadState=loaded || echo LoadState=not-found
    [ -e "$2.active" ] && echo ActiveState=active || echo ActiveState=inactive
    [ -e "$2.enabled" ] && echo UnitFileState=enabled || echo UnitFileState=disabled
    [ -e "$2.active" ] && echo MainPID=$(cat "$2.active") || echo MainPID=0
    echo NRestarts=0; echo Result=success; echo User=;;
*)
    verb=$1; shift; now=; [ "$1" = --now ] && now=1 && shift
    name=${{1%,}}; name=${{name%.service}}.service
    case "$verb" in
    enable) touch "$name.enabled"; [ -n "$now" ] && echo {pid} >"$name.active";;
    disable) rm -f "$name.enabled"; [ -n "$now" ] && rm -f "$name.active";;
    restart) echo {pid} >"$name.active";;
    esac;;
esac
exit 0
"""

Case = Iterator[tuple[str, str]]


class World:
    """A host: folders below `root`, units, and the agent's status."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.monkeypatch = root, monkeypatch
        self.units = root / "units"
        self.settings = root / "etc/pyagent"
        self.telegraf = root / "etc/telegraf"
        self.proc = root / "proc"
        self.state = root / "state"
        for folder in (self.units, self.settings, self.telegraf, self.proc, self.state):
            folder.mkdir(parents=True)
        program = root / "bin/systemctl"
        program.parent.mkdir()
        program.write_text(SYSTEMCTL.format(folder=self.units, pid=os.getpid()))
        program.chmod(0o755)
        self.write("ram", "TELEGRAF_CONFIG=http://h/api/v2/telegrafs/0123456789abcdef\nINFLUX_TOKEN=x\n")
        self.unit("pyagent@ram", active=True, enabled=True)
        self.environment = {"TELEGRAF_CONFIG", "INFLUX_TOKEN"}
        self.readers: list[str] = []
        self.reader = "daemon"
        self.status: dict[str, Any] | None = {
            "uptime_seconds": 60,
            "version": "1",
            "instance": "ram",
            "configuration": {"last_reload_error": "", "from_cache": False},
            "inputs": [{"name": "inputs.mem", "error": ""}],
            "outputs": [
                {"name": "a", "error": "", "queued": 1, "limit": 100, "oldest_age_seconds": 5, "dropped": 0},
            ],
            "quarantine": {"metrics": 0},
        }

    def write(self, instance: str, text: str) -> Path:
        path = self.settings / f"{instance}.env"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def unit(self, name: str, *, active: bool = False, enabled: bool = False) -> None:
        (self.units / f"{name}.service.known").touch()
        if active:
            (self.units / f"{name}.service.active").write_text(str(os.getpid()))
        if enabled:
            (self.units / f"{name}.service.enabled").touch()

    def process(self, number: int, comm: str, *words: str) -> Path:
        folder = self.proc / str(number)
        folder.mkdir()
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "cmdline").write_text("\0".join(words))
        return folder

    def run(self, remedy: str) -> None:
        """What the remedy says, up to what it says in words."""
        command = remedy.partition(", if")[0].partition(", or")[0]
        subprocess.run(["/bin/sh", "-c", command], check=True)

    def examine(self) -> Report:
        report = Report()
        host.look_at_files(report, "ram")
        unit = host.look_at_unit(report, "ram")
        host.look_at_readers(report, self.readers, self.reader)
        host.look_at_agent(report, self.status if unit.running else None, "it is not running")
        host.look_at_state(report, self.state)
        host.look_for_telegraf(report)
        host.look_for_others(report, "ram", ("http://h/api/v2/telegrafs/0123456789abcdef",))
        return report


# The environment files ------------------------------------------------------------------------------------------------


def no_file(world: World) -> Case:
    path = world.settings / "ram.env"
    text = path.read_text()
    path.unlink()
    yield "environment", f"write TELEGRAF_CONFIG=URL and INFLUX_TOKEN=... into {path}, or: pyagent provision ram"
    world.write("ram", text)


def a_file_that_sets_nothing(world: World) -> Case:
    path = world.settings / "ram.env"
    text = path.read_text()
    path.write_text("# TELEGRAF_CONFIG=...\n")
    yield "environment", f"write TELEGRAF_CONFIG=URL and INFLUX_TOKEN=... into {path}"
    path.write_text(text)


def a_folder_in_the_files_place(world: World) -> Case:
    path = world.settings / "ram.env"
    text = path.read_text()
    path.unlink()
    path.mkdir()
    yield "environment", f"ls -ld {path}; it must be a file that root may read"
    path.rmdir()
    world.write("ram", text)


def lines_that_systemd_does_not_take(world: World) -> Case:
    path = world.settings / "ram.env"
    for line in ("$INFLUX_TOKEN=x", "INFLUX_TOKEN: x", "INFLUX_TOKEN='x"):
        path.write_text(f"TELEGRAF_CONFIG=http://h\n{line}\n")
        (told, *_) = (one for one in host_findings(world) if one.check == "environment")
        assert told.text == f"{path}:2: this line is not understood and left out"
        assert told.remedy == "write NAME=VALUE"
    yield "environment", "write NAME=VALUE"
    path.write_text("TELEGRAF_CONFIG=http://h\nINFLUX_TOKEN=x\n")


def a_file_that_everybody_may_read(world: World) -> Case:
    path = world.settings / "ram.env"
    path.chmod(0o644)
    yield "environment", f"chmod 0600 {path}"
    world.run(f"chmod 0600 {path}")


# The unit -------------------------------------------------------------------------------------------------------------


def a_unit_that_does_not_run(world: World) -> Case:
    world.run("systemctl disable --now pyagent@ram")
    yield "unit", "systemctl enable --now pyagent@ram.service"
    world.run("systemctl enable --now pyagent@ram.service")


def a_variable_that_was_set_after_the_start(world: World) -> Case:
    """`export` in a shell does not reach a service either."""
    world.environment = {"TELEGRAF_CONFIG"}
    yield "unit", "systemctl restart pyagent@ram.service"
    world.run("systemctl restart pyagent@ram.service")
    world.environment = {"TELEGRAF_CONFIG", "INFLUX_TOKEN"}


# Files of the configuration -------------------------------------------------------------------------------------------


def a_file_that_the_units_account_may_not_read(world: World) -> Case:
    file = world.root / "telegraf.conf"
    file.touch(0o640)
    world.readers = [str(file)]
    yield "rights", f"chgrp daemon {file} && chmod g+r {file}"
    world.run(f"chgrp daemon {file} && chmod g+r {file}")


def a_folder_that_the_units_account_may_not_enter(world: World) -> Case:
    folder = world.root / "telegraf.d"
    folder.mkdir(0o750)
    (folder / "a.conf").touch(0o644)
    world.readers = [str(folder / "a.conf")]
    yield "rights", f"chgrp daemon {folder} && chmod g+rx {folder}"
    world.run(f"chgrp daemon {folder} && chmod g+rx {folder}")


# The agent ------------------------------------------------------------------------------------------------------------


def _told_by_the_agent(world: World, remedy: str, part: str, **members: Any) -> Case:
    assert world.status is not None
    found = world.status[part]
    (one,) = found if isinstance(found, list) else [found]
    before = dict(one)
    one.update(members)
    yield "agent", remedy
    one.update(before)


def a_reload_that_was_refused(world: World) -> Case:
    yield from _told_by_the_agent(world, "correct it, and reload", "configuration", last_reload_error="a.conf:1: no")


def a_start_without_the_url(world: World) -> Case:
    yield from _told_by_the_agent(world, "", "configuration", from_cache=True)


def an_input_that_fails(world: World) -> Case:
    yield from _told_by_the_agent(world, "is it there?", "inputs", error="cannot gather: no such file; is it there?")


def an_output_that_fails(world: World) -> Case:
    yield from _told_by_the_agent(world, "", "outputs", error="cannot write: 401 unauthorized")


def a_queue_that_is_nearly_full(world: World) -> Case:
    yield from _told_by_the_agent(world, "is its server slow?", "outputs", queued=90)


def metrics_that_had_no_room(world: World) -> Case:
    yield from _told_by_the_agent(world, 'buffer_strategy = "disk"', "outputs", dropped=3)


def metrics_that_were_refused_for_good(world: World) -> Case:
    """A field that was an integer and is a float now, and a line that is none."""
    assert world.status is not None
    for reason in (
        '422 unprocessable entity: field type conflict: input field "v" is type float, already exists as type integer',
        "400 invalid: unable to parse 'x': missing fields",
    ):
        world.status["refused"] = reason
        world.status["quarantine"]["metrics"] = 4
        assert any(
            f"4 metrics were refused for good, and are kept, the last ones for: {reason}" in one
            for one in wrong(world.examine())
        )
    yield "agent", "mend the cause, then: pyagent quarantine retry all ram"
    world.status["quarantine"]["metrics"] = 0


def no_state_directory(world: World) -> Case:
    world.state.rmdir()
    yield "state", "make it, or start the unit"
    world.state.mkdir()


def a_disk_that_is_nearly_full(world: World) -> Case:
    with world.monkeypatch.context() as full:
        full.setattr(host, "_LOW_SPACE", 1 << 62)
        yield "state", "free some of the disk"


# Two that do the same -------------------------------------------------------------------------------------------------


def telegraf_runs_as_well(world: World) -> Case:
    world.unit("telegraf", active=True, enabled=True)
    process = world.process(7, "telegraf", "/usr/bin/telegraf", "--config", "x")
    yield "others", "systemctl disable --now telegraf"
    world.run("systemctl disable --now telegraf")
    for file in process.iterdir():
        file.unlink()


def telegraf_starts_with_the_host(world: World) -> Case:
    world.unit("telegraf", enabled=True)
    yield "others", "systemctl disable telegraf"
    world.run("systemctl disable telegraf")


def this_agent_by_the_name_of_telegraf(world: World) -> Case:
    process = world.process(7, "telegraf", "/usr/bin/python3", "/usr/bin/telegraf", "--config", "x")
    (told,) = wrong(world.examine())
    assert "an agent of this kind by the name of telegraf runs as well (process 7)" in told
    yield "others", "systemctl disable --now telegraf"
    (process / "comm").unlink()


def another_instance_with_the_same_configuration(world: World) -> Case:
    world.write("copy", "PYAGENT_CONFIG=/etc/own.conf,http://h/api/v2/telegrafs/0123456789abcdef\n")
    world.unit("pyagent@copy", active=True, enabled=True)
    yield "others", "systemctl disable --now pyagent@copy"
    world.run("systemctl disable --now pyagent@copy")


def another_instance_that_starts_with_the_host(world: World) -> Case:
    """With a file for Telegraf."""
    path = world.telegraf / "telegraf-copy.env"
    path.write_text("TELEGRAF_CONFIG=http://h/api/v2/telegrafs/0123456789abcdef\n")
    world.unit("pyagent@copy", enabled=True)
    yield "others", "systemctl disable --now pyagent@copy"
    world.run("systemctl disable --now pyagent@copy")


CASES = [
    pytest.param(found, id=name)
    for name, found in list(globals().items())
    if getattr(found, "__annotations__", {}).get("return") is Case and not name.startswith("_")
]


NEEDS_ROOT = (a_file_that_the_units_account_may_not_read, a_folder_that_the_units_account_may_not_enter)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path, monkeypatch)
    for place in (tmp_path, *tmp_path.parents[:3]):
        with suppress(OSError):
            os.chmod(place, 0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setattr(host, "RUNNING_SYSTEMD", tmp_path)
    monkeypatch.setattr(host, "PROC", world.proc)
    monkeypatch.setattr(host, "ROOT", str(tmp_path))
    read, text = host.environment_files, host._text
    monkeypatch.setattr(host, "environment_files", lambda name: read(name, str(tmp_path)))

    def planted(path: Path) -> str:
        # The names that a process has: this one's are not those of a unit.
        if path == Path(f"/proc/{os.getpid()}/environ"):
            return "\0".join(f"{name}=x" for name in world.environment)
        return text(path)

    monkeypatch.setattr(host, "_text", planted)
    return world


def host_findings(world: World) -> list[Any]:
    return [one for one in world.examine().findings if one.level in (Level.FAILED, Level.WARNING)]


@pytest.mark.parametrize("case", CASES)
def test_a_check_fails_and_its_remedy_mends_it(world: World, case: Callable[[World], Case]) -> None:
    if case in NEEDS_ROOT and os.geteuid():
        pytest.skip("needs root: a file is given to another group")
    assert wrong(world.examine()) == []
    steps = case(world)
    check, remedy = next(steps)
    found = host_findings(world)
    assert found
    assert (found[0].check, remedy in f"{found[0].text} -> {found[0].remedy}") == (check, True), found
    with pytest.raises(StopIteration):
        next(steps)
    assert wrong(world.examine()) == []


def test_each_check_of_the_host_has_a_case() -> None:
    source = ast.parse(Path(__file__).read_text())
    yielded = {
        node.value.elts[0].value
        for node in ast.walk(source)
        if isinstance(node, ast.Yield)
        and isinstance(node.value, ast.Tuple)
        and isinstance(node.value.elts[0], ast.Constant)
    }
    assert yielded == HOST_CHECKS
