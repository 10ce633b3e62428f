"""The way from sockets to the outputs' queues for data that nobody waits for an answer to.

What was received waits here until the queues hold it. A full queue is tried again; meanwhile sources are told to wait, so
that a stream is not read further, and what comes by datagrams beyond the bound is dropped.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pyagent.api import Accumulator, Ingested, Metric, Parser, QueueFull
from pyagent.api.errors import TooMuch
from pyagent.kit.framing import is_closed
from pyagent.kit.notices import Notices
from pyagent.kit.shown import quoted

__all__ = ["DirectHandover", "Handover", "Source", "ingest_patiently"]

_AT_ONCE = 256 * 2**10
_MOST_AT_ONCE = 1000
"""Bytes, and pieces of other formats than line protocol, that are queued together."""
_OF_ONE, _OF_ALL = 128 * 2**10, 8 * 2**20
"""Bytes that wait, from one stream and from all, before streams are not read further."""
_OVERHEAD = 100
"""Bytes that each piece takes beside its own."""
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.25
"""Seconds until a full queue is tried again."""


class Source(Protocol):
    """Where pieces come from."""

    held: int
    """Bytes that wait here; kept by the Handover."""
    peer: Any
    """The address of who sent it."""

    def go_on(self) -> None:
        """There is room again, after `Handover.has_room` said that there is none."""


class Handover:
    """Hands pieces of data on, in the order in which they come, a few hundred kilobytes at a time.

    `parser` reads them, each by itself. Pieces that it cannot read are logged, and cost no others.
    """

    def __init__(self, acc: Accumulator, parser: Parser[Any], notices: Notices) -> None:
        self.held = 0
        """Bytes that wait."""
        self._acc = acc
        self._parser = parser
        self._joins = parser.line_precision is not None
        self._notices = notices
        self._waiting: deque[tuple[bytes, Source]] = deque()
        self._stopped: set[Source] = set()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def put(self, piece: bytes, source: Source) -> None:
        """Takes it in any case; ask `has_room` before the next one."""
        size = len(piece) + _OVERHEAD
        source.held += size
        self.held += size
        self._waiting.append((piece, source))
        if self._task is None and not self._closing:
            self._task = asyncio.create_task(self._run())

    def has_room(self, source: Source) -> bool:
        """If not, `source.go_on` is called when there is."""
        if source.held < _OF_ONE and self.held < _OF_ALL:
            return True
        self._stopped.add(source)
        return False

    def forget(self, source: Source) -> None:
        """It has ended; what it gave is handed on all the same."""
        self._stopped.discard(source)

    async def close(self, grace: float) -> None:
        """Hand on what waits, for `grace` seconds at the most; call it when nothing comes any more."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=grace)
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.held:
            self._notices.add("left", f"{self.held} bytes that were received are lost: the outputs' queues are full")
        self._notices.finish()

    async def _run(self) -> None:
        try:
            while self._waiting:
                taken = self._next()
                pieces = [piece for piece, _ in taken]
                if self._joins and len(pieces) > 1:
                    pieces = [b"".join(map(_ended, pieces))]
                await ingest_patiently(self._acc, pieces, self._parser, self._notices)
                for piece, source in taken:
                    source.held -= len(piece) + _OVERHEAD
                    self.held -= len(piece) + _OVERHEAD
                self._wake()
        finally:
            self._task = None

    def _next(self) -> list[tuple[bytes, Source]]:
        """What can be queued together. Of line protocol that is one text, whose last piece alone may hold a string that does
        not end: it would swallow a part of the next one."""
        waiting = self._waiting
        taken = [waiting.popleft()]
        size = len(taken[0][0])
        while waiting and size + len(waiting[0][0]) <= _AT_ONCE:
            if not is_closed(taken[-1][0]) if self._joins else len(taken) >= _MOST_AT_ONCE:
                break
            taken.append(waiting.popleft())
            size += len(taken[-1][0])
        return taken

    def _wake(self) -> None:
        if self._stopped and self.held < _OF_ALL:
            for source in [one for one in self._stopped if 2 * one.held < _OF_ONE]:
                self._stopped.discard(source)
                source.go_on()


class DirectHandover(Handover):
    """For what is not queued: `take(piece, peer)` has all of it at once, so that there always is room."""

    def __init__(self, take: Callable[[bytes, Any], None]) -> None:
        self.held = 0
        self._take = take

    def put(self, piece: bytes, source: Source) -> None:
        self._take(piece, source.peer)

    def has_room(self, source: Source) -> bool:
        return True

    def forget(self, source: Source) -> None:
        pass

    async def close(self, grace: float) -> None:
        pass


def _ended(lines: bytes) -> bytes:
    return lines if lines.endswith(b"\n") else lines + b"\n"


async def ingest_patiently(
    acc: Accumulator,
    pieces: Sequence[bytes],
    parser: Parser[Any],
    notices: Notices,
    adjust: Callable[[int, list[Metric]], list[Metric]] | None = None,
    *,
    tags: Mapping[str, str] | None = None,
    what: str = "what was received",
    given_up: Callable[[], bool] = lambda: False,
) -> bool:
    """`acc.ingest` until the queues have room. What cannot be read is logged, and is done with as well. `what`: each of the
    pieces, for the log; `given_up`: asked where the queues have no room, whether to stop trying.

    False: the queues do not hold the data, as that was given up, or as the engine itself failed, which is logged."""
    pause = _FIRST_PAUSE
    while True:
        try:
            result = await acc.ingest(pieces, parser, adjust=adjust, tags=tags)
        except QueueFull as full:
            if given_up():
                return False
            if notices.is_due("wait"):
                notices.add(
                    "wait", f"{what.replace('was received', 'is received')} has to wait: {str(full).partition(';')[0]}"
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)
            continue
        except TooMuch as much:
            if len(pieces) > 1:
                held = [
                    await ingest_patiently(
                        *(acc, [piece], parser, notices, _of_one(adjust, index)),
                        tags=tags,
                        what=what,
                        given_up=given_up,
                    )
                    for index, piece in enumerate(pieces)
                ]
                return all(held)
            result = Ingested(0, (str(much),), 1, (pieces[0][:200].decode("utf-8", "replace"),))
        except Exception as error:
            notices.add(f"BUG: {type(error).__name__}", f"BUG: cannot hand on data: {error!r}", logging.ERROR)
            return False
        if result.rejected:
            text = result.texts[0] if result.texts else ""
            begins = f"; it begins with {quoted(text[:80])}" if text else ""
            more = f", and {result.rejected - 1} more like it" if result.rejected > 1 else ""
            notices.add(f"unreadable {what}", f"cannot read {what}: {result.errors[0]}{begins}{more}", logging.ERROR)
        return True


def _of_one(
    adjust: Callable[[int, list[Metric]], list[Metric]] | None, index: int
) -> Callable[[int, list[Metric]], list[Metric]] | None:
    return None if adjust is None else lambda _, metrics: adjust(index, metrics)
