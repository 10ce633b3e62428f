"""Answers that are asked for beside the flow of metrics."""

import asyncio
import logging

import pytest

from pyagent.kit.lookups import LookUps
from pyagent.kit.problems import Problems

LONG = 10**15


def looked_up(asked: list[str], gate: asyncio.Event | None = None, *, most: int = 100, ttl: int = LONG) -> LookUps[str]:
    async def look_up(key: str) -> tuple[str, int]:
        asked.append(key)
        if gate is not None:
            await gate.wait()
        return key.upper(), ttl

    problems = Problems(logging.getLogger("lookups"))
    return LookUps(look_up, problems, most=most, parallel=3, without="its name")


async def test_what_comes_too_late_is_there_for_the_next(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []
    gate = asyncio.Event()
    lookups = looked_up(asked, gate)
    assert await lookups.of(["a"], 0.01) == {}
    assert await lookups.of(["a", "b"], 0.01) == {}
    assert "cannot look up 'a': no answer in time; metrics go on without its name" in caplog.text
    gate.set()
    assert await lookups.of(["a", "b"]) == {"a": "A", "b": "B"}
    assert await lookups.of(["a", "b"]) == {"a": "A", "b": "B"}
    assert asked == ["a", "b"]


async def test_the_oldest_answers_go() -> None:
    asked: list[str] = []
    lookups = looked_up(asked, most=10)
    for number in range(50):
        await lookups.of([str(number)])
    asked.clear()
    for number in range(40, 50):
        await lookups.of([str(number)])
    assert asked == []
    await lookups.of(["39"])
    assert asked == ["39"]


async def test_an_answer_that_is_old_is_asked_for_anew() -> None:
    asked: list[str] = []
    lookups = looked_up(asked)
    await lookups.of(["a"])
    assert not lookups.forget("a", LONG)
    assert not lookups.forget("b", 0)
    assert lookups.forget("a", 0)
    await lookups.of(["a"])
    assert asked == ["a", "a"]


async def test_one_that_counts_for_no_time_is_not_kept() -> None:
    asked: list[str] = []
    lookups = looked_up(asked, ttl=0)
    assert await lookups.of(["a"]) == await lookups.of(["a"]) == {"a": "A"}
    assert asked == ["a", "a"]


async def test_a_stop_ends_what_is_under_way() -> None:
    asked: list[str] = []
    lookups = looked_up(asked, asyncio.Event())
    assert await lookups.of(["a"], 0.01) == {}
    await lookups.stop()
    assert len(asyncio.all_tasks()) == 1
