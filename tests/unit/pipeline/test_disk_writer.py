"""Who waits for the disk is told what has become of it: also where the queue goes to another output, and where the disk fails."""

import asyncio
import errno
import logging
import os
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent.api import QueueFull
from pyagent.buffer import OutputQueue
from pyagent.buffer.log.files import Files
from pyagent.lineprotocol import Encoded
from pyagent.pipeline.executors import InlineExecutor
from pyagent.pipeline.outputs.disk_writer import DiskWriter
from pyagent.testing.virtual import run_virtual


def writer(
    folder: Path, *, always: bool = True, write_now: Callable[[OutputQueue], object] = lambda queue: None
) -> DiskWriter:
    queue = OutputQueue(1000)
    return DiskWriter(
        queue,
        folder,
        identity="test",
        always=always,
        sync=False,
        passing=False,
        executor=InlineExecutor(),
        log=logging.getLogger("test"),
        write_now=lambda: write_now(queue),
    )


def put(one: DiskWriter) -> asyncio.Future[None]:
    one.queue.enqueue(Encoded(b"m n=1i\n", array("I", [7]), 1, 2, []), pinned=True)
    receipt = one.receipt()
    assert receipt is not None
    return receipt


def deliver(queue: OutputQueue) -> None:
    batch = queue.next_batch(1)
    assert batch is not None
    queue.complete(batch)


async def ended(one: DiskWriter, work: asyncio.Task[None]) -> None:
    work.cancel()
    await asyncio.wait([work])
    await one.close()
    one.dismiss()


def test_who_waits_at_an_output_that_is_replaced_waits_for_its_successor(tmp_path: Path) -> None:
    """Told to come back, it would send again what the successor has."""

    async def main() -> None:
        old, new = writer(tmp_path / "a"), writer(tmp_path / "a")
        work = asyncio.create_task(old.run())  # before `begin` it leaves the disk alone
        await asyncio.sleep(0)
        waits = put(old)
        work.cancel()
        await asyncio.wait([work])
        assert not waits.done()
        new.queue.adopt(old.queue)
        old.hand_over(new)
        late = old.receipt()
        assert not waits.done()
        assert late is not None
        new.begin()
        work = asyncio.create_task(new.run())
        await asyncio.wait([waits, late])
        assert waits.exception() is late.exception() is None
        assert new.queue.safe
        await ended(new, work)

    run_virtual(main())


@pytest.mark.parametrize("disk", [True, False], ids=["not for this", "no disk"])
def test_a_successor_that_keeps_nothing_on_disk_has_it_as_safe_as_is_configured(tmp_path: Path, disk: bool) -> None:
    async def main() -> None:
        old = writer(tmp_path / "a")
        waits = put(old)
        old.hand_over(writer(tmp_path / "a", always=False) if disk else None)
        assert waits.done()
        assert waits.exception() is None

    run_virtual(main())


def test_at_the_end_it_is_said_whether_it_is_safe(tmp_path: Path) -> None:
    async def main() -> None:
        one, other = writer(tmp_path / "a"), writer(tmp_path / "b")
        safe, lost = put(one), put(other)
        one.begin()
        await one.close()
        one.dismiss()
        other.dismiss()
        assert safe.exception() is None
        assert isinstance(lost.exception(), QueueFull)

    run_virtual(main())


@pytest.mark.parametrize("delivered", [True, False])
def test_what_is_delivered_needs_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, delivered: bool
) -> None:
    """A full disk beside a server that is well: the sender is not told to send it again, and the log says it once."""
    caplog.set_level(logging.INFO)

    def full(self: Files, descriptor: int, data: bytes, offset: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def main() -> None:
        asked: list[OutputQueue] = []

        def write_now(queue: OutputQueue) -> None:
            asked.append(queue)
            if delivered:
                deliver(queue)

        one = writer(tmp_path / "a", write_now=write_now)
        one.begin()
        work = asyncio.create_task(one.run())
        await one.ready.wait()
        with monkeypatch.context() as patched:
            patched.setattr(Files, "write", full)
            for _ in range(3 if delivered else 1):
                waits = put(one)
                await asyncio.wait([waits])
                assert (waits.exception() is None) is delivered
                assert asked
        if delivered:
            assert one.failures.current
            assert one.queue.can_admit(1)
        waits = put(one)
        await asyncio.wait([waits])
        assert waits.exception() is None
        await ended(one, work)

    run_virtual(main())
    assert ["cannot keep metrics" in text for text in caplog.messages] == [True, False], caplog.messages
