"""One that takes long is not waited for at the next gather."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from pyagent.api import PyagentError
from pyagent.kit.laggards import LONG, EachInThreads


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def end(thread_name: str = "pyagent-late") -> None:
    for thread in threading.enumerate():
        if thread.name == thread_name:
            thread.join(60)


def test_one_that_hangs_makes_the_others_late_once() -> None:
    clock, done = Clock(), list[str]()
    hangs, begun = threading.Event(), threading.Event()

    def slow() -> None:
        """The first time it takes long by the clock, then it hangs."""
        done.append("slow")
        if clock.now:
            begun.set()
            hangs.wait(60)
            done.append("end")
        clock.now += LONG + 1
        raise PyagentError("it timed out")

    each = EachInThreads(at_once=1, clock=clock)
    works: dict[str, Callable[[], None]] = {"slow": slow, "quick": lambda: done.append("quick")}
    for _ in range(3):
        # As long as it is not over its failure is that of each gather.
        with pytest.raises(PyagentError, match=r"^it timed out$"):
            each.run(works)
        if len(done) > 2:
            assert begun.wait(60)
    assert sorted(done) == ["quick", "quick", "quick", "slow", "slow"]
    hangs.set()
    end()
    works["slow"] = lambda: done.append("well")
    with suppress(PyagentError):  # it may have ended when the gather does, or not
        each.run(works)
    end()
    each.run({})
    each.run(works)
    assert sorted(done[-2:]) == ["quick", "well"]


def test_one_that_fails_beside_is_told_until_it_is_well() -> None:
    clock, fails = Clock(), True

    def work() -> None:
        clock.now += LONG + 1
        if fails:
            raise PyagentError("it timed out")

    each = EachInThreads(clock=clock)
    for _ in range(2):
        with pytest.raises(PyagentError, match=r"^it timed out$"):
            each.run({1: work})
        end()
    fails = False
    with suppress(PyagentError):
        each.run({1: work})
    end()
    each.run({})


def test_no_more_run_beside_than_at_once() -> None:
    clock, threads = Clock(), list[str]()
    stop = threading.Event()

    def work() -> None:
        threads.append(threading.current_thread().name)
        clock.now += LONG + 1
        if threading.current_thread().name == "pyagent-late":
            stop.wait(60)

    each = EachInThreads(at_once=1, clock=clock)
    each.run({"a": work, "b": work})
    threads.clear()
    each.run({"a": work, "b": work})
    assert threads.count("pyagent-late") <= 1
    stop.set()
    end()
    assert sorted(threads) == sorted(["pyagent-late", threading.current_thread().name])


def test_where_no_thread_can_be_started_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, done = Clock(), list[int]()

    def work() -> None:
        done.append(1)
        clock.now += LONG + 1

    def none(_: object) -> None:
        raise RuntimeError("can't start new thread")

    each = EachInThreads(clock=clock)
    each.run({1: work})
    monkeypatch.setattr(threading.Thread, "start", none)
    each.run({1: work})
    each.run({1: work})
    assert done == [1, 1, 1]
