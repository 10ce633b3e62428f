"""inputs.mem gives what Telegraf gives for the same /proc."""

from pathlib import Path

import pytest

from pyagent.testing import assert_declared, lines, run_input
from pyagent_plugins.inputs.mem import Mem

pytestmark = pytest.mark.skipif("sys.platform != 'linux'", reason="reads /proc/meminfo: Linux only")


def test_the_planted_tree_gives_the_recorded_line(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_PROC", str(shared / "golden/telegraf/proc"))
    metrics = run_input(Mem)
    assert lines(metrics) == (shared / "golden/telegraf/planted/mem.out").read_text().splitlines()
    assert_declared(Mem, metrics)
