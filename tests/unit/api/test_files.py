import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api.files import make_private_directory
from pyagent.kit.globpath import match_files


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.log", "b.log", "c.txt", ".hidden.log", "sub/d.log", "sub/deep/e.log", "sub/deep/f.txt", "x[1].log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.log", ["a.log"]),
        ("none.log", []),
        ("sub", ["sub"]),
        ("*.log", [".hidden.log", "a.log", "b.log", "x[1].log"]),
        ("?.log", ["a.log", "b.log"]),
        ("[ab].log", ["a.log", "b.log"]),
        ("[^a].log", ["b.log"]),
        ("[b-c].*", ["b.log", "c.txt"]),
        ("{b,c,none}.*", ["b.log", "c.txt"]),
        ("{a,sub/{d,none}}.log", ["a.log", "sub/d.log"]),
        (r"x\[1\].log", ["x[1].log"]),
        ("*/*.log", ["sub/d.log"]),
        ("*/deep/*", ["sub/deep/e.log", "sub/deep/f.txt"]),
        ("sub/**", ["sub/d.log", "sub/deep", "sub/deep/e.log", "sub/deep/f.txt"]),
        ("**.txt", ["c.txt", "sub/deep/f.txt"]),
        ("sub/**/*.log", ["sub/d.log", "sub/deep/e.log"]),
        ("sub/**/deep/*.txt", ["sub/deep/f.txt"]),
        ("a.log/*", []),
        ("none/**", []),
    ],
)
def test_patterns(tree: Path, pattern: str, found: list[str]) -> None:
    assert match_files(pattern) == found
    assert match_files(f"{tree}/{pattern}") == [f"{tree}/{path}" for path in found]


def test_a_link_to_a_folder_is_not_descended_by_two_stars(tree: Path) -> None:
    (tree / "sub" / "up").symlink_to(tree)
    assert match_files("sub/**.txt") == ["sub/deep/f.txt"]
    assert match_files("sub/up/*.txt") == match_files("*/up/*.txt") == ["sub/up/c.txt"]


def test_a_folder_that_may_not_be_read_matches_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if path == "sub":
            raise PermissionError
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert match_files("**.log") == [".hidden.log", "a.log", "b.log", "x[1].log"]


@pytest.mark.parametrize("pattern", ["[", "a[b", "{a,b", "[b-a]"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match="cannot read the pattern"):
        match_files(pattern)


@given(st.text("ab/.*?[]{},^-\\", max_size=12))
def test_any_pattern_gives_paths_that_exist_or_an_error(pattern: str) -> None:
    try:
        found = match_files(f"none/{pattern}")
    except ValueError:
        return
    assert found == [path for path in found if os.path.lexists(path)]


def test_braces_that_stand_for_too_many_names() -> None:
    with pytest.raises(ValueError, match="braces stand for more than 1000"):
        match_files("/{a,b}" * 40)


def test_a_private_folder_is_private_with_all_that_was_missing_above_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        make_private_directory(tmp_path / "a/b/c")
        make_private_directory(tmp_path / "a/b/c")
    finally:
        os.umask(before)
    made = [tmp_path / name for name in ("a", "a/b", "a/b/c")]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700] * 3
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_private_directory(tmp_path / "file")
