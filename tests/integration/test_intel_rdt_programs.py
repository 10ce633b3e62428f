"""The input intel_rdt with programs that stand for pqos: one that is refused, and processes that come and go."""

import logging
from functools import partial
from pathlib import Path

import pytest
from waiting import until

from pyagent.api import Input
from pyagent.kit.long_running import LongRunning
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import lines, make_input
from pyagent_plugins.inputs import intel_rdt
from pyagent_plugins.inputs.intel_rdt import IntelRdt, IntelRdtOptions

MEASURES = """
trap 'echo end >>log; exit 0' INT
for last; do :; done
echo "$last" >>log
echo Time,PID,Core,IPC
list=${last#*[}
list=${list%%]*}
echo "2026-01-02 03:04:05,\\"$list\\",\\"1\\",0.0"
echo "2026-01-02 03:04:06,\\"$list\\",\\"1\\",0.5"
while :; do sleep 0.02; done
"""


@pytest.fixture(autouse=True)
def _at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intel_rdt, "LongRunning", partial(LongRunning, restart_delay=0.0))
    monkeypatch.setenv("HOST_PROC", str(tmp_path / "proc"))
    monkeypatch.chdir(tmp_path)


def made(script: str, **options: object) -> tuple[Input[IntelRdtOptions], InputAccumulator]:
    path = Path("pqos").absolute()
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    plugin = make_input(IntelRdt, {"pqos_path": str(path), "sampling_interval": 1, **options})
    return plugin, InputAccumulator(plugin.measurements)


def logged() -> list[str]:
    log = Path("log")
    return log.read_text().splitlines() if log.exists() else []


def process(pid: int, name: str) -> Path:
    comm = Path("proc", str(pid), "comm").absolute()
    comm.parent.mkdir(parents=True)
    comm.write_text(f"{name}\n")
    return comm


async def test_why_it_is_refused_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    plugin, acc = made("echo x >>log\necho 'Error initializing!'\necho 'ERROR: denied' >&2\nexit 1\n", cores=["0"])
    await plugin.start(acc)
    await until(lambda: len(logged()) >= 5)
    await plugin.stop()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert told[0] == "stderr: ERROR: denied"
    assert "/pqos` has ended: exit status 1: Error initializing!; pqos needs root (set `use_sudo`" in told[1]
    assert len(told) == 2


async def test_one_that_has_measured_and_ends_is_told_each_time(caplog: pytest.LogCaptureFixture) -> None:
    plugin, acc = made("echo x >>log\necho Time,Core,IPC\nexit 1\n", cores=["0"])
    await plugin.start(acc)
    await until(lambda: len(logged()) >= 4)
    await plugin.stop()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) >= 3
    assert all(one.endswith("/pqos` has ended: exit status 1; it is started again in 0s") for one in told)


async def test_processes_that_come_and_go() -> None:
    process(1, "init")
    plugin, acc = made(MEASURES, processes=["qemu"])
    await plugin.start(acc)
    first = process(7, "qemu")
    await until(lambda: len(logged()) == 1)
    later = process(45, "qemu")
    await until(lambda: len(logged()) == 3)
    later.unlink()
    await until(lambda: len(logged()) == 5)
    found: list[str] = []

    def read() -> bool:
        found.extend(lines(acc.drain()))
        return len(found) == 3

    await until(read)
    first.unlink()
    await until(lambda: len(logged()) == 6)
    await plugin.stop()
    one, two = "--mon-pid=all:[7];mbt:[7];", "--mon-pid=all:[7,45];mbt:[7,45];"
    assert logged() == [one, "end", two, "end", one, "end"]
    assert found == ["rdt_metric,cores=1,name=IPC,process=qemu value=0.5"] * 3
