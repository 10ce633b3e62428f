"""Calls of a plugin that others must not have to wait for, as it waits itself or is external: a place of its own, a deadline,
and copies of metrics.

What a plugin is given are copies, and what it returns is looked at and copied, so that nothing it does later, or only half,
changes what goes on. One limit is left: code that keeps the interpreter's lock for itself (an extension in C) stops everybody.
"""

import asyncio
import contextlib
import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from pyagent.api import Metric, MetricType, PyagentError, field_value, timestamp_ns
from pyagent.api.foreign import message_of, plain_text
from pyagent.config.isolation import Isolation
from pyagent.pipeline.executors import executor_for

__all__ = [
    "Busy",
    "CallTimedOut",
    "IsolatedCall",
    "Unusable",
    "copies",
    "no_exit",
    "plain_call",
    "usable",
    "usable_metric",
]

T = TypeVar("T")

DEADLINE = 5.0
"""Seconds for one call."""


class Busy(Exception):
    """A call that was given up is still under way: there is nobody to take another one."""


class Unusable(PyagentError, TypeError):
    """What a plugin returned or added is not what the engine can use."""


class CallTimedOut(Exception):
    """The call did not end in time."""


class IsolatedCall:
    """The calls of one plugin: `most` at once, and none is waited for longer than `deadline` seconds.

    One that is given up is cancelled where it can be, and holds its place until it ends.
    """

    def __init__(
        self,
        name: str,
        files: tuple[str, ...] | None = (),
        *,
        isolation: Isolation = "thread",
        most: int = 1,
    ) -> None:
        """`files`: the plugin's code; None for one of the engine's own."""
        self.deadline = DEADLINE
        self._executor = executor_for(isolation, name=name, files=files)
        self._most = most
        self._turn = asyncio.Semaphore(most)
        self._calls: set[asyncio.Task[None]] = set()
        self._waiting: set[_Waiting] = set()
        self._abandoned = False
        self.last_given_up = -math.inf
        """When one was last given up, on the loop's clock."""

    async def call(self, function: Callable[[], T]) -> T:
        """What `function`, a plain one, returns. Raises what it raises, CallTimedOut, or at once Busy."""
        results: list[T] = []
        await self._call(lambda: results.append(function()), None)
        return results[0]

    async def await_call(self, function: Callable[[], Awaitable[T]]) -> T:
        """The same for one that is awaited, where the isolation is not "thread"."""
        results: list[T] = []
        work = _Cancellable()

        async def run() -> None:
            results.append(await work.run(function))

        await self._call(run, work.cancel)
        return results[0]

    async def _call(self, function: Callable[[], Awaitable[None] | None], cancel: Callable[[], None] | None) -> None:
        async with self._turn:
            if self._abandoned or sum(not call.done() for call in self._calls) >= self._most:
                raise Busy
            call = asyncio.create_task(self._executor.call(function))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            call.add_done_callback(_seen)
            waiting = _Waiting(call)
            self._waiting.add(waiting)
            try:
                await waiting.wait(self.deadline)
            except CallTimedOut:
                self.last_given_up = asyncio.get_running_loop().time()
                raise
            finally:
                self._waiting.discard(waiting)
                if not call.done() and cancel is not None:
                    cancel()

    async def idle(self) -> None:
        """Return when no call is under way any more, not even one that was given up."""
        while self._calls:
            await asyncio.wait(self._calls)

    def give_up(self, reason: str) -> None:
        """Wait no longer for the calls under way."""
        for waiting in self._waiting:
            waiting.give_up(reason)

    def abandon_calls(self) -> None:
        """Where a call is under way, wait for it no longer, and for no other."""
        if self._waiting:
            self.give_up("the agent does not wait for it any more")
            self.abandon()

    def abandon(self) -> None:
        """Take no further calls; what runs is forgotten."""
        if not self._abandoned:
            self._abandoned = True
            self._executor.abandon()


class _Waiting:
    """One who waits for a call."""

    def __init__(self, call: asyncio.Task[None]) -> None:
        self._call = call
        self._given_up: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def wait(self, deadline: float) -> None:
        """Raises what the call raises, or CallTimedOut."""
        await asyncio.wait((self._call, self._given_up), timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
        if not self._call.done():
            raise CallTimedOut(
                self._given_up.result() if self._given_up.done() else f"it did not end within {deadline:g} s"
            )
        self._call.result()

    def give_up(self, reason: str) -> None:
        if not self._given_up.done():
            self._given_up.set_result(reason)


class _Cancellable:
    """A call on whatever loop it runs, that may be cancelled from the main loop."""

    def __init__(self) -> None:
        self._cancelled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self, function: Callable[[], Awaitable[T]]) -> T:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            if self._cancelled:
                raise asyncio.CancelledError
            return await function()
        except (asyncio.CancelledError, SystemExit, KeyboardInterrupt) as error:
            if self._cancelled:
                raise
            # Not of the task, but of what the plugin did: here it would end whoever waits, or the loop.
            raise no_exit(error) from error
        finally:
            self._task = None

    def cancel(self) -> None:
        self._cancelled = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # its loop may have ended
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


def no_exit(error: BaseException) -> RuntimeError:
    """For what would end the loop, or whoever waits."""
    return RuntimeError(f"{type(error).__name__} raised: {message_of(error)}")


def _seen(call: asyncio.Task[None]) -> None:
    """Nobody may ask what came of a call that was given up; the loop is not to complain of that."""
    if not call.cancelled():
        call.exception()


def copies(metrics: Sequence[Metric]) -> list[Metric]:
    return [Metric(m.name, dict(m.tags), dict(m.fields), m.time, m.kind) for m in metrics]


def usable(returned: object, most: int, what: str = "process") -> list[Metric]:
    """What `process` (or `what`) returned as metrics of the engine's own, by the rules of `Accumulator.add`; those without
    fields are left out. Raises Unusable for what is of no use: then all of it is."""
    if inspect.iscoroutine(returned):
        returned.close()
        wanted = "write it as `async def`" if what == "process" else "write a plain `def`"
        raise Unusable(f"{what} returned a coroutine; {wanted}")
    if not hasattr(returned, "__iter__"):
        raise Unusable(f"{what} returned {_kind(returned)}, not a list of metrics")
    result: list[Metric] = []
    for count, item in enumerate(returned):
        if count >= most:
            raise Unusable(f"{what} returned more than {most:,} metrics")
        if (metric := usable_metric(item, f"{what} returned")).fields:
            result.append(metric)
    return result


def usable_metric(item: object, what: str) -> Metric:
    """A metric of the engine's own, made of one of a plugin's; nothing of the plugin's is in it. Raises Unusable,
    with a message that begins with `what`."""
    if not isinstance(item, Metric):
        raise Unusable(f"{what} {_kind(item)} in place of a metric")
    name, tags, fields, time, kind = item.name, item.tags, item.fields, item.time, item.kind
    if not isinstance(name, str) or not name:
        raise Unusable(f"{what} a metric whose name is {name!r:.80}")
    if not isinstance(tags, Mapping) or not isinstance(fields, Mapping):
        raise Unusable(f"{what} a metric of {name!r:.80} whose tags or fields are no dict")
    values = {}
    for field, given in fields.items():
        try:
            value = field_value(given)
        except (TypeError, OverflowError) as error:
            raise Unusable(f"{what} the field {field!r:.80} of {name!r:.80}: {error}") from None
        if value is not None:
            values[plain_text(field)] = value
    try:
        when, kind = timestamp_ns(time), MetricType(kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unusable(str(error)) from None
    texts = {plain_text(key): plain_text(value) for key, value in tags.items() if value is not None}
    return Metric(plain_text(name), texts, values, when, kind)


def plain_call(method: Callable[..., object], *arguments: object) -> None:
    returned = method(*arguments)
    if inspect.iscoroutine(returned):
        returned.close()
        raise Unusable(f"{method.__name__} is `async def`; write a plain `def`")


def _kind(item: object) -> str:
    return "None" if item is None else f"a {type(item).__name__}"
