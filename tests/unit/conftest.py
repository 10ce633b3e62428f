"""Async tests leave nothing behind."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyagent.testing.leaks import held, left_over

HERE = Path(__file__).parent
PATIENCE = 10.0
"""Seconds for a thread that ends to be gone: a hang, not a measure."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_async = isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj)
        if is_async and HERE in item.path.parents and not item.get_closest_marker("leaves_threads"):
            # The first one: it looks when all other fixtures have given back what they hold.
            item.fixturenames.insert(0, "leaves_nothing")


@pytest.fixture
async def leaves_nothing() -> AsyncIterator[None]:
    """No task, thread, descriptor or child more than before the test."""
    before = held()
    yield
    deadline = time.monotonic() + PATIENCE
    while (found := left_over(before, patience=0.0)) and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    assert found == []
