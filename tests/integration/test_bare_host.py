"""On a host that has nothing of what an input reads, also for an account that may do nothing, each input says it in one line,
once, with what to do."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import bare_host
import pytest

from pyagent.config.catalog import Catalog

SILENT = {
    "bond": "a host may have no bonds",
    "cgroup": "groups come and go",
    "lustre2": "a host may have no Lustre",
    "temp": "a host may have no sensors",
    "zfs": "a host may have no pools",
}
"""As with Telegraf, nothing comes of nothing."""
OF_THE_KERNEL = {"ethtool", "ipvs", "timex", "wireguard"}
"""They read no file, and ask the kernel that runs."""


def problems(logs: dict[str, list[str]]) -> list[str]:
    found = []
    for name, lines in logs.items():
        if len(lines) != (name not in SILENT):
            found.append(f"{name} says it in {len(lines)} lines: {lines}")
        for line in lines:
            if "BUG" in line or "Traceback" in line or "cannot load" in line:
                found.append(f"{name} breaks: {line}")
            elif "; " not in line:
                found.append(f"{name} names no remedy: {line}")
    return found


def test_all_inputs_of_linux_are_tried() -> None:
    catalog = Catalog()
    entries = [entry for entry in catalog.entries("inputs") if entry.origin == "pyagent"]
    linux = {entry.name for entry in entries if catalog.load(entry).about.platforms == ("linux",)}
    assert linux - OF_THE_KERNEL <= bare_host.INPUTS.keys()


def test_what_an_input_says_where_there_is_nothing(tmp_path: Path) -> None:
    assert problems(bare_host.logs(tmp_path)) == []


def test_what_it_says_to_an_account_that_may_do_nothing() -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable]
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("to become another account takes root and the program setpriv")
    if subprocess.run([*nobody, "-c", "import pyagent_plugins"], capture_output=True).returncode:
        pytest.skip("the account nobody may not read this environment")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        done = subprocess.run([*nobody, bare_host.__file__, folder], capture_output=True, text=True, cwd=folder)
    assert done.stderr == ""
    assert problems(json.loads(done.stdout)) == []
