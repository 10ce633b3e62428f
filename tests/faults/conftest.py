"""What the fault tests share."""

from collections.abc import AsyncIterator, Callable

import pytest
from agent_process import AgentProcess
from host import Host
from server_faults import impatient, plan

__all__ = ["impatient", "plan"]

_FIGURES: list[str] = []


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """Also where a test fails before it has ended its agents."""
    AgentProcess.started.clear()
    Host.made.clear()
    yield
    for agent in AgentProcess.started:
        await agent.kill()
    for host in Host.made:
        await host.close()


@pytest.fixture
def figures() -> Callable[[str], None]:
    """Takes a line for the end of the run: what was tried, and what came of it."""
    return _FIGURES.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _FIGURES:
        terminalreporter.write_line(line)
