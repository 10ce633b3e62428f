"""Telegraf's recorded outputs and its own test cases: the plugins that are there give the same metrics for the same sources.

What differs for good is in differences.py, with the reason.
"""

from collections.abc import Callable

import pytest
from differences import MEANT
from recorded_cases import GOLDEN, recorded

from pyagent.testing.cases import Case

CASES = recorded().cases
PLAIN = [case for case in CASES if not case.server]
REAL = [case for case in CASES if case.server]
EXCEPTIONS = {label: reason for label, reason in MEANT.items() if "/" in label}


@pytest.mark.skipif(not CASES, reason=f"the recordings are missing: {GOLDEN} is not there")
@pytest.mark.parametrize("case", PLAIN or [None], ids=str)
def test_recorded_case(case: Case, check_case: Callable[[Case], None]) -> None:
    if case.label not in EXCEPTIONS:
        check_case(case)
        return
    try:
        check_case(case)
    except pytest.fail.Exception:
        return
    pytest.fail(f"{case} agrees now: remove it from differences.py")


@pytest.mark.skipif(not REAL, reason="no plugin that is there has recordings of a server that can be started here")
@pytest.mark.parametrize("case", REAL or [None], ids=str)
def test_recorded_case_with_its_server(case: Case, check_case: Callable[[Case], None]) -> None:
    test_recorded_case(case, check_case)


@pytest.mark.skipif(not CASES, reason=f"the recordings are missing: {GOLDEN} is not there")
def test_every_exception_is_a_recorded_case() -> None:
    assert EXCEPTIONS.keys() <= {case.label for case in CASES}
