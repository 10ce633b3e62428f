"""kill -9 of the real process at random moments: what it had acknowledged arrives, every time."""

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess
from oracle import Oracle, ask_status, unbalanced
from receiver import Receiver

TRIALS = int(os.environ.get("PYAGENT_FAULT_TRIALS", "20"))
MODES = ["ok", "ok", "503", "gone", "slow", "stored, then reset", "413 above 20"]

CONFIG = """
[agent]
  interval = "1s"
  flush_interval = "200ms"
  metric_batch_size = 200
  metric_buffer_limit = 1000000
  buffer_strategy = "{strategy}"
  omit_hostname = true
[[outputs.influxdb_v2]]
  urls = ["{url}"]
  bucket = "b"
  organization = "o"
  timeout = "1s"
[[inputs.influxdb_v2_listener]]
  service_address = "127.0.0.1:{port}"
"""


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Setting:
    """An agent that can be killed and started again, with its receiver and its oracle."""

    def __init__(self, folder: Path, receiver: Receiver, strategy: str = "disk") -> None:
        self.receiver = receiver
        self.oracle = Oracle(receiver)
        self.port = unused_port()
        self.state = folder / "state"
        self.run = folder / "run"
        self.run.mkdir()
        self.config = folder / "agent.conf"
        self.config.write_text(CONFIG.format(url=receiver.url, port=self.port, strategy=strategy))
        self.agent: AgentProcess | None = None
        self.logs = ""

    async def start(self, *arguments: str) -> AgentProcess:
        folders = ("--state-directory", str(self.state), "--runtime-directory", str(self.run))
        self.agent = AgentProcess("--config", str(self.config), *folders, *arguments)
        await self.agent.start()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                assert self.agent.process.returncode is None, self.agent.log
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return self.agent
        raise AssertionError(f"the agent does not listen:\n{self.agent.log}")

    async def balanced(self) -> None:
        """Every metric is accounted for, at a moment when nothing is on its way from one sum to the next."""
        async with asyncio.timeout(30):
            while problems := unbalanced(await ask_status(self.run / "control.sock")):
                assert problems
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        assert self.agent is not None
        await self.agent.kill()
        self.logs += self.agent.log

    async def feed_for(self, seconds: float, source: str, size: int = 50) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.oracle.feed(self.port, source, size)


@pytest.mark.timeout(60 + 6 * TRIALS)
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, figures: Callable[[str], None]) -> None:
    choice = random.Random(int(os.environ.get("PYAGENT_FAULT_SEED", "7")))
    receiver = await Receiver().start()
    setting = Setting(tmp_path, receiver)
    port = receiver.port
    for trial in range(TRIALS):
        mode = MODES[trial % len(MODES)]
        if mode == "gone":
            await receiver.stop()
        else:
            receiver.mode = mode
        await setting.start()
        feeders = [asyncio.create_task(setting.feed_for(2.0, f"t{trial}f{n}")) for n in range(3)]
        await asyncio.sleep(choice.uniform(0.05, 0.9))
        await setting.kill()
        for feeder in feeders:
            feeder.cancel()
        await asyncio.gather(*feeders, return_exceptions=True)
        if mode == "gone":
            await receiver.start(port)
    # The faults are over: everything arrives, and something new, too.
    receiver.mode = "ok"
    agent = await setting.start()
    assert await setting.oracle.feed(setting.port, "fresh", 1)
    await setting.oracle.arrived()
    await setting.balanced()
    assert await agent.terminate() == 0
    setting.logs += agent.log
    verdict = setting.oracle.verdict()
    verdict.check()
    # A run that met nothing proves nothing.
    assert verdict.acknowledged > 100 * TRIALS
    assert "that were not written before are restored" in setting.logs
    assert verdict.duplicates < 400 * TRIALS
    assert "Traceback" not in setting.logs
    figures(
        f"{TRIALS} kills, {verdict.acknowledged:,} metrics acknowledged, {len(verdict.missing)} missing, "
        f"{verdict.duplicates:,} twice, {len(verdict.spurious)} that nobody sent"
    )
    await receiver.stop()


async def test_without_a_disk_buffer_a_graceful_stop_keeps_what_waits(tmp_path: Path) -> None:
    receiver = await Receiver().start()
    receiver.mode = "503"
    setting = Setting(tmp_path, receiver, strategy="memory")
    agent = await setting.start()
    for _ in range(10):
        assert await setting.oracle.feed(setting.port, "a", 50)
    assert await agent.terminate() == 0
    assert "they are kept in" in agent.log
    receiver.mode = "ok"
    agent = await setting.start()
    await setting.oracle.arrived()
    assert await agent.terminate() == 0
    setting.oracle.verdict().check()
    assert "500 metrics that were not written before are restored" in agent.log
    await receiver.stop()


async def test_without_a_disk_buffer_an_outage_is_survived_all_the_same(tmp_path: Path) -> None:
    receiver = await Receiver().start()
    receiver.mode = "503"
    setting = Setting(tmp_path, receiver, strategy="memory")
    await setting.start()
    for _ in range(10):
        assert await setting.oracle.feed(setting.port, "a", 50)

    # It fails for longer than a flush interval: what waits goes to disk, and what comes.
    def on_disk() -> int:
        return sum(path.stat().st_size for path in setting.state.rglob("*.seg"))

    before = 0
    for source in ("b", "c"):
        while (now := on_disk()) <= before:
            await asyncio.sleep(0.02)
        before = now
        assert await setting.oracle.feed(setting.port, source, 50)
    while on_disk() <= before:
        await asyncio.sleep(0.02)
    await setting.kill()
    receiver.mode = "ok"
    agent = await setting.start()
    await setting.oracle.arrived()
    assert await agent.terminate() == 0
    setting.oracle.verdict().check()
    await receiver.stop()
