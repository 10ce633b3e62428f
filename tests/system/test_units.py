"""The systemd files by themselves: confined enough, without mistakes, and fed by what the operator pastes."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

UNITS = ("pyagent@.service", "pyagent.target")


@pytest.fixture
def analyze(unavailable: Callable[[str], None]) -> Callable[..., str]:
    """`systemd-analyze`, returning what it prints; a status other than 0 fails the test."""
    if shutil.which("systemd-analyze") is None:
        unavailable("the program systemd-analyze is missing; apt install systemd")

    def run(*arguments: str | Path) -> str:
        command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def units(root: Path, tmp_path: Path) -> Path:
    """A folder with the units, installed to a prefix of their own where their programs exist."""
    prefix = tmp_path / "prefix"
    for program in ("bin/pyagent", "libexec/pyagent-environment"):
        (prefix / program).parent.mkdir(parents=True, exist_ok=True)
        (prefix / program).symlink_to("/bin/true")
    folder = tmp_path / "units"
    folder.mkdir()
    for unit in UNITS:
        text = (root / "systemd" / unit).read_text()
        (folder / unit).write_text(text.replace("/opt/pyagent/", f"{prefix}/"))
    return folder


def _drop_ins() -> list[str]:
    return sorted(path.name for path in (Path(__file__).parents[2] / "systemd" / "drop-ins").iterdir())


def test_the_unit_is_confined(analyze: Callable[..., str], root: Path) -> None:
    table = analyze("security", "--offline=true", "--threshold=20", root / "systemd" / "pyagent@.service")
    # The name that it gives the instance differs from release to release.
    found = re.search(r"Overall exposure level for pyagent@\w+\.service: ([\d.]+)", table)
    assert found is not None, table
    assert float(found[1]) <= 2.0


def test_the_units_have_no_mistakes(analyze: Callable[..., str], units: Path) -> None:
    assert analyze("verify", "--man=no", *(units / unit for unit in UNITS)) == ""


def test_a_mistake_would_be_found(units: Path, analyze: Callable[..., str]) -> None:
    folder = units / "pyagent@.service.d"
    folder.mkdir()
    (folder / "mistake.conf").write_text("[Service]\nProtectHume=yes\n")
    assert "ProtectHume" in analyze("verify", "--man=no", units / "pyagent@.service")


@pytest.mark.parametrize("name", _drop_ins())
def test_the_drop_ins_have_no_mistakes(analyze: Callable[..., str], units: Path, root: Path, name: str) -> None:
    folder = units / "pyagent@.service.d"
    folder.mkdir()
    shutil.copy(root / "systemd" / "drop-ins" / name, folder)
    assert analyze("verify", "--man=no", units / "pyagent@.service") == ""


def test_the_drop_ins_are_documented(root: Path) -> None:
    text = (root / "docs" / "installation.md").read_text()
    assert [name for name in _drop_ins() if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("telegraf", "own", "expected"),
    [
        pytest.param("INFLUX_TOKEN=abc==\n", None, ["INFLUX_TOKEN=abc=="], id="plain"),
        pytest.param(None, "INFLUX_TOKEN=abc\n", ["INFLUX_TOKEN=abc"], id="only our own file"),
        pytest.param(None, None, [], id="neither file"),
        pytest.param(
            "export INFLUX_TOKEN=abc==\ntelegraf --config http://h:8086/api/v2/telegrafs/0b\n",
            None,
            ["INFLUX_TOKEN=abc==", "TELEGRAF_CONFIG=http://h:8086/api/v2/telegrafs/0b"],
            id="as InfluxDB's page gives it",
        ),
        pytest.param(
            "  export\tA='x y'\n telegraf -config=http://h/ --debug\n",
            None,
            ["A='x y'", "TELEGRAF_CONFIG=http://h/"],
            id="blanks, other flags",
        ),
        pytest.param("A=1", "A=2", ["A=1", "A=2"], id="the later wins, without an end of line"),
        pytest.param("# export A=1\nexported=1\nB=export C\n", None, ["exported=1", "B=export C"], id="no other line"),
    ],
)
def test_the_environment_files_are_read_as_they_are_pasted(
    root: Path, tmp_path: Path, telegraf: str | None, own: str | None, expected: list[str]
) -> None:
    for name, text in (("telegraf/telegraf-ram.env", telegraf), ("pyagent/ram.env", own)):
        if text is not None:
            (tmp_path / "etc" / name).parent.mkdir(parents=True)
            (tmp_path / "etc" / name).write_text(text)
    command = [str(root / "systemd" / "pyagent-environment"), "ram"]
    subprocess.run(command, check=True, env={"PATH": os.defpath, "PYAGENT_ROOT": str(tmp_path)}, timeout=60)

    written = tmp_path / "run" / "pyagent" / "ram.env"
    lines = [line for line in written.read_text().splitlines() if line and not line.startswith("#")]
    assert lines == expected
    assert written.stat().st_mode & 0o777 == 0o600
