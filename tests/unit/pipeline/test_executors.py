"""Plugins that block, exit or flood harm nobody but themselves. Real threads; nothing here waits for time to pass."""

import asyncio
import threading
import time
from typing import Any

import pytest
from plans import LOG, START, Collected, input_plan

from pyagent.api import Accumulator, Input, Metric
from pyagent.pipeline.executors import Executor, InlineExecutor, LoopExecutor, ThreadExecutor, executor_for
from pyagent.pipeline.inputs.accumulator import HIGH_WATER
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.schedule import SystemClock

pytestmark = pytest.mark.leaves_threads(reason="its plugins hang, or are not stopped")


def plain() -> None: ...
async def asynchronous() -> None: ...


def test_who_runs_where() -> None:
    assert isinstance(executor_for("inline", name="w"), InlineExecutor)
    assert isinstance(executor_for("loop", name="w"), LoopExecutor)
    assert isinstance(executor_for("thread", name="w"), ThreadExecutor)


@pytest.mark.parametrize("executor", [ThreadExecutor("w"), LoopExecutor("w")], ids=["thread", "loop"])
@pytest.mark.parametrize("error", [OSError("refused"), SystemExit(3), KeyboardInterrupt(), StopIteration(1)])
async def test_what_a_call_raises_comes_back_as_an_exception(executor: Executor, error: BaseException) -> None:
    async def fail_async() -> None:
        raise error

    def fail() -> None:
        raise error

    expected = OSError if isinstance(error, OSError) else RuntimeError
    with pytest.raises(expected):
        await executor.call(fail if isinstance(executor, ThreadExecutor) else fail_async)
    # ... and the next call finds it working.
    await executor.call(plain if isinstance(executor, ThreadExecutor) else asynchronous)


async def test_a_task_of_a_plugin_that_exits_ends_no_loop() -> None:
    executor = LoopExecutor("w")
    made: list[asyncio.Task[None]] = []

    async def leave() -> None:
        raise SystemExit(3)

    async def make() -> None:
        made.append(asyncio.create_task(leave()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    await executor.call(make)
    await executor.call(asynchronous)
    assert isinstance(made[0].exception(), SystemExit)
    executor.abandon()


@pytest.mark.parametrize("kind", [ThreadExecutor, LoopExecutor])
async def test_blocking_stops_neither_the_main_loop_nor_other_plugins(
    kind: type[ThreadExecutor | LoopExecutor],
) -> None:
    started, release = threading.Event(), threading.Event()
    blocked, other = kind("blocked"), kind("other")

    def block() -> None:
        started.set()
        release.wait()

    async def block_async() -> None:
        block()

    call = asyncio.ensure_future(blocked.call(block if kind is ThreadExecutor else block_async))
    await asyncio.to_thread(started.wait)
    await other.call(plain if kind is ThreadExecutor else asynchronous)
    assert not call.done()
    blocked.abandon()
    other.abandon()
    release.set()
    await call


async def test_a_plain_plugin_may_have_an_async_stop() -> None:
    ran = []

    async def stop() -> None:
        await asyncio.sleep(0)
        ran.append(threading.current_thread().name)

    await ThreadExecutor("w").call(stop)
    assert ran == ["w"]


def runner_of(gather: Any) -> tuple[RunningInput, list[Metric]]:
    class Outside(Input):
        async def stop(self) -> None:
            pass

    Outside.gather = gather  # type: ignore[method-assign]
    plan = input_plan(Outside, origin="file")
    fanout = Collected()
    return (
        RunningInput(
            plan,
            Outside(plan.options, LOG),
            global_tags={},
            sink=fanout,
            clock=SystemClock(),
            log=LOG,
        ),
        fanout.metrics,
    )


async def test_a_flood_is_held_back_and_a_stop_ends_it() -> None:
    """Neither memory nor the main loop may suffer from a gather that adds without end."""
    ended = threading.Event()

    def flood(self: Input, acc: Accumulator) -> None:
        try:
            while True:
                acc.add("flood", {"f": 1}, None, START)
        finally:
            ended.set()

    runner, delivered = runner_of(flood)
    gather = asyncio.ensure_future(runner.gather_once())
    while len(delivered) < 3 * HIGH_WATER:
        assert len(runner.acc) <= HIGH_WATER + 1
        await asyncio.sleep(0)
    await runner.stop(grace=0.01)
    assert await asyncio.to_thread(ended.wait, 30)
    await asyncio.wait([gather])
    assert runner.acc.dropped["added after the gather was abandoned"] >= 1


async def test_a_gather_that_never_ends_does_not_hold_up_the_stop() -> None:
    release = threading.Event()

    def hang(self: Input, acc: Accumulator) -> None:
        acc.add("before", {"f": 1})
        release.wait()

    runner, delivered = runner_of(hang)
    gather = asyncio.ensure_future(runner.gather_once())
    while not len(runner.acc):  # filled by a thread
        await asyncio.sleep(0)
    await runner.stop(grace=0.01)
    release.set()
    await asyncio.wait([gather])
    assert [metric.name for metric in delivered] == ["before"]


async def test_a_gather_from_outside_that_sleeps_blocking_runs_elsewhere() -> None:
    names: list[str] = []

    async def gather(self: Input, acc: Accumulator) -> None:
        time.sleep(0.001)  # the point of it
        names.append(threading.current_thread().name)
        acc.add("m", {"f": 1})

    runner, delivered = runner_of(gather)
    await runner.gather_once()
    await runner.stop(grace=1)
    assert names == ["inputs.test"]
    assert len(delivered) == 1
