"""Processors that wait: metrics come out once and in order, whatever the answers do, within the deadline. On virtual time; only
external ones, which have a thread, are on that of the machine."""

import asyncio
import gc
import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable, Collection, Coroutine
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import LOG, START, output_plan

from pyagent.api import Batch, Metric, NoOptions, Output, Processor, QueueFull, Retry
from pyagent.config import FilterOptions, ProcessorPlan
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.isolation import DEADLINE
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.pipeline.stages.isolated import IsolatedProcessor
from pyagent.pipeline.stages.ordered_queue import _Job
from pyagent.pipeline.stages.processors import RunningProcessor
from pyagent.testing.virtual import run_virtual

Process = Callable[[list[Metric]], Awaitable[list[Metric]]]
COMMON: dict[str, Any] = {
    "kind": "processors",
    "name": "own",
    "options": NoOptions(),
    "location": "x:1",
    "identity": "",
}


class Sink(Fanout):
    """A fanout whose end keeps what comes out."""

    def __init__(self, *before: RunningProcessor, **settings: Any) -> None:
        super().__init__(**settings)
        self.metrics: list[Metric] = []
        self.replace(ProcessorChain(before))

    def emit(self, metrics: list[Metric]) -> None:
        self.metrics += metrics

    @property
    def numbers(self) -> list[Any]:
        return [metric.fields["n"] for metric in self.metrics]

    async def finish(self) -> list[Any]:
        """End the stages, as a stop or a reload does."""
        if (finishing := self.replace(ProcessorChain())) is not None:
            await finishing
        return self.numbers


def waiting(
    process: Process, *, most: int = 1, stops: list[threading.Thread] | None = None, **plan: Any
) -> IsolatedProcessor:
    class Own(Processor):
        max_in_flight = most

        async def process(self, metrics: list[Metric]) -> list[Metric]:
            return await process(metrics)

        async def stop(self) -> None:
            if stops is not None:
                stops.append(threading.current_thread())

    made = ProcessorPlan(plugin=Own, **COMMON | plan)
    return IsolatedProcessor(made, Own(NoOptions(), LOG), log=LOG)


async def ended(threads: Collection[threading.Thread]) -> None:
    """Return when the plugin's thread has ended; it has one."""
    (thread,) = threads
    assert thread.name == "processors.own"
    await asyncio.to_thread(thread.join)


def computing(process: Callable[[list[Metric]], list[Metric]]) -> RunningProcessor:
    class Own(Processor):
        def process(self, metrics: list[Metric]) -> list[Metric]:
            return process(metrics)

    return RunningProcessor(ProcessorPlan(plugin=Own, **COMMON), Own(NoOptions(), LOG), log=LOG)


def metric(number: int, name: str = "m") -> Metric:
    return Metric(name, {}, {"n": number}, START)


def changed(metrics: list[Metric], change: Callable[[int], int]) -> list[Metric]:
    for one in metrics:
        one.fields["n"] = change(int(one.fields["n"]))  # type: ignore[arg-type]
    return metrics


async def times_ten(metrics: list[Metric]) -> list[Metric]:
    await asyncio.sleep(0.01)
    return changed(metrics, lambda number: 10 * number)


async def hang(metrics: list[Metric]) -> list[Metric]:
    await asyncio.sleep(1e6)
    raise AssertionError("nobody waits so long")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test on virtual time, where no task may be left at the end."""

    async def checked(arguments: dict[str, Any]) -> None:
        await test(**arguments)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def run(**arguments: Any) -> None:
        run_virtual(checked(arguments))

    run.__name__ = test.__name__
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]  # for the fixtures
    return run


# Order ---------------------------------------------------------------------------------------------------------------


@given(
    batches=st.lists(st.integers(1, 4), max_size=25),
    chain=st.lists(st.sampled_from(["plain", 1, 2, 5]), min_size=1, max_size=4),
    delays=st.lists(st.sampled_from([0, 0.001, 0.1, 2.0, 7.0, OSError]), min_size=1, max_size=30),
    pauses=st.lists(st.sampled_from([0, 0.01, 1.0]), min_size=1, max_size=5),
)
def test_metrics_stay_in_their_order_whatever_the_delays(
    batches: list[int], chain: list[Any], delays: list[Any], pauses: list[float]
) -> None:
    delay, pause = cycle(delays), cycle(pauses)
    seen: list[list[int]] = [[] for _ in chain]
    most_seen = [0] * len(chain)
    running = [0] * len(chain)

    def stage(place: int, kind: Any) -> RunningProcessor:
        def begin(metrics: list[Metric]) -> None:
            seen[place] += [int(one.fields["n"]) for one in metrics]  # type: ignore[arg-type]

        def plain(metrics: list[Metric]) -> list[Metric]:
            begin(metrics)
            return metrics

        async def slow(metrics: list[Metric]) -> list[Metric]:
            begin(metrics)
            running[place] += 1
            most_seen[place] = max(most_seen[place], running[place])
            try:
                if (seconds := next(delay)) is OSError:
                    raise OSError("on purpose")
                await asyncio.sleep(seconds)
            finally:
                running[place] -= 1
            return metrics

        return computing(plain) if kind == "plain" else waiting(slow, most=kind)

    async def main() -> None:
        sink, number = Sink(*(stage(place, kind) for place, kind in enumerate(chain))), 0
        for size in batches:
            sink.deliver([metric(number + index) for index in range(size)])
            number += size
            await asyncio.sleep(next(pause))
        assert await sink.finish() == list(range(number))
        for kind, order, most in zip(chain, seen, most_seen, strict=True):
            assert order == sorted(order), "each stage sees them in their order"
            assert most <= (0 if kind == "plain" else kind)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


@virtual
async def test_several_batches_are_asked_for_at_once() -> None:
    sink = Sink(waiting(times_ten, most=4))
    for number in range(4):
        sink.deliver([metric(number)])
    began = asyncio.get_running_loop().time()
    await sink.drained()
    assert sink.numbers == [0, 10, 20, 30]
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.01, abs=0.001)
    await sink.finish()


@virtual
async def test_plain_and_async_ones_stand_in_their_order() -> None:
    sink = Sink(
        computing(lambda metrics: changed(metrics, lambda number: number + 1)),
        waiting(times_ten),
        computing(lambda metrics: changed(metrics, lambda number: number + 3)),
        waiting(times_ten, most=3),
    )
    for number in range(5):
        sink.deliver([metric(number)])
    assert await sink.finish() == [10 * (10 * (number + 1) + 3) for number in range(5)]


@pytest.mark.parametrize("most", [1, 4])
def test_filters_apply_as_for_plain_ones(most: int) -> None:
    @virtual
    async def main() -> None:
        filters = FilterOptions(namepass=("yes",), fieldexclude=("x",))
        calls = 0

        async def first_last(metrics: list[Metric]) -> list[Metric]:
            nonlocal calls
            calls += 1
            await asyncio.sleep(1.0 / calls)
            assert all(set(one.fields) == {"n"} for one in metrics)
            return changed(metrics, lambda number: 10 * number)

        sink = Sink(waiting(first_last, most=most, filters=filters))
        given_ones = [metric(number, "yes" if number % 2 else "no") for number in range(6)]
        for one in given_ones:
            one.fields["x"] = 1
        sink.deliver(given_ones)
        assert await sink.finish() == [0, 10, 2, 30, 4, 50]
        assert ["x" in one.fields for one in sink.metrics] == [True, False] * 3

    main()


# What goes wrong -----------------------------------------------------------------------------------------------------


@virtual
async def test_one_that_hangs_is_cancelled_and_metrics_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async def process(metrics: list[Metric]) -> list[Metric]:
        changed(metrics, lambda number: number + 100)
        await asyncio.sleep(0 if process_quickly else 1e6)
        return metrics

    process_quickly, stage = False, waiting(process)
    sink = Sink(stage)
    began = asyncio.get_running_loop().time()
    for number in range(2):
        sink.deliver([metric(number)])
        await sink.drained()
        await stage.isolated_call.idle()
    assert sink.numbers == [0, 1], "as they were, whatever the call had changed"
    assert asyncio.get_running_loop().time() - began == pytest.approx(2 * DEADLINE)
    assert (stage.bypassed, stage.failures.total) == (2, 2)
    assert messages(caplog) == [
        "cannot process: it did not end within 5 s; metrics go on as they are until this call ends"
    ]
    process_quickly = True
    sink.deliver([metric(2)])
    assert await sink.finish() == [0, 1, 102]
    assert stage.failures.current == ""


@virtual
async def test_one_that_is_not_to_be_cancelled_is_passed_by_until_it_ends() -> None:
    go, calls = asyncio.Event(), 0

    async def process(metrics: list[Metric]) -> list[Metric]:
        nonlocal calls
        calls += 1
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        return changed(metrics, lambda number: 10 * number)

    stage = waiting(process)
    sink = Sink(stage)
    for number in range(4):
        sink.deliver([metric(number)])
        await sink.drained()
    assert (sink.numbers, calls, stage.bypassed) == ([0, 1, 2, 3], 1, 4)
    go.set()
    await stage.isolated_call.idle()
    sink.deliver([metric(4)])
    assert await sink.finish() == [0, 1, 2, 3, 40]


async def fail(metrics: list[Metric]) -> list[Metric]:
    metrics[0].fields.clear()
    await asyncio.sleep(0.01)
    raise ZeroDivisionError("on purpose")


async def leave(metrics: list[Metric]) -> list[Metric]:
    raise SystemExit(3)


async def cancel(metrics: list[Metric]) -> list[Metric]:
    raise asyncio.CancelledError("by itself")


async def nothing(metrics: list[Metric]) -> Any:
    return None


LINE = fail.__code__.co_firstlineno + 3


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (fail, f"cannot process: ZeroDivisionError: on purpose (test_async_processors.py:{LINE})"),
        (leave, "cannot process: RuntimeError: SystemExit raised: 3"),
        (cancel, "cannot process: RuntimeError: CancelledError raised: by itself"),
        (nothing, "cannot process: process returned None, not a list of metrics"),
    ],
)
@pytest.mark.parametrize("most", [1, 3])
def test_what_fails_lets_everything_pass_as_it_was(
    process: Process, message: str, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    @virtual
    async def main() -> None:
        stage = waiting(process, most=most, filters=FilterOptions(namepass=("m",)))
        sink = Sink(stage)
        batch = [metric(1), metric(2, "other"), metric(3)]
        for _ in range(3):
            sink.deliver(list(batch))
        await sink.finish()
        assert sink.metrics == 3 * [metric(1), metric(2, "other"), metric(3)]
        assert [text.partition(" (")[0] for text in messages(caplog)] == [message.partition(" (")[0]]
        assert message in messages(caplog)[0]
        assert (stage.failures.total, stage.bypassed) == (3, 0)

    main()


@virtual
async def test_what_waits_is_bounded_and_inputs_hear_of_it(caplog: pytest.LogCaptureFixture) -> None:
    stage = waiting(hang, most=2)
    sink = Sink(stage, waiting=10)
    for number in range(12):
        assert sink.below_high_water() == (number <= 7)
        sink.deliver([metric(number)])
        await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await sink.deliver_pinned([metric(99)])
    began = asyncio.get_running_loop().time()
    sink.deliver([metric(12)])
    await sink.drained()
    assert sink.numbers == list(range(13))
    assert asyncio.get_running_loop().time() - began <= DEADLINE
    assert (
        "cannot process: it is too slow, more than 10 metrics wait; metrics go on as they are until this call ends"
        in (messages(caplog))
    )
    await sink.finish()


# Reload and stop -----------------------------------------------------------------------------------------------------


@virtual
async def test_after_a_reload_what_is_inside_comes_out_before_what_follows() -> None:
    stops: list[threading.Thread] = []
    sink = Sink(old := waiting(times_ten, most=3, stops=stops))
    kept = waiting(times_ten, most=2, stops=stops)
    for number in range(1, 3):
        sink.deliver([metric(number)])
    finishing = sink.replace(ProcessorChain([kept]))
    assert finishing is not None
    task = asyncio.ensure_future(finishing)
    await asyncio.sleep(0)
    sink.deliver([metric(3)])
    again = sink.replace(ProcessorChain([kept]))
    sink.deliver([metric(4)])
    assert again is not None
    await asyncio.gather(task, again)
    await sink.drained()
    assert sink.numbers == [10, 20, 30, 40]
    assert len(stops) == 1, "one that goes on is not stopped"
    assert not hasattr(old, "plugin")
    await sink.finish()
    assert len(stops) == 2


@virtual
async def test_at_a_stop_calls_are_cancelled_after_the_grace() -> None:
    ended: list[int] = []

    async def process(metrics: list[Metric]) -> list[Metric]:
        try:
            return await hang(metrics)
        finally:
            ended.append(int(metrics[0].fields["n"]))  # type: ignore[arg-type]

    sink = Sink(waiting(process, most=2), computing(lambda metrics: changed(metrics, lambda number: number + 1)))
    for number in range(4):
        sink.deliver([metric(number)])
    await asyncio.sleep(0.5)
    began = asyncio.get_running_loop().time()
    finishing = sink.replace(ProcessorChain())
    assert finishing is not None
    task = asyncio.ensure_future(finishing)
    while not task.done():
        await asyncio.wait([task], timeout=1.0)
        sink.abandon_calls()
    await asyncio.sleep(0)
    assert sink.numbers == [1, 2, 3, 4]
    assert sorted(ended) == [0, 1]
    assert asyncio.get_running_loop().time() - began < DEADLINE


@virtual
async def test_nothing_is_left_of_one_that_has_ended() -> None:
    stage = waiting(times_ten, most=3)
    sink = Sink(stage)
    for number in range(20):
        sink.deliver([metric(number)])
    await sink.finish()
    left = weakref.ref(stage), weakref.ref(stage.isolated_call)
    del stage
    gc.collect()
    assert [one() for one in left] == [None, None]
    assert [one for one in gc.get_objects() if type(one) is _Job] == []
    assert sink.relayable


# Acknowledged --------------------------------------------------------------------------------------------------------


class Receiver(Output):
    async def write(self, batch: Batch) -> None:
        raise Retry("down")


def out(limit: int = 10, **plan: Any) -> RunningOutput:
    made = output_plan(Receiver, metric_buffer_limit=limit, metric_batch_size=1000, **plan)
    return RunningOutput(made, Receiver(NoOptions(), LOG), log=LOG)


async def end(fanout: Fanout) -> None:
    if (finishing := fanout.replace(ProcessorChain())) is not None:
        await finishing


@virtual
async def test_a_listener_is_answered_when_every_queue_holds_what_came_out() -> None:
    red, green = out(), out(filters=FilterOptions(namedrop=("other",)))
    fanout = Fanout([red, green], acknowledge="all")
    fanout.replace(ProcessorChain([waiting(times_ten, most=2)]))
    first = asyncio.ensure_future(fanout.deliver_pinned([metric(1)]))
    second = asyncio.ensure_future(fanout.deliver_pinned([metric(2), metric(3, "other")]))
    await asyncio.sleep(0.005)
    assert not first.done()
    assert (red.queued, green.queued) == (0, 0)
    await asyncio.gather(first, second)
    assert (red.queued, green.queued) == (3, 2)
    assert (batch := red.queue.next_batch(10)) is not None
    assert [line.split()[1] for line in batch.payload().splitlines()] == [b"n=10i", b"n=20i", b"n=30i"]
    await end(fanout)


@virtual
async def test_a_listener_is_refused_where_one_of_two_queues_has_no_room() -> None:
    red, green = out(limit=10), out(limit=2)
    fanout = Fanout([red, green], acknowledge="all")

    async def doubled(metrics: list[Metric]) -> list[Metric]:
        await asyncio.sleep(0.01)
        return [*metrics, *metrics]

    fanout.replace(ProcessorChain([waiting(doubled, most=2)]))
    await fanout.deliver_pinned([metric(1)])
    with pytest.raises(QueueFull):
        await fanout.deliver_pinned([metric(2)])
    assert (red.queued, green.queued) == (2, 2), "it was refused before anybody took it"
    await end(fanout)


# External ones -------------------------------------------------------------------------------------------------------


async def test_an_external_one_runs_on_a_loop_of_its_own_and_is_stopped_there() -> None:
    threads: set[threading.Thread] = set()
    stops: list[threading.Thread] = []

    async def process(metrics: list[Metric]) -> list[Metric]:
        threads.add(threading.current_thread())
        await asyncio.sleep(0)
        return changed(metrics, lambda number: 10 * number)

    stage = waiting(process, most=3, stops=stops, origin="file")
    assert stage.plan.isolation == "loop"
    sink = Sink(stage)
    for number in range(20):
        sink.deliver([metric(number)])
    assert await sink.finish() == [10 * number for number in range(20)]
    assert threads == set(stops)
    await ended(threads)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_external_plain_one_is_stopped_in_its_thread(asynchronous: bool) -> None:
    stops: list[threading.Thread] = []

    class Plain(Processor):
        def process(self, metrics: list[Metric]) -> list[Metric]:
            return metrics

        def stop(self) -> Any:
            stops.append(threading.current_thread())
            return asyncio.sleep(0) if asynchronous else None

    plan = ProcessorPlan(plugin=Plain, **COMMON | {"origin": "file"})
    sink = Sink(IsolatedProcessor(plan, Plain(NoOptions(), LOG), log=LOG))
    sink.deliver([metric(1)])
    assert await sink.finish() == [1]
    assert len(stops) == 1
    await ended(stops)


async def test_an_external_one_that_hangs_is_cancelled_on_its_loop() -> None:
    cancelled = threading.Event()
    threads: set[threading.Thread] = set()

    async def process(metrics: list[Metric]) -> list[Metric]:
        threads.add(threading.current_thread())
        try:
            return await hang(metrics)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    stage = waiting(process, origin="file")
    stage.isolated_call.deadline = 0.02
    sink = Sink(stage)
    sink.deliver([metric(1)])
    await sink.drained()
    await stage.isolated_call.idle()
    assert cancelled.is_set()
    assert await sink.finish() == [1]
    await ended(threads)


class Holding(Processor):
    """Keeps all until it is stopped."""

    def setup(self) -> None:
        self.held: list[Metric] = []

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        self.held += metrics
        return []

    async def stop(self) -> list[Metric]:
        return self.held


def holding() -> IsolatedProcessor:
    return IsolatedProcessor(ProcessorPlan(plugin=Holding, **COMMON), Holding(NoOptions(), LOG), log=LOG)


@virtual
async def test_what_a_processor_still_holds_goes_on_through_those_behind_it() -> None:
    sink = Sink(waiting(times_ten), holding(), computing(lambda metrics: changed(metrics, lambda number: number + 1)))
    sink.deliver([metric(1), metric(2)])
    await sink.drained()
    assert sink.numbers == []
    assert await sink.finish() == [11, 21]


@virtual
async def test_what_a_processor_behind_the_aggregators_still_holds_goes_on() -> None:
    sink = Sink()
    later = computing(lambda metrics: changed(metrics, lambda number: number + 1))
    sink.replace(ProcessorChain((), (), (holding(), later)))
    sink.deliver_aggregated([metric(1)])
    await sink.drained()
    assert await sink.finish() == [2]
