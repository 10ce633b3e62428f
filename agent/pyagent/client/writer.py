"""The writer: what a program calls."""

import functools
import os
import time as clock
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pyagent.client.core import LOOK, Core
from pyagent.client.forks import importing
from pyagent.client.intake import native_write
from pyagent.client.outcome import Rejected, Statistics
from pyagent.client.points import AHEAD, PointError, Schema, field_codes, metric
from pyagent.client.settings import Settings, WhenFull, check_address, check_bounds, from_environment
from pyagent.client.times import UNITS

__all__ = ["Writer"]


class Writer(Core):
    """Writes points to InfluxDB 2, or to an agent of this host, from any thread, in batches.

    `write()` checks a point, takes it, and returns: it never waits for the network. A thread of the process delivers, tries
    again for as long as it takes, and finds the bad point of a batch that is refused. One writer is for the whole program,
    and safe to be used by all threads; after a fork the child's begins anew, and the parent's points stay the parent's.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        org: str | None = None,
        bucket: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        schema: Schema | None = None,
        precision: str = "ns",
        batch_size: int = 5000,
        flush_interval: float = 1.0,
        max_points: int = 1_000_000,
        max_bytes: int = 256 << 20,
        when_full: WhenFull = "block",
        buffer_directory: str | os.PathLike[str] | None = None,
        timeout: float = 10.0,
        close_timeout: float = 10.0,
        on_rejected: Callable[[Rejected], None] | None = None,
        tls_ca: str | None = None,
        tls_cert: str = "",
        tls_key: str = "",
        verify: bool = True,
        proxy: str = "",
        gzip: bool = True,
        sigterm: bool = True,
    ) -> None:
        """What is not given is taken from INFLUX_HOST, INFLUX_TOKEN, INFLUX_ORG and INFLUX_BUCKET.

        `url`: `http://HOST:8086`, `https://...`, or `unix:///run/...` for the socket of an agent's listener.
        `tags`: of every point. `schema`: types of fields, as `{"count": int}`; see write().
        `precision`: the unit of times that are bare ints: ns, us, ms or s.
        `batch_size` points, or what came in `flush_interval` seconds, are one request.
        `max_points` and `max_bytes` (of line protocol) may wait; then `when_full`: "block" waits for room, "raise" raises
        BufferFull, "drop_oldest" gives up the oldest points, counted.
        `buffer_directory`: keep points on disk: they survive a kill from the moment that write() returns.
        `timeout`: seconds for a request. `close_timeout`: seconds for close(), and for the end of the program.
        `on_rejected`: called with each line that is refused for good, in the writer's thread.
        `tls_ca`: file of authorities (else SSL_CERT_FILE, REQUESTS_CA_BUNDLE, the system's); `verify=False` takes any
        certificate. `proxy`: else HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment.
        `sigterm`: deliver before SIGTERM ends the process, where nobody else handles that signal.

        What processes before have left in the buffer directory is delivered from now on.
        Raises ConfigError (also where the buffer directory cannot be used), ValueError, TypeError.
        """
        address = from_environment("url", url, "http://localhost:8086")
        secret = from_environment("token", token)
        into = from_environment("bucket", bucket)
        check_address(address, secret, into)
        bounds = {
            "batch_size": batch_size,
            "flush_interval": flush_interval,
            "max_points": max_points,
            "max_bytes": max_bytes,
            "timeout": timeout,
            "close_timeout": close_timeout,
        }
        check_bounds(when_full, bounds)
        if precision not in UNITS:
            raise ValueError(f"precision is {precision!r}; use one of {', '.join(UNITS)}")
        settings = Settings(
            url=address,
            token=secret,
            org=from_environment("org", org),
            bucket=into,
            batch_size=batch_size,
            flush_interval=flush_interval,
            max_points=max_points,
            max_bytes=max_bytes,
            when_full=when_full,
            buffer_directory=Path(buffer_directory).absolute() if buffer_directory is not None else None,
            timeout=timeout,
            close_timeout=close_timeout,
            gzip=gzip,
            options={
                "tls_ca": from_environment("tls_ca", tls_ca) if address.startswith("https:") else tls_ca or "",
                "tls_cert": tls_cert,
                "tls_key": tls_key,
                "insecure_skip_verify": not verify,
                "http_proxy": proxy,
            },
            on_rejected=on_rejected,
        )
        tags = dict(tags or {})
        if tags:
            metric("tags of all points", {"f": 1.0}, tags, None)
        super().__init__(settings, tags, field_codes(schema), precision)
        if sigterm:
            from pyagent.client import endings

            endings.handle_sigterm()

    # Taking -----------------------------------------------------------------------------------------------------------

    def write(
        self,
        measurement: str,
        fields: Mapping[str, Any],
        tags: Mapping[str, Any] | None = None,
        time: Any = None,
    ) -> None:
        """Take one point; never waits for the network.

        Numbers are floats, also `4`: `Int(4)` is an integer, `Uint(4)` an unsigned one, and the schema says what a field
        always is. A field that is None, NaN or infinite is left out, and so is a tag that is None or empty. `time`: None is
        now; a datetime (without a zone: local time), seconds as a float, an int of the writer's precision, or
        `milliseconds(...)` and its like.

        Raises PointError where InfluxDB would refuse the point or lose a part of it, BufferFull, WriterClosed, and
        ConfigError at the first point where the writer cannot work.
        """
        if self._tags:
            tags = {**self._tags, **(tags or {})}
        count = self._add(measurement, fields, tags, time)
        if 1 < count < self._batch:
            return
        self._rest(count, measurement, fields, tags, time)

    async def awrite(
        self,
        measurement: str,
        fields: Mapping[str, Any],
        tags: Mapping[str, Any] | None = None,
        time: Any = None,
    ) -> None:
        """As write(), but where the buffer is full and `when_full` is "block", other tasks run meanwhile."""
        import asyncio

        while self._settings.when_full == "block" and self._is_full():  # noqa: ASYNC110  # by another thread
            await asyncio.sleep(LOOK)
        self.write(measurement, fields, tags, time)

    def write_lines(self, lines: bytes | str, *, precision: str | None = None) -> int:
        """Take lines of line protocol; returns how many points were taken.

        Types are as written. A time counts units of `precision` (else the writer's). A line that is not line protocol, or
        whose time is of another unit, is passed over: it is logged, counted in `statistics.refused`, and given to
        `on_rejected`; the other lines are taken. Raises BufferFull (nothing was taken), WriterClosed, ConfigError.
        """
        with importing:
            from pyagent.client.lines import check_lines

        unit = precision or self._unit
        if unit not in UNITS:
            raise ValueError(f"precision is {unit!r}; use one of {', '.join(UNITS)}")
        checked = check_lines(lines, unit, self._tags)
        if checked.encoded.newest > clock.time_ns() + AHEAD:
            self._warn_ahead(checked.encoded.newest, "a line")
        self._append(checked.encoded)
        self._refuse(checked.refused, checked.more)
        return checked.encoded.count

    def write_frame(
        self,
        frame: Any,
        measurement: str,
        *,
        tags: Sequence[str] = (),
        time: str | None = None,
        fields: Sequence[str] | None = None,
        timezone: str | None = None,
        schema: Schema | None = None,
    ) -> int:
        """Take the rows of a pandas or polars frame; returns how many points were taken.

        `tags`: names of columns that are tags; all others but `time` are fields, or those of `fields`. `time`: the column
        with the time; None is the index of a pandas frame, which must be one of times. `timezone`: the zone of times
        without one ("UTC", "Europe/Berlin", or "local"). `schema`: types of columns, in addition to the writer's.

        Each column has one type: numbers float (unless the schema says int), bool, str. Missing values and infinities leave
        their field out. A row without a time or without a value is passed over, and told as in write_lines(); it is counted
        from 0. Raises PointError, and takes nothing, where a column has more than one type, or one that no field can have.
        """
        with importing:
            from pyagent.client.frames import frame_codes, rows_of

        table = rows_of(
            frame,
            tags=tags,
            time=time,
            fields=fields,
            timezone=timezone,
            codes=frame_codes(measurement, self._codes, field_codes(schema)),
        )
        taken = 0
        refused: list[tuple[str, str]] = []
        for number, row_fields, row_tags, when in table:
            try:
                if when is None:
                    raise PointError("it has no time")
                self.write(measurement, row_fields, row_tags, when)
            except PointError as error:
                refused.append((f"row {number}", f"row {number}: {error}"))
            else:
                taken += 1
        if refused and not taken:
            raise PointError(f"cannot write any row of the frame; {refused[0][1]}")
        self._refuse(refused)
        return taken

    # Ends -------------------------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was taken so far, and all that processes before have left in the buffer directory, is delivered
        (or refused for good). `timeout`: seconds; None is `close_timeout`. Raises NotDelivered where that does not come in
        time: nothing is lost by it."""
        seconds = self._seconds(timeout)
        self._take_up()
        for engine in self._running():
            self._judge(self._wait(engine.flush(clock.monotonic() + seconds), seconds), seconds)

    async def aflush(self, timeout: float | None = None) -> None:
        """As flush(), for asyncio."""
        import asyncio

        seconds = self._seconds(timeout)
        self._take_up()
        for engine in self._running():
            future = self._submit(engine.flush(clock.monotonic() + seconds))
            self._judge(await asyncio.wrap_future(future), seconds)

    def close(self, timeout: float | None = None) -> int:
        """Deliver what waits within `timeout` seconds (None: `close_timeout`), and end. What is not delivered then is kept in
        the buffer directory, where there is one, for the next start; else it is lost. Returns how many points are lost, which
        is logged, too. Runs at the end of the program by itself. In `on_rejected`, which must not wait, it returns 0 and is
        done behind it."""
        seconds, lost = self._seconds(timeout), 0
        for engine in self._end():
            if self._ends_behind(engine, seconds):
                continue
            lost += self._wait(engine.close(clock.monotonic() + seconds), seconds).lost
            self._leave(engine)
        return lost

    async def aclose(self, timeout: float | None = None) -> int:
        """As close(), for asyncio."""
        import asyncio

        seconds, lost = self._seconds(timeout), 0
        for engine in self._end():
            lost += (await asyncio.wrap_future(self._submit(engine.close(clock.monotonic() + seconds)))).lost
            self._leave(engine)
        return lost

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # Telling ----------------------------------------------------------------------------------------------------------

    @property
    def statistics(self) -> Statistics:
        """What became of the points so far."""
        self._take_up()
        return self._counted()

    def health(self) -> dict[str, Any]:
        """For the health page of an application: `status` ("pass"; "fail" while nothing can be delivered; "warn" while points
        wait for an answer longer than the flush interval or the timeout, or cannot be kept on disk), `waiting`,
        `last_success` (seconds since the epoch, or None), `error` (at present) and `last_error`."""
        found = self.statistics
        running = self._running()
        stalled = next((engine.stalled for engine in running), "")
        fails = found.error and not all(engine.delivers for engine in running)
        return {
            "status": "fail" if fails else "warn" if found.error or stalled else "pass",
            "waiting": found.waiting,
            "last_success": found.last_success,
            "error": found.error or stalled,
            "last_error": found.last_error,
        }

    def init_app(self, app: Any) -> None:
        """As an extension of Flask: the writer is `current_app.extensions["pyagent"]`."""
        app.extensions["pyagent"] = self

    @property
    def rejected(self) -> list[Rejected]:
        """The last thousand lines that were refused, with the reason."""
        return list(self._refused.last)


if native_write is not None:
    # The same in one call: what a Python function in between would cost is a quarter of what it does.
    Writer.write = functools.wraps(Writer.write)(native_write)  # type: ignore[method-assign]
