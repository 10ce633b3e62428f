"""Every plugin that there is does what all have to do, whatever it measures (`pyagent.testing.compliance`)."""

from pathlib import Path

import pytest

from pyagent.testing.compliance import CHECKS, Plugin, plugins


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("plugin", plugins(cases=Path(__file__).parent), ids=str)
def test_compliance(plugin: Plugin, check: str, tmp_path: Path) -> None:
    plugin.check(check, tmp_path)
