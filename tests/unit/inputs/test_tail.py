"""inputs.tail: numbered lines through rotation, restarts, full queues and broken text."""

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import DEADLINE
from tails import VALUE, numbers, put, read, remove, rename, tailing, texts, write

from pyagent.api import ConfigError
from pyagent.kit import positions
from pyagent.testing import make_input
from pyagent_plugins.inputs import tail
from pyagent_plugins.inputs.tail import Tail, follower


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Positions are kept in a folder, and nothing of them in the process: as after a restart."""
    monkeypatch.setattr(positions, "_known", {})
    positions.keep_positions_in(tmp_path / "state")
    yield tmp_path / "state"
    positions.keep_positions_in(None)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder / "app.log"


METHODS = pytest.mark.parametrize("method", ["inotify", "poll"])


@METHODS
async def test_lines_that_are_added(log: Path, method: str) -> None:
    write(log, 1)
    async with tailing(log.parent / "*.log", initial_read_offset="end", watch_method=method, path_tag="file") as served:
        write(log, 2, 3)
        assert await numbers(served, 2) == [2, 3]
        write(log, 4)
        async with asyncio.timeout(DEADLINE):
            while not len(served.output.queue):
                await asyncio.sleep(0.005)
        assert served.lines() == [f"m,file={log} n=4i 4000000000"]


@METHODS
async def test_every_line_once_over_rotations(log: Path, method: str) -> None:
    write(log, 0)
    done = 1
    found: list[int] = []
    async with tailing(log.parent / "app.log*", watch_method=method) as served:
        for turn in range(5):
            write(log, *range(done, done + 5))
            old = rename(log, log.with_name(f"app.log.{turn}"))
            write(old, *range(done + 5, done + 8))
            write(log, *range(done + 8, done + 10))
            done += 10
            while len(found) < done:
                found += await numbers(served, 1)
    assert sorted(found) == list(range(done))


@METHODS
async def test_rotation_by_emptying(log: Path, method: str) -> None:
    async with tailing(log.parent / "*", watch_method=method) as served:
        write(log, 1, 2, 3)
        await served.runner.plugin.gather(served.runner.acc)
        assert await numbers(served, 3) == [1, 2, 3]
        os.truncate(log, 0)
        write(log, 4)
        assert await numbers(served, 1) == [4]
        os.truncate(log, 0)
        write(log, 5, 6, 7, 8)  # longer than what was read
        assert await numbers(served, 4) == [5, 6, 7, 8]


async def test_a_file_that_goes_and_comes_back(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(log, 1)
    async with tailing(log) as served:
        assert await numbers(served, 1) == [1]
        remove(log)
        await asyncio.sleep(0)
        write(log, 2)
        assert await numbers(served, 1) == [2]
        remove(log)
        monkeypatch.setattr(follower, "GRACE", 0.0)
        async with asyncio.timeout(DEADLINE):
            while served.runner.plugin._followers:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        write(log, 3)
        await served.runner.plugin.gather(served.runner.acc)
        assert await numbers(served, 1) == [3]


async def test_a_last_line_without_an_end_waits_for_it_or_for_the_end_of_the_file(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "GRACE", 0.0)
    write(log, 1)
    write(log, 2, end="")
    async with tailing(log) as served:
        assert await numbers(served, 1) == [1]
        write(log, end="")
        with log.open("a") as file:
            file.write("\n")
        assert await numbers(served, 1) == [2]
        write(log, 3, end="")
        rename(log, log.with_name("old"))
        assert await numbers(served, 1) == [3]


async def test_restarts(log: Path) -> None:
    write(log, 1, 2)
    async with tailing(log) as served:
        assert await numbers(served, 2) == [1, 2]
    write(log, 3)
    async with tailing(log) as served:
        assert await numbers(served, 1) == [3]
        write(log, 4)
        write(log, 5, end="")
        assert await numbers(served, 1) == [4]
    with log.open("a") as file:
        file.write("\n")
    async with tailing(log, initial_read_offset="saved-or-end", path_tag="") as served:  # other options
        assert await numbers(served, 1) == [5]
    # Rotated while it was away.
    write(log, 6)
    rename(log, log.with_name("app.log.1"))
    write(log, 7)
    async with tailing(log) as served:
        assert sorted(await numbers(served, 2)) == [6, 7]
    # Emptied while it was away, and longer by now.
    os.truncate(log, 0)
    write(log, 8, 9)
    async with tailing(log) as served:
        assert await numbers(served, 2) == [8, 9]
    async with tailing(log, initial_read_offset="beginning") as served:
        assert await numbers(served, 2) == [8, 9]


async def test_rotated_and_stopped_before_the_rest_was_read(log: Path, kept: Path) -> None:
    write(log, 1)
    async with tailing(log) as served:
        assert await numbers(served, 1) == [1]
        rename(log, log.with_name("app.log.1"))
        write(log, 2)
        assert await numbers(served, 1) == [2]
    write(log.with_name("app.log.1"), 3)
    write(log, 4)
    async with tailing(log) as served:
        assert sorted(await numbers(served, 2)) == [3, 4]


async def test_rotated_twice_and_begun_while_no_file_has_the_name(log: Path) -> None:
    write(log, 1)
    async with tailing(log) as served:
        assert await numbers(served, 1) == [1]
        rename(log, log.with_name("app.log.2"))
        write(log, 2)
        assert await numbers(served, 1) == [2]
    write(log.with_name("app.log.2"), 3)
    write(log, 4)
    rename(log, log.with_name("app.log.1"))
    async with tailing(log) as served:
        write(log, 5)
        await served.runner.plugin.gather(served.runner.acc)
        assert sorted(await numbers(served, 3)) == [3, 4, 5]


async def test_stopped_between_the_rename_and_the_new_file(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records tell of the file before: the one under its name is older than the one under which its rest is kept."""
    write(log, *range(10))
    async with tailing(log) as served:
        assert await numbers(served, 10) == list(range(10))
        opened = asyncio.Event()

        async def never(self: Tail, path: str) -> None:
            opened.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patched:
            patched.setattr(Tail, "_follow", never)
            old = rename(log, log.with_name("app.log.1"))
            write(log, *range(20, 30))
            async with asyncio.timeout(DEADLINE):
                await opened.wait()
            write(old, *range(10, 20))
            assert await numbers(served, 10) == list(range(10, 20))
    found = tail.find_renamed

    def late(*args: Any) -> Any:
        """The file is found for the second time when what was found first has been read."""
        if calls:
            ended.wait(1)
        calls.append(args)
        return found(*args)

    calls: list[Any] = []
    ended = threading.Event()
    close = Tail._close
    monkeypatch.setattr(tail, "find_renamed", late)
    monkeypatch.setattr(Tail, "_close", lambda self, one, **how: (close(self, one, **how), ended.set()))
    async with tailing(log) as served:
        assert await numbers(served, 10) == list(range(20, 30))
        write(log, 30)
        assert await numbers(served, 1) == [30]
    assert len(calls) == 1


async def test_a_position_that_is_torn_leaves_the_one_before(log: Path, kept: Path) -> None:
    write(log, 1)
    async with tailing(log) as served:
        assert await numbers(served, 1) == [1]
        write(log, 2)
        assert await numbers(served, 1) == [2]
    (record,) = (kept / "tail").iterdir()
    slots = read(record)
    newest = max((0, 8192), key=lambda place: int(slots[place:].split(b'"turn": ')[1].split(b",")[0]))
    with record.open("r+b") as file:
        file.seek(newest + 40)
        file.write(b"#")
    async with tailing(log) as served:
        assert await numbers(served, 1) == [2]
    put(record, os.urandom(100))
    async with tailing(log) as served:
        assert await numbers(served, 2) == [1, 2]


async def test_nothing_counts_as_read_before_the_queue_holds_it(log: Path) -> None:
    write(log, *range(100))
    async with tailing(log, limit=20, max_undelivered_lines=10) as served:
        found = await numbers(served, 10)
        (one,) = served.runner.plugin._followers.values()  # type: ignore[attr-defined]
        while len(found) < 100:
            assert len(found) + 20 >= read(log)[: one.held].count(b"\n") >= len(found)
            found += await numbers(served, 1)
    assert found == list(range(100))


async def test_text_of_all_kinds(log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(follower, "LONGEST", 100)
    put(
        log,
        b"\xef\xbb\xbffirst\r\n"
        + b"\xff\xfe\n"
        + b"\x1b[31mred\x1b[0m\n"
        + b"x" * 101
        + b"\n"
        + b"y" * 300_000
        + b"\nlast\n",
    )
    async with tailing(log, filters=["ansi_color"], character_encoding="utf-8", **VALUE) as served:
        assert await texts(served, 4) == ["first", "\ufffd\ufffd", "red", "last"]
    assert [record.getMessage() for record in caplog.records if "longer than" in record.getMessage()][:1] == [
        f"the line of '{log}' at byte 26 is longer than 100 bytes; it is left out"
    ]


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be"])
async def test_utf_16(log: Path, encoding: str) -> None:
    text = "\ufeffäö\u0a0a\nžluť\r\n"
    put(log, text.encode(encoding))
    async with tailing(log, character_encoding=encoding, **VALUE) as served:
        assert await texts(served, 2) == ["äö\u0a0a", "žluť"]
        with log.open("ab") as file:
            file.write("x\n".encode(encoding)[:3])
            file.flush()
            await asyncio.sleep(0)
            file.write("x\n".encode(encoding)[3:])
        assert await texts(served, 1) == ["x"]


async def test_a_pipe(log: Path) -> None:
    os.mkfifo(log)
    async with tailing(log, pipe=True) as served:
        for turn in range(3):
            write(log, 2 * turn, 2 * turn + 1)
            assert await numbers(served, 2) == [2 * turn, 2 * turn + 1]


async def test_what_is_no_file_or_no_pipe_is_said(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(log)
    (log.parent / "folder.log").mkdir()
    async with tailing(log.parent / "*.log"):
        pass
    write(log.with_name("b.log"), 1)
    async with tailing(log.with_name("b.log"), pipe=True):
        pass
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 2
    assert told[0].startswith(f"cannot follow '{log}': ")
    assert told[1] == f"cannot follow '{log.with_name('b.log')}': it is no named pipe"


async def test_a_bad_line_costs_itself_and_is_named(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(log, 'good n=1i 1\nbad line is here\nm s="open\nalso n=2i 2\n')
    async with tailing(log, path_tag="") as served:
        assert await numbers(served, 2) == [1, 2]
    assert any(f"cannot read a line of '{log}': " in record.getMessage() for record in caplog.records)


async def test_a_line_with_a_tag_path_of_its_own_gets_the_files(log: Path) -> None:
    put(log, "m,path=own n=1i 1\n")
    async with tailing(log) as served:
        async with asyncio.timeout(DEADLINE):
            while not len(served.output.queue):
                await asyncio.sleep(0.005)
        assert served.lines() == [f"m,path={log} n=1i 1"]


async def test_a_table_has_its_header_after_a_restart_and_in_each_new_file(log: Path) -> None:
    options = {
        "data_format": "csv",
        "csv_header_row_count": 1,
        "csv_timestamp_column": "t",
        "csv_timestamp_format": "unix",
    }
    put(log, "n,t\n1,1\n")
    async with tailing(log, **options) as served:
        assert await numbers(served, 1) == [1]
    with log.open("a") as file:
        file.write("2,2\n")
    async with tailing(log, **options) as served:
        assert await numbers(served, 1) == [2]
        rename(log, log.with_name("old"))
        put(log, "t,n\n3,4\n")
        assert await numbers(served, 1) == [4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"character_encoding": "latin1"}, "cannot read the character encoding 'latin1'"),
        ({"multiline": {"pattern": "("}}, "multiline: cannot read the regular expression"),
        ({"multiline": {"pattern": "x", "match_which_line": "both"}}, "multiline: cannot use match_which_line 'both'"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_input(Tail, options)


async def test_an_event_of_several_lines_goes_on_after_a_restart(log: Path) -> None:
    options = {**VALUE, "multiline": {"pattern": "^ ", "preserve_newline": False, "timeout": "1h"}}
    put(log, "one\n a\ntwo\n b\n")
    async with tailing(log, **options) as served:
        assert await texts(served, 1) == ["one a"]
    with log.open("a") as file:
        file.write(" c\nthree\n")
    async with tailing(log, **options) as served:
        assert await texts(served, 1) == ["two b c"]
    async with tailing(log, **{**options, "multiline": {"pattern": "^ ", "timeout": "1ms"}}) as served:
        assert await texts(served, 1) == ["three"]


def test_what_is_in_the_way_is_told_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.log").touch()
    files = [f"{tmp_path}/*.log", f"{tmp_path}/b", "[a"]
    plugin = make_input(Tail, {"files": files, "data_format": "influx"}, logging.getLogger("pyagent.test"))
    none, bad = plugin.obstacles()
    assert none == f"no file is '{tmp_path}/b' so far; correct `files`, or wait until there is one"
    assert bad.startswith("cannot look for '[a': cannot read the pattern '[a'")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    denied = f"cannot follow '{tmp_path}/a.log': Permission denied; let the agent's account read it"
    assert plugin.obstacles() == [denied, none, bad]
