"""Queues on disk over the life of an agent: kept at its end, found by the next one, handed on at a reload, adopted."""

import asyncio
import contextlib
import dataclasses
import threading
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_plans import Storing, an_input, an_output
from waiting import until

from pyagent.api import Accumulator, ConfigError, Duration, Input, PyagentError, QueueFull
from pyagent.buffer import BufferSettings
from pyagent.buffer.log.files import Files
from pyagent.config import AgentSettings, Plan
from pyagent.lineprotocol import Encoded
from pyagent.pipeline.executors import ThreadExecutor
from pyagent.pipeline.outputs.running_output import BufferResources
from pyagent.runtime.agent import Agent
from pyagent.runtime.orphan_buffers import StoredBuffers, owner_in_words


class Once(Input):
    """Three metrics in all, however often it is asked."""

    given = 0

    async def gather(self, acc: Accumulator) -> None:
        while Once.given < 3:
            Once.given += 1
            acc.add("m", {"n": Once.given})


_EXECUTORS: list[ThreadExecutor] = []


@pytest.fixture(autouse=True)
def _given_nothing() -> Iterator[None]:
    Once.given = 0
    yield
    while _EXECUTORS:
        _EXECUTORS.pop().abandon()


def a_plan(**output: Any) -> Plan:
    return Plan(
        agent=AgentSettings(),
        inputs=(an_input(Once, interval=Duration("100ms"), identity="once", round_interval=False),),
        outputs=(an_output(flush_interval=Duration("50ms"), **output),),
        global_tags={},
        sources=("a.conf",),
    )


def an_agent(folder: Path) -> tuple[Agent, StoredBuffers]:
    _EXECUTORS.append(ThreadExecutor("disk"))
    buffer_resources = BufferResources(BufferSettings(folder), _EXECUTORS[-1])
    agent = Agent(buffer_resources=buffer_resources)
    return agent, StoredBuffers(agent, buffer_resources)


def stored() -> list[bytes]:
    return sorted(line.split()[1] for line in Storing.lines)


def segments(folder: Path) -> list[Path]:
    return list(folder.rglob("*.seg"))


THREE = [b"n=1i", b"n=2i", b"n=3i"]


@pytest.mark.parametrize("on_disk", [False, True])
async def test_what_could_not_be_written_is_found_by_the_next_agent(tmp_path: Path, on_disk: bool) -> None:
    Storing.down = True
    agent, _ = an_agent(tmp_path)
    await agent.apply(a_plan(on_disk=on_disk))
    await until(lambda: agent.outputs[0].queued == 3)
    await agent.stop()
    Storing.down = False
    agent, buffers = an_agent(tmp_path)
    await agent.apply(a_plan(on_disk=on_disk))
    await until(lambda: stored() == THREE)
    await until(lambda: agent.outputs[0].queued == 0)
    assert not buffers.orphans()
    await agent.stop()
    assert not segments(tmp_path)


@pytest.mark.parametrize("on_disk", [False, True])
async def test_a_reload_hands_the_log_on(tmp_path: Path, on_disk: bool) -> None:
    Storing.down = True
    agent, buffers = an_agent(tmp_path)
    await agent.apply(a_plan(on_disk=on_disk))
    await until(lambda: agent.outputs[0].queued == 3)
    await until(lambda: segments(tmp_path))
    for identity in ("changed", "changed again"):
        await agent.apply(a_plan(on_disk=on_disk, identity=identity))
        await until(lambda: not agent._shutdown_tasks)
        assert agent.outputs[0].queued == 3
        assert [buffer.used_by for buffer in buffers.list()] == ["outputs.storing"]
    Storing.down = False
    await until(lambda: stored() == THREE)
    await agent.stop()
    assert stored() == THREE


async def test_who_waits_for_the_disk_is_answered_when_the_output_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, _ = an_agent(tmp_path)
    await agent.apply(a_plan(on_disk=True))
    await until(lambda: stored() == THREE)
    syncing, go_on = threading.Event(), threading.Event()
    real = Files.sync

    def sync(self: Files, descriptor: int) -> None:
        syncing.set()
        assert go_on.wait(60)
        real(self, descriptor)

    monkeypatch.setattr(Files, "sync", sync)
    output = agent.outputs[0]
    output.enqueue_block(Encoded(b"late n=1i\n", array("I", [10]), 1, 1, []), pinned=True)
    waiting = asyncio.create_task(output.durable())
    await until(syncing.is_set)
    assert not waiting.done()
    await agent.apply(a_plan(on_disk=True, identity="changed"))
    go_on.set()
    with contextlib.suppress(QueueFull):  # it may just have come through
        await asyncio.wait_for(waiting, 20)
    await until(lambda: b"late n=1i" in Storing.lines)
    await agent.stop()


async def test_with_the_disk_in_between_the_first_metrics_are_written_at_once_all_the_same(tmp_path: Path) -> None:
    agent, _ = an_agent(tmp_path)
    plan = a_plan(on_disk=True)
    await agent.apply(dataclasses.replace(plan, outputs=(an_output(flush_interval=Duration("1h"), on_disk=True),)))
    await until(lambda: stored() == THREE)
    # And so are the last ones.
    Once.given = 2
    await until(lambda: agent.outputs[0].queued == 1)
    await agent.stop()
    assert stored() == sorted([*THREE, b"n=3i"])
    assert not segments(tmp_path)


async def test_a_queue_that_no_output_claims_is_kept_and_adopted(tmp_path: Path) -> None:
    Storing.down = True
    agent, _ = an_agent(tmp_path)
    await agent.apply(a_plan(queue_id="before"))
    await until(lambda: agent.outputs[0].queued == 3)
    await agent.stop()
    Storing.down = False
    agent, buffers = an_agent(tmp_path)
    await agent.apply(a_plan(queue_id="after"))
    (orphan,) = buffers.orphans()
    assert (orphan.name, orphan.output, orphan.used_by) == ("before", "before", "")
    with pytest.raises(LookupError, match=r"no output nobody runs; there are outputs\.storing"):
        await buffers.adopt("before", "nobody")
    with pytest.raises(LookupError, match="there is no buffer nothing"):
        await buffers.adopt("nothing", "after")
    assert await buffers.adopt("before", "storing") == 3
    await until(lambda: stored() == THREE)
    assert not buffers.orphans()
    await agent.stop()


async def test_a_queue_in_use_is_not_given_away_and_an_orphan_can_be_dropped(tmp_path: Path) -> None:
    Storing.down = True
    agent, _ = an_agent(tmp_path)
    await agent.apply(a_plan(queue_id="before"))
    await until(lambda: agent.outputs[0].queued == 3)
    await agent.stop()
    agent, buffers = an_agent(tmp_path)
    Once.given = 0
    await agent.apply(a_plan(queue_id="after", on_disk=True))
    await until(lambda: len(buffers.list()) == 2)
    with pytest.raises(PyagentError, match="the buffer after is in use"):
        await buffers.drop("after")
    assert await buffers.drop("before") == 3
    assert [buffer.name for buffer in buffers.list()] == ["after"]
    await agent.stop()


async def test_nothing_that_was_not_adopted_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Storing.down = True
    agent, _ = an_agent(tmp_path)
    await agent.apply(a_plan(queue_id="before", on_disk=True))
    await until(lambda: agent.outputs[0].queued == 3)
    await agent.stop()
    Storing.down = False
    agent, buffers = an_agent(tmp_path)
    Once.given = 3
    await agent.apply(a_plan(queue_id="after", on_disk=True))
    await until(lambda: agent.outputs[0].queue.log is not None)
    broken = ["read"]
    for name in ("read", "make_directory"):
        real = getattr(Files, name)

        def call(self: Files, target: Any, *arguments: Any, name: str = name, real: Any = real) -> Any:
            if name in broken and (name != "make_directory" or str(target).endswith("corrupt")):
                raise OSError(5, "Input/output error")
            return real(self, target, *arguments)

        monkeypatch.setattr(Files, name, call)
    with pytest.raises(PyagentError, match="cannot open the buffer before: Input/output error"):
        await buffers.adopt("before", "storing")
    with pytest.raises(PyagentError, match="cannot open the buffer before: Input/output error"):
        await buffers.drop("before")
    assert [buffer.name for buffer in buffers.orphans()] == ["before"]
    # What nobody understands, and what cannot be set aside, is not thrown away with the rest.
    (tmp_path / "before" / "notes").write_text("mine")
    (tmp_path / "before" / "0000000099.seg").write_text("mine, too")
    broken[:] = ["make_directory"]
    assert await buffers.adopt("before", "storing") == 3
    await until(lambda: stored() == THREE)
    assert (tmp_path / "before" / "notes").read_text() == "mine"
    assert (tmp_path / "before" / "0000000099.seg").read_text() == "mine, too"
    await agent.stop()


async def test_a_buffer_on_disk_without_a_place_for_it_is_refused() -> None:
    agent = Agent()
    with pytest.raises(ConfigError, match=r"a\.conf:9: cannot keep the buffer of outputs\.storing on disk"):
        await agent.apply(a_plan(on_disk=True))
    assert agent.plan is None


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("influxdb_v2:home:a%3Ab:0", "the output influxdb_v2, organization 'home', bucket 'a:b'"),
        ("file:::1", "the output file, number 2 of such"),
        ("file::=json:1", "the output file, data_format 'json', number 2 of such"),
        ("spare", "the output with the alias 'spare'"),
        ("spare:2", "the output with the alias 'spare', number 3 of such"),
        ("spare%3D1=json", "the output with the alias 'spare=1', data_format 'json'"),
        ("spare=json:1", "the output with the alias 'spare', data_format 'json', number 2 of such"),
    ],
)
def test_the_owner_of_a_queue_in_words(identity: str, words: str) -> None:
    assert owner_in_words(identity) == words
    assert owner_in_words(identity, "p").startswith(words.partition(", number")[0] + ", partition 'p'")
