"""The same work for many things at once."""

import asyncio

import pytest

from pyagent.api import PyagentError
from pyagent.kit.each import for_each


async def test_all_are_done_and_no_more_at_once_than_there_may_be() -> None:
    running, most, done = 0, 0, list[int]()

    async def work(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(number)

    await for_each(range(20), work, at_once=3)
    assert sorted(done) == list(range(20))
    assert most == 3
    await for_each([], work)


async def test_one_that_fails_costs_only_itself() -> None:
    done: list[str] = []

    async def work(name: str) -> None:
        if name.startswith("bad"):
            raise PyagentError(f"cannot ask {name}{'?' if name == 'bad1' else ''}")
        done.append(name)

    with pytest.raises(PyagentError, match=r"^cannot ask bad1\? cannot ask bad2; cannot ask bad3$"):
        await for_each(["bad2", "a", "bad1", "b", "bad3", "bad3"], work)
    assert sorted(done) == ["a", "b"]
    with pytest.raises(PyagentError, match=r"; cannot ask bad18; and 15 more$"):
        await for_each([f"bad{number}" for number in range(25)][::-1], work)


async def test_a_fault_of_the_code_is_raised_as_it_is() -> None:
    async def work(number: int) -> None:
        raise PyagentError("expected") if number else KeyError("x")

    with pytest.raises(KeyError, match="x"):
        await for_each([1, 0, 2], work)
