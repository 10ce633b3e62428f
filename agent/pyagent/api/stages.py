"""What may stand between inputs and outputs: processors, which change metrics, and aggregators, which sum them up."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any

from pyagent.api.accumulator import Accumulator
from pyagent.api.metric import Metric
from pyagent.api.parser import Parser
from pyagent.api.plugin import O_co, Plugin
from pyagent.api.serializer import Serializer

__all__ = ["Aggregator", "Processor"]


class Processor(Plugin[O_co]):
    """Changes metrics on their way. There are two of each where aggregators are used: one before them, one after.

    `process` is a plain `def` that computes, and waits for nothing: what it is given are metrics on their way. One that has to
    wait, as for what it asks a server, is `async def`. The engine keeps the order of metrics, and waits a few seconds for a
    call: one that takes longer is cancelled, and its metrics go on as they were. An external one runs in a thread of its own,
    and while a call that cannot be cancelled goes on there, metrics go on unprocessed.
    """

    max_in_flight: int = 1
    """Calls of an `async def process` at once, which are about different metrics; `setup` may set it. With more than 1 the
    answers may come in any order: metrics go on in theirs."""

    def __init__(
        self,
        options: O_co,
        log: logging.Logger,
        new_parser: Callable[[], Parser[Any]] | None = None,
        new_serializer: Callable[[], Serializer[Any]] | None = None,
    ) -> None:
        self._new_parser = new_parser
        self._new_serializer = new_serializer
        super().__init__(options, log)
        # Wrong options of the formats are told at the start.
        if new_parser is not None:
            self.parser  # noqa: B018
        if new_serializer is not None:
            self.serializer  # noqa: B018

    @cached_property
    def parser(self) -> Parser[Any]:
        """The parser of the `data_format`, for processors whose options are `ParserOptions`. It is made at the start, and
        raises ConfigError for options that it cannot work with."""
        if self._new_parser is None:
            raise RuntimeError("there is no parser: the options must inherit from ParserOptions")
        return self._new_parser()

    @cached_property
    def serializer(self) -> Serializer[Any]:
        """The same, for processors whose options are `SerializerOptions`."""
        if self._new_serializer is None:
            raise RuntimeError("there is no serializer: the options must inherit from SerializerOptions")
        return self._new_serializer()

    def process(self, metrics: list[Metric]) -> list[Metric] | Awaitable[list[Metric]]:
        """What becomes of these metrics. They belong to the processor: it may change and return them."""
        raise NotImplementedError("the plugin defines no process(self, metrics)")

    def save_state(self) -> bytes:
        """What the next run of the agent is to begin with; empty is nothing. Called when the agent stops, of plugins that come
        with it."""
        return b""

    def load_state(self, state: bytes) -> None:
        """Take what `save_state` gave in the run before, of the same options; it may be cut off or damaged."""

    async def stop(self) -> list[Metric] | None:
        """Give back connections. Called once, after the last `process`, where that is `async` or the plugin an external one;
        must be safe without any. What a plugin that comes with the agent returns here is what it still held: it goes on."""


class Aggregator(Plugin[O_co]):
    """Sums up what passes by, and hands over the sum at the end of each period. An external one runs in a thread of its
    own, one call after the other."""

    keeps_times: bool = False
    """The times of what it pushes are those of metrics that it was given: they are not rounded to `precision`."""

    def add(self, metrics: Sequence[Metric]) -> None:
        """Take these into account. They belong to others: never change or keep them."""
        raise NotImplementedError("the plugin defines no add(self, metrics)")

    def push(self, acc: Accumulator) -> None:
        """Hand over the period's result."""
        raise NotImplementedError("the plugin defines no push(self, acc)")

    def reset(self) -> None:
        """Begin a new period."""
        raise NotImplementedError("the plugin defines no reset(self)")
