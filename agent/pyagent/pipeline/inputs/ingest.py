"""Where what a service input receives comes in: it may be acknowledged only when it is safe."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pyagent.api import Ingested, Metric, ParseError, Parser
from pyagent.api.errors import TooMuch
from pyagent.api.line_options import PrecisionName
from pyagent.config import InputPlan
from pyagent.lineprotocol import parse
from pyagent.pipeline.failures import as_own_error, reason_of
from pyagent.pipeline.modifiers import Modifiers
from pyagent.pipeline.offload import in_slices, most_metrics
from pyagent.pipeline.ports import Sink
from pyagent.pipeline.schedule import Clock
from pyagent.pipeline.traits import plugin_files

if TYPE_CHECKING:
    from pyagent.pipeline.isolation import IsolatedCall

__all__ = ["AckedIngest", "is_builtin", "reads_lines"]

T = TypeVar("T")
Adjust = Callable[[int, list[Metric]], list[Metric]]

_BUILTIN = "pyagent_plugins."
_WAITS = 1 << 62
_EFFORT = 8
"""How many times as long a byte of other formats takes as one of line protocol, about."""
_MOST_METRICS = 1_000_000
"""Of one piece of data that an external parser reads; more is no list."""
_SHORTEST = 6
"""Bytes of the shortest line of line protocol, with its LF."""
_SET_BACK = 1_000_000_000
"""Nanoseconds; what was received never runs so far ahead of the clock."""
_TEXT = 200
"""Characters of a text at fault that are kept."""


class AckedIngest:
    """`acc.deliver` and `acc.ingest` of one input, from whatever loop the plugin runs on. `accepted` counts."""

    def __init__(
        self, plan: InputPlan, modifiers: Modifiers, sink: Sink, clock: Clock, accepted: Callable[[int], None]
    ) -> None:
        self._plan = plan
        self._precision = int(plan.service_precision)
        self._modifiers = modifiers
        self._sink = sink
        self._clock = clock
        self._accepted = accepted
        self._next_time = 0
        self._loop = asyncio.get_running_loop()
        self._isolated_call: IsolatedCall | None = None
        """The thread of an external parser."""
        self._queued = 0
        self._all_safe = asyncio.Event()
        self._all_safe.set()

    @property
    def under_way(self) -> bool:
        """Something is given to the queues, and not yet as safe as is configured: the plugin does not know that it is taken."""
        return self._queued > 0

    async def settled(self) -> None:
        """Return when nothing is under way."""
        await self._all_safe.wait()

    def close(self) -> None:
        """Wait no longer for an external parser."""
        if self._isolated_call is not None:
            self._isolated_call.abandon_calls()
            self._isolated_call.abandon()

    async def deliver(self, metrics: Sequence[Metric]) -> None:
        """Raises QueueFull."""
        await self._on_main(lambda: self._admit(list(metrics)))

    async def ingest(
        self,
        pieces: Sequence[bytes],
        parser: Parser[Any] | None,
        precision: PrecisionName,
        tags: Mapping[str, str] | None,
        all_or_nothing: bool,
        adjust: Adjust | None = None,
    ) -> Ingested:
        """Raises QueueFull and TooMuch."""
        if parser is not None:
            if (
                adjust is not None
                or not reads_lines(parser)
                or (len(pieces) > 1 and any(b'"' in piece for piece in pieces))
            ):
                # The last: a string that does not end would swallow a part of the next piece.
                return await self._parse(parser, pieces, tags or {}, all_or_nothing, adjust)
            precision = parser.line_precision or "ns"
        data = pieces[0] if len(pieces) == 1 else b"\n".join(pieces)
        return await self._on_main(lambda: self._ingest(data, precision, tags or {}, all_or_nothing))

    async def _ingest(
        self, data: bytes, precision: PrecisionName, tags: Mapping[str, str], all_or_nothing: bool
    ) -> Ingested:
        if self._modifiers.relayable and self._sink.relayable:
            with self._queueing():
                result = await self._sink.relay_pinned(
                    data,
                    self._time_for(data),
                    precision,
                    tags={**self._modifiers.tags, **tags},
                    round_to=self._precision or 1,
                    all_or_nothing=all_or_nothing,
                )
            self._accepted(result.accepted)
            return result
        now, most = self._time_for(data), most_metrics(len(data))
        parsed = await self._sink.run_aside(len(data), lambda: parse(data, now, precision, apart=True, most=most))
        errors, texts = tuple(map(str, parsed.errors)), tuple(error.text for error in parsed.errors)
        if errors and all_or_nothing:
            return Ingested(0, errors, parsed.bad, texts)
        return Ingested(await self._admit(parsed.metrics, tags), errors, parsed.bad, texts)

    def _time_for(self, data: bytes) -> int:
        """The time of the first line in `data` that has none. Each further one is 1 ns later; none gets one that a line of
        the data before may have, unless the clock was set back."""
        now = self._clock.now()
        first = max(now, self._next_time) if self._next_time - now < _SET_BACK else now
        self._next_time = first + len(data) // _SHORTEST + 1
        return first

    async def _parse(
        self,
        parser: Parser[Any],
        pieces: Sequence[bytes],
        tags: Mapping[str, str],
        all_or_nothing: bool,
        adjust: Adjust | None,
    ) -> Ingested:
        """The same for other formats. An external parser has a thread of its own, and a deadline."""
        builtin = is_builtin(parser)
        work = partial(_parse_all, parser, pieces, adjust, None if builtin else plugin_files(self._plan))
        if asyncio.get_running_loop() is not self._loop:
            parsed = work()  # in the plugin's own place: nobody else waits
        else:
            self._sink.check_room()
            if builtin:
                effort = _WAITS if parser.may_wait else _EFFORT * sum(map(len, pieces))
                parsed = await self._sink.run_aside(effort, work)
            else:
                parsed = await self._apart(work, len(pieces))
        for metric in parsed.metrics if parser.stamps_received else ():
            metric.time = self._clock.now()
        errors, texts = tuple(parsed.errors), tuple(parsed.texts)
        if errors and all_or_nothing:
            return Ingested(0, errors, parsed.bad, texts)
        taken = await self._on_main(lambda: self._admit(parsed.metrics, tags))
        return Ingested(taken, errors, parsed.bad, texts)

    async def _apart(self, work: "Callable[[], _Parsed]", count: int) -> "_Parsed":
        from pyagent.pipeline.isolation import Busy, CallTimedOut, IsolatedCall

        if self._isolated_call is None:
            self._isolated_call = IsolatedCall(f"{self._plan.label} parser", plugin_files(self._plan))
        try:
            return await self._isolated_call.call(work)
        except Busy:
            reason = "the parser has not ended a call that timed out"
        except CallTimedOut as error:
            reason = f"the parser timed out: {error}"
        parsed = _Parsed()
        parsed.errors, parsed.texts, parsed.bad = [reason] * count, [""] * count, count
        return parsed

    async def _admit(self, metrics: list[Metric], tags: Mapping[str, str] | None = None) -> int:
        def taken_in(some: list[Metric]) -> list[Metric]:
            for metric in some if tags else ():
                metric.tags = {**(tags or {}), **metric.tags}
            return self._modifiers(some, self._precision)

        count = len(metrics)
        if chosen := await in_slices(metrics, taken_in):
            with self._queueing():
                await self._sink.deliver_pinned(chosen)
        self._accepted(count)
        return count

    @contextmanager
    def _queueing(self) -> Iterator[None]:
        self._queued += 1
        self._all_safe.clear()
        try:
            yield
        finally:
            self._queued -= 1
            if not self._queued:
                self._all_safe.set()

    async def _on_main(self, work: Callable[[], Coroutine[None, None, T]]) -> T:
        if asyncio.get_running_loop() is self._loop:
            return await work()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))


def is_builtin(parser: Parser[Any]) -> bool:
    return type(parser).__module__.startswith(_BUILTIN)


def reads_lines(parser: Parser[Any]) -> bool:
    """Whether the engine may read the data in its place."""
    return is_builtin(parser) and bool(parser.line_precision) and not (parser.default_tags or parser.stamps_received)


class _Parsed:
    def __init__(self) -> None:
        self.bad = 0
        self.metrics: list[Metric] = []
        self.errors: list[str] = []
        self.texts: list[str] = []

    def add(self, error: str, piece: bytes) -> None:
        self.bad += 1
        self.errors.append(error)
        self.texts.append(bytes(piece[:_TEXT]).decode("utf-8", "replace"))


def _parse_all(
    parser: Parser[Any], pieces: Sequence[bytes], adjust: Adjust | None, files: tuple[str, ...] | None
) -> _Parsed:
    """`files`: the code of an external parser, of which nothing but plain values goes on; None for one of the engine's."""
    parsed = _Parsed()
    for index, piece in enumerate(pieces):
        try:
            metrics = _parse_lines(parser, piece, parsed) if files is None else parser.parse(piece)
            if adjust is not None:
                metrics = adjust(index, metrics)
            if files is None:
                parsed.metrics += [metric for metric in metrics if metric.fields]
            else:
                from pyagent.pipeline.isolation import usable

                parsed.metrics += usable(metrics, _MOST_METRICS, "parse")
        except (ParseError, TooMuch) as error:
            parsed.add(reason_of(error), piece)
        except Exception as error:
            # Of a parser of the engine's it is a mistake, which costs this piece and no others.
            parsed.add(f"BUG: {error!r:.200}" if files is None else reason_of(as_own_error(error, files)), piece)
    return parsed


def _parse_lines(parser: Parser[Any], piece: bytes, parsed: _Parsed) -> list[Metric]:
    """What a parser of the engine's makes of a piece; of line protocol, all its good lines."""
    if parser.line_precision is None:
        return parser.parse(piece)
    found = parser.parse_lines(piece, parser.line_precision)
    for metric in found.metrics if parser.default_tags else ():
        metric.tags = {**parser.default_tags, **metric.tags}
    parsed.bad += found.bad
    parsed.errors += map(str, found.errors)
    parsed.texts += [error.text[:_TEXT] for error in found.errors]
    return found.metrics
