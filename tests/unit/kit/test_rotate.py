"""Files that are kept small. More of it is tested with the log file and the output file."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyagent.kit.rotate import Rotation, archive, remove_archives


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    """Days are those of this host's zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("interval", "max_size", "size", "age", "due"),
    [
        (0, 0, 10**9, 10**9, False),
        (60, 0, 1, 61, True),
        (60, 0, 1, 60, False),
        (60, 0, 0, 61, False),
        (0, 100, 100, 0, True),
        (0, 100, 99, 10**9, False),
        (60, 100, 1, 61, True),
    ],
)
def test_when_a_file_is_due(interval: float, max_size: int, size: int, age: float, due: bool) -> None:
    rotation = Rotation(interval=interval, max_size=max_size, max_archives=-1, now=lambda: 1000.0 + age)
    rotation.began(1000.0)
    assert rotation.is_due(size) is due


def test_archives_are_never_overwritten_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    other = tmp_path / "x.tar.2026-01-02-1.txt"
    other.touch()
    for number in range(4):
        path.write_text(str(number))
        archive(str(path), 1767323045.9)
    assert not path.exists()
    names = sorted(one.name for one in tmp_path.iterdir() if one != other)
    assert names == [f"x.tar.2026-01-02-{1767323045 + number}.gz" for number in range(4)]
    remove_archives(str(path), -1)
    remove_archives(str(path), 2)
    assert [(tmp_path / name).read_text() for name in names[2:]] == ["2", "3"]
    assert not (tmp_path / names[1]).exists()
    remove_archives(str(path), 0)
    assert list(tmp_path.iterdir()) == [other]


def test_a_file_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain").write_text("a")
    archive("plain", 1767323045)
    assert [one.name for one in tmp_path.iterdir()] == ["plain.2026-01-02-1767323045"]
    remove_archives("plain", 0)
    assert list(tmp_path.iterdir()) == []
