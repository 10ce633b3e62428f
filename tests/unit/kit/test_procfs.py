"""Files of the host: where they are, and what is said of those that cannot be read."""

from pathlib import Path

import pytest

from pyagent.api import PyagentError, Uint
from pyagent.kit.procfs import host_path, mount_path, read_int, read_rows, read_text, rows_of


@pytest.mark.parametrize("root", ["proc", "sys", "etc", "var", "run", "dev", "root"])
def test_the_variables_are_those_of_telegraf(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"HOST_{root.upper()}"
    monkeypatch.delenv(name, raising=False)
    assert host_path(root, "a", "b") == ("/a/b" if root == "root" else f"/{root}/a/b")
    monkeypatch.setenv(name, "/hostfs/x")
    assert host_path(root, "a") == "/hostfs/x/a"
    monkeypatch.setenv(name, "")
    assert host_path(root) == ("/" if root == "root" else f"/{root}")


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("", "/srv", "/srv"),
        ("/hostfs", "/srv", "/hostfs/srv"),
        ("/hostfs/", "/", "/hostfs"),
        ("/hostfs", "/hostfs/srv", "/hostfs/srv"),
        ("/hostfs", "/hostfs", "/hostfs"),
        ("/hostfs", "/hostfs2/srv", "/hostfs/hostfs2/srv"),
    ],
)
def test_mount_points(prefix: str, path: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_MOUNT_PREFIX", prefix)
    assert mount_path(path) == expected


def test_rows_and_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_text("a 1 -2 18446744073709551615\n\n  b 0.5 x\n")
    first, second = read_rows(str(file))
    assert (first.integer(1), first.integer(2)) == (1, -2)
    assert first.unsigned(3) == Uint(2**64 - 1)
    assert (second.number, second.words, second.decimal(1)) == (3, ["b", "0.5", "x"], 0.5)
    begin = f"cannot read {file}: line "
    for call, message in [
        (lambda: first.integer(3), "1: word 4 is no number of 64 bits: 'a 1 -2 18446744073709551615'"),
        (lambda: first.unsigned(2), "1: word 3 is no number of 64 bits without a sign: 'a 1 -2 184467440737095516"),
        (lambda: first.integer(4), "1: word 5 is no whole number: "),
        (lambda: second.integer(1), "3: word 2 is no whole number: 'b 0.5 x'"),
        (lambda: second.decimal(2), "3: word 3 is no number: 'b 0.5 x'"),
        (lambda: second.decimal(3), "3: word 4 is no number: "),
        (lambda: second.fail("it is odd"), "3: it is odd: 'b 0.5 x'"),
    ]:
        with pytest.raises(PyagentError) as caught:
            call()
        assert str(caught.value).startswith(begin + message)


@pytest.mark.parametrize("word", ["nan", "NaN", "inf", "-Infinity", "1e400", "1_0", "9" * 400])
def test_a_decimal_is_a_number_that_the_kernel_writes(tmp_path: Path, word: str) -> None:
    file = tmp_path / "table"
    file.write_text(f"cpu 1 {word}\n")
    (row,) = read_rows(str(file))
    with pytest.raises(PyagentError, match="line 1: word 3 is no number"):
        row.decimal(2)


def test_what_a_file_may_hold_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_bytes(b"\xff\xfe 1\r\n" + b"9" * 5000 + b" x\n")
    first, second = read_rows(str(file))
    assert first.integer(1) == 1
    with pytest.raises(PyagentError, match="line 2: word 1 is no whole number") as caught:
        second.integer(0)
    assert len(str(caught.value)) < 300
    file.write_text("1_000\n")
    with pytest.raises(PyagentError, match=r"it is no whole number but '1_000'$"):
        read_int(str(file))


def test_one_number(tmp_path: Path) -> None:
    file = tmp_path / "value"
    for text, value in [("42\n", 42), (" -7 ", -7), ("9223372036854775807", 2**63 - 1)]:
        file.write_text(text)
        assert read_int(str(file)) == value
    for text in ("", "lots\n", "9223372036854775808", "1 2", "٣"):
        file.write_text(text)
        with pytest.raises(PyagentError, match="it is no whole number but"):
            read_int(str(file))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    for read in (read_text, read_int, lambda path: list(read_rows(path))):
        with pytest.raises(PyagentError, match=f"^cannot read {path}: No such file or directory$"):
            read(path)
    with pytest.raises(PyagentError, match=r"No such file or directory; load the module x$"):
        read_text(path, missing="load the module x")
    with pytest.raises(PyagentError, match=r"Is a directory$"):
        read_text(str(tmp_path), missing="load the module x")


def test_only_some_lines_and_words_and_a_file_that_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_text("a 1 2 3 4\nb 2\nab 3\na 5")
    only = list(read_rows(str(file), only=(b"a ",), most=3))
    assert [(row.number, row.words) for row in only] == [(1, ["a", "1", "2 3 4"]), (4, ["a", "5"])]
    for lines in (None, (b"b ",)):
        rows = read_rows(str(file), only=lines, whole=True)
        with pytest.raises(PyagentError, match=r"table: line 4: the file ends within it: 'a 5'$"):
            list(rows)
    file.write_text("a 1\n\n  \n")
    assert [row.words for row in read_rows(str(file), whole=True)] == [["a", "1"]]


def test_several_numbers_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_text("a 0 18446744073709551615 3\nb 1 -2\nc 1 18446744073709551616\nd 1 1_0\n")
    rows = list(read_rows(str(file)))
    assert rows[0].all_unsigned(1, 4) == [0, 2**64 - 1, 3]
    assert all(type(value) is Uint for value in rows[0].all_unsigned(1, 4))
    for row, cause in zip(
        rows,
        ("word 5 is no whole", "word 3 is no number of 64", "word 3 is no number of 64", "word 3 is no whole"),
        strict=True,
    ):
        with pytest.raises(PyagentError, match=f"line {row.number}: {cause}"):
            row.all_unsigned(1, 5 if row.number == 1 else 3)


def test_a_file_that_ends_in_blanks_of_a_line_is_cut_too() -> None:
    rows = rows_of("f", b"a 1\n   ", whole=True)
    assert next(rows).words == ["a", "1"]
    with pytest.raises(PyagentError, match=r"cannot read f: line 2: the file ends within it"):
        next(rows)
    assert [row.words for row in rows_of("f", b"a 1\n   ")] == [["a", "1"]]
