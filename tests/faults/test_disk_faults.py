"""A disk that is full, that fails, or that answers no more: what is promised is kept, and it mends itself afterwards."""

import asyncio
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_process import DEADLINE
from host import Host
from outputs import Setup
from receiver import Receiver
from server_faults import metrics, runner
from waiting import until

from pyagent.api import QueueFull
from pyagent.buffer import BufferSettings
from pyagent.buffer.log.files import Files
from pyagent.buffer.quarantine import Quarantine
from pyagent.pipeline.executors import ThreadExecutor
from pyagent.pipeline.outputs import disk_writer
from pyagent.pipeline.outputs.running_output import BufferResources

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def small_disk(tmp_path: Path, unavailable: Callable[[str], None]) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root may mount a small file system")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        unavailable(f"cannot mount a small file system: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    host = await Host.with_outputs(tmp_path / "host", "red")
    setup = Setup((host.writes("red"),))
    host.receivers["red"].mode = "503"
    host.state = small_disk / "state"
    agent = await host.agent(setup).start()
    while host.oracle.refused < 3:  # compressed, it takes a while
        await agent.feed("m", 5000)
    assert "No space left on device" in agent.logs
    assert agent.logs.count("No space left on device") < 10, "told, not repeated"
    assert host.oracle.acknowledged > 10_000
    # Killed with a full disk, it starts on it and delivers from it: an acknowledgement needs no room.
    await agent.kill()
    await host.repaired()
    await agent.start()
    await host.oracle.arrived()
    async with asyncio.timeout(DEADLINE):
        while not await agent.feed("after", 50):
            await asyncio.sleep(0.1)
    await host.oracle.arrived()
    await agent.balanced()
    assert await agent.terminate() == 0
    host.oracle.verdict().check()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the calls to the disk that fail at present."""
    names: set[str] = set()

    def breakable(name: str) -> Callable[..., Any]:
        real = getattr(Files, name)

        def call(self: Files, *arguments: Any) -> Any:
            if name in names:
                raise OSError(5, "Input/output error")
            return real(self, *arguments)

        return call

    for name in ("write", "sync", "create", "sync_directory", "read", "unlink"):
        monkeypatch.setattr(Files, name, breakable(name))
    monkeypatch.setattr(disk_writer, "_PAUSE_FIRST", 0.02)
    monkeypatch.setattr(disk_writer, "_PAUSE_MOST", 0.05)
    return names


@pytest.mark.parametrize("call", ["write", "sync", "create", "sync_directory"])
async def test_a_disk_that_fails_is_told_of_and_used_again_when_it_works(
    tmp_path: Path, plan: Any, failing: set[str], call: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    receiver = await Receiver().start()
    receiver.mode = "503"
    buffer_resources = BufferResources(BufferSettings(tmp_path), ThreadExecutor("disk"))
    output = runner(receiver.url, buffer_resources, lambda plugin: plan(plugin, on_disk=True, metric_batch_size=1000))
    task = asyncio.create_task(output.run())
    output.enqueue_block(metrics("m", 0, 50), pinned=True)
    await output.durable()
    failing.add(call)
    output.enqueue_block(metrics("m", 50, 50), pinned=True)
    if call in ("write", "sync"):
        with pytest.raises(QueueFull, match="cannot write to the disk buffer"):
            await output.durable()
        assert not output.can_admit(1), "a listener is told to come back"
        assert "Input/output error" in str(output.queue.disk_error)
        # What is gathered goes on, in memory.
        output.enqueue_block(metrics("m", 100, 50))
    failing.clear()
    await until(lambda: output.can_admit(1))
    await output.durable()
    receiver.mode = "ok"
    await until(lambda: output.queued == 0)
    output.end()
    await task
    await output.stop(5)
    await receiver.stop()
    assert len(receiver.taken) == output.written >= 100
    assert sum(receiver.taken.values()) == len(receiver.taken), "nothing twice"


@pytest.mark.parametrize("call", ["create", "sync_directory", "write"])
async def test_a_disk_that_failed_with_nothing_to_keep_is_open_to_listeners_again(
    tmp_path: Path, plan: Any, failing: set[str], call: str
) -> None:
    receiver = await Receiver().start()
    failing.add(call)
    buffer_resources = BufferResources(BufferSettings(tmp_path), ThreadExecutor("disk"))
    output = runner(receiver.url, buffer_resources, lambda plugin: plan(plugin, on_disk=True))
    task = asyncio.create_task(output.run())
    # It cannot even be opened, or takes nothing: what is gathered goes by memory.
    output.enqueue_block(metrics("m", 0, 50))
    await until(lambda: not output.can_admit(1) or output.written == 50)
    await until(lambda: output.written == 50)
    failing.clear()
    await until(lambda: output.can_admit(1))
    output.enqueue_block(metrics("m", 50, 50), pinned=True)
    await output.durable()
    await until(lambda: output.written == 100)
    output.end()
    await task
    await output.stop(5)
    await receiver.stop()
    assert len(receiver.taken) == sum(receiver.taken.values()) == 100


@pytest.mark.parametrize("call", ["write", "sync", "create", "sync_directory"])
async def test_what_a_receiver_refuses_is_kept_on_a_disk_that_fails(
    tmp_path: Path, plan: Any, failing: set[str], call: str
) -> None:
    receiver = await Receiver().start()
    receiver.bad = {("m", 3), ("m", 40)}
    folder, log = tmp_path / "quarantine", logging.getLogger("pyagent.quarantine")
    quarantine = Quarantine(folder, log=log)
    buffer_resources = BufferResources(BufferSettings(tmp_path), ThreadExecutor("disk"), quarantine)
    output = runner(receiver.url, buffer_resources, lambda plugin: plan(plugin, on_disk=True))
    task = asyncio.create_task(output.run())
    output.enqueue_block(metrics("m", 0, 20))
    await until(lambda: quarantine.metrics == 1)
    failing.add(call)
    output.enqueue_block(metrics("m", 20, 40))
    await until(lambda: quarantine.metrics == 2)
    failing.clear()
    await until(lambda: output.queued == 0)
    output.end()
    await task
    await output.stop(5)
    await receiver.stop()
    quarantine.flush()
    quarantine.sync()
    quarantine.close()
    kept = [line for entry in Quarantine(folder, log=log).entries() for line in entry.lines]
    assert sorted(int(line.split(b"number=")[1].split(b"i")[0]) for line in kept) == [3, 40]


async def test_memory_goes_on_where_the_disk_does_not(tmp_path: Path, plan: Any, failing: set[str]) -> None:
    receiver = await Receiver().start()
    buffer_resources = BufferResources(BufferSettings(tmp_path), ThreadExecutor("disk"))
    failing.update({"create", "write", "sync"})
    output = runner(receiver.url, buffer_resources, lambda plugin: plan(plugin, on_disk=True))
    task = asyncio.create_task(output.run())
    for first in range(0, 300, 60):
        output.enqueue_block(metrics("m", first, 60))
        await until(lambda first=first: len(receiver.taken) == first + 60)
    output.end()
    await task
    await output.stop(5)
    await receiver.stop()
    assert sum(receiver.taken.values()) == output.written == 300


async def test_a_disk_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, released = threading.Event(), threading.Event()

    def sync(self: Files, descriptor: int) -> None:
        hangs.set()
        released.wait(30)

    receiver = await Receiver().start()
    buffer_resources = BufferResources(BufferSettings(tmp_path), ThreadExecutor("disk"))
    output = runner(receiver.url, buffer_resources, lambda plugin: plan(plugin, on_disk=True))
    monkeypatch.setattr(Files, "sync", sync)
    task = asyncio.create_task(output.run())
    output.enqueue_block(metrics("m", 0, 50))
    await asyncio.to_thread(hangs.wait, 10)
    output.end()
    began = asyncio.get_running_loop().time()
    await task
    await output.stop(0.2)
    assert asyncio.get_running_loop().time() - began < 10, "it did not wait for the disk"
    released.set()
    await receiver.stop()
