"""Logs that are damaged, mixed up, or that cannot be read for a while, under real agents with several outputs and buckets, a
reload and a second agent: what was acknowledged arrives, or is told to the metric."""

import asyncio
import os
import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from agent_process import DEADLINE
from host import Agent, Host
from outputs import Setup

TRIALS = int(os.environ.get("PYAGENT_FAULT_TRIALS", "20")) // 10 or 1
SEED = int(os.environ.get("PYAGENT_FAULT_SEED", "7"))
BUCKETS = ("", "b1", "b2", "b3")


def damage(path: Path, choice: random.Random) -> None:
    """Cut it, or zero a part of it."""
    size = path.stat().st_size
    if choice.random() < 0.5:
        os.truncate(path, choice.randrange(size))
        return
    start = choice.randrange(size)
    stop = min(start + choice.choice((1, 512, size)), size)
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(stop - start))


def lost_by(logs: str) -> dict[str, int]:
    """Metrics that are told to be lost, the most of each folder: a start with a log that was damaged before tells it again."""
    found: Counter[str] = Counter()
    for folder, count in re.findall(r"the buffer \S*/([^/\s]+) is damaged: (\d+) metrics? (?:is|are) lost", logs):
        found[folder] = max(found[folder], int(count))
    return dict(found)


async def filled(host: Host, setup: Setup) -> Agent:
    """An agent that was killed with all that it had acknowledged in its logs."""
    for receiver in host.receivers.values():
        receiver.mode = "503"
    agent = await host.agent(setup).start()
    for number in range(24):
        assert await agent.feed(f"s{number}", 30, bucket=BUCKETS[number % len(BUCKETS)])
    await agent.kill()
    return agent


@pytest.mark.timeout(300 + 60 * TRIALS)
@pytest.mark.parametrize("trial", range(TRIALS))
async def test_what_does_not_arrive_is_told_to_the_metric(tmp_path: Path, trial: int) -> None:
    choice = random.Random(SEED + trial)
    host = await Host.with_outputs(tmp_path / "host", "red", "green")
    setup = Setup((host.writes("red"), host.writes("green", divided=True)))
    agent = await filled(host, setup)
    folders = sorted(path for path in (host.state / "buffer").iterdir() if path.name.startswith(("red", "green")))
    assert len(folders) == 5
    hit = choice.sample(folders, 3)
    for folder in hit:
        damage(max(folder.glob("*.seg")), choice)
    # They tell what they find; one of them holds a log, whichever was the first.
    second = host.agent(setup)
    await agent.start()
    await second.start()
    await agent.reload(setup.changed(batch=50))
    await agent.kill()
    await second.reload(setup.changed(batch=50))
    async with asyncio.timeout(DEADLINE):
        while not await second.feed("after", 30, bucket="b1"):
            await asyncio.sleep(0.1)
    await second.kill()
    await host.delivered(setup)
    verdict = host.oracle.verdict()
    assert not verdict.spurious
    assert not verdict.corrupted
    missing: Counter[str] = Counter()
    for (name, bucket), _ in verdict.missing:
        missing["red" if name == "red" else f"green+{bucket}" if bucket != "green" else "green"] += 1
    told = {folder: count for folder, count in lost_by(host.logs).items() if count}
    assert told == dict(missing)
    assert set(told) <= {folder.name for folder in hit}
    assert "no output claims" not in host.logs


async def test_what_is_mixed_up_arrives(tmp_path: Path) -> None:
    """The cursor of another host's log in one bucket, another log's segments in the next."""
    there = await Host.with_outputs(tmp_path / "there", "red")
    await filled(there, Setup((there.writes("red"),)))
    host = await Host.with_outputs(tmp_path / "here", "red", "green")
    setup = Setup((host.writes("red"), host.writes("green", divided=True)))
    await filled(host, setup)
    strange = there.state / "buffer" / "red"
    buffer = host.state / "buffer"
    shutil.copy(strange / "cursor", buffer / "green+b1" / "cursor")
    for path in strange.glob("*.seg"):
        shutil.copy(path, buffer / "green+b2" / f"{int(path.stem) + 7:010d}.seg")
    (buffer / "red" / "0000000099.seg").write_text("somebody's notes")
    (buffer / "green+b3" / "cursor").unlink()
    await host.delivered(setup)
    host.oracle.verdict().check()
    assert "belongs to another buffer; all that is in the segments is sent" in host.logs
    assert "cannot understand 0000000099.seg" in host.logs
    assert re.search(
        r"0000000008\.seg in \S+green\+b2 belongs to another buffer; put into \S+, with 720 metrics", host.logs
    )
    assert not lost_by(host.logs)
    [moved] = buffer.glob("green+b2~*")
    assert len(list(moved.glob("*.seg"))) == 1
    await there.close()


@pytest.mark.parametrize(("call", "error"), [("open", "EMFILE"), ("open", "EACCES"), ("read", "EIO")])
async def test_what_cannot_be_read_for_a_while_arrives_later(tmp_path: Path, call: str, error: str) -> None:
    host = await Host.with_outputs(tmp_path / "host", "red", "green")
    setup = Setup((host.writes("red"), host.writes("green", divided=True)))
    agent = await filled(host, setup)
    host.disk.breaks("green+b1", call, error=error)
    for receiver in host.receivers.values():
        receiver.mode = "ok"
    await agent.start()
    await host.oracle.arrived_at("red")
    async with asyncio.timeout(DEADLINE):
        while "cannot keep metrics in the buffer" not in agent.logs:
            await asyncio.sleep(0.05)
    assert await agent.feed("more", 10, bucket="b2")
    assert not list(host.state.rglob("corrupt"))
    await agent.reload(setup.changed(batch=50))
    await agent.kill()
    await host.delivered(setup)
    host.oracle.verdict().check()
    assert not lost_by(host.logs)
    assert "BUG" not in agent.logs
