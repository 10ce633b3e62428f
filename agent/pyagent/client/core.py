"""What a writer does inside: from the program's threads to the engine's, and at a fork."""

import contextlib
import logging
import threading
import time as clock
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pyagent.api.errors import ConfigError
from pyagent.api.line_options import LineOptions
from pyagent.api.units import counted, joined
from pyagent.client.forks import importing
from pyagent.client.intake import Intake
from pyagent.client.outcome import BufferFull, NotDelivered, Rejected, Statistics, WriterClosed
from pyagent.client.points import AHEAD, Int, PointError, metric
from pyagent.client.refused import Refused
from pyagent.client.settings import Settings
from pyagent.client.times import EARLIEST, LATEST, UNITS
from pyagent.lineprotocol import Encoded, encode

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    from pyagent.client.engine import Engine

__all__ = ["LOOK", "Core"]

T = TypeVar("T")
Codes = Mapping[str | None, Mapping[str, int]] | None

log = logging.getLogger("pyagent.client")

LOOK = 0.005
"""Seconds between looks for room."""
_DISK_GRACE = 10.0
"""Seconds beyond a deadline that the thread is waited for: it has a disk to wait for."""
_LINE_OPTIONS = LineOptions(uint_support=True)


class Core:
    def __init__(self, settings: Settings, tags: Mapping[str, str], codes: Codes, unit: str) -> None:
        self._settings = settings
        self._tags = tags
        self._codes = codes
        self._unit = unit
        self._batch = min(settings.batch_size, settings.max_points)
        self._durable = settings.buffer_directory is not None
        self._closed = False
        self.begin()
        with importing:
            from pyagent.client import endings

        endings.known.add(self)
        if (directory := settings.buffer_directory) is not None:
            with importing:
                from pyagent.client.spool import check_directory
            try:
                check_directory(directory)
            except OSError as error:
                raise self._unusable(error) from None
            self._take_up()

    def begin(self) -> None:
        """Anew: when it is made, and in a forked child."""
        self._lock = threading.Lock()
        self._engines: list[Engine] = []
        """The last one runs; those before it were ended by the end of the program."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_final: Callable[[], bool] = bool
        """Whether the interpreter ends."""
        self._refused = Refused(self._settings.on_rejected)
        self._warned: set[str] = set()
        self._intake = Intake(
            Int,
            schemas=self._codes,
            tags=self._tags or None,
            batch=self._batch,
            journal=self._durable,
            unit=UNITS[self._unit],
            earliest=EARLIEST,
            latest=LATEST,
            ahead=AHEAD,
        )
        self._add = self._add_safely if self._durable else self._intake.add

    def __del__(self) -> None:
        # What it has taken is delivered all the same.
        if (engine := next(iter(getattr(self, "_engines", ())[-1:]), None)) is not None and not engine.closing:
            with contextlib.suppress(ImportError):  # the interpreter ends
                from pyagent.client import endings

                endings.orphaned(engine)

    # Taking -----------------------------------------------------------------------------------------------------------

    def _add_safely(self, measurement: Any, fields: Any, tags: Any, time: Any) -> int:
        """Into the journal as well, before write() returns."""
        count, line = self._intake.add_line(measurement, fields, tags, time)
        if count > 0:
            self._to_journal(line)
        return count

    def _to_journal(self, lines: bytes) -> None:
        slot = self._engines[-1].slot
        assert slot is not None
        before = slot.journal.error
        slot.journal.write(lines)
        if (error := slot.journal.error) is None:
            if before is not None and self._loop is not None:
                with contextlib.suppress(RuntimeError):  # it was closed in between
                    self._loop.call_soon_threadsafe(self._engines[-1].try_disk)
        else:
            self._warn("journal", f"cannot write to {slot.path}: {error.strerror}; points are in memory until it can")

    def _rest(self, count: int, measurement: Any, fields: Any, tags: Any, time: Any) -> None:
        """What write() does not do itself: wake the engine, start it, say what is wrong with a point, wait for room."""
        while count < 0:
            self._make_room()
            count = self._add(measurement, fields, tags, time)
        if count > 0:
            self._taken(1, count)
            return
        point, left_out = metric(measurement, fields, tags, time, codes=self._codes, unit=self._unit)
        if left_out:
            names = ", ".join(left_out)[:200]
            log.debug("%s of %r left out: None, NaN or infinite", names, point.name[:100])
        if point.time > clock.time_ns() + AHEAD:
            self._warn_ahead(point.time, f"a point of {point.name[:100]!r}")
        encoded = encode([point], _LINE_OPTIONS)
        if encoded.rejected:
            raise PointError(f"cannot write {point.name[:100]!r}: {encoded.rejected[0][1]}")
        self._append(encoded)

    def _append(self, encoded: Encoded) -> None:
        if not encoded.count:
            return
        while (count := self._intake.append(encoded)) < 0:
            self._make_room()
        if self._durable:
            self._to_journal(encoded.data)
        self._taken(encoded.count, count)

    def _taken(self, more: int, count: int) -> None:
        engine, loop = self._engines[-1], self._loop
        assert loop is not None
        if engine.woken and count != more and not self._is_final():
            return  # as each point is until the engine comes round to what waits
        try:
            if count >= self._batch and not engine.woken:
                engine.woken = True
                loop.call_soon_threadsafe(engine.drain_soon)
            if count == more:
                loop.call_soon_threadsafe(engine.arm)
        except RuntimeError:
            pass  # it was closed in between, which takes all
        from pyagent.client.host import host

        host.start_thread()
        if self._is_final() and not _is_own_thread():
            self._wait(engine.flush(clock.monotonic() + self._settings.close_timeout), self._settings.close_timeout)

    def _make_room(self) -> None:
        """There is none: because nothing runs yet, or because too much waits."""
        if self._closed:
            raise WriterClosed("cannot write: the writer was closed")
        engine = self._engines[-1] if self._engines else None
        if engine is None or engine.closing:
            self._start()
            return
        assert self._loop is not None
        from pyagent.client import endings
        from pyagent.client.host import host

        self._loop.call_soon_threadsafe(engine.relieve)
        host.start_thread()
        # The end of the program waits for this thread, and must not do so for ever.
        held_up = endings.held_up(self._settings.close_timeout)
        if self._settings.when_full == "raise" or held_up or _is_own_thread():
            reason = engine.error
            raise BufferFull(
                f"cannot take the point: {counted(self._counted().waiting, 'point')} wait already"
                + (f", {reason}" if reason else "; write less, or raise max_points and max_bytes")
            )
        clock.sleep(LOOK)

    def _is_full(self) -> bool:
        return bool(self._engines) and not self._engines[-1].closing and self._engines[-1].full

    def _start(self) -> None:
        with importing, self._lock:
            import encodings.idna  # noqa: F401  # a name of a host is looked up with it, in another thread

            from pyagent.client import endings
            from pyagent.client.engine import Engine
            from pyagent.client.host import host

            if self._engines and not self._engines[-1].closing:
                return
            try:
                engine = Engine(self._settings, self._intake, self._refused)
            except OSError as error:
                raise self._unusable(error) from None
            self._loop = host.enter(engine)
            self._is_final = endings.final
            endings.started(engine)
            self._engines.append(engine)
            if host.is_here():
                engine.begin()
                return
            started = host.submit(engine.start())
        started.result(self._settings.close_timeout)

    def _take_up(self) -> None:
        """Start, though nothing is written, where a process before has left points."""
        directory = self._settings.buffer_directory
        if directory is None or self._engines or self._closed or _is_own_thread():
            return
        from pyagent.client.spool import anything_left

        try:
            left = anything_left(directory, self._settings.target)
        except OSError as error:
            raise self._unusable(error) from None
        if left:
            self._start()
            self._wait(self._engines[-1].found(), self._settings.close_timeout)

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"cannot keep points in {error.filename or self._settings.buffer_directory}:"
            f" {error.strerror or error}; give another buffer_directory"
        )

    # Waiting ----------------------------------------------------------------------------------------------------------

    def _running(self) -> "list[Engine]":
        return [engine for engine in self._engines[-1:] if not engine.closing]

    def _end(self) -> "list[Engine]":
        with self._lock:
            self._closed = True
            running = self._running()
            for engine in running:
                engine.closing = True
        self._intake.set_room(0, 0)
        return running

    @staticmethod
    def _ends_behind(engine: "Engine", seconds: float) -> bool:
        """Where a callback calls: it is not waited for."""
        from pyagent.client import endings

        if not _is_own_thread():
            return False
        endings.orphaned(engine, seconds)
        return True

    def _leave(self, engine: "Engine") -> None:
        from pyagent.client import endings
        from pyagent.client.host import host

        endings.ended(engine)
        host.leave(engine)

    def _seconds(self, timeout: float | None) -> float:
        return self._settings.close_timeout if timeout is None else max(float(timeout), 0.0)

    @staticmethod
    def _submit(work: Coroutine[Any, Any, T]) -> "Future[T]":
        from pyagent.client.host import host

        return host.submit(work)

    def _wait(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        if _is_own_thread():
            work.close()
            raise RuntimeError("cannot wait for the writer in on_rejected: it is the writer's own thread that calls it")
        future = self._submit(work)
        try:
            return future.result(seconds + _DISK_GRACE)
        except TimeoutError:
            raise NotDelivered("the thread of the writers does not answer", 0) from None

    def _judge(self, left: int, seconds: float) -> None:
        if left:
            engine = self._engines[-1]
            why = engine.error or engine.last_error
            raise NotDelivered(
                joined(
                    f"cannot deliver {counted(left, 'point')} within {seconds:g} s{f': {why}' if why else ''}",
                    f"{'it waits' if left == 1 else 'they wait'} on",
                ),
                left,
            )
        if self._engines and self._engines[-1].taking_up:
            raise NotDelivered(
                f"cannot read what waits in {self._settings.buffer_directory} within {seconds:g} s; it waits on", 0
            )

    # Telling ----------------------------------------------------------------------------------------------------------

    def _refuse(self, refused: Iterable[tuple[str, str]], more: int = 0) -> None:
        """Lines and rows that are passed over, each with the reason, and `more` of which nothing is known."""
        found = [Rejected(line, reason) for line, reason in refused]
        self._refused.local += len(found) + more
        for one in found:
            self._refused.add(one)
        if found:
            log.error(
                "%s not taken, the first one: %s (%.200s)",
                counted(len(found) + more, "line or row is", "lines or rows are"),
                found[0].reason,
                found[0].line,
            )

    def _warn_ahead(self, time: int, what: str) -> None:
        self._intake.allow_ahead()
        minutes = (time - clock.time_ns()) // 60_000_000_000
        self._warn(
            "ahead",
            f"the time of {what} is {minutes} min in the future; is it local time given as UTC? This is told once",
        )

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            log.warning("%s", text)

    def _counted(self) -> Statistics:
        """Asked on the writers' thread, where nothing is on its way from one place to another."""
        from pyagent.client.host import host

        if self._running() and host.thread is not None and not _is_own_thread():

            async def ask() -> Statistics:
                for engine in self._running():
                    engine.try_disk()
                return self._sums()

            with contextlib.suppress(RuntimeError, TimeoutError):
                return host.submit(ask()).result(1.0)
        return self._sums()

    def _sums(self) -> Statistics:
        engines = list(self._engines)
        last = engines[-1] if engines else None

        def total(what: str) -> int:
            return sum(engine.total(what) for engine in engines)

        times = [engine.last_write for engine in engines]
        lost = sum(engine.lost for engine in engines)
        return Statistics(
            taken=sum(engine.taken for engine in engines) + (len(self._intake) if engines else 0),
            restored=total("restored"),
            waiting=0 if last is None or last.closed else last.waiting + len(self._intake),
            delivered=total("written"),
            rejected=max(total("rejected") - self._refused.repaired, 0),
            refused=self._refused.local,
            dropped=total("dropped"),
            lost=total("damaged") + lost,
            kept=sum(engine.kept for engine in engines),
            last_success=max(times, default=0.0) or None,
            error=last.error if last is not None else "",
            last_error=last.last_error if last is not None else "",
        )


def _is_own_thread() -> bool:
    """Whether the writers' thread runs this: in a callback, which must not wait for that thread."""
    from pyagent.client.host import host

    return host.is_here()
