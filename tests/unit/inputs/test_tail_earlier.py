"""inputs.tail: where it begins in files that came, were renamed or cannot be told while nobody looked."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tails import numbers, put, read, remove, rename, tailing, write

from pyagent.kit import positions
from pyagent_plugins.inputs import tail
from pyagent_plugins.inputs.tail import follower

END = {"initial_read_offset": ""}  # saved-or-end


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(positions, "_known", {})
    positions.keep_positions_in(tmp_path / "state")
    yield tmp_path / "state"
    positions.keep_positions_in(None)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_a_file_that_came_while_nobody_looked_is_read_from_its_beginning(logs: Path) -> None:
    write(logs / "old.log", 1)
    async with tailing(logs / "*.log", **END) as served:
        write(logs / "old.log", 2)
        assert await numbers(served, 1) == [2]
        write(logs / "unseen.log", 3)  # behind the last look
    write(logs / "new.log", 4)
    async with tailing(logs / "*.log", path_tag="", **END) as served:
        assert sorted(await numbers(served, 2)) == [3, 4]
        write(logs / "new.log", 5)
        assert await numbers(served, 1) == [5]


async def test_one_pattern_that_was_looked_at_is_enough_and_a_new_one_begins_at_the_end(logs: Path) -> None:
    async with tailing(logs / "*.log", **END):
        pass
    write(logs / "a.log", 1)
    write(logs / "a.txt", 2)
    both = [str(logs / "a.*"), str(logs / "*.log")]
    async with tailing(both, **END) as served:
        assert await numbers(served, 1) == [1]
        write(logs / "a.txt", 3)
        assert await numbers(served, 1) == [3]


async def test_a_reload_without_a_folder_knows_a_path_that_had_no_file(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions.keep_positions_in(None)

    class Lasting(dict[Any, Any]):
        def clear(self) -> None:
            """It is no restart."""

    monkeypatch.setattr(positions, "_known", Lasting())
    async with tailing(logs / "a.log", **END):
        pass
    write(logs / "a.log", 1)
    async with tailing(logs / "a.log", **END) as served:
        assert await numbers(served, 1) == [1]


@pytest.mark.parametrize("names", ["app.log*", "*app.*"])
async def test_rotated_while_it_was_away_under_names_that_match(logs: Path, names: str) -> None:
    """Files that have another name now are not new."""
    log, one, two = logs / "app.log", logs / "app.log.1", logs / "app.log.2"
    write(log, 1)
    write(one, 0)
    for _ in range(2):
        async with tailing(logs / names, **END) as served:
            write(log, 2)
            assert await numbers(served, 1) == [2]
        remove(two) if two.exists() else None
        write(one, 3)
        write(log, 4)
        rename(one, two)
        rename(log, one)
        write(log, 5)
        async with tailing(logs / names, **END) as served:
            assert sorted(await numbers(served, 3)) == [3, 4, 5]
            write(log, 6)
            assert await numbers(served, 1) == [6]
    # The newest has no successor yet.
    rename(log, logs / "app.log.0")
    async with tailing(logs / names, **END) as served:
        write(logs / "app.log.0", 7)
        assert await numbers(served, 1) == [7]


@pytest.mark.parametrize("part", ["open", "read"])
async def test_what_cannot_be_opened_or_read_at_first_begins_where_its_end_was(
    logs: Path, part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(logs / "a.log", 1)

    def refused(*_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        if part == "open":
            patched.setattr(tail, "open_log", refused)
        else:
            patched.setattr(follower.Follower, "know_begin", refused)
        async with tailing(logs / "*.log", **END):
            pass
    assert "cannot follow" in caplog.text
    write(logs / "a.log", 2)
    write(logs / "b.log", 3)
    async with tailing(logs / "*.log", **END) as served:
        assert sorted(await numbers(served, 2)) == [2, 3]


@pytest.mark.parametrize("place", ["listdir", "file"])
async def test_positions_that_cannot_be_read_hold_files_back_until_they_can(
    logs: Path, kept: Path, place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(logs / "a.log", 1)
    async with tailing(logs / "a.*", **END) as served:
        write(logs / "a.log", 2)
        assert await numbers(served, 1) == [2]
    write(logs / "a.log", 3)
    write(logs / "b.log", 4)

    def refused(path: Any, *_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "listdir") if place == "listdir" else (positions, "_read")), refused)
        served_by = tailing(logs / "?.log", **END)
        served = await served_by.__aenter__()
        await served.runner.plugin.gather(served.runner.acc)
        assert not served.runner.plugin._followers  # type: ignore[attr-defined]
    try:
        write(logs / "b.log", 5)
        await served.runner.plugin.gather(served.runner.acc)
        assert sorted(await numbers(served, 2)) == [3, 5]  # b.log, of a new pattern, from where its end was
    finally:
        await served_by.__aexit__(None, None, None)
    (told,) = [record.getMessage() for record in caplog.records if "cannot read how far" in record.getMessage()]
    assert str(kept / "tail") in told
    assert "Permission denied" in told
    assert "chmod -R u+rwX" in told


@pytest.mark.parametrize("damage", [b"", bytes(16384)])
async def test_a_damaged_position_is_said_and_the_file_read_from_its_beginning(
    logs: Path, kept: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    write(logs / "a.log", 1)
    async with tailing(logs / "a.log", **END) as served:
        write(logs / "a.log", 2)
        assert await numbers(served, 1) == [2]
    for folder in ("tail", "tail-patterns"):
        (record,) = entries(kept / folder)
        put(record, damage)
    async with tailing(logs / "a.log", **END) as served:
        assert await numbers(served, 2) == [1, 2]
    assert caplog.text.count("is damaged") == 1
    async with tailing(logs / "a.log", **END) as served:
        write(logs / "a.log", 3)
        assert await numbers(served, 1) == [3]
    assert caplog.text.count("is damaged") == 1


async def test_records_of_patterns_are_bounded(logs: Path, kept: Path) -> None:
    one = positions.Positions("tail-patterns", "")
    for number in range(5):
        one.put(f"p{number}", {"looked": True})
        os.utime(max(entries(kept / "tail-patterns"), key=lambda path: path.stat().st_ctime_ns), ns=(number, number))
    one.keep_newest(2)
    assert len(entries(kept / "tail-patterns")) == 2
    assert [key for key in ("p0", "p3", "p4") if one.get(key)] == ["p3", "p4"]


def test_a_first_record_that_finds_the_disk_full_leaves_no_file(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    one = positions.Positions("tail", "a")
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        assert one.put("x", {"offset": 1}) == "No space left on device"
    assert entries(kept / "tail") == []
    assert one.put("x", {"offset": 2}) is None
    assert b'"offset": 2' in read(entries(kept / "tail")[0])


def test_whose_folder_it_is_and_what_to_do(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.mkdir()
    (kept / "tail").mkdir()
    mine = kept.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: mine + 54321)
    monkeypatch.setattr(positions, "_account", lambda number: "agent" if number != mine else "other")
    with monkeypatch.context() as patched:
        patched.setattr(
            os, "listdir", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied", str(path)))
        )
        with pytest.raises(
            positions.PositionsUnreadable, match="belongs to other, and the agent runs as agent: chown -R agent"
        ):
            positions.Positions("tail", "a").get("x")
    put(kept / "plain", "")
    positions.keep_positions_in(kept / "plain")
    with pytest.raises(positions.PositionsUnreadable, match="Not a directory"):
        positions.Positions("tail", "a").get("x")
