"""What a 204 promises: every output that a metric passes the filters of has it, safe, where there are several, divided ones,
dead ones, and logs that are slow or fail. One case after the other; test_kill.py has them all at once."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent_process import DEADLINE
from host import Agent, Host
from outputs import EVERYTHING, Filter, Setup

ONLY_DISK = Filter('namepass = ["disk"]', lambda sample: sample.name == "disk")


@pytest.fixture
async def host(tmp_path: Path) -> Host:
    """Two outputs, each with its receiver."""
    return await Host.with_outputs(tmp_path / "host", "red", "green")


def two(host: Host, strategy: str = "disk", **green: Any) -> Setup:
    return Setup((host.writes("red"), host.writes("green", **green)), strategy)


async def refused(agent: Agent, source: str, most: int, **tags: Any) -> int:
    """Post a hundred at a time until one is refused, and the answer says when to come back; returns how many were taken."""
    for taken in range(0, most, 100):
        answer = await agent.post(agent.host.oracle.samples(source, 100, **tags))
        if not answer.taken:
            assert answer.later, answer
            return taken
    raise AssertionError(f"{most} metrics were acknowledged")


# Before the data are on disk ----------------------------------------------------------------------------------------------


async def test_a_body_for_300_buckets_is_on_disk_when_it_is_acknowledged(tmp_path: Path) -> None:
    host = await Host.with_outputs(tmp_path / "host", "red")
    setup = Setup((host.writes("red", divided=True, exclude=True),))
    await host.receivers["red"].stop()
    agent = host.agent(setup)
    for _ in range(3):
        await agent.start()
        samples = [replace(one, bucket=f"b{one.number % 300}") for one in host.oracle.samples("many", 300)]
        assert (await agent.post(samples)).taken
        await agent.kill()
    await host.delivered(setup)
    verdict = host.oracle.verdict()
    verdict.check()
    assert verdict.acknowledged == 900


@pytest.mark.parametrize(
    ("slow", "call", "divided"),
    [
        ("red", "sync", False),
        ("green", "sync", True),
        ("red", "write", True),
        ("green", "create", True),
        ("red", "lock", False),
    ],
)
async def test_a_slow_log_is_waited_for(host: Host, slow: str, call: str, divided: bool) -> None:
    setup = two(host, divided=divided)
    for receiver in host.receivers.values():
        await receiver.stop()
    agent = await host.agent(setup).start()
    host.disk.breaks(slow, call, seconds=0.3)
    # The second comes while the first is being written.
    first = asyncio.create_task(agent.feed("first", 50, bucket="b1"))
    await asyncio.sleep(0.1)
    assert await agent.feed("second", 50, bucket="b1")
    await agent.kill()
    await first
    await host.delivered(setup)
    host.oracle.verdict().check()


@pytest.mark.parametrize(
    ("broken", "call", "error", "seconds"),
    [
        ("red", "sync", "EIO", 0.0),
        ("green", "sync", "EIO", 0.3),
        ("red", "write", "ENOSPC", 0.3),
        ("green", "write", "ENOSPC", 0.0),
        ("green", "create", "EIO", 0.0),
        ("red", "sync_directory", "EIO", 0.3),
    ],
)
async def test_a_log_that_fails_refuses(host: Host, broken: str, call: str, error: str, seconds: float) -> None:
    setup = two(host, divided=True)
    agent = await host.agent(setup).start()
    for receiver in host.receivers.values():
        receiver.mode = "503"  # what is delivered needs no disk
    host.disk.breaks(broken, call, seconds=seconds, error=error)
    for _ in range(2):
        answer = await agent.post(host.oracle.samples("early", 50, bucket="b1"))
        assert answer.later, answer
    host.disk.mend()
    for receiver in host.receivers.values():
        receiver.mode = "ok"
    async with asyncio.timeout(DEADLINE):
        while not await agent.feed("late", 50, bucket="b1"):
            await asyncio.sleep(0.05)
    await agent.kill()
    await host.delivered(setup)
    host.oracle.verdict().check()


async def test_a_log_that_another_agent_holds_refuses(host: Host) -> None:
    red, green = two(host).outputs
    holder = await host.agent(Setup((green,))).start()
    assert await holder.feed("holder", 50)
    agent = await host.agent(Setup((red, green))).start()
    assert await refused(agent, "early", 1000) == 0
    assert "is used by another agent" in agent.logs
    await holder.kill()
    async with asyncio.timeout(DEADLINE):
        while not await agent.feed("late", 50):
            await asyncio.sleep(0.05)
    await agent.kill()
    await host.delivered(Setup((red, green)))
    host.oracle.verdict().check()


async def test_an_output_that_is_replaced_while_it_is_waited_for(host: Host) -> None:
    setup = two(host, divided=True)
    for receiver in host.receivers.values():
        receiver.mode = "503"
    agent = await host.agent(setup).start()
    for turn in range(4):
        host.disk.breaks("green", "sync", seconds=0.3)
        waiting = [asyncio.create_task(agent.feed(f"t{turn}w{n}", 50, bucket=f"b{n}")) for n in range(3)]
        await asyncio.sleep(0.05 * (turn + 1))
        agent.ask_reload(setup.changed(timeout=f"{1 + turn}s"))
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await agent.kill()
        await asyncio.wait(waiting)
        await agent.start()
        host.disk.mend()
    assert await agent.feed("after", 50)
    await agent.kill()
    await host.delivered(setup)
    host.oracle.verdict().check()


# Acknowledged by one output, not kept by the other ------------------------------------------------------------------------


WAYS = {
    "whole": {},
    "divided": {"divided": True},
    "filtered": {"filter": Filter('namepass = ["load"]', lambda sample: sample.name == "load")},
}


@pytest.mark.parametrize(
    ("strategy", "way", "staged"),
    [
        ("disk", "whole", False),
        ("disk", "divided", True),
        ("disk", "filtered", False),
        ("memory", "whole", True),
        ("memory", "divided", False),
        ("memory", "filtered", True),
    ],
)
async def test_a_dead_output_with_a_full_queue_refuses(host: Host, strategy: str, way: str, staged: bool) -> None:
    setup = replace(two(host, strategy, limit=1000, **WAYS[way]), staged=staged)
    await host.receivers["green"].stop()
    # In memory alone one output is enough, unless somebody asks for more.
    agent = await host.agent(setup).start(*(("--acknowledge", "all") if strategy == "memory" else ()))
    taken = await refused(agent, "full", 5000, bucket="b1")
    assert taken <= 1100
    if strategy == "disk":
        await agent.kill()
        await agent.start()
    assert await refused(agent, "again", 1000, bucket="b1") <= 100
    assert taken >= 900
    if strategy == "memory":
        await host.receivers["green"].start()
        await host.oracle.arrived()
        assert await agent.feed("after", 10)
        assert await agent.terminate() == 0
    else:
        await agent.kill()  # it waits longer for the dead output than `delivered` does for it
    await host.delivered(setup)
    host.oracle.verdict().check()


async def test_what_is_not_for_the_dead_output_is_taken(host: Host) -> None:
    setup = two(host, limit=300, filter=ONLY_DISK)
    await host.receivers["green"].stop()
    agent = await host.agent(setup).start()
    assert await refused(agent, "disk", 1000, name="disk") == 300
    for _ in range(5):
        assert await agent.feed("load", 100, name="load")
    host.disk.breaks("green", "write", error="EIO")
    assert await agent.feed("load", 100, name="load")
    await agent.kill()
    await host.delivered(setup)
    host.oracle.verdict().check()


@pytest.mark.parametrize(
    ("how", "strategy", "most_lost"),
    [("flag", "disk", 700), ("environment", "memory", 700), ("flag", "broken disk", 1000)],
)
async def test_an_operator_may_go_on_without_a_dead_output(host: Host, how: str, strategy: str, most_lost: int) -> None:
    setup = two(host, strategy.split()[-1], limit=300)
    await host.receivers["green"].stop()
    if strategy == "broken disk":
        host.disk.breaks("green", "write", error="EIO")
    environ = {"PYAGENT_ACKNOWLEDGE": "any"} if how == "environment" else {}
    agent = host.agent(setup, environ=environ)
    await agent.start(*(("--acknowledge", "any") if how == "flag" else ()))
    for _ in range(10):
        assert await agent.feed("on", 100)
    await host.oracle.arrived_at("red")
    assert await agent.terminate() == 0
    await host.delivered(setup)
    verdict = host.oracle.verdict()
    # What there was room for arrives there, too; the rest is what the flag costs.
    assert {place[0] for place, _ in verdict.missing} <= {"green"}
    assert len(verdict.missing) <= most_lost
    verdict.missing.clear()
    verdict.check()


async def test_where_no_output_keeps_it_it_is_refused_whatever_the_operator_prefers(host: Host) -> None:
    setup = two(host).changed(limit=300)
    for receiver in host.receivers.values():
        await receiver.stop()
    agent = await host.agent(setup).start("--acknowledge", "any")
    assert await refused(agent, "full", 1000) == 300
    await agent.kill()
    await host.delivered(setup)
    host.oracle.verdict().check()


# Reloads ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slow", "divided"), [(("sync",), True), (("lock", "open", "read"), False), ((), True)], ids=["sync", "opening", ""]
)
async def test_quick_reloads_lock_no_agent_out(host: Host, slow: tuple[str, ...], divided: bool) -> None:
    setup = two(host, divided=divided, filter=EVERYTHING)
    host.receivers["green"].mode = "503"
    agent = await host.agent(setup).start()
    host.disk.breaks("", *slow, seconds=0.05)
    for turn in range(8):
        feeding = [asyncio.create_task(agent.feed(f"t{turn}w{n}", 20, bucket=f"b{n}")) for n in range(3)]
        await asyncio.sleep(0.02 * (turn % 4))
        agent.ask_reload(setup.changed(timeout=f"{1000 + turn}ms"))
        if turn % 3:
            await agent.reloaded()
        await asyncio.wait(feeding)
    await agent.reloaded()
    host.disk.mend()
    async with asyncio.timeout(DEADLINE):
        while not await agent.feed("after", 50, bucket="b1"):
            await asyncio.sleep(0.05)
    await agent.kill()
    assert "is used by another agent" not in agent.logs
    await host.delivered(setup)
    host.oracle.verdict().check()
