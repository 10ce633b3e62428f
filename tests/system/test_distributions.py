"""The source distribution and the wheel of `make dist`."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from building import in_debian
from container import PYTHONS, copy_project

from pyagent.testing.servers import ServerMissing

INSTALL_AND_RUN = """
! command -v c++ cc gcc
python3 -m venv /tmp/pyagent
/tmp/pyagent/bin/pip install --quiet "$(echo /mnt/*.whl)[all]"
/tmp/pyagent/bin/pyagent --config /mnt/memory.conf --once 2>&1
"""


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By suffix. They are made in a copy: the native core is not optimized, which takes a third of the time."""
    project = tmp_path_factory.mktemp("distributions") / "pyagent"
    copy_project(project)
    (project / ".venv").symlink_to(root / ".venv")
    command = ["env", "PYAGENT_OPTIMIZE=0", project / "scripts" / "build-dist"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    files = [project / line.removeprefix("Built ") for line in done.stdout.splitlines() if line.startswith("Built ")]
    return {file.suffix: file for file in files}


def test_the_source_distribution_has_all_that_the_build_needs(built: dict[str, Path]) -> None:
    with tarfile.open(built[".gz"]) as archive:
        names = archive.getnames()
    for wanted in ("native/_core.pyx", "native/parse.hpp", "setup.py", "LICENSE"):
        assert any(name.endswith(wanted) for name in names), wanted
    assert not any(name.endswith(".so") for name in names)


def test_the_wheel_has_the_native_core_where_there_is_a_compiler(built: dict[str, Path], tmp_path: Path) -> None:
    names = zipfile.ZipFile(built[".whl"]).namelist()
    assert any(name.endswith(".so") for name in names) == (shutil.which("c++") is not None)
    assert any(name.startswith("pyagent_plugins/inputs/") for name in names)
    assert any(name.endswith(".lark") for name in names)
    assert "pyagent_plugins/inputs/mem.md" in names, "the notes of plugins"
    assert not any(name.endswith((".hpp", ".pyx")) or name.startswith("tests") for name in names)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    pip = [sys.executable, "-m", "pip", "--python", tmp_path / "venv", "install", "--no-deps", "--quiet", built[".whl"]]
    subprocess.run(pip, check=True, timeout=300)
    shown = subprocess.run([tmp_path / "venv/bin/pyagent", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("pyagent ")


@pytest.mark.system
def test_the_wheel_runs_on_a_host_without_a_compiler(
    built: dict[str, Path], tmp_path: Path, unavailable: Callable[[str], None]
) -> None:
    """A bare Debian that has the Python of the wheel, and no network."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    release = next((release for release, python in PYTHONS.items() if python == own), None)
    if release is None:
        pytest.skip(f"no Debian that is tested has the Python that runs here, {own}")
    (tmp_path / "memory.conf").write_text("[[inputs.mem]]\n[[outputs.discard]]\n")
    shutil.copy(built[".whl"], tmp_path)
    try:
        shown = in_debian(release, tmp_path, "sh", "-ec", INSTALL_AND_RUN)
    except ServerMissing as error:
        unavailable(str(error))
        return
    native = "native" if shutil.which("c++") else "Python"
    assert f"line protocol by the {native} core" in shown
    assert "first batch of 1 metric written" in shown
