"""One input's life, on virtual time: when it is gathered, and that nothing it does gets out."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from plans import LOG, SECOND, START, Collected, input_plan

from pyagent.api import Accumulator, Duration, Input, Metric
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.testing.virtual import VirtualClock, run_virtual


class Ticking(Input):
    """Adds one metric a gather, as told by the test."""

    def setup(self) -> None:
        self.gathers = 0
        self.stopped = 0
        self.behave: Callable[[Accumulator], Any] = lambda acc: None

    async def gather(self, acc: Accumulator) -> None:
        self.gathers += 1
        acc.add("m", {"n": self.gathers})
        result = self.behave(acc)
        if result is not None:
            await result

    async def stop(self) -> None:
        self.stopped += 1


class Bench:
    """An input runner with what it delivered."""

    def __init__(self, start: int = START, **settings: Any) -> None:
        self.clock = VirtualClock(start)
        self.plugin = Ticking(input_plan(Ticking).options, LOG)
        self.fanout = Collected()
        self.runner = RunningInput(
            input_plan(Ticking, **settings),
            self.plugin,
            global_tags={"host": "h1", "rack": "global"},
            sink=self.fanout,
            clock=self.clock,
            log=LOG,
        )

    async def run_for(self, seconds: float) -> None:
        task = asyncio.create_task(self.runner.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])

    @property
    def delivered(self) -> list[Metric]:
        return self.fanout.metrics

    @property
    def times(self) -> list[float]:
        """Seconds since midnight."""
        return [metric.time / SECOND % 86400 for metric in self.delivered]


def on_bench(act: Callable[[Bench], Any], start: int = START, **settings: Any) -> Bench:
    async def main() -> Bench:
        bench = Bench(start, **settings)
        result = act(bench)
        if result is not None:
            await result
        return bench

    return run_virtual(main())


def test_gathers_right_after_the_start_and_then_at_multiples() -> None:
    bench = on_bench(lambda bench: bench.run_for(30))
    assert bench.times == [3, 10, 20, 30]
    assert bench.fanout.flushes == 1


def test_no_extra_gather_when_the_first_tick_is_near() -> None:
    bench = on_bench(lambda bench: bench.run_for(15), start=START + 67 * SECOND // 10)
    assert bench.times == [10, 20]


def test_an_unaligned_input_starts_at_once_and_once_only() -> None:
    bench = on_bench(lambda bench: bench.run_for(25), round_interval=False)
    assert bench.times == [3, 13, 23]


def test_a_clock_set_ahead_realigns_without_making_up() -> None:
    async def act(bench: Bench) -> None:
        asyncio.get_running_loop().call_later(10, lambda: bench.clock.set(bench.clock.now() + 3600 * SECOND))
        await bench.run_for(40)

    bench = on_bench(act)
    # At 13 the clock jumps to 1:00:13; the tick that was slept for comes late, then all is aligned again.
    assert bench.times[:2] == [3, 10]
    assert bench.times[2:] == [3620, 3630, 3640]


def test_names_tags_and_times() -> None:
    settings = {"name_override": "o", "name_prefix": "p_", "name_suffix": "_s", "tags": {"rack": "own", "room": "1"}}

    def behave(acc: Accumulator) -> None:
        acc.add("x", {"f": 1}, {"room": "metric"}, START + SECOND // 2)

    async def act(bench: Bench) -> None:
        bench.plugin.behave = behave
        await bench.runner.gather_once()

    metric = on_bench(act, **settings).delivered[1]
    assert metric == Metric("p_o_s", {"host": "h1", "rack": "own", "room": "metric"}, {"f": 1}, START + SECOND)


def test_a_failure_is_logged_once_per_cause_and_keeps_what_was_added(caplog: pytest.LogCaptureFixture) -> None:
    def fail(acc: Accumulator) -> None:
        raise OSError(f"connection {acc} refused by 127.0.0.1:5432")

    async def act(bench: Bench) -> None:
        bench.plugin.behave = fail
        await bench.run_for(45)
        assert bench.runner.failures.total == 5
        bench.plugin.behave = lambda acc: None
        await bench.run_for(10)

    with caplog.at_level(logging.INFO):
        bench = on_bench(act)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "cannot gather: OSError: connection" in messages[0]
    assert "refused" in messages[0]
    assert messages[1] == "works again after 5 failures"
    assert [metric.fields["n"] for metric in bench.delivered] == list(range(1, bench.plugin.gathers + 1))


@pytest.mark.parametrize(("seconds", "abandoned"), [(35, 1), (0.5, 0)])
def test_a_gather_is_given_up_by_its_deadline_and_not_by_a_timeout_of_its_own(seconds: float, abandoned: int) -> None:
    async def gather(acc: Accumulator) -> None:
        await asyncio.sleep(seconds)
        raise TimeoutError

    async def main() -> RunningInput:
        plugin = Ticking(input_plan(Ticking).options, LOG)
        plugin.behave = gather
        runner = RunningInput(
            input_plan(Ticking),
            plugin,
            global_tags={},
            sink=Collected(),
            clock=VirtualClock(START),
            log=LOG,
            gather_timeout=1.0,
        )
        await runner.gather_once()
        return runner

    runner = run_virtual(main())
    assert runner.abandoned == abandoned
    assert runner.failures.current.startswith(
        "cannot gather: it timed out after 1 s" if abandoned else "cannot gather: TimeoutError (test_running_input.py:"
    )


def test_a_gather_that_hangs_is_told_once_is_never_doubled_and_its_metrics_get_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act(bench: Bench) -> None:
        bench.plugin.behave = lambda acc: asyncio.sleep(35)
        await bench.run_for(60)

    bench = on_bench(act)
    assert bench.plugin.gathers == 2
    assert bench.runner.overruns == 5
    assert bench.times == [3, 40]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["Collection took longer than expected; not complete after interval of 10s"] * 2


def test_stop_waits_for_a_grace_then_gives_up_and_refuses_what_comes_later() -> None:
    late: list[str] = []

    async def hang(acc: Accumulator) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            try:
                acc.add("late", {"f": 1})
            except BaseException as error:
                late.append(type(error).__name__)

    async def act(bench: Bench) -> None:
        bench.plugin.behave = hang
        await bench.run_for(1)
        await bench.runner.stop(grace=3)
        assert asyncio.get_running_loop().time() <= 5

    bench = on_bench(act)
    assert bench.plugin.stopped == 1
    assert len(bench.delivered) >= 1


@pytest.mark.parametrize("runs", [True, False])
def test_stop_asks_a_gather_that_runs_to_end_soon(runs: bool) -> None:
    ended: list[float] = []

    async def hang(acc: Accumulator) -> None:
        cut = asyncio.Event()
        bench.plugin.cut_short = cut.set  # type: ignore[method-assign]  # the plugin's own answer to it
        if runs:
            await cut.wait()
            ended.append(asyncio.get_running_loop().time())
        else:
            bench.plugin.cut_short = lambda: ended.append(0)  # type: ignore[method-assign]

    async def act(given: Bench) -> None:
        nonlocal bench
        bench = given
        bench.plugin.behave = hang
        await bench.run_for(1)
        before = asyncio.get_running_loop().time()
        await bench.runner.stop(grace=3)
        assert asyncio.get_running_loop().time() - before < 1
        assert ended == ([before] if runs else [])

    bench: Bench
    on_bench(act)


def test_stop_without_a_gather_is_safe() -> None:
    bench = on_bench(lambda bench: bench.runner.stop(grace=1))
    assert bench.plugin.stopped == 1
    assert bench.delivered == []


def test_jitter_delays_but_does_not_shift() -> None:
    bench = on_bench(lambda bench: bench.run_for(60), collection_jitter=Duration("2s"))
    assert len(bench.delivered) == 7 or len(bench.delivered) == 6
    assert all(0 <= time % 10 <= 3 for time in bench.times[1:])


def test_what_cannot_be_handed_on_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A fault of the agent's own; the schedule goes on."""

    async def act(bench: Bench) -> None:
        real, bench.fanout.deliver = bench.fanout.deliver, broken  # type: ignore[method-assign]
        await bench.run_for(25)
        bench.fanout.deliver = real  # type: ignore[method-assign]
        await bench.run_for(10)

    def broken(metrics: list[Metric], tags: object = ()) -> None:
        raise UnicodeError("on purpose")

    bench = on_bench(act, interval=Duration("10s"))
    lost = bench.runner.failures.total
    assert lost >= 2
    assert bench.runner.acc.dropped == {"could not be handed on": lost}
    assert bench.plugin.gathers == lost + len(bench.delivered)
    assert bench.delivered
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert told == ["BUG: cannot hand on what was gathered: UnicodeError: on purpose; please report this"]
