"""Watching the configuration's files: what is a change, and when it is told."""

import asyncio
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pyagent.config import expand_sources
from pyagent.runtime.settings import RunSettings
from pyagent.runtime.watch import FileWatch, watch_configuration
from pyagent.testing.virtual import run_virtual

Look = Callable[[], Sequence[str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "telegraf.conf"
    path.write_text("one")
    return path


def change_after(watch: FileWatch, *steps: tuple[float, Callable[[], object]]) -> tuple[list[str], float]:
    """What is told when these things happen, each so many seconds after the one before; and when."""

    async def main() -> tuple[list[str], float]:
        told = asyncio.create_task(watch.wait_for_change())
        for pause, step in steps:
            await asyncio.sleep(pause)
            step()
        return await told, asyncio.get_running_loop().time()

    return run_virtual(main())


def test_a_changed_file(file: Path) -> None:
    watch = FileWatch(lambda: ["http://localhost/x", str(file)], interval=0.25)
    changed, when = change_after(watch, (10.1, lambda: file.write_text("other")))
    assert changed == [str(file)]
    assert 10.1 < when < 10.5


def test_a_replaced_file_of_the_same_size_and_time(file: Path) -> None:
    def replace() -> None:
        other = file.with_name("new")
        other.write_text("two")
        status = file.stat()
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.rename(file)

    assert change_after(FileWatch(lambda: [str(file)]), (1, replace))[0] == [str(file)]


def test_what_a_link_leads_to(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "link.conf"
    link.symlink_to(file)
    assert change_after(FileWatch(lambda: [str(link)]), (1, lambda: file.write_text("other")))[0] == [str(link)]


def test_files_of_a_directory_come_and_go(tmp_path: Path, file: Path) -> None:
    watch = FileWatch(lambda: expand_sources([], [str(tmp_path)]))
    new = tmp_path / "sub" / "new.conf"

    def create() -> None:
        new.parent.mkdir()
        new.touch()

    assert change_after(watch, (1, create))[0] == [str(new)]
    assert change_after(watch, (1, new.unlink))[0] == [str(new)]
    assert change_after(watch, (1, (tmp_path / "readme").touch), (1, file.unlink))[0] == [str(file)]


def test_a_file_that_is_deleted_and_written_anew_is_one_change(file: Path) -> None:
    watch = FileWatch(lambda: [str(file)])
    changed, when = change_after(watch, (1, file.unlink), (0.6, lambda: file.write_text("new")))
    assert changed == [str(file)]
    assert 1.6 < when < 3.5


def test_a_change_that_is_undone_is_none(file: Path) -> None:
    watch = FileWatch(lambda: [str(file)])
    status = file.stat()

    def touch(offset: int) -> None:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + offset))

    changed, when = change_after(watch, (1, lambda: touch(5)), (0.26, lambda: touch(0)), (10, lambda: touch(7)))
    assert changed == [str(file)]
    assert when > 11


def test_debounce_waits_for_the_last_change(file: Path) -> None:
    watch = FileWatch(lambda: [str(file)], debounce=5)
    texts = iter(("aa", "bbb", "cccc"))
    _, when = change_after(watch, *[(3, lambda: file.write_text(next(texts)))] * 3)
    assert 14 < when < 20


def test_a_directory_that_cannot_be_read_is_no_failure(tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    watch = FileWatch(lambda: expand_sources([], [str(folder)]))

    def create() -> None:
        folder.mkdir()
        (folder / "a.conf").touch()

    assert change_after(watch, (1, create))[0] == [str(folder / "a.conf")]


async def test_no_watch_where_none_is_wanted(file: Path) -> None:
    settings = RunSettings(configs=(str(file),))
    await watch_configuration(settings, lambda: pytest.fail("nothing changed"), logging.getLogger())


def watched(settings: RunSettings, steps: Callable[[asyncio.Event], object]) -> None:
    async def main() -> None:
        changed = asyncio.Event()
        task = asyncio.create_task(watch_configuration(settings, changed.set, logging.getLogger("test.watch")))
        await asyncio.sleep(0.3)
        steps(changed)
        await asyncio.wait_for(changed.wait(), 60)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run_virtual(main())


def test_without_the_library_it_looks_again_and_again_and_says_so_once(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    settings = RunSettings(configs=(str(file),), watch_files="notify")
    with caplog.at_level(logging.INFO):
        watched(settings, lambda _: file.write_text("other"))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert " -m pip install watchfiles" in warnings[0]
    assert f"{file} has changed" in caplog.text


@pytest.mark.skipif(importlib.util.find_spec("watchfiles") is None, reason="the library watchfiles is not installed")
async def test_the_kernel_tells_of_changes(tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    (folder / "sub").mkdir(parents=True)
    single = tmp_path / "telegraf.conf"
    single.touch()
    settings = RunSettings(configs=(str(single),), config_directories=(str(folder),), watch_files="notify")
    changed = asyncio.Event()
    log = logging.getLogger("test.watch")
    task = asyncio.create_task(watch_configuration(settings, changed.set, log))
    try:
        for path in (single, folder / "sub" / "a.conf", folder / "new" / "b.conf", single):
            await asyncio.sleep(0)
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".tmp").write_text(f"{path}{id(object())}")
            path.with_suffix(".tmp").rename(path)
            await asyncio.wait_for(changed.wait(), 60)
            changed.clear()
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
