"""A log that cannot be read for a while, in the middle of a run: nothing of it is lost, counted as lost or removed, others go
on, and it is told once, and once when it is over."""

import asyncio
import errno
import functools
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from partitioned import Buckets, Single, gathered
from plans import LOG, output_plan

from pyagent.api import NoOptions
from pyagent.buffer import BufferSettings
from pyagent.buffer.log.files import Files
from pyagent.buffer.log.segments import SegmentLog
from pyagent.pipeline.executors import InlineExecutor
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.outputs import disk_writer
from pyagent.pipeline.outputs.running_output import BufferResources, RunningOutput
from pyagent.testing.virtual import run_virtual


class Broken:
    """The call of `Files` that fails at present, for files of which the path has `part` in it."""

    def __init__(self) -> None:
        self.call = self.part = ""
        self.error = errno.EIO
        self.asked = 0

    def __call__(self, name: str, path: str) -> None:
        if name == self.call and self.part in path and path.endswith(".seg"):
            self.asked += 1
            raise OSError(self.error, "on purpose", path)


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_writer, "SegmentLog", functools.partial(SegmentLog, segment_size=1))


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Broken:
    broken = Broken()
    paths: dict[int, str] = {}

    def breakable(name: str) -> None:
        real: Callable[..., Any] = getattr(Files, name)

        def call(self: Files, target: Any, *arguments: Any, **options: Any) -> Any:
            broken(name, str(target) if isinstance(target, Path) else paths.get(target, ""))
            result = real(self, target, *arguments, **options)
            if name in ("open", "create"):
                paths[result] = str(target)
            return result

        monkeypatch.setattr(Files, name, call)

    for name in ("open", "create", "read"):
        breakable(name)
    return broken


def an_output(kind: type[Buckets], folder: Path, **plan: Any) -> tuple[RunningOutput, Any, Fanout]:
    plugin = kind(NoOptions(), LOG)
    settings = BufferResources(BufferSettings(folder), InlineExecutor())
    output = RunningOutput(output_plan(kind, on_disk=True, **plan), plugin, log=LOG, buffer_resources=settings)
    return output, plugin, Fanout([output])


def segments(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*.seg")}


@pytest.mark.parametrize(("call", "error"), [("open", errno.EMFILE), ("open", errno.EACCES), ("read", errno.EIO)])
def test_it_waits_and_others_go_on(
    tmp_path: Path, broken: Broken, call: str, error: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        output, plugin, fanout = an_output(Buckets, tmp_path, metric_batch_size=10)
        plugin.down = {"a", "b"}
        task = asyncio.create_task(output.run())
        for _ in range(5):
            await fanout.deliver_pinned(gathered(20, bucket="a") + gathered(20, bucket="b"))
            await asyncio.sleep(1)
        before = segments(tmp_path)
        broken.call, broken.part, broken.error = call, "+a/", error
        plugin.down = set()
        await asyncio.sleep(600)
        assert len(plugin.stored["b"]) == 100
        waiting = 100 - len(plugin.stored.get("a", []))
        assert waiting >= 60, "but for what was in memory already"
        assert output.queued == waiting
        assert sum(queue.damaged for queue in output.queues) == 0
        left = {path: data for path, data in segments(tmp_path).items() if "+a/" in path}
        assert left.items() <= before.items()
        assert len(left) == math.ceil(waiting / 20)
        assert "on purpose" in output.error
        assert broken.asked < 100, "it is not asked again at once"
        # What comes in is kept behind it.
        await fanout.deliver_pinned(gathered(20, bucket="a"))
        await asyncio.sleep(20)
        assert output.queued == waiting + 20
        broken.call = ""
        await asyncio.sleep(120)
        assert len(plugin.stored["a"]) == 120
        assert (output.queued, output.error) == (0, "")
        output.end()
        await task

    run_virtual(main())
    texts = [record.getMessage() for record in caplog.records]
    assert len([text for text in texts if "cannot read the buffer" in text]) == 1
    assert len([text for text in texts if "reading the buffer" in text and "works again after" in text]) == 1
    assert not [text for text in texts if "BUG" in text or "lost" in text]


def test_a_full_queue_makes_room_where_it_can(tmp_path: Path, broken: Broken) -> None:
    """What is to be dropped from a log that cannot be read stays; what is gathered gives way."""

    async def main() -> None:
        output, plugin, fanout = an_output(Single, tmp_path, metric_batch_size=10, metric_buffer_limit=50)
        plugin.down = {None}
        task = asyncio.create_task(output.run())
        for _ in range(4):
            fanout.deliver(gathered(10))
            await asyncio.sleep(1)
        broken.call = "read"
        for _ in range(10):
            fanout.deliver(gathered(10))
            await asyncio.sleep(1)
        assert output.queue.disk_error is None
        broken.call, plugin.down = "", set()
        await asyncio.sleep(300)
        queue = output.queue
        assert (output.queued, queue.damaged) == (0, 0)
        assert queue.added == output.written + queue.dropped
        assert output.written >= 50
        output.end()
        await task

    run_virtual(main())


def test_a_segment_that_somebody_removes_is_counted_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        output, plugin, fanout = an_output(Single, tmp_path, metric_batch_size=10)
        plugin.down = {None}
        task = asyncio.create_task(output.run())
        for _ in range(5):
            await fanout.deliver_pinned(gathered(10))
            await asyncio.sleep(1)
        log = output.queue.log
        assert log is not None
        log.segments[3].path.unlink()
        plugin.down = set()
        await asyncio.sleep(120)
        assert (output.written, output.queue.damaged, output.queued) == (40, 10, 0)
        output.end()
        await task

    run_virtual(main())
    assert "10 metrics of the buffer" in caplog.text


def test_a_log_that_cannot_be_opened_is_opened_later(
    tmp_path: Path, broken: Broken, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(strategy: str) -> None:
        output, plugin, fanout = an_output(Single, tmp_path / strategy)
        plugin.down = {None}
        task = asyncio.create_task(output.run())
        await fanout.deliver_pinned(gathered(20))
        await asyncio.sleep(1)
        output.end()
        await task
        await output.stop(1)
        broken.call, broken.error = "open", errno.EACCES
        output, plugin, fanout = an_output(Single, tmp_path / strategy)
        if strategy == "memory":
            object.__setattr__(output.plan, "on_disk", False)
        task = asyncio.create_task(output.run())
        await asyncio.sleep(100)
        assert (plugin.stored, output.queue.restored) == ({}, 0)
        broken.call = ""
        await asyncio.sleep(60)
        assert len(plugin.stored[None]) == 20
        output.end()
        await task
        await output.stop(1)

    run_virtual(main("disk"))
    assert "cannot keep metrics in the buffer" in caplog.text
    assert "0000000001.seg" in caplog.text


def test_an_error_of_the_disk_does_not_outlive_its_cause_at_a_reload(tmp_path: Path) -> None:
    """The output after it takes over a log of which the last use failed: it finds out that it works again."""

    async def main() -> None:
        older, plugin, fanout = an_output(Single, tmp_path)
        plugin.down = {None}
        task = asyncio.create_task(older.run())
        await fanout.deliver_pinned(gathered(20))
        older.end()
        await task
        # All is written, so nothing but the successor will ask the disk again.
        older.queue.disk_failed(OSError(errno.EIO, "on purpose"))
        plugin = Single(NoOptions(), LOG)
        plugin.down = {None}
        settings = BufferResources(BufferSettings(tmp_path), InlineExecutor())
        newer = RunningOutput(output_plan(Single, on_disk=True), plugin, log=LOG, buffer_resources=settings, waits=True)
        task = asyncio.create_task(newer.run())
        await asyncio.sleep(1)
        newer.adopt(older)
        newer.begin()
        await older.stop(1)
        await asyncio.sleep(30)
        assert newer.queue.disk_error is None
        await Fanout([newer]).deliver_pinned(gathered(10))
        plugin.down = set()
        await asyncio.sleep(60)
        assert len(plugin.stored[None]) == 30
        newer.end()
        await task
        await newer.stop(1)

    run_virtual(main())


def test_a_folder_that_cannot_be_listed_is_looked_at_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        output, plugin, fanout = an_output(Buckets, tmp_path)
        plugin.down = {"a"}
        task = asyncio.create_task(output.run())
        await fanout.deliver_pinned(gathered(20, bucket="a"))
        await asyncio.sleep(1)
        output.end()
        await task
        await output.stop(1)

        def listdir(path: Any) -> Any:
            raise OSError(errno.EMFILE, "Too many open files", str(path))

        monkeypatch.setattr("pyagent.buffer.queue_names.os.listdir", listdir)
        output, plugin, _ = an_output(Buckets, tmp_path)
        task = asyncio.create_task(output.run())
        await asyncio.sleep(200)
        assert plugin.stored == {}
        monkeypatch.undo()
        await asyncio.sleep(200)
        assert len(plugin.stored["a"]) == 20
        output.end()
        await task

    run_virtual(main())
    assert caplog.text.count("Too many open files") == 1


def test_the_log_keeps_what_was_refused_until_the_quarantine_is_safe(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Quarantined:
        broken = True
        calls = 0

        def put(self, *_: Any, **__: Any) -> int:
            return 0

        def sync(self) -> None:
            self.calls += 1
            if self.broken:
                raise OSError(errno.EIO, "Input/output error", "quarantine")

    async def main() -> None:
        refusals = Quarantined()
        plugin = Single(NoOptions(), LOG)
        settings = BufferResources(BufferSettings(tmp_path), InlineExecutor(), refusals)
        output = RunningOutput(output_plan(Single, on_disk=True), plugin, log=LOG, buffer_resources=settings)
        fanout = Fanout([output])
        plugin.bad = b"n=3i"
        task = asyncio.create_task(output.run())
        await fanout.deliver_pinned(gathered(10))
        await asyncio.sleep(30)
        log = output.queue.log
        assert log is not None
        assert (output.rejected, log.committed) == (1, 0)
        await fanout.deliver_pinned(gathered(2))
        await asyncio.sleep(30)
        assert log.committed == 0
        refusals.broken = False
        await fanout.deliver_pinned(gathered(2))
        await asyncio.sleep(30)
        assert log.committed == 14
        output.end()
        await task
        assert refusals.calls == 3

    run_virtual(main())
    assert caplog.text.count("cannot make the quarantine safe: Input/output error (quarantine)") == 1
