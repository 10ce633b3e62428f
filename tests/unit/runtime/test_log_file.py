"""The log file: rotation by time and size, archives, and files that others move away."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyagent.runtime.log_file import LogFile

DAY_ONE = 1_767_323_045.0  # 2026-01-02T03:04:05Z


@contextmanager
def logging_to(path: Path, **options: object) -> Iterator[LogFile]:
    file = LogFile(str(path), **options)  # type: ignore[arg-type]
    try:
        yield file
    finally:
        file.close()
        file.close()


def archives(path: Path) -> list[str]:
    return sorted(other.name for other in path.parent.iterdir() if other != path)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Archives have the local day in their names."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.log"


def test_it_goes_on_where_it_ended(path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        with logging_to(path) as file:
            file.write(text)
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_file_of_the_size_becomes_an_archive(path: Path) -> None:
    path.write_bytes(b"12345\n")
    with logging_to(path, max_size=10, now=lambda: DAY_ONE) as file:
        file.write(b"678")
        assert archives(path) == []
        file.write(b"\n")
        file.write(b"new\n")
    (archive,) = archives(path)
    assert re.fullmatch(r"agent\.2026-01-02-1767323045\.log", archive)
    assert (path.parent / archive).read_bytes() == b"12345\n678\n"
    assert path.read_bytes() == b"new\n"


def test_the_interval_counts_from_the_last_change(path: Path) -> None:
    path.touch()
    os.utime(path, (DAY_ONE, DAY_ONE))
    now = DAY_ONE + 60
    with logging_to(path, interval=60, now=lambda: now) as file:
        file.write(b"in time\n")
        assert archives(path) == []
        now += 1
        file.write(b"the last one\n")
    assert archives(path) == [f"agent.2026-01-02-{int(now)}.log"]


def test_the_oldest_archives_go(path: Path) -> None:
    strangers = ["agent.2026-01-02-1.log.gz", "agent.log.1", "agent.old.log", "other.2026-01-02-1.log"]
    for name in strangers:
        (path.parent / name).touch()
    now = DAY_ONE
    with logging_to(path, max_size=1, max_archives=2, now=lambda: now) as file:
        for number in range(5):
            now = DAY_ONE + 86400 * number
            file.write(b"%d\n" % number)
    kept = [name for name in archives(path) if name not in strangers]
    assert [(path.parent / name).read_text() for name in kept] == ["3\n", "4\n"]
    assert len(archives(path)) == len(strangers) + 2


def test_all_archives_may_be_kept(path: Path) -> None:
    now = DAY_ONE
    with logging_to(path, max_size=1, max_archives=-1, now=lambda: now) as file:
        for number in range(9):
            now = DAY_ONE + number
            file.write(b"x\n")
    assert len(archives(path)) == 9


def test_a_file_that_was_moved_away_is_made_anew(path: Path) -> None:
    with logging_to(path) as file:
        file.write(b"old\n")
        path.rename(path.with_name("moved"))
        file.write(b"new\n")
        path.unlink()
        path.write_bytes(b"somebody's\n")
        file.write(b"newer\n")
    assert path.with_name("moved").read_bytes() == b"old\n"
    assert path.read_bytes() == b"somebody's\nnewer\n"


def test_a_failing_rotation_loses_no_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with logging_to(path, max_size=1, now=lambda: DAY_ONE) as file:
        with monkeypatch.context() as patch:
            patch.setattr("pyagent.kit.rotate.os.rename", fail)
            file.write(b"one\n")
            file.write(b"two\n")
        assert path.read_bytes() == b"one\ntwo\n"
        file.write(b"three\n")
    assert (path.parent / "agent.2026-01-02-1767323045.log").read_bytes() == b"one\ntwo\nthree\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.floats(0, 2)), max_size=30),
    max_size=st.integers(0, 100),
    interval=st.integers(0, 5),
)
def test_every_line_is_somewhere_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[bytes, float]],
    max_size: int,
    interval: int,
) -> None:
    path = tmp_path_factory.mktemp("log") / "agent.log"
    now = 0.0
    with logging_to(path, max_size=max_size, interval=interval, max_archives=-1, now=lambda: now) as file:
        now = path.stat().st_mtime
        for text, pause in lines:
            now += pause
            file.write(text)
    found = b"".join((path.parent / name).read_bytes() for name in [*archives(path), path.name])
    assert found == b"".join(text for text, _ in lines)
