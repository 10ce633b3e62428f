"""inputs.tail in the real agent: numbered lines over kill -9, rotation and reloads."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

from agent_process import DEADLINE, AgentProcess

UNDELIVERED = 500
CONFIG = """
[agent]
  omit_hostname = true
  interval = "1s"
  flush_interval = "100ms"
  metric_buffer_limit = 100000
  buffer_strategy = "disk"
[[inputs.tail]]
  files = ["{folder}/app.log"]
  initial_read_offset = "saved-or-beginning"
  max_undelivered_lines = {undelivered}
  path_tag = ""
[[outputs.file]]
  files = ["{folder}/out"]
"""


class Writer:
    def __init__(self, log: Path) -> None:
        self._log = log
        self._rotations = 0
        self.done = 0

    def write(self, count: int) -> None:
        numbers = range(self.done, self.done + count)
        with self._log.open("a") as file:
            file.write("".join(f"m n={number}i {number + 1}\n" for number in numbers))
        self.done += count

    def rotate(self) -> None:
        """As a program does that notices it late."""
        self._rotations += 1
        old = self._log.rename(self._log.with_name(f"app.log.{self._rotations}"))
        current, self._log = self._log, old
        self.write(10)
        self._log = current
        self.write(10)


def written(out: Path) -> Counter[int]:
    """The numbers that came, and how often."""
    if not out.exists():
        return Counter()
    lines = out.read_text().splitlines()
    return Counter(int(line.split(" n=")[1].split("i ")[0]) for line in lines if line.count(" ") == 2)


async def all_there(writer: Writer, out: Path) -> Counter[int]:
    async with asyncio.timeout(DEADLINE):
        while set(found := written(out)) < set(range(writer.done)):
            await asyncio.sleep(0.05)
    return found


def agent(folder: Path, undelivered: int = UNDELIVERED) -> AgentProcess:
    config = folder / "agent.conf"
    config.write_text(CONFIG.format(folder=folder, undelivered=undelivered))
    return AgentProcess("--config", str(config), "--state-directory", str(folder / "state"))


async def test_kill_9_loses_no_line_and_repeats_few(tmp_path: Path) -> None:
    writer, out = Writer(tmp_path / "app.log"), tmp_path / "out"
    writer.write(100)
    kills = 6
    for turn in range(kills):
        running = await agent(tmp_path).start()
        try:
            before = sum(written(out).values())
            async with asyncio.timeout(DEADLINE):
                while sum(written(out).values()) == before:
                    writer.write(37)
                    await asyncio.sleep(0.02)
            for _ in range(turn):
                writer.write(200)
                await asyncio.sleep(0)
            if turn % 2:
                writer.rotate()
        finally:
            await running.kill()
        if turn == 2:
            writer.rotate()  # while nobody looks; of two of them the file between would not be known
        writer.write(50)
    running = await agent(tmp_path).start()
    try:
        found = await all_there(writer, out)
        assert await running.terminate() == 0
    finally:
        await running.kill()
    assert sorted(found) == list(range(writer.done))
    # Lines that were held while their position was not kept yet; and what the output had written and not confirmed.
    repeated = sum(found.values()) - len(found)
    assert repeated <= kills * (UNDELIVERED + 1000)


async def test_reloads_and_ends_repeat_nothing(tmp_path: Path) -> None:
    writer, out = Writer(tmp_path / "app.log"), tmp_path / "out"
    writer.write(500)
    for turn in range(2):
        running = await agent(tmp_path).start()
        try:
            await all_there(writer, out)
            for reload in range(3):
                writer.write(300)
                agent(tmp_path, undelivered=200 + 10 * reload + turn)  # another configuration
                running.signal(signal.SIGHUP)
                writer.write(300)
                await running.logged("reloading the configuration", reload + 1)
                writer.rotate()
                found = await all_there(writer, out)
            assert await running.terminate() == 0
        finally:
            await running.kill()
        writer.write(100)
    assert set(found.values()) == {1}
