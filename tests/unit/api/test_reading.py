"""Files that a configuration names are read with a bound, and what is no file is not waited for."""

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent.api import files
from pyagent.reading import limit_files, open_regular, read_file


def a_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def a_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    return path


NO_FILES: dict[str, Callable[[Path], Path]] = {
    "a pipe": a_pipe,
    "a socket": a_socket,
    "a device": lambda path: Path("/dev/zero"),
    "a link to a device": lambda path: (path.symlink_to("/dev/zero"), path)[1],
}
READERS: list[Callable[[str], object]] = [files.open_file, files.read_file, read_file, open_regular]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_not_opened(
    tmp_path: Path, make: Callable[[Path], Path], reader: Callable[[str], object]
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="name a file"):
        reader(str(make(tmp_path / "x")))
    assert len(os.listdir("/proc/self/fd")) == before


def test_nor_is_it_given_to_a_library(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="name a file"), files.readable_path(str(a_pipe(tmp_path / "x"))):
        pass
    with files.readable_path("") as path:
        assert path == ""


def test_files_without_a_size_are_read() -> None:
    assert b"MemTotal" in read_file("/proc/meminfo")
    assert b"MemTotal" in files.read_file("/proc/meminfo")
    assert int(read_file("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")) > 0


def test_a_file_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * 100)
    assert read_file(path, 100) == b"x" * 100
    with pytest.raises(OSError, match="larger than 99 bytes") as raised:
        read_file(path, 99)
    assert raised.value.errno == errno.EFBIG
    with pytest.raises(OSError, match="larger than 9 bytes"):
        read_file("/proc/meminfo", 9)
    os.truncate(path, 1 << 40)  # none of it is there
    with pytest.raises(OSError, match="larger than 128 MiB; PYAGENT_MAX_FILE_SIZE allows more"):
        files.read_file(str(path))
    try:
        limit_files(50)
        with pytest.raises(OSError, match="PYAGENT_MAX_FILE_SIZE"):
            files.read_file("/proc/meminfo")
    finally:
        limit_files(128 << 20)


def test_a_pipe_that_may_be_read_is_read_to_its_end_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_pipe(tmp_path / "x")
    keeper = os.open(path, os.O_RDWR)

    def write() -> None:
        with open(path, "wb") as file:
            file.write(b"x" * 300_000)
        os.close(keeper)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_file(path, pipes=True) == b"x" * 300_000
    writer.join()
    monkeypatch.setattr("pyagent.reading._PIPE_SECONDS", 0.1)
    keeper = os.open(path, os.O_RDWR)
    with pytest.raises(OSError, match="writer has not ended"):
        read_file(path, pipes=True)
    os.close(keeper)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("é=1\n".encode("utf-8-sig"), "é=1\n"),
        (b"\xff\xfe" + "é=1\n".encode("utf-16-le"), "é=1\n"),
        (b"\xfe\xff" + "é=1\n".encode("utf-16-be"), "é=1\n"),
        (b"\xff\xfe\0\0" + "é=1\n".encode("utf-32-le"), "é=1\n"),
        (b"\0\0\xfe\xff" + "é=1\n".encode("utf-32-be"), "é=1\n"),
        ("é".encode("latin-1"), None),
        (b"", None),
    ],
)
def test_marks(text: bytes, read: str | None) -> None:
    assert files.without_mark(text) == (text if read is None else read.encode())
