"""Queries and their turns: the bound of time by a clock that the test moves, clients that go away, and the queue."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.limits import Budget, QueryLimits, check
from pyagent.sandbox.queries import Queries

GUARD = 60
"""Seconds after which a test that hangs fails."""


class Endless:
    """A query that runs until it is ended, or is let go."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.let_go = threading.Event()
        self.over = threading.Event()

    def __call__(self, budget: Budget) -> str:
        return budget.run(self._work)

    def _work(self) -> str:
        self.started.set()
        try:
            while not self.let_go.wait(0.001):
                check()
            return "done"
        finally:
            self.over.set()

    async def is_running(self) -> None:
        assert await asyncio.to_thread(self.started.wait, GUARD)

    async def has_ended(self) -> None:
        assert await asyncio.to_thread(self.over.wait, GUARD)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def queries(clock: Clock) -> AsyncIterator[Queries]:
    made = Queries(QueryLimits(timeout=60, concurrency=2, queue_size=1), clock)
    yield made
    await asyncio.to_thread(made.close)


async def test_a_query_gives_its_answer(queries: Queries) -> None:
    assert await queries.run(lambda budget: budget.run(lambda: 1)) == 1


async def test_one_that_takes_too_long_is_ended(queries: Queries, clock: Clock) -> None:
    work = Endless()
    query = asyncio.create_task(queries.run(work))
    await work.is_running()
    clock.now = 60.0
    with pytest.raises(
        InfluxError, match="context deadline exceeded: the query took longer than 60s, which --query-timeout"
    ):
        await query
    await work.has_ended()


async def test_without_a_bound_of_time_it_goes_on(clock: Clock) -> None:
    queries = Queries(QueryLimits(timeout=0, concurrency=1), clock)
    work = Endless()
    query = asyncio.create_task(queries.run(work))
    await work.is_running()
    clock.now = 1e9
    await asyncio.wait({query}, timeout=0.25)  # two looks
    work.let_go.set()
    assert await query == "done"
    await asyncio.to_thread(queries.close)


async def test_one_whose_client_is_gone_is_ended(queries: Queries) -> None:
    work, wanted = Endless(), [True]
    query = asyncio.create_task(queries.run(work, lambda: wanted[0]))
    await work.is_running()
    wanted.clear()
    wanted.append(False)
    with pytest.raises(InfluxError, match="context canceled"):
        await query
    await work.has_ended()


async def test_one_that_is_cancelled_is_ended(queries: Queries) -> None:
    work = Endless()
    query = asyncio.create_task(queries.run(work))
    await work.is_running()
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query
    await work.has_ended()


async def test_others_run_beside_it_wait_or_are_refused(queries: Queries) -> None:
    first, second, third = Endless(), Endless(), Endless()
    running = [asyncio.create_task(queries.run(first))]
    await first.is_running()
    assert await queries.run(lambda budget: "beside") == "beside"
    running.append(asyncio.create_task(queries.run(second)))
    await second.is_running()
    running.append(asyncio.create_task(queries.run(third)))
    await asyncio.sleep(0)
    with pytest.raises(InfluxError, match=r"^queue length exceeded$") as refused:
        await queries.run(lambda budget: "too many")
    assert refused.value.code == "invalid"
    assert not third.started.is_set()
    first.let_go.set()
    await third.is_running()
    second.let_go.set()
    third.let_go.set()
    assert await asyncio.gather(*running) == ["done"] * 3
    assert await queries.run(lambda budget: "again") == "again"


async def test_one_that_waits_and_is_not_wanted_never_runs(queries: Queries) -> None:
    first, second, third = Endless(), Endless(), Endless()
    running = [asyncio.create_task(queries.run(work)) for work in (first, second)]
    await first.is_running()
    await second.is_running()
    with pytest.raises(InfluxError, match="context canceled"):
        await queries.run(third, lambda: False)
    first.let_go.set()
    second.let_go.set()
    await asyncio.gather(*running)
    assert await queries.run(lambda budget: "next") == "next"
    assert not third.started.is_set()


async def test_its_time_begins_when_it_runs(queries: Queries, clock: Clock) -> None:
    first, second, third = Endless(), Endless(), Endless()
    running = [asyncio.create_task(queries.run(work)) for work in (first, second)]
    await first.is_running()
    await second.is_running()
    clock.now = 50.0
    waiting = asyncio.create_task(queries.run(third))
    await asyncio.sleep(0)
    first.let_go.set()
    await third.is_running()
    clock.now = 100.0  # fifty seconds for the third, a hundred for the second
    with pytest.raises(InfluxError, match="deadline"):
        await running[1]
    third.let_go.set()
    assert await waiting == "done"
    assert await running[0] == "done"


async def test_the_end_of_the_server_ends_them(clock: Clock) -> None:
    queries = Queries(QueryLimits(concurrency=1), clock)
    first, second = Endless(), Endless()
    running = [asyncio.create_task(queries.run(work)) for work in (first, second)]
    await first.is_running()
    await asyncio.to_thread(queries.close)
    found = await asyncio.gather(*running, return_exceptions=True)
    assert isinstance(found[0], InfluxError)
    assert found[0].message == "context canceled"
    assert isinstance(found[1], InfluxError)
    assert not second.started.is_set()
