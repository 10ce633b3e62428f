"""Sources, the errors file, and the record of how far an import has come."""

import gzip
import io
from pathlib import Path

import pytest

from pyagent.importer.pieces import ImportFailure, Rejected
from pyagent.importer.rejects import ErrorsFile
from pyagent.importer.resume import InputProgress, Progress, Record, state_directory
from pyagent.importer.sources import Stream, checked_encoding


def text_of(data: bytes, encoding: str = "", compression: str = "") -> str:
    return b"".join(Stream(io.BytesIO(data), "f", encoding=encoding, compression=compression).blocks()).decode()


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("ä,b\n".encode(), ""),
        ("\ufeffä,b\n".encode(), ""),
        ("\ufeffä,b\n".encode(), "UTF-8"),
        ("ä,b\n".encode("utf-16"), ""),
        ("ä,b\n".encode("utf-16"), "UTF-16"),
        ("ä,b\n".encode("utf-16-le"), "UTF-16LE"),
        ("\ufeffä,b\n".encode("utf-16-be"), "UTF-16BE"),
        ("ä,b\n".encode("cp1252"), "windows-1252"),
        (gzip.compress("ä,".encode(), mtime=0) + gzip.compress(b"b\n", mtime=0), ""),
    ],
)
def test_every_encoding_becomes_utf_8(data: bytes, encoding: str) -> None:
    assert text_of(data, checked_encoding(encoding)) == "ä,b\n"


@pytest.mark.parametrize(
    ("data", "encoding", "words"),
    [
        (b"SQLite format 3\0", "", "an SQLite database"),
        ("a,b\n".encode("utf-16-le"), "", "--encoding UTF-16LE"),
        (b"a\nb\x81\n", "cp1252", "line 2: it is not cp1252"),
        (gzip.compress(b"x" * 10_000, mtime=0)[:-9], "", "it is cut short"),
        (
            gzip.compress(b"abc", mtime=0) + b"x",
            "",
            "behind its end are bytes that are no gzip; what could be unpacked was",
        ),
        (gzip.compress(b"abc", mtime=0) + bytes(5) + b"junk" * 9, "", "behind its end are bytes that are no gzip"),
        (gzip.compress(b"abc", mtime=0) * 2 + b"\x1f", "", "it is cut short"),
        (gzip.compress(b"abc", mtime=0)[:12] + b"xxxxxxxxxxxx", "", "it is damaged"),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, encoding: str, words: str) -> None:
    with pytest.raises(ImportFailure, match=words):
        text_of(data, encoding)


def test_a_gzip_file_may_be_filled_up_with_zeros() -> None:
    packed = gzip.compress(b"a,", mtime=0) + bytes(100_000) + gzip.compress(b"b\n", mtime=0)
    assert text_of(packed + bytes(3)) == "a,b\n"
    assert text_of(packed + bytes(3_000_000)) == "a,b\n"


def test_only_what_was_unpacked_is_said_to_be_taken() -> None:
    for data, words in ((b"\x1f\x8bxxxxxxxxxxxx", ""), (gzip.compress(b"x" * 10_000)[:-9], "was taken")):
        with pytest.raises(ImportFailure) as caught:
            text_of(data)
        assert ("was taken" in str(caught.value)) == bool(words)


def test_compression_may_be_given() -> None:
    with pytest.raises(ImportFailure, match=r"cannot unpack the gzip file: it is no gzip$"):
        text_of(b"plain", compression="gzip")
    with pytest.raises(ImportFailure, match="NUL"):
        text_of(gzip.compress(b"a"), compression="none")


@pytest.mark.parametrize("name", ["klingon", "base64", "rot13", "\0"])
def test_encodings_that_there_are_not(name: str) -> None:
    with pytest.raises(ImportFailure, match="cannot use the encoding"):
        checked_encoding(name)


def test_the_errors_file_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("before\n")
    file = ErrorsFile(str(path))
    file.add([Rejected(3, 1, 'no "x"', b"a,b", "v")], "")
    size = file.size
    file.add([Rejected(4, 1, "y", b"c", "")], "in.csv")
    file.close()
    assert path.read_text() == (
        'before\n"# error : line 3: column \'v\': no ""x"""\na,b\n"# error : in.csv, line 4: y"\nc\n'
    )
    ErrorsFile(str(path), size).close()
    assert path.read_text().endswith("a,b\n")


def test_a_record_comes_back_and_is_known_by_what_is_read(tmp_path: Path) -> None:
    progress = Progress(5, [InputProgress("a", 10, "d", 7, 1, 2)], 3, 1, 99)
    record = Record(tmp_path / "x", {"inputs": ["a"]})
    assert record.load() is None
    record.save(progress)
    assert Record(tmp_path / "x", {"inputs": ["a"]}).load() == progress
    assert Record(tmp_path / "x", {"inputs": ["b"]}).load() is None
    record.remove()
    assert record.load() is None


def test_a_record_that_cannot_be_written_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file")
    record = Record(tmp_path / "x", {})
    record.save(Progress(5))
    assert "x" in record.problem
    (tmp_path / "y").mkdir()
    spoiled = Record(tmp_path / "y", {})
    spoiled.save(Progress(5))
    next((tmp_path / "y").iterdir()).write_text("[]")
    assert spoiled.load() is None


def test_the_state_directory() -> None:
    assert state_directory("/s", {}) == Path("/s/write")
    assert state_directory("", {"XDG_STATE_HOME": "/x"}) == Path("/x/pyagent/write")
    assert state_directory("", {"HOME": "/h"}) == Path("/h/.local/state/pyagent/write")
    assert state_directory("", {}) is None
