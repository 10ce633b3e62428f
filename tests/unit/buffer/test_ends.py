"""The end of a log that is cut or zeroed at any byte: all of it is there, or what is missing is told, and nothing else is."""

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_disk import MemoryDisk
from segment_logs import batch, read

from pyagent.buffer.log.frames import HEAD_SIZE, HEADER_SIZE, frames_in, pack
from pyagent.buffer.log.scan import Recovery
from pyagent.buffer.log.segments import SegmentLog

EVERY_OFFSET = os.environ.get("PYAGENT_LONG_FAULTS") == "1"
APPENDS = [(3,), (1, 4), (70,), (2,), (100, 3), (5,), (80,), (6,)]
"""Metrics of each frame of each append; those of 64 metrics and more are compressed."""
TOTAL = sum(map(sum, APPENDS))


def fill(folder: Path, done: int = 0, *, killed: bool = False) -> Path:
    """A log of some segments, of which the first metrics are acknowledged."""
    log = SegmentLog(folder, segment_size=700)
    log.open("test")
    number = 0
    for counts in APPENDS:
        batches = []
        for count in counts:
            batches.append((batch(number, count), True))
            number += count
        log.append(batches)
    log.commit(done)
    copy = folder.with_name(folder.name + " copy")
    if killed:
        shutil.copytree(folder, copy)
    log.close()
    return copy if killed else folder


def told(recovery: Recovery, missed: int = 0) -> int:
    """Metrics that are told to be lost."""
    return sum(stop - start for start, stop in recovery.lost) + missed


def check(folder: Path, done: int) -> bool:
    """What is not there is told, to the metric; returns whether anything is missing."""
    found, recovery, missed = read(folder)
    missing = set(range(done, TOTAL)) - set(found)
    assert told(recovery, missed) == len(missing)
    assert {n for start, stop in recovery.lost for n in range(start, stop)} == missing
    assert bool(missing) <= bool(recovery.damaged or not list(folder.glob("*.seg")))
    lines = [text for _, text in recovery.messages(folder) if "is damaged" in text]
    assert len(lines) == bool(missing or recovery.damaged)
    assert not missing or f"{len(missing)} metric{' is' if len(missing) == 1 else 's are'} lost" in lines[0]
    return bool(missing)


def cut(path: Path, start: int, stop: int) -> None:
    os.truncate(path, start)


def zero(path: Path, start: int, stop: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(stop - start))


def longer(path: Path, start: int, stop: int) -> None:
    """As a file system does that has made the file longer, and not written it."""
    cut(path, start, stop)
    os.truncate(path, stop)


@pytest.fixture(scope="module", params=[0, 120, 270])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    return fill(tmp_path_factory.mktemp("filled") / "log", request.param, killed=True), request.param


def last_of(folder: Path) -> Path:
    return max(folder.glob("*.seg"))


@pytest.mark.parametrize("change", [cut, zero, longer])
def test_an_end_is_complete_or_told(
    filled: tuple[Path, int], tmp_path: Path, change: Callable[[Path, int, int], None]
) -> None:
    source, done = filled
    size = last_of(source).stat().st_size
    for start in range(size + 1) if EVERY_OFFSET else sorted(random.Random(done).sample(range(size + 1), 25)):
        folder = shutil.copytree(source, tmp_path / str(start))
        change(last_of(folder), start, size)
        lost = check(folder, done)
        assert lost == (start < size and done < TOTAL) or change is zero
        # It goes on behind it; what is missing is told again as long as anything before it waits.
        log = SegmentLog(folder)
        log.open()
        log.append([(batch(1000, 2), True)])
        log.close()
        found, recovery, missed = read(folder)
        assert found[-2:] == [1000, 1001]
        missing = set(range(done, TOTAL)) - set(found)
        again = set(range(done)) & set(found)  # where the cursor is behind what is left, it is not believed
        assert (
            told(recovery, missed) in range(len(missing), len(missing) + (done if again else 0) + 1) or len(found) == 2
        )
        shutil.rmtree(folder)


@given(data=st.data())
def test_holes_of_zeroes_anywhere_are_complete_or_told(
    filled: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    source, done = filled
    folder = shutil.copytree(source, tmp_path_factory.mktemp("holes") / "log")
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(folder.glob("*.seg"))))
        size = path.stat().st_size
        start = data.draw(st.integers(0, size))
        change = data.draw(st.sampled_from([cut, zero, zero]))
        change(path, start, size if change is cut else min(start + data.draw(st.sampled_from([1, 20, 512])), size))
    check(folder, done)


@given(gone=st.sets(st.integers(0, 20), min_size=1))
def test_whole_segments_that_are_gone_are_told(
    filled: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory, gone: set[int]
) -> None:
    source, done = filled
    folder = shutil.copytree(source, tmp_path_factory.mktemp("gone") / "log")
    for index, path in enumerate(sorted(folder.glob("*.seg"))):
        if index in gone:
            path.unlink()
    check(folder, done)


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("done", [0, 4, 270, TOTAL])
def test_a_clean_end_is_no_damage(tmp_path: Path, done: int, killed: bool) -> None:
    folder = fill(tmp_path / "log", done, killed=killed)
    for _ in range(2):
        found, recovery, missed = read(folder)
        assert found == list(range(done, TOTAL))
        assert (list(recovery.messages(folder)), missed) == ([], 0)


def broken_off(folder: Path) -> Iterator[Path]:
    """The log as a kill in the middle of a write may leave it."""
    log = SegmentLog(folder.with_name("more"))
    log.open()
    log.append([(batch(TOTAL, 9), True), (batch(TOTAL + 9, 70), True)])
    frames = max(log.directory.glob("*.seg")).read_bytes()[HEAD_SIZE:]
    log.close()
    for length in range(1, len(frames)) if EVERY_OFFSET else random.Random(1).sample(range(1, len(frames)), 40):
        copy = shutil.copytree(folder, folder.with_name(f"broken {length}"))
        with last_of(copy).open("ab") as file:
            file.write(frames[:length])
        yield copy
        shutil.rmtree(copy)


@pytest.mark.parametrize("seed", range(8))
def test_after_a_clean_end_and_a_loss_of_power_a_lost_end_is_told(seed: int) -> None:
    """How far the log was written comes to the disk at a clean end, also where nothing of it was ever delivered."""
    folder, disk = Path("/state/queue"), MemoryDisk()
    log = SegmentLog(folder, files=disk)
    log.open("test")
    log.append([(batch(0, 5), True)])
    first_end = len(disk.files[folder / "0000000001.seg"].data)
    log.append([(batch(5, 3), True)])
    log.close()
    disk.crash(random.Random(seed), power=True)
    disk.truncate(folder / "0000000001.seg", first_end)  # the disk has not kept what it said was synced
    log = SegmentLog(folder, files=disk)
    recovery = log.open("test")
    assert (recovery.waiting, told(recovery)) == (5, 3)
    log.close()


def test_a_write_that_was_broken_off_is_no_loss(tmp_path: Path) -> None:
    whole = len(pack(batch(TOTAL, 9), TOTAL))
    for folder in broken_off(fill(tmp_path / "log", 4, killed=True)):
        found, recovery, missed = read(folder)
        assert found[: TOTAL - 4] == list(range(4, TOTAL))
        assert (told(recovery, missed), recovery.damaged) == (0, [])
        texts = [text for _, text in recovery.messages(folder)]
        if folder.name != f"broken {whole}":
            [text] = texts
            assert re.search(r"a write that was broken off, of (0|9|70) metrics or more", text)
        assert list(read(folder)[1].messages(folder)) == []


def test_without_the_cursor_headers_say_how_many_are_missing_and_else_bytes_do(tmp_path: Path) -> None:
    source = fill(tmp_path / "log", killed=True)
    data = last_of(source).read_bytes()
    starts = [start for start, _ in frames_in(data, HEAD_SIZE)]
    every = range(HEAD_SIZE, len(data))
    for length in every if EVERY_OFFSET else [*starts, *random.Random(2).sample(every, 40)]:
        folder = shutil.copytree(source, tmp_path / str(length))
        (folder / "cursor").unlink()
        cut(last_of(folder), length, 0)
        found, recovery, _ = read(folder)
        if length in starts:
            assert not recovery.damaged  # nothing says that there was more
        else:
            behind = length - max(start for start in starts if start < length)
            assert told(recovery) == (0 if behind < HEADER_SIZE else len(batch_at(data, starts, length)))
            assert recovery.damaged_bytes == behind
            assert recovery.damaged == [last_of(source).name]
        assert found == list(range(len(found)))
        shutil.rmtree(folder)


def batch_at(data: bytes, starts: list[int], length: int) -> range:
    """The numbers of the frame that was cut there."""
    return next(
        range(header.number, header.end)
        for start, header in frames_in(data, HEAD_SIZE)
        if start <= length < start + header.size
    )
