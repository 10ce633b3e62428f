"""Every way in which a server can fail: nothing is lost, what it stored twice is bounded, and it works again afterwards."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver
from server_faults import metrics, runner
from waiting import until

from pyagent.buffer import BufferSettings
from pyagent.pipeline.executors import ThreadExecutor
from pyagent.pipeline.outputs.running_output import BufferResources

pytestmark = pytest.mark.usefixtures("impatient")

FAULTS = [
    "reset",
    "reset unread",
    "half a status line",
    "endless headers",
    "slow",
    "huge body",
    "html",
    "stored, then reset",
    "401",
    "403",
    "404",
    "408",
    "302",
    "429",
    "500",
    "502",
    "503",
    "504",
    "599",
]
HARMLESS = ["wrong gzip", "413 above 20"]
"""Everything arrives in spite of it: the status line says it all, or the batch is halved."""


class Quarantined:
    def __init__(self) -> None:
        self.lines: list[tuple[bytes, str, bool]] = []

    def put(
        self, output: str, partition: str | None, lines: list[bytes], reason: str, *, suspected: bool = False
    ) -> int:
        self.lines += [(row, reason, suspected) for row in lines]
        return 0

    def sync(self) -> None:
        pass


@pytest.mark.parametrize("on_disk", [False, True])
async def test_no_fault_of_a_server_loses_a_metric(tmp_path: Path, plan: Any, on_disk: bool) -> None:
    receiver = await Receiver().start()
    buffer_resources = BufferResources(
        BufferSettings(tmp_path if on_disk else None), ThreadExecutor("disk") if on_disk else None
    )
    output = runner(receiver.url, buffer_resources, lambda plugin: plan(plugin, on_disk=on_disk))
    task = asyncio.create_task(output.run())
    first = 0
    for fault in (*FAULTS, *HARMLESS):
        receiver.mode = fault
        output.enqueue_block(metrics("m", first, 60))
        first += 60
        output.flush_soon()
        # It is really met.
        await until(lambda fault=fault: receiver.requests[fault] >= 1)
        await until(lambda fault=fault: fault in HARMLESS or output.error)
    receiver.mode = "ok"
    await until(lambda: output.queued == 0)
    output.enqueue_block(metrics("fresh", 0, 1))
    output.flush_soon()
    await until(lambda: ("fresh", 0) in receiver.taken)
    output.end()
    await task
    await output.stop(5)
    await receiver.stop()
    assert set(receiver.taken) == {("m", number) for number in range(first)} | {("fresh", 0)}
    assert not receiver.corrupted
    twice = sum(receiver.taken.values()) - len(receiver.taken)
    # Only what the server had stored before it broke off, and each time at most a batch.
    assert 0 < twice <= 50 * receiver.requests["stored, then reset"]
    assert output.rejected == 0
    assert output.written == sum(queue.added for queue in output.queues)


async def test_bad_lines_are_found_and_kept_aside_and_all_others_arrive(plan: Any) -> None:
    receiver = await Receiver().start()
    receiver.bad = {("m", number) for number in (3, 49, 50, 77, 119)}
    quarantine = Quarantined()
    output = runner(receiver.url, BufferResources(dead_letters=quarantine), plan)
    output.enqueue_block(metrics("m", 0, 120))
    await output.write_queue()
    await output.stop(5)
    await receiver.stop()
    assert receiver.requests["named"] >= 3
    assert set(receiver.taken) == {("m", number) for number in range(120)} - receiver.bad
    assert {int(row.split(b"number=")[1].split(b"i")[0]) for row, _, _ in quarantine.lines} == {3, 49, 50, 77, 119}
    assert all("bad number" in reason for _, reason, _ in quarantine.lines)
    assert (output.written, output.rejected, output.queued) == (115, 5, 0)


async def test_a_dead_server_holds_up_no_other_and_comes_back_unflooded(plan: Any) -> None:
    dead, alive = await Receiver().start(), await Receiver().start()
    dead.mode = "slow"
    outputs = [runner(receiver.url, BufferResources(), plan) for receiver in (dead, alive)]
    tasks = [asyncio.create_task(output.run()) for output in outputs]
    for round_ in range(5):
        for output in outputs:
            output.enqueue_block(metrics("m", 60 * round_, 60))
            output.flush_soon()
        await until(lambda round_=round_: len(alive.taken) == 60 * (round_ + 1))
    assert not dead.taken
    dead.mode = "ok"
    await until(lambda: len(dead.taken) == 300)
    for output in outputs:
        output.end()
    await asyncio.gather(*tasks)
    for output in outputs:
        await output.stop(5)
    await dead.stop()
    await alive.stop()
