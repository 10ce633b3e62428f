"""Gathers that are due at once begin one after another, on virtual time."""

import asyncio
from collections.abc import Callable

import pytest
from plans import LOG, START, Collected, input_plan

from pyagent.api import Accumulator, Input, NoOptions
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.turns import Turns
from pyagent.testing.virtual import VirtualClock, run_virtual


class Works:
    """Work that is due at once: how long each takes; when each began, in seconds."""

    def __init__(self, *seconds: float) -> None:
        self.turns = Turns(patience=0.005, most=0.2)
        self.began: dict[int, float] = {}
        self._seconds = seconds

    async def work(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        end = await self.turns.begin()
        self.began[number] = round(loop.time() - start, 6)
        try:
            await asyncio.sleep(self._seconds[number])
        finally:
            end()

    def start(self) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.work(number)) for number in range(len(self._seconds))]

    def run(self) -> list[float]:
        async def main() -> None:
            await asyncio.gather(*self.start())

        run_virtual(main())
        return [self.began[number] for number in range(len(self._seconds))]


def test_one_begins_when_the_one_before_has_ended() -> None:
    assert Works(0.001, 0.002, 0.001).run() == [0, 0.001, 0.003]


def test_one_that_takes_long_is_not_waited_for() -> None:
    assert Works(100, 0.001, 100, 0).run() == [0, 0.005, 0.006, 0.011]


def test_nobody_waits_long_however_many_there_are() -> None:
    began = Works(*[1.0] * 200).run()
    assert began[:3] == [0, 0.005, 0.01]
    assert max(began) == pytest.approx(0.2)


def test_when_all_have_ended_the_next_begins_at_once() -> None:
    works = Works(0.001, 0.001)

    async def main() -> None:
        for number in range(2):
            await works.work(number)

    run_virtual(main())
    assert works.began == {0: 0, 1: 0}


def test_one_that_is_cancelled_holds_up_nobody_and_lets_nobody_past() -> None:
    works = Works(0.004, 0, 0)

    async def main() -> None:
        first, second, third = works.start()
        await asyncio.sleep(0.001)
        second.cancel()
        await asyncio.wait([first, second, third])

    run_virtual(main())
    assert works.began == {0: 0, 2: 0.004}


class Noted(Turns):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def begin(self) -> Callable[[], None]:
        end = await super().begin()
        self.calls.append("begin")

        def noted() -> None:
            self.calls.append("end")
            end()

        return noted


class Failing(Input):
    def gather(self, acc: Accumulator) -> None:
        raise ValueError("on purpose")


class FailingOnTheLoop(Input):
    async def gather(self, acc: Accumulator) -> None:
        raise ValueError("on purpose")


@pytest.mark.parametrize(("kind", "calls"), [(Failing, ["begin", "end"]), (FailingOnTheLoop, [])])
def test_an_input_in_a_thread_waits_for_its_turn_and_gives_it_back(kind: type[Input], calls: list[str]) -> None:
    turns = Noted()

    async def main() -> None:
        plugin, clock = kind(NoOptions(), LOG), VirtualClock(START)
        runner = RunningInput(
            input_plan(kind), plugin, global_tags={}, sink=Collected(), clock=clock, log=LOG, turns=turns
        )
        await runner.gather_once()
        await runner.stop(1)

    asyncio.run(main())
    assert turns.calls == calls
