"""What a failed gather had read is let go with the gather, and not when the garbage collector finds it."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator

import pytest
from plans import START, Collected, input_plan

from pyagent.api import Accumulator, Input, PyagentError
from pyagent.config.plan import Origin
from pyagent.kit.each import for_each, for_each_in_threads, joined_failures
from pyagent.kit.frames import forget_frames
from pyagent.pipeline.executors import executor_for
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.testing.virtual import VirtualClock

# pytest keeps what is logged, and at the level of debugging that is the traceback.
_LOG = logging.getLogger("pyagent.test.frames")
_LOG.setLevel(logging.INFO)


class _Body(bytearray):
    """An answer that is too large."""


_bodies: list["weakref.ref[_Body]"] = []


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    _bodies.clear()
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def read(fault: bool = False) -> None:
    body = _Body(10)
    _bodies.append(weakref.ref(body))
    try:
        raise ValueError(body)
    except ValueError as error:
        if fault:
            raise
        failure = PyagentError("cannot read: it is too large")  # in a frame of its own traceback
        raise failure from error


def read_plainly() -> None:
    body = _Body(10)
    _bodies.append(weakref.ref(body))
    raise PyagentError(f"cannot read {len(body)} bytes")


def held() -> int:
    assert _bodies
    return sum(body() is not None for body in _bodies)


class _Fails(Input):
    fault = False


class InThread(_Fails):
    def gather(self, acc: Accumulator) -> None:
        read(self.fault)


class InLoop(_Fails):
    async def gather(self, acc: Accumulator) -> None:
        await asyncio.sleep(0)
        read(self.fault)


class ManyInThreads(_Fails):
    def gather(self, acc: Accumulator) -> None:
        for_each_in_threads([self.fault, False, self.fault], read)


class Many(_Fails):
    async def gather(self, acc: Accumulator) -> None:
        async def work(fault: bool) -> None:
            await asyncio.sleep(0)
            read(fault)

        await for_each([self.fault, False, self.fault], work)


class OneAfterTheOther(_Fails):
    def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        for fault in (self.fault, False, self.fault):
            try:
                read(fault)
            except (PyagentError, ValueError) as error:
                failures.append(error)
        raise joined_failures(failures)


@pytest.mark.leaves_threads(reason="the thread of the input is daemonic, and ends after the test")
@pytest.mark.parametrize("fault", [False, True])
@pytest.mark.parametrize(
    ("kind", "origin"),
    [
        (InThread, "builtin"),
        (InThread, "file"),
        (InLoop, "builtin"),
        (InLoop, "file"),
        (ManyInThreads, "builtin"),
        (ManyInThreads, "file"),
        (Many, "builtin"),
        (Many, "file"),
        (OneAfterTheOther, "builtin"),
        (OneAfterTheOther, "file"),
    ],
)
async def test_a_failed_gather_leaves_nothing(kind: type[_Fails], origin: Origin, fault: bool) -> None:
    plan = input_plan(kind, origin=origin)
    plugin = kind(plan.options, _LOG)
    plugin.fault = fault
    runner = RunningInput(plan, plugin, global_tags={}, sink=Collected(), clock=VirtualClock(START), log=_LOG)
    await runner.gather_once()
    assert runner.failures.total == 1
    # What the thread itself still held is gone when it takes the next call.
    await runner._executor.call(_nothing_async if plan.is_async else _nothing)
    runner._executor.abandon()
    assert held() == 0


@pytest.mark.leaves_threads(reason="the thread of the executor is daemonic, and ends after the test")
async def test_an_executor_holds_no_error() -> None:
    executor = executor_for("thread", name="w")
    with pytest.raises(PyagentError) as caught:
        await executor.call(read_plainly)
    assert held() == 1  # as long as somebody has the error
    del caught
    await executor.call(_nothing)
    executor.abandon()
    assert held() == 0


def test_while_others_are_at_work_a_failure_is_its_message() -> None:
    seen: list[int] = []

    def work(number: int) -> None:
        seen.append(held() if _bodies else 0)
        read()

    with pytest.raises(PyagentError, match=r"^cannot read: it is too large$"):
        for_each_in_threads(range(3), work, at_once=1)
    assert seen == [0, 0, 0]


def test_frames_of_causes_and_of_groups_are_forgotten() -> None:
    class Foreign(Exception):
        """With names of its own for what every exception has."""

        __cause__ = property(lambda self: 1 / 0)  # type: ignore[assignment]
        __traceback__ = property(lambda self: 1 / 0)  # type: ignore[assignment]

    errors: list[Exception] = []
    for _ in range(2):
        try:
            read()
        except PyagentError as error:
            errors.append(error)
    errors[0].__context__ = errors[1]
    errors[1].__context__ = errors[0]
    group = ExceptionGroup("two", [*errors, Foreign()])
    assert held() == 2
    assert forget_frames(group) is group
    cause = errors[0].__cause__
    assert cause is not None
    assert cause.__traceback__ is None
    assert errors[0].__traceback__ is None
    cause.args = ()
    other = errors[1].__cause__
    assert other is not None
    other.args = ()
    assert held() == 0


def _nothing() -> None: ...


async def _nothing_async() -> None: ...
