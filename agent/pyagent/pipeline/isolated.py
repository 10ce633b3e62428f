"""Calls of a plugin from outside that others must not have to wait for: a thread, a deadline, and copies of metrics.

What a plugin is given are copies, and what it returns is looked at and copied, so that nothing it does later, or only half,
changes what goes on. One limit is left: code that keeps the interpreter's lock for itself (an extension in C) stops everybody.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pyagent.api import Kind, Metric, field_value, timestamp_ns
from pyagent.pipeline.workers import ThreadWorker

__all__ = ["Bypass", "GivenUp", "Isolated", "copies", "plain_call", "usable"]

T = TypeVar("T")

DEADLINE = 5.0
"""Seconds for one call."""


class Bypass(Exception):
    """A call that was given up is still under way: there is nobody to take another one."""


class GivenUp(Exception):
    """The call did not end in time."""


class Isolated:
    """The thread of one plugin: one call at a time, and none is waited for longer than `deadline` seconds."""

    def __init__(self, name: str) -> None:
        self.deadline = DEADLINE
        self._worker = ThreadWorker(name)
        self._turn = asyncio.Lock()
        self._call: asyncio.Task[None] | None = None
        self._given_up: asyncio.Future[str] | None = None
        self._abandoned = False

    async def call(self, function: Callable[[], T]) -> T:
        """What `function` returns. Raises what it raises, GivenUp, or at once Bypass."""
        async with self._turn:
            if self._abandoned or (self._call is not None and not self._call.done()):
                raise Bypass
            results: list[T] = []
            self._call = asyncio.create_task(self._worker.call(lambda: results.append(function())))
            self._call.add_done_callback(_seen)
            self._given_up = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait(
                    (self._call, self._given_up), timeout=self.deadline, return_when=asyncio.FIRST_COMPLETED
                )
                if not self._call.done():
                    raise GivenUp(
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

    def hurry(self) -> None:
        """Where a call is under way, wait for this one no longer, and for no other."""
        if self._given_up is not None:
            self.give_up("the agent does not wait for it any more")
            self.abandon()

    def abandon(self) -> None:
        """Take no further calls; what runs is forgotten."""
        if not self._abandoned:
            self._abandoned = True
            self._worker.abandon()


def _seen(call: asyncio.Task[None]) -> None:
    """Nobody may ask what came of a call that was given up; the loop is not to complain of that."""
    if not call.cancelled():
        call.exception()


def copies(metrics: Sequence[Metric]) -> list[Metric]:
    return [Metric(m.name, dict(m.tags), dict(m.fields), m.time, m.kind) for m in metrics]


def usable(returned: object, most: int) -> list[Metric]:
    """What `process` returned as metrics of the engine's own, by the rules of `Accumulator.add`; those without fields are
    left out. Raises TypeError and others for what is of no use: then all of it is."""
    if inspect.iscoroutine(returned):
        returned.close()
        raise TypeError("process is `async def`; write a plain `def`")
    if not hasattr(returned, "__iter__"):
        raise TypeError(f"process returned {_kind(returned)}, not a list of metrics")
    result: list[Metric] = []
    for count, item in enumerate(returned):
        if count >= most:
            raise ValueError(f"process returned more than {most:,} metrics")
        if (metric := _usable(item)).fields:
            result.append(metric)
    return result


def _usable(item: object) -> Metric:
    if not isinstance(item, Metric):
        raise TypeError(f"process returned {_kind(item)} in place of a metric")
    if not isinstance(item.name, str) or not item.name:
        raise TypeError(f"process returned a metric whose name is {item.name!r:.80}")
    if not isinstance(item.tags, Mapping) or not isinstance(item.fields, Mapping):
        raise TypeError(f"process returned a metric of {item.name!r:.80} whose tags or fields are no dict")
    fields = {}
    for name, given in item.fields.items():
        try:
            value = field_value(given)
        except (TypeError, OverflowError) as error:
            raise TypeError(f"process returned the field {name!r:.80} of {item.name!r:.80}: {error}") from None
        if value is not None:
            fields[str(name)] = value
    tags = {str(key): str(value) for key, value in item.tags.items() if value is not None}
    return Metric(str(item.name), tags, fields, timestamp_ns(item.time), Kind(item.kind))


def plain_call(method: Callable[..., object], *arguments: object) -> None:
    returned = method(*arguments)
    if inspect.iscoroutine(returned):
        returned.close()
        raise TypeError(f"{method.__name__} is `async def`; write a plain `def`")


def _kind(item: object) -> str:
    return "None" if item is None else f"a {type(item).__name__}"
