"""inputs.directory_monitor: what is read of files, and where they go."""

import asyncio
import gzip
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import DEADLINE, Served, serving

from pyagent.api import ConfigError
from pyagent.testing import make_input
from pyagent_plugins.inputs import directory_monitor
from pyagent_plugins.inputs.directory_monitor import DirectoryMonitor


@asynccontextmanager
async def monitoring(folder: Path, limit: int = 1_000_000, **options: Any) -> AsyncIterator[Served]:
    (folder / "in").mkdir(exist_ok=True)
    given = {"directory": f"{folder}/in", "finished_directory": f"{folder}/done", **options}
    async with serving(DirectoryMonitor, given, listens=False, limit=limit) as served:
        yield served


async def look(served: Served) -> None:
    assert isinstance(served.runner.plugin, DirectoryMonitor)
    await served.runner.plugin.gather(served.runner.acc)


async def until_gone(served: Served, path: Path) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(DEADLINE):
        while os.path.exists(path):  # noqa: ASYNC240
            await look(served)
            await asyncio.sleep(0.01)
            found += served.lines()
    return [line.rpartition(" ")[0] for line in found + served.lines()]


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def test_what_comes_before_a_bad_line_counts_and_the_file_goes_to_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = put(tmp_path / "in" / "a", "m v=1i\nm v=2i\nno metric\nm v=3i\n")
    async with monitoring(tmp_path, error_directory=f"{tmp_path}/bad") as served:
        assert await until_gone(served, path) == ["m v=1i", "m v=2i"]
    assert (tmp_path / "bad" / "a").exists()
    assert "in/a': line 3" in caplog.text


async def test_one_that_cannot_be_read_and_stays_is_read_once(tmp_path: Path) -> None:
    path = put(tmp_path / "in" / "a", "m v=1i\nno metric\n")
    async with monitoring(tmp_path) as served:
        await look(served)
        await look(served)
        assert len(served.lines()) == 1
        path.write_text("m v=2i\n")
        assert await until_gone(served, path) == ["m v=2i"]


async def test_folders_in_it_gzip_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "in" / "x" / "a.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b"m v=1i\r\nm v=2i"))
    os.utime(path, (1, 2))
    async with monitoring(tmp_path, recursive=True, file_tag="file", preserve_timestamps=True) as served:
        assert await until_gone(served, path) == ["m,file=a.gz v=1i", "m,file=a.gz v=2i"]
    assert os.stat(tmp_path / "done" / "x" / "a.gz").st_mtime == 2


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b"m v=1i\n", mtime=0)[:-3]])
async def test_damaged_gzip(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.gz"
    path.write_bytes(data)
    async with monitoring(tmp_path, error_directory=f"{tmp_path}/bad") as served:
        await until_gone(served, path)
    assert "cannot read" in caplog.text


async def test_what_is_read_and_what_is_left_out(tmp_path: Path) -> None:
    path = put(tmp_path / "in" / "a.lp", "m v=1i\n")
    others = [put(tmp_path / "in" / name, "m v=2i\n") for name in ("b.txt", "skip.lp")]
    options = {"files_to_monitor": [r"^/.*\.lp$"], "files_to_ignore": ["skip"]}
    async with monitoring(tmp_path, **options) as served:
        assert await until_gone(served, path) == ["m v=1i"]
    assert all(one.exists() for one in others)


async def test_one_that_was_just_changed_waits(tmp_path: Path) -> None:
    path = put(tmp_path / "in" / "a", "m v=1i\n")
    async with monitoring(tmp_path, directory_duration_threshold="1h") as served:
        await look(served)
        assert served.lines() == []
        os.utime(path, (1, 1))
        assert await until_gone(served, path) == ["m v=1i"]


async def test_what_is_on_its_way_at_a_stop_is_waited_for_and_its_file_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the one that comes after it reads the file again."""
    monkeypatch.setattr(directory_monitor, "_STOP_GRACE", 0.0)
    monkeypatch.setattr(directory_monitor, "_LAST_GRACE", DEADLINE)
    path = put(tmp_path / "in" / "a", "m v=1i\nm v=2i\n")
    async with monitoring(tmp_path) as served:
        under_way, safe = asyncio.Event(), asyncio.Event()
        deliver = served.runner.acc.deliver

        async def slow(metrics: list[Any]) -> None:
            await deliver(metrics)
            under_way.set()
            await safe.wait()

        monkeypatch.setattr(served.runner.acc, "deliver", slow)
        looking = asyncio.create_task(look(served))
        await asyncio.wait_for(under_way.wait(), DEADLINE)
        stopping = asyncio.create_task(served.runner.plugin.stop())
        while not served.runner.plugin._given_up:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        assert path.exists()
        safe.set()
        await asyncio.wait_for(stopping, DEADLINE)
        await looking
        assert [line.rpartition(" ")[0] for line in served.lines()] == ["m v=1i", "m v=2i"]
    assert not path.exists()
    assert (tmp_path / "done" / "a").exists()


@pytest.mark.parametrize("name", ["finished_directory", "error_directory"])
def test_the_folder_itself_is_no_target(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    monkeypatch.chdir(tmp_path)
    for target in ("in", f"{tmp_path}/in/", f"{tmp_path}/x/../in", "link"):
        options = {"directory": f"{tmp_path}/in", "finished_directory": f"{tmp_path}/done", name: target}
        with pytest.raises(ConfigError, match="which is `directory` itself") as caught:
            make_input(DirectoryMonitor, options)
        assert caught.value.option == name


async def test_finished_files_below_the_folder_by_a_link_are_not_read_again(tmp_path: Path) -> None:
    path = put(tmp_path / "in" / "a", "m v=1i\n")
    (tmp_path / "in" / "done").mkdir()
    (tmp_path / "link").symlink_to("in/done")
    async with monitoring(tmp_path, recursive=True, finished_directory=f"{tmp_path}/link") as served:
        assert await until_gone(served, path) == ["m v=1i"]
        await look(served)
        assert not served.runner.plugin._queued  # type: ignore[attr-defined]


async def test_finished_files_below_the_folder_are_not_read_again(tmp_path: Path) -> None:
    path = put(tmp_path / "in" / "a", "m v=1i\n")
    async with monitoring(tmp_path, recursive=True, finished_directory=f"{tmp_path}/in/done") as served:
        assert await until_gone(served, path) == ["m v=1i"]
        await look(served)
        assert served.lines() == []


async def test_a_file_that_cannot_be_moved_is_not_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = put(tmp_path / "in" / "a", "m v=1i\n")
    (tmp_path / "done" / "a").mkdir(parents=True)
    async with monitoring(tmp_path) as served:
        await look(served)
        await look(served)
        assert len(served.lines()) == 1
        assert "it is not read again" in caplog.text
        (tmp_path / "done" / "a").rmdir()
        assert await until_gone(served, path) == []
    assert (tmp_path / "done" / "a").is_file()


async def test_more_than_the_queues_hold(tmp_path: Path) -> None:
    path = put(tmp_path / "in" / "a", "".join(f"m v={number}i\n" for number in range(5000)))
    async with monitoring(tmp_path, limit=1500) as served:
        found = await until_gone(served, path)
    assert sorted(found) == sorted(f"m v={number}i" for number in range(5000))


async def test_a_document_as_a_whole(tmp_path: Path) -> None:
    path = put(tmp_path / "in" / "a", '[{"a": 1},\n {"a": 2}]')
    async with monitoring(tmp_path, parse_method="at-once", data_format="json") as served:
        assert len(await until_gone(served, path)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finished_directory": "/x"}, "without directory"),
        ({"directory": "/x"}, "without finished_directory"),
        ({"directory": "/x", "finished_directory": "/y", "files_to_ignore": ["("]}, r"\("),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_input(DirectoryMonitor, options)


def test_what_is_in_the_way_is_told_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"directory": f"{tmp_path}/in", "finished_directory": f"{tmp_path}/x/y", "data_format": "influx"}
    plugin = make_input(DirectoryMonitor, options, logging.getLogger("pyagent.test"))
    missing = f"cannot look into '{tmp_path}/in': there is no such folder; make it, or correct `directory`"
    assert plugin.obstacles() == [missing]
    (tmp_path / "in").mkdir()
    assert plugin.obstacles() == []
    assert not (tmp_path / "x").exists()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    move, make = plugin.obstacles()
    assert move.startswith(f"cannot move files out of '{tmp_path}/in': Permission denied; ")
    assert make == f"cannot make the folder '{tmp_path}/x/y': make it, and let the agent's account write it"
