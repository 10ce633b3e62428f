import asyncio
import threading
from typing import Annotated, Any

import pytest

from pyagent.api import (
    Accumulator,
    ConfigError,
    Duration,
    Input,
    Measurement,
    Metric,
    Options,
    Secret,
    Uint,
    fields,
    option,
)
from pyagent.testing import assert_declared, gather, lines, make_input, run_input


class ThingOptions(Options, frozen=True):
    name: Annotated[str, option("what to call it")]
    every: Annotated[Duration, option("how often")] = Duration("10s")
    password: Annotated[Secret, option("to get in")] = Secret("")
    numbers: Annotated[list[int], option("a list")] = []


class Thing(Input[ThingOptions]):
    measurements = (
        Measurement(
            "thing", tags={"name": "its name"}, fields=fields("int", "1", count="a") | fields("float", "s", age="b")
        ),
        Measurement("wide", open=True, fields=fields("uint", "1", size="c")),
    )
    stopped = False

    def gather(self, acc: Accumulator) -> None:
        assert threading.current_thread() is not threading.main_thread()
        acc.add("thing", {"count": len(self.options.numbers), "age": 1}, {"name": self.options.name})
        acc.add("wide", {"size": 3, "more": True}, {"any": "thing"}, time=1)

    async def stop(self) -> None:
        Thing.stopped = True


class AsyncThing(Input):
    async def gather(self, acc: Accumulator) -> None:
        await asyncio.sleep(0)
        acc.add("thing", {"value": 1.5})


def test_run_input_makes_gathers_and_stops() -> None:
    Thing.stopped = False
    metrics = run_input(Thing, {"name": "a b", "every": "1m", "numbers": [1, 2]})
    assert lines(metrics) == [r"thing,name=a\ b age=1,count=2i", "wide,any=thing more=true,size=3u"]
    assert Thing.stopped
    assert_declared(Thing, metrics)


def test_an_async_input_runs_too() -> None:
    assert lines(run_input(AsyncThing)) == ["thing value=1.5"]


async def test_make_and_gather_inside_of_a_loop() -> None:
    plugin = make_input(Thing, {"name": "x", "every": 5, "password": "hidden"})
    assert isinstance(plugin, Thing)
    assert plugin.options == ThingOptions(name="x", every=Duration("5s"), password=Secret("hidden"))
    assert plugin.log.name == "test_input_kit"
    assert len(await gather(plugin)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the option 'name' is missing"),
        ({"name": 1}, "the option 'name' must be a string, not an integer"),
        ({"name": "x", "evry": "1m"}, "unknown option 'evry'; did you mean 'every'?"),
        ({"name": "x", "every": "soon"}, "'soon'"),
    ],
)
def test_options_are_checked_as_the_engine_does(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="test_input_kit: ") as raised:
        make_input(Thing, options)
    assert message in str(raised.value)


def test_what_the_engine_would_drop_fails_the_test() -> None:
    class Nonsense(Input):
        def gather(self, acc: Accumulator) -> None:
            acc.add("thing", {"good": 1, "bad": object()})

    with pytest.raises(AssertionError, match="'bad' of 'thing' cannot be used"):
        run_input(Nonsense)


def test_what_the_plugin_raises_comes_out_and_it_is_stopped() -> None:
    class Failing(Thing):
        def gather(self, acc: Accumulator) -> None:
            raise RuntimeError("cannot gather")

    Thing.stopped = False
    with pytest.raises(RuntimeError, match="cannot gather"):
        run_input(Failing, {"name": "x"})
    assert Thing.stopped


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        (Metric("other", {}, {"value": 1}, 0), "the measurement 'other' is unknown"),
        (Metric("thing", {"nam": "x"}, {"count": 1}, 0), "'thing' has an unknown tag 'nam'"),
        (Metric("thing", {}, {"counts": 1}, 0), "'thing' has an unknown field 'counts'"),
        (Metric("thing", {}, {"count": 1.0}, 0), "the field 'count' of 'thing' is float and declared int"),
        (Metric("thing", {}, {"count": Uint(1)}, 0), "the field 'count' of 'thing' is uint and declared int"),
        (Metric("thing", {}, {"count": True}, 0), "the field 'count' of 'thing' is bool and declared int"),
        (Metric("thing", {}, {"age": "1"}, 0), "the field 'age' of 'thing' is str and declared float"),
        (Metric("wide", {}, {"size": 1, "more": 1}, 0), "the field 'size' of 'wide' is int and declared uint"),
    ],
)
def test_assert_declared_tells_what_is_not_declared(metric: Metric, problem: str) -> None:
    good = Metric("thing", {"name": "x"}, {"count": 1, "age": 1.0}, 0)
    with pytest.raises(AssertionError) as raised:
        assert_declared(Thing, [good, metric, metric])
    assert str(raised.value) == f"not as declared: {problem}"


def test_assert_declared_wants_metrics() -> None:
    with pytest.raises(AssertionError, match="there are no metrics"):
        assert_declared(Thing, [])


def test_lines_tell_of_what_cannot_be_encoded() -> None:
    with pytest.raises(AssertionError, match="no serializable fields"):
        lines([Metric("thing", {}, {"value": float("nan")}, 0)])
    assert lines([]) == []
