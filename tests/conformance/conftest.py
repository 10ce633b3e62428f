"""One line about the recorded cases that nothing can run yet."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if any("test_recorded_cases" in report.nodeid for report in terminalreporter.getreports("passed")):
        from recorded_cases import recorded

        terminalreporter.write_line(recorded().report)
