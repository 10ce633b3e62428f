"""What external plugins give, whatever it is like: nothing of theirs goes on but plain values, and nothing that it raises
gets out of their threads as it is."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from plans import LOG, Collected, input_plan, numbered, output_plan

from pyagent.api import (
    Accumulator,
    Batch,
    ConfigError,
    Field,
    Input,
    LineOptions,
    Measurement,
    Metric,
    MetricType,
    NoOptions,
    NotConnected,
    Output,
    PartialWrite,
    PyagentError,
    QueueFull,
    Reject,
    Retry,
    TooLarge,
)
from pyagent.api.foreign import describe, given_up
from pyagent.lineprotocol import encode
from pyagent.pipeline.failures import PluginFailure, as_own_error
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.pipeline.schedule import SystemClock
from pyagent.pipeline.traits import input_traits, output_traits

pytestmark = pytest.mark.leaves_threads(reason="its plugins hang, or are not stopped")


def leave(*_: object) -> Any:
    raise SystemExit("on purpose")


class Text(str):
    """Ends the program by whatever is asked of it."""

    __slots__ = ()
    __hash__ = __eq__ = __lt__ = encode = lower = split = startswith = __getitem__ = __iter__ = leave  # type: ignore[assignment]


class Whole(int):
    __lt__ = __add__ = __hash__ = __format__ = __repr__ = __str__ = leave


class Real(float):
    __repr__ = __str__ = __format__ = __hash__ = leave


class Moment(datetime):
    @property
    def microsecond(self) -> Any:
        return Whole(5)


class Bytes(bytes):
    decode = leave


def plain(metric: Metric) -> bool:
    texts = [metric.name, *metric.tags, *metric.tags.values(), *metric.fields]
    values = [*metric.fields.values(), metric.time]
    return (
        type(metric) is Metric
        and {type(metric.tags), type(metric.fields)} == {dict}
        and {type(text) for text in texts} == {str}
        and {type(value) for value in values} <= {str, int, float, bool}
        and type(metric.kind) is MetricType
    )


def test_what_is_added_is_plain() -> None:
    acc = InputAccumulator(foreign=True)
    values = {"t": Text("x"), "i": Whole(1), "f": Real(1.5), "b": Bytes(b"y")}
    acc.add(Text("m"), values, {"a": Text("b")}, Moment(2026, 1, 1, tzinfo=UTC), MetricType(1))
    acc.add("m", {"v": 1}, None, Whole(5), 2)  # type: ignore[arg-type]
    metrics = acc.drain()
    assert [metric.fields for metric in metrics] == [{"t": "x", "i": 1, "f": 1.5, "b": "y"}, {"v": 1}]
    assert all(map(plain, metrics))
    assert encode(metrics).count == 2


def hostile_metric() -> Metric:
    metric = Metric(Text("m"), {"a": Text("b")}, {"t": Text("x"), "f": Real(2.5)}, Whole(7))
    metric.kind = 3  # type: ignore[assignment]
    return metric


def test_metrics_that_are_handed_over_are_copied_and_plain() -> None:
    acc = InputAccumulator(foreign=True)
    given = hostile_metric()
    acc.add_metrics([given, "no metric", Metric("m", {}, {"v": object()}, 0)])  # type: ignore[list-item]
    given.fields["late"] = given.tags["late"] = "x"
    [metric] = acc.drain()
    assert plain(metric)
    assert metric == Metric("m", {"a": "b"}, {"t": "x", "f": 2.5}, 7, MetricType.SUMMARY)
    assert acc.dropped == {"unusable metric": 2}


async def test_what_is_delivered_is_plain_before_anybody_else_sees_it() -> None:
    seen: list[Sequence[Metric]] = []

    class Door:
        async def deliver(self, metrics: Sequence[Metric]) -> None:
            seen.append(metrics)

        async def ingest(self, *given: object) -> None:
            seen.append(given)  # type: ignore[arg-type]

    acc = InputAccumulator(foreign=True, ingest_port=Door())  # type: ignore[arg-type]

    def endless() -> Iterator[Metric]:
        yield hostile_metric()
        raise KeyError("x")

    await acc.deliver([hostile_metric()])
    with pytest.raises(KeyError):
        await acc.deliver(endless())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="deliver was given a str in place of a metric"):
        await acc.deliver("x")  # type: ignore[arg-type]
    await acc.ingest(Bytes(b"m v=1"), precision=Text("s"), tags={"k": Text("v")}, all_or_nothing=1)  # type: ignore[arg-type]
    [[metric], ingested] = seen
    assert plain(metric)
    assert ingested == ([b"m v=1"], None, "s", {"k": "v"}, True, None)
    assert [type(one) for one in ingested] == [list, type(None), str, dict, bool, type(None)]
    assert type(ingested[0][0]) is bytes  # type: ignore[index]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit("on purpose")


class Strange(Retry):
    @property
    def after(self) -> Any:
        raise SystemExit("on purpose")

    @after.setter
    def after(self, value: object) -> None: ...


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (KeyError("x"), PluginFailure, "KeyError: 'x' (test_foreign.py:{line})"),
        (SystemExit(3), PluginFailure, "SystemExit: 3 (test_foreign.py:{line})"),
        (TimeoutError(), PluginFailure, "TimeoutError (test_foreign.py:{line})"),
        (Unspeakable(), PluginFailure, "Unspeakable: (it cannot be shown) (test_foreign.py:{line})"),
        (PyagentError("cannot do it:\n it rains"), PluginFailure, "cannot do it: it rains"),
        (asyncio.CancelledError(), PluginFailure, "CancelledError (test_foreign.py:{line})"),
        (Retry("later", 5, needs_operator=True), Retry, "later"),
        (Retry(Text("later"), float("nan")), Retry, "later"),
        (Strange("later"), PluginFailure, "later"),
        (Reject("no", (1, 2)), Reject, "no"),
        (PartialWrite("some", 3, (1, 2)), PartialWrite, "some"),
        (NotConnected("gone", 5, needs_operator=True), NotConnected, "gone"),
        (TooLarge("big"), TooLarge, "big"),
        (QueueFull("full"), QueueFull, "full"),
        (ConfigError("wrong", option=Text("o")), ConfigError, "wrong"),
    ],
)
def test_what_is_raised_is_told_in_plain_words_with_its_place(
    error: BaseException, kind: type[Exception], text: str
) -> None:
    caught = raised(error)
    assert caught.__traceback__ is not None
    result = as_own_error(caught, (__file__,))
    assert type(result) is kind
    assert str(result) == text.format(line=caught.__traceback__.tb_lineno)
    assert result.__traceback__ is None, "nothing of the plugin's frames is kept alive"
    if isinstance(result, Retry):
        assert (result.after, result.needs_operator) in [(5.0, True), (None, False)]
    if isinstance(result, Reject):
        assert (result.indices, result.rest_stored) == ((1, 2), isinstance(result, PartialWrite))
    if isinstance(result, PartialWrite):
        assert (result.rejected, result.suspects) == (3, (1, 2))


def test_the_place_is_the_last_line_of_the_plugins_own_code() -> None:
    import json

    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    error = caught.value
    assert error.__traceback__ is not None
    assert describe(error, (__file__,)).endswith(f"(test_foreign.py:{error.__traceback__.tb_lineno})")
    assert describe(error, (json.__file__.removesuffix("__init__.py"),)).partition(" (decoder.py:")[1]
    assert describe(error) == f"JSONDecodeError: {error}"


class Bench:
    """An external input whose `gather` is given."""

    def __init__(self, gather: Callable[..., Any]) -> None:
        kind = type("Outside", (Input,), {"gather": gather})
        self.fanout = Collected()
        self.runner = RunningInput(
            input_plan(kind, origin="file"),
            kind(NoOptions(), LOG),
            global_tags={},
            sink=self.fanout,
            clock=SystemClock(),
            log=LOG,
        )

    async def gather(self) -> str:
        await self.runner.gather_once()
        return self.runner.failures.current


async def returns_later(self: Input, acc: Accumulator) -> Any:
    return {"v": 1}


def generates(self: Input, acc: Accumulator) -> Any:
    acc.add("m", {"v": 1})
    yield


async def generates_later(self: Input, acc: Accumulator) -> Any:
    yield


@pytest.mark.parametrize(
    ("gather", "problem"),
    [
        (lambda self, acc: [1], "gather returned a list, which is not used; add metrics by acc.add("),
        (lambda self, acc: iter({}), "gather returned a dict_keyiterator, which is not used; add"),
        (returns_later, "gather returned a dict, which is not used; add"),
        (
            generates,
            "gather returned a generator, which is not used, and as it has a `yield`, nothing of it has run; add",
        ),
        (
            generates_later,
            "gather returned a async_generator, which is not used, and as it has a `yield`, nothing of it",
        ),
    ],
)
async def test_a_gather_that_returns_what_it_should_add_is_told(gather: Callable[..., Any], problem: str) -> None:
    assert (await Bench(gather).gather()).startswith(f"cannot gather: {problem}")


async def test_one_that_adds_and_returns_something_is_told_and_has_not_failed(caplog: pytest.LogCaptureFixture) -> None:
    def both(self: Input, acc: Accumulator) -> bool:
        acc.add("m", {"v": 1})
        return True

    bench = Bench(both)
    for _ in range(2):
        assert await bench.gather() == ""
    assert caplog.messages == [
        "gather returned a bool, which is not used; add metrics by acc.add(measurement, fields, tags)"
    ]
    assert len(bench.fanout.metrics) == 2


@pytest.mark.parametrize("builtin", [True, False])
async def test_a_failure_names_its_line(builtin: bool) -> None:
    async def gather(self: Input, acc: Accumulator) -> None:
        raise KeyError("x")

    bench = Bench(gather)
    kind = type(bench.runner.plugin)
    plan = input_plan(kind, origin="builtin" if builtin else "file")
    runner = RunningInput(plan, bench.runner.plugin, global_tags={}, sink=bench.fanout, clock=SystemClock(), log=LOG)
    await runner.gather_once()
    line = gather.__code__.co_firstlineno + 1
    assert runner.failures.current == f"cannot gather: KeyError: 'x' (test_foreign.py:{line})"


async def test_a_property_that_raises_does_so_where_it_may() -> None:
    class Property(Input):
        calls = 0

        @property
        def gather(self) -> Any:  # type: ignore[override]
            Property.calls += 1
            if Property.calls > 1:
                raise SystemExit("on purpose")
            return lambda acc: None

    plugin = Property(NoOptions(), LOG)
    plan = input_plan(Property, origin="file")
    runner = RunningInput(
        plan,
        plugin,
        global_tags={},
        sink=Collected(),
        clock=SystemClock(),
        log=LOG,
        traits=input_traits(plan, plugin),
    )
    await runner.gather_once()
    assert runner.failures.current.startswith("cannot gather: SystemExit: on purpose (test_foreign.py:")


class Options(LineOptions):
    def __hash__(self) -> int:
        raise SystemExit("on purpose")


class Sorting(Output):
    def line_options(self) -> LineOptions:
        return Options(sort_fields=5, max_line_bytes=Whole(7))  # type: ignore[arg-type]

    def write(self, batch: Batch) -> None:
        raise Unspeakable

    @property
    def close(self) -> Any:  # type: ignore[override]
        raise SystemExit("on purpose")

    @property
    def connect(self) -> Any:  # type: ignore[override]
        return asyncio.sleep


async def test_an_output_is_asked_once_and_what_it_says_is_plain(caplog: pytest.LogCaptureFixture) -> None:
    plugin = Sorting(NoOptions(), LOG)
    plan = output_plan(Sorting, origin="file")
    traits = output_traits(plan, plugin)
    wanted = traits.queue_format
    assert type(wanted) is LineOptions
    assert (wanted.sort_fields, type(wanted.max_line_bytes)) == (True, int)
    runner = RunningOutput(plan, plugin, log=LOG, traits=traits)
    runner.enqueue_block(numbered(0, 1))
    await runner.stop(1)
    assert "sleep() missing 1 required positional argument" in runner.error
    assert any("cannot close: SystemExit: on purpose" in message for message in caplog.messages)


def test_declared_measurements_are_plain() -> None:
    class Declaring(Input):
        measurements = (Measurement(Text("m"), fields={"v": Field("int")}),)

        def gather(self, acc: Accumulator) -> None: ...

    traits = input_traits(input_plan(Declaring, origin="file"), Declaring(NoOptions(), LOG))
    [measurement] = traits.measurements
    assert (type(measurement.name), [type(name) for name in measurement.fields]) == (str, [str])


async def test_a_thread_that_was_given_up_is_known_until_it_ends() -> None:
    entered, go = threading.Event(), threading.Event()

    def hang(self: Input, acc: Accumulator) -> None:
        entered.set()
        go.wait()

    bench = Bench(hang)
    task = asyncio.create_task(bench.gather())
    await asyncio.to_thread(entered.wait)
    await bench.runner.stop(grace=0.01)

    def works() -> bool:
        return "inputs.test" in [what for what, _ in given_up()]

    assert works()
    go.set()
    async with asyncio.timeout(30):
        while works():  # a thread ends without telling anybody
            await asyncio.sleep(0.001)
    await asyncio.wait([task])


def test_a_traceback_is_made_where_the_plugin_runs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="pyagent"):
        result = as_own_error(raised(KeyError("x")), ())
    assert "Traceback" in result.__notes__[0]
