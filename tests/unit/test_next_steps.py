"""What `make install` says in the end, and what messages say about a library that is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyagent.cli import how_to_install
from pyagent.kit import libraries

UNITS = "pyagent@ram.service loaded active running Collection agent\npyagent@disk.service loaded failed failed x\n"


def next_steps(root: Path, folder: Path, units: str, *words: str) -> str:
    """With a systemctl that lists these units."""
    program = folder / "bin" / "systemctl"
    program.parent.mkdir()
    (folder / "units").write_text(units)
    program.write_text(f"#!/bin/sh\ncat {folder}/units\n")
    program.chmod(0o755)
    environ = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYAGENT_ROOT": str(folder)}
    done = subprocess.run(
        [root / "scripts/next-steps", *words], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_an_upgrade_names_the_instances_to_restart(root: Path, tmp_path: Path) -> None:
    assert next_steps(root, tmp_path, UNITS, "pyagent 0.1.0") == (
        "These instances run with what was installed before (pyagent 0.1.0): pyagent@disk pyagent@ram. Restart them:\n"
        "    systemctl restart pyagent@disk pyagent@ram\n"
    )


def test_a_first_installation_says_how_to_begin(root: Path, tmp_path: Path) -> None:
    assert next_steps(root, tmp_path, "").startswith(
        "Next: pyagent provision, or write /etc/pyagent/NAME.env, then systemctl enable --now"
    )


@pytest.mark.parametrize("path", ["etc/pyagent/ram.env", "etc/telegraf/telegraf-ram.env"])
def test_an_instance_with_settings_can_be_started(root: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()
    assert next_steps(root, tmp_path, "", "pyagent 0.1.0") == (
        "Next: no instance runs; start one, such as: systemctl enable --now pyagent@ram\n"
    )


def test_a_missing_library_names_the_pip_of_this_python() -> None:
    assert libraries.how_to_install("lark") == f"{sys.executable} -m pip install lark"
    assert libraries.how_to_install("psycopg") == f"{sys.executable} -m pip install 'psycopg[binary]'"
    missing = ModuleNotFoundError("No module named 'influxdb_client'", name="influxdb_client.client")
    assert how_to_install(missing) == f"; install it with: {sys.executable} -m pip install influxdb-client"
    assert how_to_install(ImportError("it is broken", name="lark")) == ""
    assert how_to_install(ModuleNotFoundError("No module named 'pyagent.x'", name="pyagent.x")) == ""


def test_an_environment_without_pip_names_what_installs_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert libraries.how_to_install("lark") == f"python3 -m pip --python {sys.executable} install lark"
    (tmp_path / "uv-receipt.toml").touch()
    assert libraries.how_to_install("lark") == f"uv pip install --python {sys.executable} lark"
