"""A writer takes up what a process that died has left in its buffer directory."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from write_receiver import MakeWriter, Receiver, making_writers

from pyagent.client import NotDelivered


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def make_writer(receiver: Receiver) -> Iterator[MakeWriter]:
    with making_writers(receiver) as make:
        yield make


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


def test_it_is_taken_up_though_nothing_is_written(make_writer: MakeWriter, receiver: Receiver, tmp_path: Path) -> None:
    _left_by_a_dead_process(receiver, tmp_path)
    make_writer(buffer_directory=tmp_path)
    assert sorted(line.split()[1] for line in receiver.wait_for(7)) == [f"n={n}" for n in range(7)]


def test_it_is_counted_by_statistics_and_health(make_writer: MakeWriter, receiver: Receiver, tmp_path: Path) -> None:
    receiver.rule = lambda body: (503, {"message": "away"})
    _left_by_a_dead_process(receiver, tmp_path)
    writer = make_writer(buffer_directory=tmp_path)
    while not writer.statistics.error:
        time.sleep(0.001)
    assert (writer.statistics.restored, writer.statistics.waiting) == (7, 7)
    assert (writer.health()["status"], writer.health()["waiting"]) == ("fail", 7)


def test_what_is_left_later_is_taken_up_by_flush(make_writer: MakeWriter, receiver: Receiver, tmp_path: Path) -> None:
    writer = make_writer(buffer_directory=tmp_path)
    _left_by_a_dead_process(receiver, tmp_path)
    writer.flush()
    assert len(receiver.lines) == 7


@pytest.mark.parametrize("processes", [1, 3])
def test_flush_waits_for_it(processes: int, make_writer: MakeWriter, receiver: Receiver, tmp_path: Path) -> None:
    _left_by_a_dead_process(receiver, tmp_path, processes)
    writer = make_writer(buffer_directory=tmp_path, batch_size=2)
    writer.write("m", {"n": 8})
    writer.flush()
    assert len(receiver.lines) == 7 * processes + 1
    counted = writer.statistics
    assert (counted.waiting, counted.restored, counted.delivered) == (0, 7 * processes, 7 * processes + 1)


def test_flush_says_how_much_of_it_waits(make_writer: MakeWriter, receiver: Receiver, tmp_path: Path) -> None:
    _left_by_a_dead_process(receiver, tmp_path)
    receiver.rule = lambda body: (503, {"message": "away"})
    writer = make_writer(buffer_directory=tmp_path)
    while writer.statistics.waiting < 7:
        time.sleep(0.001)
    with pytest.raises(NotDelivered, match="cannot deliver 7 points") as raised:
        writer.flush(0.1)
    assert raised.value.left == 7


def test_close_uses_its_time_for_it(make_writer: MakeWriter, receiver: Receiver, tmp_path: Path) -> None:
    _left_by_a_dead_process(receiver, tmp_path, 2)
    writer = make_writer(buffer_directory=tmp_path)
    assert writer.close(30) == 0
    assert len(receiver.lines) == 14
    assert (writer.statistics.delivered, writer.statistics.kept) == (14, 0)


def test_a_closed_writer_takes_nothing_up(make_writer: MakeWriter, receiver: Receiver, tmp_path: Path) -> None:
    writer = make_writer(buffer_directory=tmp_path)
    writer.close()
    _left_by_a_dead_process(receiver, tmp_path)
    writer.flush()
    assert (writer.statistics.restored, receiver.lines) == (0, [])
