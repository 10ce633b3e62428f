"""What inputs say of the code of others that they run: no arguments, and nothing is run or imported for it."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.collectd_python import CollectdPython
from pyagent_plugins.inputs.datadog_check import DatadogCheck
from pyagent_plugins.inputs.exec import Exec
from pyagent_plugins.inputs.execd import Execd
from pyagent_plugins.inputs.munin import Munin
from pyagent_plugins.inputs.prometheus_textfile import PrometheusTextfile


def test_of_programs() -> None:
    commands = ["/bin/a --password secret", ["/bin/b c", "secret"], "/bin/a other"]
    assert make_input(Exec, {"commands": commands}).origins() == ["/bin/a", "/bin/b c"]
    assert make_input(Execd, {"command": ["/bin/a", "secret"], "data_format": "influx"}).origins() == ("/bin/a",)
    assert make_input(PrometheusTextfile, {"directories": ["/srv"]}).origins() == ["/srv/*.prom"]
    assert make_input(PrometheusTextfile).origins() == ["/var/lib/prometheus/node-exporter/*.prom"]


def test_of_munin_where_links_lead_to_once_the_folder_was_read(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    file = tmp_path / "if_"
    file.write_text("#!/bin/sh\necho 'up.value 1'\n")
    file.chmod(0o755)
    (tmp_path / "plugins" / "if_eth0").symlink_to(file)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "all").write_text(f"[*]\nuser {os.geteuid()}\n")
    folders = {
        "directory": str(tmp_path / "plugins"),
        "configuration": str(tmp_path / "conf.d"),
        "state": str(tmp_path),
    }
    made = make_input(Munin, folders)
    assert made.origins() == []
    made.gather(InputAccumulator())
    assert made.origins() == [f"if_eth0: {file}"]


@pytest.mark.parametrize("isolate", [False, True])
def test_of_modules(tmp_path: Path, isolate: bool) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit(7)")
    of_collectd: dict[str, Any] = {"modules": ["mine", "none_such"], "module_path": [str(tmp_path)], "isolate": isolate}
    assert make_input(CollectdPython, of_collectd).origins() == [f"mine: {tmp_path}/mine.py", "none_such"]
    for check in ("mine", "mine:Check", "mine.Check"):
        of_datadog = {"check": check, "module_path": [str(tmp_path)], "isolate": isolate}
        assert make_input(DatadogCheck, of_datadog).origins() == (f"{check.partition(':')[0]}: {tmp_path}/mine.py",)
    assert make_input(DatadogCheck, {"check": f"{tmp_path}/mine.py"}).origins() == (f"{tmp_path}/mine.py",)
    folder = tmp_path / "datadog_checks" / "shelf_life"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (tmp_path / "datadog_shelf_life-5.1.dist-info").mkdir()
    (tmp_path / "datadog_shelf_life-5.1.dist-info" / "METADATA").write_text("Name: datadog-shelf-life\nVersion: 5.1\n")
    of_datadog = {"check": "datadog_checks.shelf_life", "module_path": [str(tmp_path)], "isolate": isolate}
    assert make_input(DatadogCheck, of_datadog).origins() == (
        f"datadog_checks.shelf_life: {folder}/__init__.py (datadog-shelf-life 5.1)",
    )
    assert "mine" not in sys.modules
