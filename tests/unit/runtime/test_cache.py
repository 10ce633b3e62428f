"""The last good configuration: private, whole, and never a reason to fail."""

from pathlib import Path

import pytest

from pyagent.runtime.cache import ConfigCache

URL = "http://localhost:8086/api/v2/telegrafs/0123456789abcdef"


def test_what_was_saved_is_found_byte_for_byte(tmp_path: Path) -> None:
    cache = ConfigCache(tmp_path / "state")
    text = "[agent]\r\n# größer\n"
    cache.save(URL, text)
    found = cache.load(URL)
    assert found is not None
    assert found.text == text
    assert found.age < 60
    assert ConfigCache(tmp_path / "state").load(URL + "0") is None


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    ConfigCache(tmp_path / "state").save(URL, "x")
    folder = tmp_path / "state" / "config"
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder)] == [0o700, 0o700]
    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600]


def test_without_a_folder_nothing_is_kept() -> None:
    cache = ConfigCache(None)
    cache.save(URL, "x")
    assert cache.load(URL) is None


@pytest.mark.parametrize("damage", [b"\xff\xfe", None])
def test_damage_is_the_same_as_nothing(tmp_path: Path, damage: bytes | None) -> None:
    cache = ConfigCache(tmp_path)
    cache.save(URL, "x")
    (file,) = (tmp_path / "config").iterdir()
    if damage is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(damage)
    assert cache.load(URL) is None
    cache.save(URL, "y")


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file where the folder should be")
    cache = ConfigCache(tmp_path)
    cache.save(URL, "x")
    assert cache.load(URL) is None
