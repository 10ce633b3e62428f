"""Cursor and segments that do not belong together, and what is no part of a log: nothing undelivered is removed, and it is
told."""

import errno
import logging
import shlex
import shutil
from pathlib import Path

import pytest
from segment_logs import Unreadable, batch, read

from pyagent.api import asking
from pyagent.buffer import stored_queues
from pyagent.buffer.log.files import Files
from pyagent.buffer.log.frames import HEAD_SIZE, VERSION, Head
from pyagent.buffer.log.reader import LogReader
from pyagent.buffer.log.scan import Recovery
from pyagent.buffer.log.segments import SegmentLog


def a_log(folder: Path, count: int, done: int = 0, *, first: int = 0) -> Path:
    """Metrics from `first` on, 10 in each frame."""
    log = SegmentLog(folder, segment_size=500)
    log.open('{"output": "o", "partition": null}')
    for number in range(first, first + count, 10):
        log.append([(batch(number, 10), True)])
    log.commit(done)
    copy = folder.with_name(folder.name + " as killed")
    shutil.copytree(folder, copy)
    log.close()
    return copy


def mixed(segments: Path, cursor: Path, folder: Path) -> Path:
    """The segments of one log with the cursor of another."""
    shutil.copytree(segments, folder)
    shutil.copy(cursor / "cursor", folder / "cursor")
    return folder


def in_the_earlier_form(folder: Path) -> Path:
    """As earlier versions wrote it: segments without heads, a cursor that says less."""
    for path in folder.glob("*.seg"):
        path.write_bytes(path.read_bytes()[HEAD_SIZE:])
    cursor = bytearray((folder / "cursor").read_bytes())
    for slot in (0, 4096):
        cursor[slot + 20 : slot + 4096] = bytes(4076)
    (folder / "cursor").write_bytes(cursor)
    return folder


def texts(recovery: Recovery, folder: Path) -> list[str]:
    return [text for level, text in recovery.messages(folder) if level >= logging.WARNING]


def test_a_folder_that_was_copied_is_the_same_log(tmp_path: Path) -> None:
    folder = a_log(tmp_path / "here", 100, 30)
    found, recovery, missed = read(folder)
    assert (found, list(recovery.messages(folder)), missed) == (list(range(30, 100)), [], 0)


@pytest.mark.parametrize(("others", "done"), [(100, 30), (100, 100), (500, 480), (1000, 0), (20, 10)])
def test_a_cursor_of_another_log_decides_nothing(tmp_path: Path, others: int, done: int) -> None:
    folder = mixed(a_log(tmp_path / "here", 100, 10), a_log(tmp_path / "there", others, done), tmp_path / "log")
    found, recovery, missed = read(folder)
    assert found[-60:] == list(range(40, 100))
    assert found == list(range(found[0], 100))
    assert found[0] <= 10
    assert (recovery.lost, missed, recovery.aside) == ([], 0, 1)
    assert texts(recovery, folder) == [
        f"the cursor of the buffer {folder} belongs to another buffer; all that is in the segments is sent"
    ]
    assert (folder / "corrupt" / "cursor").read_bytes() == (tmp_path / "there as killed" / "cursor").read_bytes()


def test_a_cursor_from_an_old_backup_sends_again_and_loses_nothing(tmp_path: Path) -> None:
    backup = a_log(tmp_path / "log", 100, 10)
    log = SegmentLog(tmp_path / "log", segment_size=500)
    log.open()
    log.append([(batch(100, 10), True)])
    log.commit(90)
    log.append([(batch(n, 10), True) for n in range(110, 200, 10)])
    folder = mixed(tmp_path / "log", backup, tmp_path / "restored")
    log.close()
    found, recovery, missed = read(folder)
    assert found == list(range(found[0], 200))
    assert found[0] <= 90
    assert (recovery.lost, missed) == ([], 0)
    assert "is older than its segments" in texts(recovery, folder)[0]


def test_a_cursor_ahead_of_all_segments_removes_none(tmp_path: Path) -> None:
    folder = a_log(tmp_path / "log", 100, 10)
    log = SegmentLog(tmp_path / "log", segment_size=500)
    log.open()
    log.append([(batch(100, 10), True)])
    log.commit(110)
    log.close()
    shutil.copy(tmp_path / "log" / "cursor", folder / "cursor")
    found, recovery, _ = read(folder)
    assert found == list(range(found[0], 100))
    assert found[0] <= 10
    assert "is at 110, but its segments end at 100; all that is in them is sent again" in texts(recovery, folder)[0]


@pytest.mark.parametrize("here_is_later", [True, False])
def test_segments_of_two_logs_become_two_queues(
    tmp_path: Path, here_is_later: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_log(tmp_path / "here", 100, 30)
    other = a_log(tmp_path / "there", 200, 0)
    for path in other.glob("*.seg"):
        number = int(path.stem) + (-1 if here_is_later else 500)
        shutil.copy(path, folder / f"{number + (0 if not here_is_later else 600):010d}.seg")
    found, recovery, missed = read(folder)
    assert found == list(range(30, 100))
    assert (recovery.lost, missed) == ([], 0)
    [(moved, names, count)] = recovery.foreign
    assert (len(names), count, recovery.aside) == (len(list(other.glob("*.seg"))), 200, len(names))
    monkeypatch.setattr(asking, "_flag", "--instance ram")
    typed = f"pyagent buffer adopt {shlex.quote(Path(moved).name)} --to OUTPUT --instance ram"
    assert f"`{typed}` delivers them" in texts(recovery, folder)[0]
    assert read(Path(moved))[0] == list(range(200))


def test_without_any_cursor_the_log_of_the_last_segment_stays(tmp_path: Path) -> None:
    folder = a_log(tmp_path / "here", 100, 0)
    for path in a_log(tmp_path / "there", 200, 0).glob("*.seg"):
        shutil.copy(path, folder / f"{int(path.stem) + 500:010d}.seg")
    (folder / "cursor").unlink()
    found, recovery, _ = read(folder)
    assert found == list(range(200))
    assert read(Path(recovery.foreign[0][0]))[0] == list(range(100))


def test_a_second_time_there_is_no_clash(tmp_path: Path) -> None:
    folder = a_log(tmp_path / "here", 100, 0)
    other = a_log(tmp_path / "there", 50, 0)
    moved = set()
    for _ in range(2):
        for path in other.glob("*.seg"):
            shutil.copy(path, folder / f"{int(path.stem) + 900:010d}.seg")
        _, recovery, _ = read(folder)
        moved.add(recovery.foreign[0][0])
    assert len(moved) == 2
    assert all(read(Path(path))[0] == list(range(50)) for path in moved)


def test_segments_of_an_unknown_version_are_set_aside_and_counted(tmp_path: Path) -> None:
    folder = a_log(tmp_path / "log", 50, 10)
    later = Head(1, 0, 0, 0, version=VERSION + 1).pack() + b"whatever it may be"
    (folder / "0000000077.seg").write_bytes(later)
    found, recovery, _ = read(folder)
    assert found == list(range(10, 50))
    assert (recovery.set_aside, recovery.aside, recovery.lost) == (["0000000077.seg"], 1, [])
    assert (folder / "corrupt" / "0000000077.seg").read_bytes() == later
    # What lies there is counted at each start, until somebody has looked at it.
    assert read(folder)[1].aside == 1


@pytest.mark.parametrize("name", ["0000000077.seg", "0000000001.seg", "cursor", "identity", "notes"])
@pytest.mark.parametrize("kind", ["folder", "link to nothing"])
def test_something_else_in_place_of_a_file_stops_nothing(tmp_path: Path, name: str, kind: str) -> None:
    folder = a_log(tmp_path / "log", 50, 0)
    path = folder / name
    had_segment = name == "0000000001.seg"
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
        (path / "precious").write_text("data")
    else:
        path.symlink_to(tmp_path / "nowhere")
    found, recovery, missed = read(folder)
    lost = recovery.lost_metrics + missed
    assert len(found) + lost == 50
    assert bool(lost) == had_segment
    assert kind != "folder" or next(folder.rglob("precious")).read_text() == "data"
    log = SegmentLog(folder)
    log.open("whose it is")
    log.append([(batch(900, 1), True)])
    log.close()
    assert read(folder)[0][-1] == 900


def test_a_segment_behind_a_link_is_read(tmp_path: Path) -> None:
    folder = a_log(tmp_path / "log", 50, 0)
    first = min(folder.glob("*.seg"))
    shutil.move(first, tmp_path / "elsewhere")
    first.symlink_to(tmp_path / "elsewhere")
    assert read(folder)[0] == list(range(50))


class Full(Files):
    """A disk without room: what is there can be written over, renamed and removed."""

    def make_directory(self, path: Path) -> None:
        if not path.is_dir():
            raise OSError(errno.ENOSPC, "No space left on device")

    def create(self, path: Path) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_on_a_full_disk_what_cannot_be_set_aside_is_left_and_told(tmp_path: Path) -> None:
    folder = mixed(a_log(tmp_path / "here", 100, 0), a_log(tmp_path / "there", 500, 480), tmp_path / "log")
    (folder / "notes").write_text("mine")
    shutil.copy(min(a_log(tmp_path / "third", 50, 0).glob("*.seg")), folder / "0000000000.seg")
    log = SegmentLog(folder, files=Full())
    recovery = log.open()
    assert recovery.waiting == 100
    assert recovery.left == ["notes", "0000000000.seg"]
    log.close()
    assert (folder / "notes").read_text() == "mine"
    assert (folder / "0000000000.seg").exists()
    assert "they are left where they are" in " ".join(texts(recovery, folder))


# The form of earlier versions -----------------------------------------------------------------------------------------


def test_a_log_of_earlier_versions_is_read_and_gone_on_with(tmp_path: Path) -> None:
    folder = in_the_earlier_form(a_log(tmp_path / "log", 60, 20))
    for _ in range(2):
        found, recovery, missed = read(folder)
        assert (found, list(recovery.messages(folder)), missed) == (list(range(20, 60)), [], 0)
    log = SegmentLog(folder)
    log.open()
    log.append([(batch(60, 10), True)])
    log.commit(30)
    log.close()
    found, recovery, missed = read(folder)
    assert (found, list(recovery.messages(folder)), missed) == (list(range(30, 70)), [], 0)


def test_a_cursor_of_earlier_versions_ahead_of_all_segments_removes_none(tmp_path: Path) -> None:
    ahead = in_the_earlier_form(a_log(tmp_path / "there", 500, 490))
    folder = mixed(in_the_earlier_form(a_log(tmp_path / "here", 60, 10)), ahead, tmp_path / "log")
    found, recovery, missed = read(folder)
    assert found == list(range(60))
    assert (recovery.lost, missed) == ([], 0)


def test_segments_of_earlier_versions_in_another_log_are_not_removed(tmp_path: Path) -> None:
    folder = a_log(tmp_path / "log", 1000, 500)
    assert not (folder / "0000000001.seg").exists()
    for path in in_the_earlier_form(a_log(tmp_path / "first", 60, 0)).glob("*.seg"):
        shutil.copy(path, folder / path.name)
    found, recovery, _ = read(folder)
    assert found == list(range(500, 1000))
    assert sum(count for _, _, count in recovery.foreign) == 60


def test_stored_queues_has_what_was_moved_out(tmp_path: Path) -> None:
    folder = a_log(tmp_path / "here", 100, 0)
    for path in a_log(tmp_path / "there", 50, 0).glob("*.seg"):
        shutil.copy(path, folder / f"{int(path.stem) + 900:010d}.seg")
    log = SegmentLog(folder)
    log.open('{"output": "o", "partition": "p"}')
    log.close()
    moved = [stored for stored in stored_queues(tmp_path) if "~" in stored.path.name]
    assert [(stored.name.output, stored.name.partition) for stored in moved] == [("o", "p")]


@pytest.mark.parametrize("call", ["open", "read", "sync"])
def test_what_cannot_be_read_now_is_neither_moved_nor_removed(tmp_path: Path, call: str) -> None:
    folder = mixed(a_log(tmp_path / "here", 100, 0), a_log(tmp_path / "there", 500, 480), tmp_path / "log")
    (folder / "notes").write_text("mine")
    shutil.copy(min(a_log(tmp_path / "third", 50, 0).glob("*.seg")), folder / "0000000000.seg")
    before = {path.name: path.read_bytes() for path in folder.glob("*.seg")}
    for _ in range(3):
        with pytest.raises(OSError, match="on purpose"):
            SegmentLog(folder, files=Unreadable(call)).open()
    assert {path.name: path.read_bytes() for path in folder.glob("*.seg")} == before
    assert not (folder / "corrupt").exists()
    # What it does in the end, it tells.
    found, recovery, _ = read(folder)
    assert found == list(range(100))
    assert (recovery.set_aside, [names for _, names, _ in recovery.foreign]) == (["notes"], [["0000000000.seg"]])
    assert recovery.cursor


def test_a_segment_that_comes_back_after_it_was_done_with_is_no_loss(tmp_path: Path) -> None:
    """A loss of power may undo that it was removed."""
    first = min(a_log(tmp_path / "log", 100, 0).glob("*.seg"))
    log = SegmentLog(tmp_path / "log", segment_size=500)
    log.open()
    log.commit(100)
    log.close()
    shutil.copy(first, tmp_path / "log" / first.name)
    log = SegmentLog(tmp_path / "log")
    recovery = log.open()
    log.append([(batch(200, 10), True)])
    reader = LogReader(log, log.committed, recovery.absent)
    numbers = []
    while frame := reader.read():
        numbers += [int(row[4:-1]) for row in frame[0].data.splitlines()]
    assert numbers[-10:] == list(range(200, 210))
    assert (recovery.lost, reader.lost) == ([], 0)
    reader.close()
    log.close()
