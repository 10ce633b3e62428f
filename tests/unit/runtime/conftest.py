"""What the plugins of `agent_plans` keep in their classes is of one test."""

import pytest
from agent_plans import Counting, Storing


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Counting.made.clear()
    Storing.lines.clear()
    Storing.down = False
    Storing.closed = 0
