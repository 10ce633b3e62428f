"""For pytest: the fixture `check_case` and the option `--update-cases`.

In a conftest.py: `pytest_plugins = ["pyagent.testing.pytest_plugin"]`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyagent.testing.case_run import NeedsRoot, run_case
from pyagent.testing.cases import Case, problems_of, update
from pyagent.testing.servers import SERVERS, Server, ServerMissing

_UPDATED = "updated case"
__all__ = ["check_case", "pytest_addoption", "real_servers"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-cases",
        action="store_true",
        help="write what the plugins emit into the expected files of their cases, and show what has changed",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for title, text in report.sections:
            if _UPDATED in title:
                terminalreporter.write_line(text)


class RealServers:
    """Each started when it is first asked for, once for all cases of a file."""

    def __init__(self) -> None:
        self._running: dict[str, Server] = {}

    def get(self, name: str) -> Server:
        """The running server. Raises ServerMissing and ServerError, and ValueError for a name that there is not."""
        if name not in SERVERS:
            raise ValueError(f"there is no server {name!r}; pyagent.testing.servers.SERVERS has {sorted(SERVERS)}")
        if name not in self._running:
            server = SERVERS[name]()
            server.start()
            self._running[name] = server
        return self._running[name]

    def stop(self) -> None:
        while self._running:
            self._running.popitem()[1].stop()


@pytest.fixture(scope="module")
def real_servers() -> Iterator[RealServers]:
    """The servers of `pyagent.testing.servers.SERVERS`, for one file of tests: what others ask shows in their statistics."""
    servers = RealServers()
    yield servers
    servers.stop()


@pytest.fixture
def check_case(request: pytest.FixtureRequest, tmp_path: Path, real_servers: RealServers) -> Callable[[Case], None]:
    """Runs a case and fails where something differs from what it expects; with --update-cases, writes what is expected."""

    def check(case: Case) -> None:
        server = None
        if case.server:
            try:
                server = real_servers.get(case.server)
            except ServerMissing as error:
                if os.environ.get("PYAGENT_REQUIRE_SERVERS") == "1":
                    pytest.fail(str(error))
                pytest.skip(str(error))
        try:
            outcome = run_case(case, tmp_path, server)
        except NeedsRoot as error:
            pytest.skip(str(error))
        if request.config.getoption("--update-cases"):
            if changes := update(case, outcome):
                request.node.add_report_section("call", _UPDATED, changes)
            return
        if problems := problems_of(case, outcome):
            pytest.fail(f"{case} ({case.folder}):\n" + "\n".join(problems), pytrace=False)

    return check
