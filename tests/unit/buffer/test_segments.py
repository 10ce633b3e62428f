"""A log that was damaged on disk: what is intact is read, what is not is counted, and nothing else appears."""

import errno
import fcntl
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from memory_disk import MemoryDisk
from segment_logs import Unreadable, batch, read

from pyagent.buffer import Chunk, QueueBatch, QueueName, stored_queues
from pyagent.buffer.log.files import Files
from pyagent.buffer.log.frames import HEAD_SIZE
from pyagent.buffer.log.reader import LogReader
from pyagent.buffer.log.segments import InUse, SegmentLog

EVERY_OFFSET = os.environ.get("PYAGENT_LONG_FAULTS") == "1"
"""`make faults` tries them all; else a sample of them."""
FRAMES, EACH = 12, 5


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of three segments."""
    folder = tmp_path_factory.mktemp("pristine")
    log = SegmentLog(folder, segment_size=500)
    log.open("test")
    for frame in range(FRAMES):
        log.append([(batch(frame * EACH, EACH), False)])
    assert len(log.segments) >= 3
    log.close()
    return folder


def test_what_was_written_is_read(pristine: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pristine, tmp_path / "log")
    found, recovery, missed = read(folder)
    assert found == list(range(FRAMES * EACH))
    assert (recovery.waiting, recovery.lost, missed, recovery.damaged_bytes) == (FRAMES * EACH, [], 0, 0)


def places(folder: Path) -> list[tuple[str, int]]:
    every = [(path.name, offset) for path in sorted(folder.glob("*.seg")) for offset in range(path.stat().st_size)]
    return every if EVERY_OFFSET else random.Random(4).sample(every, 150)


def test_a_flipped_bit_costs_one_frame_and_is_counted(pristine: Path, tmp_path: Path) -> None:
    whole = list(range(FRAMES * EACH))
    for number, (name, offset) in enumerate(places(pristine)):
        folder = shutil.copytree(pristine, tmp_path / str(number))
        data = bytearray((folder / name).read_bytes())
        data[offset] ^= 1 << (offset % 8)
        (folder / name).write_bytes(data)
        found, recovery, missed = read(folder)
        gone = sorted(set(whole) - set(found))
        assert found == [n for n in whole if n not in gone], "nothing twice, nothing else, in order"
        assert len(gone) == (EACH if offset >= HEAD_SIZE else 0)
        assert [n for start, stop in recovery.lost for n in range(start, stop)] == gone
        assert (recovery.damaged, missed) == ([name], 0)
        assert recovery.damaged_bytes or offset >= HEAD_SIZE
        assert recovery.waiting == len(found)
        shutil.rmtree(folder)


@pytest.mark.parametrize("cursor", [b"", b"nonsense", bytes(8192)])
def test_without_its_cursor_everything_there_is_due(pristine: Path, tmp_path: Path, cursor: bytes) -> None:
    folder = shutil.copytree(pristine, tmp_path / "log")
    (folder / "cursor").write_bytes(cursor)
    found, recovery, missed = read(folder)
    assert found == list(range(FRAMES * EACH))
    assert (recovery.lost, missed) == ([], 0)


def test_a_segment_that_is_missing_in_the_middle_is_counted(pristine: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pristine, tmp_path / "log")
    names = sorted(path.name for path in folder.glob("*.seg"))
    (folder / names[1]).unlink()
    found, recovery, _ = read(folder)
    lost = sum(stop - start for start, stop in recovery.lost)
    assert lost > 0
    assert len(found) + lost == FRAMES * EACH


def test_what_cannot_be_understood_is_set_aside_and_never_removed(pristine: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pristine, tmp_path / "log")
    first = sorted(folder.glob("*.seg"))[0]
    first.write_bytes(b"this was a log once, before somebody opened it in an editor\n" * 20)
    (folder / "notes.txt").write_text("what is this?")
    _, recovery, _ = read(folder)
    assert sorted(recovery.set_aside) == sorted([first.name, "notes.txt"])
    assert {path.name for path in (folder / "corrupt").iterdir()} == {first.name, "notes.txt"}
    assert b"editor" in (folder / "corrupt" / first.name).read_bytes()


def test_a_log_has_one_owner(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path)
    log.open()
    with pytest.raises(InUse, match="is used by another agent"):
        SegmentLog(tmp_path).open()
    log.close()
    SegmentLog(tmp_path).open()


def test_an_empty_log_of_a_passing_queue_leaves_no_folder_and_no_lock_that_means_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    log = SegmentLog(folder, passing=True)
    log.open("whose it is")
    log.append([(batch(0, 3), False)])
    log.close()
    assert read(folder)[0] == [0, 1, 2]

    log = SegmentLog(folder, passing=True)
    log.open("whose it is")
    log.commit(3)

    log.close()
    assert not folder.exists()

    class Removed(Files):
        """Somebody else removes the folder before the lock is had, once."""

        before = True

        def lock(self, path: Path) -> int:
            if self.before:
                self.before = False
                shutil.rmtree(path.parent)
            return super().lock(path)

    log = SegmentLog(folder, files=Removed())
    log.open()
    with pytest.raises(InUse):
        SegmentLog(folder).open()
    log.close()

    (folder / "notes.txt").write_text("what is this?")
    log = SegmentLog(folder, passing=True)
    log.open()
    log.close()
    assert (folder / "corrupt" / "notes.txt").read_text() == "what is this?"


def test_a_lock_whose_file_was_removed_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def removed_meanwhile(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        (tmp_path / "lock").unlink()

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with pytest.raises(FileNotFoundError):
        Files().lock(tmp_path / "lock")


def test_acknowledged_segments_go_and_a_restart_finds_the_rest(pristine: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pristine, tmp_path / "log")
    log = SegmentLog(folder)
    log.open()
    before = len(log.segments)
    log.commit(EACH * FRAMES - 3)
    assert len(log.segments) < before
    log.close()
    assert read(folder)[0] == list(range(EACH * FRAMES - 3, EACH * FRAMES))


def test_the_folder_is_the_owners_alone(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path / "queue")
    log.open("whose it is")
    log.append([(batch(0, 1), False)])
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "queue").iterdir()}
    log.close()
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "queue").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "queue" / "identity").read_text() == "whose it is"


def test_a_large_batch_is_compressed_and_comes_back_as_it_was(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path)
    log.open()
    whole = batch(0, 1000)
    written = log.append([(whole, False)])
    assert written < len(whole.payload()) / 3
    frame = LogReader(log, 0).read()
    assert frame is not None
    again = QueueBatch([Chunk(frame[0])])
    assert again.payload() == whole.payload()
    assert again.payload("gzip") == whole.payload("gzip")
    assert again.slice(990, 1000).payload() == batch(990, 10).payload()
    log.close()


@pytest.mark.parametrize("cut", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b""])
def test_a_frame_of_another_length_is_none(cut: Callable[[bytes], bytes]) -> None:
    from pyagent.buffer.log.frames import HEADER_SIZE, Header, pack, unpack

    frame = pack(batch(0, 3), 7)
    header = Header.at(frame)
    assert header is not None
    assert unpack(header, frame[HEADER_SIZE:]) is not None
    assert unpack(header, cut(frame[HEADER_SIZE:])) is None


@pytest.mark.parametrize("broken", ["read", "sync", "open"])
def test_a_segment_that_cannot_be_read_now_waits_until_it_can(pristine: Path, tmp_path: Path, broken: str) -> None:
    folder = shutil.copytree(pristine, tmp_path / "log")
    with pytest.raises(OSError, match="on purpose"):
        SegmentLog(folder, files=Unreadable(broken)).open()
    assert not (folder / "corrupt").exists()
    found, recovery, missed = read(folder)
    assert found == list(range(FRAMES * EACH))
    assert (recovery.lost, recovery.set_aside, missed) == ([], [], 0)


def test_a_log_whose_name_cannot_be_written_down_is_not_used_yet(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="on purpose"):
        SegmentLog(tmp_path / "log", files=Unreadable("sync")).open("whose it is")
    SegmentLog(tmp_path / "log").open("whose it is")
    assert (tmp_path / "log" / "identity").read_text() == "whose it is"


@pytest.mark.parametrize("name", [QueueName("influxdb_v2:home:b:0"), QueueName("red", "b1"), QueueName("a+b", "c+d/e")])
def test_a_queue_without_its_identity_is_known_by_its_folder(tmp_path: Path, name: QueueName) -> None:
    folder = tmp_path / name.folder
    folder.mkdir()
    (folder / "0000000001.seg").touch()
    assert [stored.name for stored in stored_queues(tmp_path)] == [name]


@pytest.mark.parametrize("seed", range(10))
def test_what_was_taken_back_does_not_return_with_a_loss_of_power(seed: int) -> None:
    """It is somewhere else by then, and in pieces it would hide that."""
    disk = MemoryDisk()
    log = SegmentLog(Path("/log"), files=disk)
    log.open()
    log.append([(batch(0, 5), True)])
    size = log.segments[0].size
    failures = iter([OSError(errno.EIO, "on purpose")])

    def fail(name: str) -> None:
        if name == "write" and (error := next(failures, None)):
            raise error

    disk.fail = fail
    log.append([(batch(5, 5), True)])
    disk.crash(random.Random(seed), power=True)
    assert len(disk.files[Path("/log/0000000001.seg")].data) == size
    log = SegmentLog(Path("/log"), files=disk)
    assert log.open().waiting == 10
