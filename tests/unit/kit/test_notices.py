"""Lines of a program that says too much."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pyagent.kit.notices import FewLines

LOG = logging.getLogger("pyagent.test.notices")


@dataclass
class Timer:
    when: float
    run: Callable[[], None]

    def cancel(self) -> None:
        self.run = lambda: None


@dataclass
class Clock:
    """A loop of which only the time is asked."""

    now: float = 100.0
    timers: list[Timer] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, run: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, run))
        return self.timers[-1]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


def test_a_flood_is_counted_and_not_logged(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lines = FewLines(LOG, "what it says", most=2)
    for number in range(100):
        lines.add(logging.ERROR, f"line {number}")
        lines.add(logging.DEBUG, "nobody reads it")
    assert caplog.messages == ["line 0", "line 1"]
    (timer,) = clock.timers
    clock.now = timer.when
    timer.run()
    assert caplog.messages[2:] == ["98 more lines of what it says are left out"]
    lines.add(logging.INFO, "again")
    assert caplog.messages[3:] == ["again"]


def test_the_number_comes_at_the_end_at_the_latest(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    lines = FewLines(LOG, "what it says", most=1)
    for _ in range(3):
        lines.add(logging.ERROR, "x")
    lines.finish()
    clock.timers[0].run()
    lines.finish()
    assert caplog.messages == ["x", "2 more lines of what it says are left out"]
