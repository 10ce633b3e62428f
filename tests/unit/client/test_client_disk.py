"""A writer with a buffer directory: what it keeps there, and what it takes up from there."""

import contextlib
import errno
import logging
import os
from pathlib import Path

import pytest
from write_receiver import MakeWriter, Receiver

from pyagent.buffer.log.segments import SegmentLog
from pyagent.client import BufferFull, ConfigError
from pyagent.pipeline.outputs import disk_writer


def test_points_on_disk_come_back_in_a_writer_after(
    make_writer: MakeWriter, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    receiver.rule = lambda body: (503, {"message": "busy"})
    writer = make_writer(buffer_directory=tmp_path)
    for n in range(10):
        writer.write("m", {"n": n})
    assert writer.close(0.05) == 0
    assert writer.statistics.kept == 10
    assert "10 points are not delivered before the end, and kept in" in caplog.text
    receiver.rule = None
    again = make_writer(buffer_directory=tmp_path)
    again.write("m", {"n": 10})
    again.flush()
    assert list(dict.fromkeys(line.split()[1] for line in receiver.lines)) == [f"n={n}" for n in range(11)]
    counted = again.statistics
    assert (counted.taken, counted.restored, counted.delivered, counted.waiting) == (1, 10, 11, 0)
    assert again.close() == 0
    assert not list(tmp_path.rglob("*.seg")) + list(tmp_path.rglob("*.lines")) + list(tmp_path.rglob("*.left"))


def test_a_buffer_directory_that_cannot_be_used_is_told_by_the_call(make_writer: MakeWriter, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"cannot keep points in .*file.*; give another buffer_directory"):
            make_writer(buffer_directory=path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_buffer_directory_of_others_is_told_by_the_call(make_writer: MakeWriter, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        make_writer(buffer_directory=tmp_path)


def test_a_mistake_in_the_settings_takes_no_folder(make_writer: MakeWriter, tmp_path: Path) -> None:
    writer = make_writer(url="https://localhost:1", tls_ca="/nowhere/ca.pem", buffer_directory=tmp_path)
    for _ in range(3):
        with pytest.raises(ConfigError, match="tls_ca"):
            writer.write("m", {"n": 1})
    assert [path.name for path in tmp_path.glob("*/*")] == ["0"]


def test_two_writers_of_one_target_share_the_directory(
    make_writer: MakeWriter, receiver: Receiver, tmp_path: Path
) -> None:
    writers = [make_writer(buffer_directory=tmp_path) for _ in range(2)]
    for writer in writers:
        writer.write("m", {"n": 1})
    for writer in writers:
        writer.flush()
    assert len(receiver.lines) == 2


def test_the_bound_in_bytes_holds_on_disk_too(
    make_writer: MakeWriter, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.rule = lambda body: (503, {"message": "busy"})
    writer = make_writer(buffer_directory=tmp_path, when_full="raise", max_bytes=100_000, batch_size=100)
    taken = 0
    with contextlib.suppress(BufferFull):
        while True:
            writer.write("m", {"text": os.urandom(500).hex()})
            taken += 1
    assert 90 < taken < 250  # it is compressed on disk
    receiver.rule = None
    writer.flush()
    assert len(receiver.lines) == taken
    assert "size limit" not in caplog.text


def test_a_disk_that_was_full_is_no_failure_for_longer_than_that(
    make_writer: MakeWriter, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`statistics`, `health` and `flush` look at the disk anew, and do not wait for the pause between attempts."""
    monkeypatch.setattr(disk_writer, "_PAUSE_FIRST", 1e6)
    monkeypatch.setattr(disk_writer, "_PAUSE_MOST", 1e6)
    writer = make_writer(buffer_directory=tmp_path)
    with monkeypatch.context() as patch:

        def full(log: SegmentLog, batches: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(SegmentLog, "append", full)
        writer.write("m", {"n": 1})
        writer.flush()
        assert len(receiver.lines) == 1
        health = writer.health()
        assert (health["status"], health["waiting"]) == ("warn", 0)
        assert "No space left on device" in health["error"]
    writer.health()
    while writer.health()["status"] != "pass":
        pass
    assert writer.statistics.error == ""
