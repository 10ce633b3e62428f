"""Calls of an external plugin that others must not have to wait for: a thread, a deadline, and copies of metrics.

What a plugin is given are copies, and what it returns is looked at and copied, so that nothing it does later, or only half,
changes what goes on. One limit is left: code that keeps the interpreter's lock for itself (an extension in C) stops everybody.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from pyagent.api import Metric, MetricType, PyagentError, field_value, timestamp_ns
from pyagent.api.foreign import plain_text
from pyagent.pipeline.executors import ThreadExecutor
from pyagent.pipeline.failures import told

__all__ = ["Busy", "CallTimedOut", "IsolatedCall", "Unusable", "copies", "plain_call", "usable", "usable_metric"]

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
    """The thread of one plugin: one call at a time, and none is waited for longer than `deadline` seconds."""

    def __init__(self, name: str, files: tuple[str, ...] = ()) -> None:
        """`files`: the plugin's code."""
        self.deadline = DEADLINE
        self._executor = ThreadExecutor(name, partial(told, files=files))
        self._turn = asyncio.Lock()
        self._call: asyncio.Task[None] | None = None
        self._given_up: asyncio.Future[str] | None = None
        self._abandoned = False

    async def call(self, function: Callable[[], T]) -> T:
        """What `function` returns. Raises what it raises, CallTimedOut, or at once Busy."""
        async with self._turn:
            if self._abandoned or (self._call is not None and not self._call.done()):
                raise Busy
            results: list[T] = []
            self._call = asyncio.create_task(self._executor.call(lambda: results.append(function())))
            self._call.add_done_callback(_seen)
            self._given_up = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait(
                    (self._call, self._given_up), timeout=self.deadline, return_when=asyncio.FIRST_COMPLETED
                )
                if not self._call.done():
                    raise CallTimedOut(
                        self._given_up.result()
                        if self._given_up.done()
                        else f"it did not end within {self.deadline:g} s"
                    )
            finally:
                self._given_up = None
            self._call.result()
            return results[0]

    def give_up(self, reason: str) -> None:
        """Wait no longer for the call under way, where there is one."""
        if self._given_up is not None and not self._given_up.done():
            self._given_up.set_result(reason)

    def abandon_calls(self) -> None:
        """Where a call is under way, wait for this one no longer, and for no other."""
        if self._given_up is not None:
            self.give_up("the agent does not wait for it any more")
            self.abandon()

    def abandon(self) -> None:
        """Take no further calls; what runs is forgotten."""
        if not self._abandoned:
            self._abandoned = True
            self._executor.abandon()


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
        raise Unusable(f"{what} is `async def`; write a plain `def`")
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
