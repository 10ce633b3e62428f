"""Tag values that are not UTF-8, in outputs that they divide; and a fault of the agent's own on the way of the metrics, which
costs those that it is about."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from partitioned import Buckets, Single, gathered
from plans import LOG, output_plan

from pyagent.api import NoOptions
from pyagent.buffer import BufferSettings, QueueName, stored_queues
from pyagent.pipeline.executors import InlineExecutor
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.outputs.running_output import BufferResources, RunningOutput
from pyagent.testing.virtual import run_virtual

BAD = ("\udcff", "b\udcfe\udcff", "\ud800", "\udced\udca0\udc80", "/\udcff" * 90)


def an_output(kind: type[Buckets], folder: Path | None, **plan: Any) -> tuple[RunningOutput, Any]:
    plugin = kind(NoOptions(), LOG)
    resources = BufferResources(BufferSettings(folder), InlineExecutor() if folder else None)
    return RunningOutput(output_plan(kind, **plan), plugin, log=LOG, buffer_resources=resources), plugin


@pytest.mark.parametrize("buffer", ["memory", "memory with a state directory", "disk"])
def test_each_value_is_a_partition_and_outlasts_a_restart(
    tmp_path: Path, buffer: str, caplog: pytest.LogCaptureFixture
) -> None:
    values = ("good", *BAD)
    folder = tmp_path if buffer != "memory" else None

    async def life(down: set[str | None], given: tuple[str, ...]) -> tuple[dict[str | None, int], int, list[bytes]]:
        output, plugin = an_output(Buckets, folder, on_disk=buffer == "disk")
        single, other = an_output(Single, None)
        fanout = Fanout([output, single])
        plugin.down = down
        task = asyncio.create_task(output.run())
        await asyncio.sleep(1)
        fanout.deliver([metric for value in given for metric in gathered(2, bucket=value)])
        await fanout.deliver_pinned([metric for value in given for metric in gathered(1, bucket=value)])
        await asyncio.sleep(30)
        output.end()
        await task
        await output.stop(1)
        await single.write_queue()
        assert not output.not_encodable
        return {value: len(lines) for value, lines in plugin.stored.items()}, output.queued, other.stored.get(None, [])

    # A surrogate that stands for no byte is U+FFFD, as in the line.
    names = [value.replace("\ud800", "\ufffd") for value in values]
    stored, left, undivided = run_virtual(life(set(names) if folder else set(), values))
    assert len(undivided) == 3 * len(values)
    if folder is not None:
        assert (stored, left) == ({}, 0)
        assert {queue.name.partition for queue in stored_queues(folder)} == set(names)
        stored, left, _ = run_virtual(life(set(), ()))
    assert (stored, left) == (dict.fromkeys(names, 3), 0)
    if folder is not None:
        caplog.text.encode()  # no message has what cannot be written


@pytest.mark.parametrize("partition", [*BAD, "\ufffd", "a/b+c", None])
def test_the_name_of_a_queue_leads_back(tmp_path: Path, partition: str | None) -> None:
    name = QueueName("o", partition)
    folder = tmp_path / name.folder
    folder.mkdir()
    (folder / "1.seg").write_bytes(b"x")
    if len(partition or "") < 50 and partition != "\ud800":
        assert [queue.name for queue in stored_queues(tmp_path)] == [name]
    (folder / "identity").write_text(name.identity)
    assert [queue.name for queue in stored_queues(tmp_path)] == [name]
    assert json.loads(name.identity)["partition"] == partition


def broken(*args: object, **kwargs: object) -> Any:
    raise UnicodeError("on purpose")


@pytest.mark.parametrize("part", ["encoder", "enqueue"])
def test_a_fault_of_the_agents_own_costs_one_output(part: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        one, _ = an_output(Buckets, None)
        two, plugin = an_output(Single, None)
        setattr(one.encoder if part == "encoder" else one, "_value" if part == "encoder" else "enqueue", broken)
        fanout = Fanout([one, two])
        fanout.deliver(gathered(3))
        await fanout.deliver_pinned(gathered(2))
        await two.write_queue()
        assert len(plugin.stored[None]) == 5
        assert one.not_encodable == {"BUG: UnicodeError": 5}

    run_virtual(main())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "BUG: cannot queue 3 metrics: UnicodeError: on purpose; dropped; please report this"
    ]
