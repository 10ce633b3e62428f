"""The cases of tests/plugins that name a real server: each server is started once, and all its cases run against it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent.testing.cases import Case, find_cases

CASES = [case for case in find_cases(Path(__file__).parents[1] / "plugins") if case.server]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case_with_its_server(case: Case, check_case: Callable[[Case], None]) -> None:
    check_case(case)
