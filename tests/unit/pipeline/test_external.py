"""External processors and aggregators: whatever they do, metrics come out, once and in order. Real threads, no sleeps:
what hangs does so until the test lets it go."""

import asyncio
import random
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
from plans import LOG, START, output_plan

from pyagent.api import Accumulator, Aggregator, Batch, Duration, Metric, NoOptions, Output, Processor, QueueFull, Retry
from pyagent.config import AggregatorPlan, FilterOptions, ProcessorPlan
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.pipeline.schedule import SystemClock
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.pipeline.stages.isolated import MOST_PUSHED, IsolatedAggregator, IsolatedProcessor
from pyagent.pipeline.stages.ordered_queue import OrderedQueue, QueueStatistics
from pyagent.pipeline.stages.processors import RunningProcessor
from pyagent_plugins.processors.override import Override, OverrideOptions

pytestmark = pytest.mark.leaves_threads(reason="its plugins hang, or are not stopped")

COMMON: dict[str, Any] = {"name": "own", "options": NoOptions(), "location": "x:1", "identity": "", "origin": "file"}


class Sink(Fanout):
    """A fanout whose end keeps what comes out."""

    def __init__(self, *before: RunningProcessor, **settings: Any) -> None:
        super().__init__(**settings)
        self.metrics: list[Metric] = []
        assert self.replace(ProcessorChain(before)) is None

    def emit(self, metrics: list[Metric]) -> None:
        self.metrics += metrics

    @property
    def numbers(self) -> list[Any]:
        return [metric.fields["n"] for metric in self.metrics]

    async def finish(self) -> list[Any]:
        """End the stages, as a stop or a reload does."""
        finishing = self.replace(ProcessorChain())
        assert finishing is not None
        await finishing
        return self.numbers


def external(process: Callable[[list[Metric]], Any], **settings: Any) -> IsolatedProcessor:
    class Own(Processor):
        def process(self, metrics: list[Metric]) -> list[Metric]:
            return process(metrics)  # type: ignore[no-any-return]  # anything is what is tested

    plan = ProcessorPlan(kind="processors", plugin=Own, **COMMON | settings)
    return IsolatedProcessor(plan, Own(NoOptions(), LOG), log=LOG)


def metric(number: Any, name: str = "m") -> Metric:
    return Metric(name, {}, {"n": number}, START)


def times_ten(metrics: list[Metric]) -> list[Metric]:
    for one in metrics:
        one.fields["n"] = 10 * int(one.fields["n"])
    return metrics


class Gate:
    """A `process` that stands still until it is let go."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self, metrics: list[Metric]) -> list[Metric]:
        self.calls += 1
        self.entered.set()
        self.go.wait()
        return times_ten(metrics)

    async def is_entered(self) -> None:
        await asyncio.to_thread(self.entered.wait)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.go.set()


IMPATIENT, PATIENT = 0.02, 60.0
"""Deadlines for calls that never end, and for those that do."""


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


async def test_metrics_pass_in_their_order_through_own_and_others_processors() -> None:
    threads = set()

    def process(metrics: list[Metric]) -> Iterator[Metric]:
        threads.add(threading.current_thread())
        yield from times_ten(metrics)

    named = ProcessorPlan(kind="processors", plugin=Override, **COMMON | {"origin": "builtin"})
    after = RunningProcessor(named, Override(OverrideOptions(name_suffix="_x"), LOG), log=LOG)
    sink = Sink(external(process, filters=FilterOptions(namedrop=("not",))), after)
    sink.deliver([metric(1), metric(2, "not"), metric(3)])
    sink.deliver([metric(4)])
    assert not sink.relayable
    assert await sink.finish() == [10, 2, 30, 40]
    assert [one.name for one in sink.metrics] == ["m_x", "not_x", "m_x", "m_x"]
    assert len(threads) == 1
    assert threading.main_thread() not in threads
    # With no stage left, and nothing on the way, there is no detour any more.
    sink.deliver([metric(5)])
    assert sink.numbers[-1] == 5
    assert sink.relayable


def fail(metrics: list[Metric]) -> list[Metric]:
    metrics[0].fields.clear()
    raise ZeroDivisionError("on purpose")


def leave(metrics: list[Metric]) -> list[Metric]:
    raise SystemExit(3)


async def coroutine(metrics: list[Metric]) -> list[Metric]:
    return []


def endless(metrics: list[Metric]) -> Iterator[Metric]:
    while True:
        yield metrics[0]


def changed(**settings: Any) -> Callable[[list[Metric]], list[Metric]]:
    def process(metrics: list[Metric]) -> list[Metric]:
        for name, value in settings.items():
            setattr(metrics[1], name, value)
        return metrics

    return process


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (fail, f"cannot process: ZeroDivisionError: on purpose (test_external.py:{fail.__code__.co_firstlineno + 2})"),
        (leave, f"cannot process: SystemExit: 3 (test_external.py:{leave.__code__.co_firstlineno + 1})"),
        (coroutine, "cannot process: process returned a coroutine; write it as `async def`"),
        (endless, "cannot process: process returned more than 10,020 metrics"),
        (lambda metrics: None, "cannot process: process returned None, not a list of metrics"),
        (lambda metrics: 7, "cannot process: process returned a int, not a list of metrics"),
        (lambda metrics: [*metrics, None], "cannot process: process returned None in place of a metric"),
        (lambda metrics: "text", "cannot process: process returned a str in place of a metric"),
        (changed(name=None), "cannot process: process returned a metric whose name is None"),
        (changed(name=""), "cannot process: process returned a metric whose name is ''"),
        (changed(tags=None), "cannot process: process returned a metric of 'm' whose tags or fields are no dict"),
        (changed(fields=[1]), "cannot process: process returned a metric of 'm' whose tags or fields are no dict"),
        (
            changed(fields={"n": object}),
            "cannot process: process returned the field 'n' of 'm': a field cannot hold a value of type type",
        ),
        (
            changed(time=None),
            "cannot process: a metric's time is nanoseconds, seconds as a float, or a datetime, not NoneType",
        ),
    ],
)
async def test_what_fails_lets_everything_pass_as_it_was(
    process: Callable[[list[Metric]], Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = external(process)
    sink = Sink(stage)
    given = [metric(1), metric(2)]
    for _ in range(3):
        sink.deliver(list(given))
    await sink.finish()
    assert sink.metrics == 3 * [metric(1), metric(2)]
    assert messages(caplog) == [message]
    assert (stage.failures.total, stage.bypassed) == (3, 0)


async def test_values_are_made_what_the_wire_can_hold() -> None:
    def process(metrics: list[Metric]) -> tuple[Metric, ...]:
        return (
            Metric("m", {"a": 1, "b": None}, {"n": b"text", "none": None}, 1.5),  # type: ignore[dict-item, arg-type]
            Metric("m", {}, {}, 0),
        )

    sink = Sink(external(process))
    sink.deliver([metric(1)])
    assert await sink.finish() == ["text"]
    assert sink.metrics == [Metric("m", {"a": "1"}, {"n": "text"}, 1_500_000_000)]


async def test_what_it_changes_afterwards_changes_nothing() -> None:
    kept: list[Metric] = []

    def process(metrics: list[Metric]) -> list[Metric]:
        times_ten(kept)
        kept.extend(metrics)
        return metrics

    sink = Sink(external(process))
    sink.deliver([metric(1)])
    sink.deliver([metric(2)])
    assert await sink.finish() == [1, 2]


async def test_one_that_hangs_is_passed_by_until_it_returns(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    stage = external(gate)
    stage.isolated_call.deadline = IMPATIENT
    sink = Sink(stage)
    for number in range(5):
        sink.deliver([metric(number)])
    await gate.is_entered()
    await sink.drained()
    assert sink.numbers == [0, 1, 2, 3, 4]
    assert (gate.calls, stage.bypassed, stage.failures.total) == (1, 5, 1)
    assert messages(caplog) == [
        "cannot process: it did not end within 0.02 s; metrics go on as they are until this call ends"
    ]
    stage.isolated_call.deadline = PATIENT
    gate.go.set()
    await stage.isolated_call.idle()
    sink.deliver([metric(5)])
    # What the call under way at the time returned is not there a second time.
    assert await sink.finish() == [0, 1, 2, 3, 4, 50]
    assert stage.failures.current == ""


async def test_the_main_loop_goes_on_meanwhile(gate: Gate) -> None:
    sink = Sink(external(gate))
    sink.deliver([metric(1)])
    await gate.is_entered()
    await asyncio.sleep(0)
    assert sink.numbers == []
    gate.go.set()
    assert await sink.finish() == [10]


async def test_one_that_is_too_slow_holds_a_bounded_number(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    stage = external(gate)
    sink = Sink(stage, waiting=10)
    sink.deliver([metric(0)])
    await gate.is_entered()
    for number in range(1, 11):
        assert sink.below_high_water() == (number <= 6)
        sink.deliver([metric(number)])
    # The first is inside, it waits for nothing.
    assert sink.statistics() == QueueStatistics(waiting=10, inside=11, limit=10)
    assert sink.numbers == []
    with pytest.raises(QueueFull):
        await sink.deliver_pinned([metric(99)])
    sink.deliver([metric(11)])
    await sink.drained()
    assert sink.statistics() == QueueStatistics(waiting=0, inside=0, limit=10)
    assert sink.numbers == list(range(12))
    assert stage.bypassed == 12
    assert messages(caplog) == [
        "cannot process: it is too slow, more than 10 metrics wait; metrics go on as they are until this call ends"
    ]


class Own(Aggregator):
    """Counts what it is given."""

    def setup(self) -> None:
        self.reset()
        self.threads: set[threading.Thread] = set()

    def add(self, metrics: Sequence[Metric]) -> None:
        self.threads.add(threading.current_thread())
        self.count += len(metrics)

    def push(self, acc: Accumulator) -> None:
        self.threads.add(threading.current_thread())
        if self.count:
            acc.add("sum", {"n": self.count})

    def reset(self) -> None:
        self.count = 0


def aggregator(
    plugin: Aggregator, fanout: Fanout, most_pushed: int = MOST_PUSHED, **settings: Any
) -> IsolatedAggregator:
    window: dict[str, Any] = {"period": Duration("1h"), "delay": Duration("1h"), "precision": Duration("1ns")}
    plan = AggregatorPlan(kind="aggregators", plugin=type(plugin), grace=Duration("100d"), **COMMON | window | settings)
    return IsolatedAggregator(
        plan, plugin, deliver=fanout.deliver_aggregated, clock=SystemClock(), log=LOG, most_pushed=most_pushed
    )


def now(number: int) -> Metric:
    return Metric("m", {}, {"n": number}, SystemClock().now())


async def test_an_aggregator_sums_up_in_its_thread_and_the_last_sum_takes_the_way_of_its_plan() -> None:
    sink, plugin = Sink(), Own(NoOptions(), LOG)
    after = external(times_ten)
    sink.replace(ProcessorChain((), [aggregator(plugin, sink, drop_original=True)], [after]))
    sink.deliver([now(1), now(2)])
    sink.deliver([now(3)])
    assert await sink.finish() == [30]
    assert len(plugin.threads) == 1
    assert threading.main_thread() not in plugin.threads


async def test_what_an_aggregator_has_not_seen_goes_on(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(Own):
        def add(self, metrics: Sequence[Metric]) -> None:
            gate(list(metrics))

    sink = Sink()
    stage = aggregator(Hanging(NoOptions(), LOG), sink, drop_original=True)
    stage.isolated_call.deadline = IMPATIENT
    sink.replace(ProcessorChain((), [stage]))
    sink.deliver([now(1)])
    sink.deliver([now(2)])
    await gate.is_entered()
    assert await sink.finish() == [1, 2]
    assert (stage.bypassed, stage.dropped, gate.calls) == (2, 0, 1)
    assert messages(caplog) == [
        "cannot aggregate: it did not end within 0.02 s; metrics go on without it until this call ends",
        "cannot push: a call before has not ended",
    ]


async def test_a_push_that_hangs_gives_what_it_had_and_the_rest_at_the_next(gate: Gate) -> None:
    class Hanging(Own):
        def push(self, acc: Accumulator) -> None:
            acc.add("sum", {"n": self.count})
            gate([])
            acc.add("more", {"n": self.count})

    sink = Sink()
    stage = aggregator(Hanging(NoOptions(), LOG), sink)
    sink.replace(ProcessorChain((), [stage]))
    sink.deliver([now(1)])
    await sink.drained()
    stage.isolated_call.deadline = IMPATIENT
    await stage.end()
    stage.isolated_call.deadline = PATIENT
    await sink.drained()
    assert [(one.name, one.fields["n"]) for one in sink.metrics[1:]] == [("sum", 1)]
    gate.go.set()
    await stage.isolated_call.idle()
    await sink.finish()
    # It was not reset, as its push had not ended.
    assert [(one.name, one.fields["n"]) for one in sink.metrics[2:]] == [("sum", 1), ("more", 1)]


async def test_a_push_without_end_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    class Endless(Own):
        def push(self, acc: Accumulator) -> None:
            while True:
                acc.add("sum", {"n": 1})

    sink = Sink()
    sink.replace(ProcessorChain((), [aggregator(Endless(NoOptions(), LOG), sink, most_pushed=2000)]))
    assert len(await sink.finish()) == 2001
    assert messages(caplog) == ["cannot push more than 2,000 metrics at once"]


class Receiver(Output):
    down = False

    async def write(self, batch: Batch) -> None:
        if self.down:
            raise Retry("down")


def out(limit: int = 10) -> RunningOutput:
    return RunningOutput(
        output_plan(Receiver, metric_buffer_limit=limit, metric_batch_size=1000), Receiver(NoOptions(), LOG), log=LOG
    )


async def started(work: Awaitable[None]) -> asyncio.Future[None]:
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


async def test_a_listener_is_told_when_the_queue_holds_what_came_out(gate: Gate) -> None:
    output = out()
    fanout = Fanout([output])
    fanout.replace(ProcessorChain([external(gate)]))
    admitted = await started(fanout.deliver_pinned([metric(1)]))
    await gate.is_entered()
    assert (admitted.done(), output.queued) == (False, 0)
    gate.go.set()
    await admitted
    assert (batch := output.queue.next_batch(10)) is not None
    assert batch.payload().startswith(b"m n=10i ")


async def test_a_listener_is_refused_where_the_queue_has_no_room_for_it_and_what_is_before_it(gate: Gate) -> None:
    output = out(limit=4)
    fanout = Fanout([output])
    fanout.replace(ProcessorChain([external(gate)]))
    first = await started(fanout.deliver_pinned([metric(0)]))
    await gate.is_entered()
    second = await started(fanout.deliver_pinned([metric(1), metric(2)]))
    with pytest.raises(QueueFull):
        await fanout.deliver_pinned([metric(3), metric(4), metric(5)])
    gate.go.set()
    await asyncio.gather(first, second)
    assert output.queued == 3


async def test_what_grows_beyond_the_room_is_refused_to_the_listener_alone() -> None:
    output = out(limit=4)
    fanout = Fanout([output])
    fanout.replace(ProcessorChain([external(lambda metrics: 3 * metrics)]))
    await fanout.deliver_pinned([metric(1)])
    with pytest.raises(QueueFull):
        await fanout.deliver_pinned([metric(2)])
    assert output.queued == 3


async def test_a_listener_that_has_gone_is_not_worked_for(gate: Gate) -> None:
    output = out()
    fanout = Fanout([output])
    fanout.replace(ProcessorChain([external(gate)]))
    first, gone = await started(fanout.deliver_pinned([metric(1)])), await started(fanout.deliver_pinned([metric(2)]))
    await gate.is_entered()
    gone.cancel()
    await asyncio.wait([gone])
    gate.go.set()
    await first
    await fanout.drained()
    assert (gate.calls, output.queued) == (1, 1)


async def test_after_a_reload_what_is_inside_comes_out_before_what_follows(gate: Gate) -> None:
    sink = Sink(external(gate))
    sink.deliver([metric(1)])
    await gate.is_entered()
    sink.deliver([metric(2)])
    finishing = sink.replace(ProcessorChain([external(lambda metrics: metrics)]))
    assert finishing is not None
    sink.deliver([metric(3)])
    gate.go.set()
    await finishing
    assert await sink.finish() == [10, 20, 3]


async def test_at_a_stop_nobody_is_waited_for_after_the_grace(gate: Gate) -> None:
    sink = Sink()
    sink.replace(ProcessorChain([external(gate)], [aggregator(Own(NoOptions(), LOG), sink)], [external(gate)]))
    for number in range(3):
        sink.deliver([metric(number)])
    await gate.is_entered()
    finishing = sink.replace(ProcessorChain())
    assert finishing is not None
    task = await started(finishing)
    while not task.done():
        sink.abandon_calls()
        await asyncio.sleep(0)
    assert sink.numbers == [0, 1, 2]


def queued_numbers(output: RunningOutput) -> list[int]:
    batch = output.queue.next_batch(output.queued)
    assert batch is not None
    return [int(number) for number in re.findall(rb"^m n=(\d+)i ", batch.payload(), re.MULTILINE)]


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_reloads_keeps_the_order_and_every_metric(seed: int, gate: Gate) -> None:
    draw = random.Random(seed)

    def rough(metrics: list[Metric]) -> list[Metric]:
        if draw.random() < 0.2:
            raise OSError("on purpose")
        return metrics

    output = out(limit=10_000)
    fanout, tasks, number = Fanout([output]), list[asyncio.Future[Any]](), 0
    kept = external(rough)
    for turn in range(100):
        stages = [stage for stage in (kept, external(rough), external(gate)) if draw.random() < 0.4]
        if (finishing := fanout.replace(ProcessorChain(stages))) is not None:
            tasks.append(asyncio.ensure_future(finishing))
        for _ in range(draw.randrange(5)):
            batch = [metric(number + index) for index in range(draw.randrange(1, 4))]
            number += len(batch)
            if draw.random() < 0.5:
                fanout.deliver(batch)
            else:
                tasks.append(await started(fanout.deliver_pinned(batch)))
        if turn % 10 == 0:
            fanout.abandon_calls()
        await asyncio.sleep(0)
    if (finishing := fanout.replace(ProcessorChain())) is not None:
        tasks.append(asyncio.ensure_future(finishing))
    tasks.append(asyncio.ensure_future(fanout.drained()))
    while not all(task.done() for task in tasks):
        fanout.abandon_calls()
        await asyncio.sleep(0)
    assert all(task.exception() is None for task in tasks)
    assert queued_numbers(output) == list(range(number))


async def test_a_flush_takes_what_is_on_the_way_with_it(gate: Gate) -> None:
    output = out()
    fanout = Fanout([output])
    fanout.replace(ProcessorChain([external(gate)]))
    written = asyncio.Event()
    output.flush_soon = lambda: written.set() if output.queued else None  # type: ignore[method-assign]
    fanout.deliver([metric(1)])
    fanout.flush_soon()
    assert not written.is_set()
    gate.go.set()
    await written.wait()


async def test_a_defect_of_the_engine_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def through(job: Any) -> list[Metric]:
        raise KeyError("a defect")

    way, seen = OrderedQueue(through, limit=10), list[Metric]()
    await way.submit([metric(1)], ProcessorChain(), seen.extend)
    assert seen == [metric(1)]
    assert not way
    assert "BUG" in caplog.text
