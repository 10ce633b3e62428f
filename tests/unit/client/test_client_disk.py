"""A writer with a buffer directory: what it keeps there, and what it takes up from there."""

import contextlib
import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from write_receiver import MakeWriter, Receiver

from pyagent.buffer.segments import SegmentLog
from pyagent.client import BufferFull, ConfigError, NotDelivered
from pyagent.pipeline import keeping


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


def _left_by_a_dead_process(receiver: Receiver, directory: Path, processes: int = 1) -> None:
    """Seven points of each, in folders of their own; the receiver was away."""
    program = """if True:
        import os, sys
        from pyagent.client import Writer
        writers = [
            Writer(sys.argv[1], "t", "o", "b", buffer_directory=sys.argv[2], flush_interval=600)
            for _ in range(int(sys.argv[3]))
        ]
        for number, writer in enumerate(writers):
            for n in range(7):
                writer.write("m", {"n": n}, {"by": number})
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", program, receiver.url, str(directory), str(processes)])


class TestLeft:
    """What a dead process has left in the buffer directory."""

    def test_it_is_taken_up_though_nothing_is_written(
        self, make_writer: MakeWriter, receiver: Receiver, tmp_path: Path
    ) -> None:
        _left_by_a_dead_process(receiver, tmp_path)
        make_writer(buffer_directory=tmp_path)
        assert sorted(line.split()[1] for line in receiver.wait_for(7)) == [f"n={n}" for n in range(7)]

    def test_it_is_counted_by_statistics_and_health(
        self, make_writer: MakeWriter, receiver: Receiver, tmp_path: Path
    ) -> None:
        receiver.rule = lambda body: (503, {"message": "away"})
        _left_by_a_dead_process(receiver, tmp_path)
        writer = make_writer(buffer_directory=tmp_path)
        while not writer.statistics.error:
            pass
        assert (writer.statistics.restored, writer.statistics.waiting) == (7, 7)
        assert (writer.health()["status"], writer.health()["waiting"]) == ("fail", 7)

    def test_what_is_left_later_is_taken_up_by_flush(
        self, make_writer: MakeWriter, receiver: Receiver, tmp_path: Path
    ) -> None:
        writer = make_writer(buffer_directory=tmp_path)
        _left_by_a_dead_process(receiver, tmp_path)
        writer.flush()
        assert len(receiver.lines) == 7

    @pytest.mark.parametrize("processes", [1, 3])
    def test_flush_waits_for_it(
        self, processes: int, make_writer: MakeWriter, receiver: Receiver, tmp_path: Path
    ) -> None:
        _left_by_a_dead_process(receiver, tmp_path, processes)
        writer = make_writer(buffer_directory=tmp_path, batch_size=2)
        writer.write("m", {"n": 8})
        writer.flush()
        assert len(receiver.lines) == 7 * processes + 1
        counted = writer.statistics
        assert (counted.waiting, counted.restored, counted.delivered) == (0, 7 * processes, 7 * processes + 1)

    def test_flush_says_how_much_of_it_waits(self, make_writer: MakeWriter, receiver: Receiver, tmp_path: Path) -> None:
        _left_by_a_dead_process(receiver, tmp_path)
        receiver.rule = lambda body: (503, {"message": "away"})
        writer = make_writer(buffer_directory=tmp_path)
        while writer.statistics.waiting < 7:
            pass
        with pytest.raises(NotDelivered, match="cannot deliver 7 points") as raised:
            writer.flush(0.1)
        assert raised.value.left == 7

    def test_close_uses_its_time_for_it(self, make_writer: MakeWriter, receiver: Receiver, tmp_path: Path) -> None:
        _left_by_a_dead_process(receiver, tmp_path, 2)
        writer = make_writer(buffer_directory=tmp_path)
        assert writer.close(30) == 0
        assert len(receiver.lines) == 14
        assert (writer.statistics.delivered, writer.statistics.kept) == (14, 0)

    def test_a_closed_writer_takes_nothing_up(
        self, make_writer: MakeWriter, receiver: Receiver, tmp_path: Path
    ) -> None:
        writer = make_writer(buffer_directory=tmp_path)
        writer.close()
        _left_by_a_dead_process(receiver, tmp_path)
        writer.flush()
        assert (writer.statistics.restored, receiver.lines) == (0, [])


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
    monkeypatch.setattr(keeping, "_PAUSE_FIRST", 1e6)
    monkeypatch.setattr(keeping, "_PAUSE_MOST", 1e6)
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
