from pathlib import Path

from spool import Spool

from pyagent.testing import assert_declared, run_input


def test_counts_files(tmp_path: Path) -> None:
    for name in ("a.msg", "b.msg", "c.tmp"):
        (tmp_path / name).touch()

    [metric] = run_input(Spool, {"directory": str(tmp_path), "suffix": ".msg"})

    assert metric.tags == {"directory": str(tmp_path)}
    assert metric.fields["files"] == 2
    assert_declared(Spool, [metric])
