"""Every folder KIND/NAME/CASE here: a plugin, what it reads, and what it must emit (docs/writing-plugins.md, "Cases")."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent.testing.cases import Case, find_cases

CASES = find_cases(Path(__file__).parent)


@pytest.mark.parametrize("case", [case for case in CASES if not case.server], ids=str)
def test_case(case: Case, check_case: Callable[[Case], None]) -> None:
    check_case(case)
