"""What `pyagent provision` is given on its command line, and the file of settings that it writes."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.cli.instances import SettingsError, SettingsFile, checked_instance
from pyagent.cli.provision.values import ProvisionError, retention_seconds, retention_text

DAY = 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 30 * DAY), ("1h", 3600), ("12h", 43200), ("2w", 14 * DAY), ("6mo", 180 * DAY), ("1y", 365 * DAY),
     ("1d12h", 129600), ("90m", 5400), ("3600s", 3600), ("30D", 30 * DAY), (" 30d ", 30 * DAY),
     ("inf", 0), ("never", 0), ("0", 0), ("0s", 0), ("Infinite", 0)],
)  # fmt: skip
def test_retentions(text: str, seconds: int) -> None:
    assert retention_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "-1h", "1.5d", "59m", "3599s", "30 d", "d", "month", "9" * 40 + "y", "٣d", "1h\n1"]
)
def test_retentions_that_cannot_be(text: str) -> None:
    with pytest.raises(ProvisionError, match=r"^cannot use the retention .*; |^cannot use the retention .*: [^\n]*$"):
        retention_seconds(text)


@given(st.integers(3600, 10**9))
def test_a_retention_is_read_as_it_is_shown(seconds: int) -> None:
    assert retention_seconds(retention_text(seconds)) == seconds


@pytest.mark.parametrize("name", ["ram", "web-1.db_2", "7", "A" * 64])
def test_names_of_instances(name: str) -> None:
    assert checked_instance(name) == name


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True), st.text(max_size=40), max_size=4))
def test_settings_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]
) -> None:
    """By the reader that the unit uses, whatever is in the values; what it could not read is refused."""
    file = SettingsFile(tmp_path_factory.mktemp("settings") / "ram.env")
    try:
        text = file.merged("ram", settings, "")
    except SettingsError:
        assert any(not c.isprintable() for value in settings.values() for c in value)
        return
    file.write(text)
    assert SettingsFile(file.path).values == settings


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    path = tmp_path / "ram.env"
    path.write_text("A=1\nexport B='2 3'\nPYAGENT_CONFIG=/etc/old.conf\n")
    file = SettingsFile(path)
    file.write(
        file.merged("ram", {"TELEGRAF_CONFIG": "http://h/api/v2/telegrafs/0a1b2c3d4e5f6071", "A": "4"}, "0" * 16)
    )
    written = SettingsFile(path)
    # It would win over the one that is written.
    assert "PYAGENT_CONFIG" not in written.values
    assert written.values == {"TELEGRAF_CONFIG": written.source, "A": "4", "B": "2 3"}
    assert written.token_id == "0" * 16
    assert written.is_ours


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "ram.env"
    target.write_text("")
    (tmp_path / "ram.env").symlink_to(target)
    file = SettingsFile(tmp_path / "ram.env")
    file.write(file.merged("ram", {"A": "1"}, ""))
    assert (tmp_path / "ram.env").is_symlink()
    assert target.read_text().endswith("A=1\n")


def test_what_an_interrupted_run_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".ram.env.new").symlink_to("/etc/passwd")
    before = os.stat("/etc/passwd").st_mtime_ns
    file = SettingsFile(tmp_path / "ram.env")
    file.write(file.merged("ram", {"A": "1"}, ""))
    assert os.stat("/etc/passwd").st_mtime_ns == before
    assert os.listdir(tmp_path) == ["ram.env"]
