"""Temporary folders: they go in the end, and the next process removes those of one that was killed."""

import os
import subprocess
import sys
from pathlib import Path

from pyagent.kit.scratch import ScratchFolder


def old(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "file").touch()
    os.utime(folder, (0, 0))
    return folder


def test_it_goes_in_the_end(tmp_path: Path) -> None:
    folder = ScratchFolder("pyagent-x.", str(tmp_path))
    (folder.path / "file").touch()
    assert [path.name.startswith("pyagent-x.") for path in tmp_path.iterdir()] == [True]
    folder.close()
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path: Path) -> None:
    code = f"from pyagent.kit.scratch import *; import os; ScratchFolder('pyagent-x.', {str(tmp_path)!r}); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    (left,) = tmp_path.iterdir()
    old(left)
    used = ScratchFolder("pyagent-x.", str(tmp_path))
    old(used.path)
    other, young = old(tmp_path / "pyagent-y.1"), tmp_path / "pyagent-x.young"
    young.mkdir()
    (tmp_path / "pyagent-x.link").symlink_to(other)
    last = ScratchFolder("pyagent-x.", str(tmp_path))
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {used.path.name, last.path.name, other.name, young.name, "pyagent-x.link"}
    assert (other / "file").exists()
    last.close()
    used.close()
