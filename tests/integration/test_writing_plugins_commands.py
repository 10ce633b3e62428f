"""docs/writing-plugins.md: its commands work as they stand there, one after the other, and lead to a point in the bucket."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyagent.testing.servers import free_port

COMMANDS = re.compile(r"^ {4,}(?:sudo |\$ )?(?:pyagent|pytest|python3?|pip|systemctl|make|git)\b.*", re.MULTILINE)


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs/writing-plugins.md").read_text()


def test_every_command_stands_in_a_block_that_is_run(page: str) -> None:
    assert COMMANDS.findall(re.sub(r"(?ms)^```.*?^```$", "", page)) == []
    assert set(re.findall(r"^```(.*)$", page, re.MULTILINE)) <= {"", "sh", "python", "toml"}


def test_from_nothing_to_a_point_in_the_bucket(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", page)
    script = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n" + "\n".join(blocks)
    # The page's port may be another server's here.
    assert script.count("pyagent sandbox --ready") == 1
    script = script.replace("pyagent sandbox --ready", f"pyagent sandbox --ready --port {free_port()}")
    programs, work = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    for name, module in (("pyagent", "pyagent"), ("pytest", "pytest -p no:cacheprovider -c /dev/null --rootdir .")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=work,
        env={"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    shown = re.search(r"^    > queue,host=web1,path=queue.conf (.*) \d+$", page, re.MULTILINE)
    assert shown is not None
    assert re.search(rf"^> queue,host=[^,]+,path=queue.conf {shown[1]} \d+$", done.stdout, re.MULTILINE)
    assert re.search(r"^_field=lines  _measurement=queue .*\n.*\n.* 7$", done.stdout, re.MULTILINE)
    assert "### `queue`" in done.stdout
