"""The same work for many things at once."""

import asyncio
import threading

import pytest

from pyagent.api import PyagentError
from pyagent.kit import held
from pyagent.kit.each import for_each, for_each_in_threads


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


async def test_what_answers_hold_in_all_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MOST_HELD", 250)
    now, most, waited, done = 0, 0, 0, 0

    async def work(number: int) -> None:
        nonlocal now, most, waited, done
        mine = 0
        for _ in range(4):
            waited += await held.hold(25)
            now, mine = now + 25, mine + 25
            most = max(most, now)
            await asyncio.sleep(0)
        now -= mine
        done += 1
        if number % 3 == 0:
            raise PyagentError("one that fails gives back what it holds")

    with pytest.raises(PyagentError, match="one that fails"):
        await for_each(range(30), work)
    assert done == 30
    assert waited > 0
    assert 250 <= most <= 250 + 100


async def test_the_first_never_waits_and_nothing_is_counted_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MOST_HELD", 100)
    assert not await held.hold(1000)
    waits: list[bool] = []

    async def work(_: int) -> None:
        waits.append(await held.hold(90))
        await asyncio.sleep(0)
        waits.append(await held.hold(90))

    await for_each([1, 2], work)
    assert waits == [False, False, True, False]


def test_work_that_blocks_is_done_side_by_side_and_no_more_at_once_than_there_may_be() -> None:
    lock, most, done = threading.Lock(), 0, list[int]()
    running: set[int] = set()
    together = threading.Barrier(3)

    def work(number: int) -> None:
        nonlocal most
        with lock:
            running.add(number)
            most = max(most, len(running))
        together.wait(30)
        with lock:
            running.discard(number)
            done.append(number)

    for_each_in_threads(range(21), work, at_once=3)
    assert sorted(done) == list(range(21))
    assert most == 3
    for_each_in_threads([], work)


def test_work_that_blocks_and_fails_costs_only_itself() -> None:
    done: list[str] = []

    def work(name: str) -> None:
        if name.startswith("bad"):
            raise PyagentError(f"cannot run {name}")
        if name == "fault":
            raise KeyError("x")
        done.append(name)

    with pytest.raises(PyagentError, match=r"^cannot run bad1; cannot run bad2$"):
        for_each_in_threads(["bad2", "a", "bad1", "b"], work, at_once=2)
    assert sorted(done) == ["a", "b"]
    with pytest.raises(KeyError, match="x"):
        for_each_in_threads(["bad", "fault", "c"], work)
    assert "c" in done


def test_where_no_thread_can_be_started_all_is_done_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    for_each_in_threads(range(5), done.append)
    assert done == [0, 1, 2, 3, 4]
