"""Runs a program that writes metrics of its own.

It writes them when it has some, or when it is asked at each interval. Plugins of others that were made for Telegraf's
execd run unchanged. The program is started again when it ends.
"""

import asyncio
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from pyagent.api import Accumulator, Duration, Input, Measurement, ParserOptions, PyagentError, Size, option
from pyagent.kit.framing import BadFrame, Framing, find_open
from pyagent.kit.handover import ingest_patiently
from pyagent.kit.long_running import LongRunning
from pyagent.kit.notices import Notices
from pyagent.kit.origins import program_of
from pyagent.kit.shown import quoted

__all__ = ["Execd", "ExecdOptions"]

_SIGNALS = {name: signal.Signals[name] for name in ("SIGHUP", "SIGUSR1", "SIGUSR2")}
_READY = 1.0
"""Seconds that a program has, when it is to be signalled, to say what it does then: before, a signal would end it."""
_LOOK = 0.01
_FIRST_ANSWER = 0.8
"""Seconds for which the first gather waits for something, for --once and --test."""
_LONGEST_LINE = 1 << 20
_STDIN_SECONDS = 1.0
_LONGEST_WAIT, _MOST_HELD = 1.0, 256 * 1024
"""Seconds for which the end of a text of several lines is waited for, and bytes that wait: its begin may just be a bad line."""
_CLOSING = re.compile(rb'(?:[^"\\]|\\.)*+"', re.DOTALL)
_LEAST_READ, _MOST_READ = 16, 1 << 20


class ExecdOptions(ParserOptions, frozen=True):
    command: Annotated[list[str], option("the program and its arguments", executes=True)] = []
    environment: Annotated[list[str], option("variables, `NAME=VALUE`, besides those of the agent", executes=True)] = []
    signal: Annotated[
        str,
        option("how it is asked at each interval: none, STDIN (an empty line), SIGHUP, SIGUSR1 or SIGUSR2"),
    ] = "none"
    restart_delay: Annotated[Duration, option("pause before it is started again when it has ended", ge="0s")] = (
        Duration("10s")
    )
    buffer_size: Annotated[Size, option("bytes of its output that are read at once, from 16 to 1 MiB")] = Size("64KiB")
    stop_on_error: Annotated[bool, option("do not start it again when its exit status is not 0")] = False


class Execd(Input[ExecdOptions]):
    measurements = (Measurement("execd", "what the program writes, where it gives it no name of its own", open=True),)

    def setup(self) -> None:
        options = self.options
        self._program = LongRunning(
            options.command,
            self._received,
            self.log,
            environment=options.environment,
            restart_delay=options.restart_delay.seconds,
            ended=self._program_ended,
            remedy="install it, or correct `command`",
            read_at_once=min(max(options.buffer_size, _LEAST_READ), _MOST_READ),
            stop_on_error=options.stop_on_error,
            may_be_missing=True,
        )
        self._lines = self.parser.line_precision is not None
        self._framing = Framing("newline", lines=self._lines, limit=_LONGEST_LINE, strings=False)
        self._splitter = self._framing.splitter()
        self._skips = False
        """Up to the next line end: the line was too long."""
        self._open = b""
        """Lines of a text that has not ended."""
        self._timer: asyncio.TimerHandle | None = None
        self._what = f"what `{self._program.name}` writes"
        self._came: asyncio.Event | None = None
        self._last: asyncio.Task[None] | None = None

    def origins(self) -> Sequence[str]:
        return (program_of(self.options.command),)

    def obstacles(self) -> Sequence[str]:
        return [obstacle] if (obstacle := self._program.obstacle()) else []

    async def start(self, acc: Accumulator) -> None:
        self._acc = acc
        self._notices = Notices(self.log)
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._first = True
        await self._program.start()

    async def gather(self, acc: Accumulator) -> None:
        """Ask the program. What it answers comes when it comes."""
        if self._came is None or asyncio.get_running_loop() is not self._loop:
            return
        await self._program.start()  # where it was missing before
        await self._ask()
        if self._first:
            self._first = False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), _FIRST_ANSWER)

    async def stop(self) -> None:
        if self._came is None:
            return
        await self._program.stop()
        if self._last is not None:
            await asyncio.wait([self._last])
        self._notices.finish()

    async def _ask(self) -> None:
        name = self.options.signal
        if name == "none":
            return
        if name == "STDIN":
            await self._program.write(b"\n", _STDIN_SECONDS)
            return
        number = _SIGNALS.get(name)
        if number is None:
            wanted = ", ".join(("none", "STDIN", *_SIGNALS))
            raise PyagentError(f"cannot signal `{self._program.name}`: invalid signal {name!r}; use one of {wanted}")
        deadline = self._loop.time() + _READY
        while not self._program.catches(number):
            if self._loop.time() > deadline:
                raise PyagentError(
                    f"cannot signal `{self._program.name}`: {name} would end it, as it does not catch it; let it do so,"
                    " or set signal to what it waits for"
                )
            await asyncio.sleep(_LOOK)
        self._program.signal(number)

    async def _received(self, data: bytes) -> None:
        if self._skips:
            _, end, data = data.partition(b"\n")
            if not end:
                return
            self._skips = False
        try:
            pieces = self._splitter.feed(data)
        except BadFrame:
            self._notices.add("long", f"cannot read {self._what}: a line has more than {_LONGEST_LINE} bytes")
            self._splitter = self._framing.splitter()
            self._skips = not data.endswith(b"\n")
            return
        if not self._lines:
            await self._hand_on([piece + b"\n" for piece in pieces])
        elif pieces:
            lines = self._taken_open() + b"".join(pieces)
            closed = _closed(lines)
            if len(lines) - closed < _MOST_HELD:
                self._open, lines = lines[closed:], lines[:closed]
            if self._open:
                self._timer = self._loop.call_later(_LONGEST_WAIT, self._hand_on_open)
            await self._hand_on([lines])

    def _taken_open(self) -> bytes:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._open = self._open, b""
        return lines

    def _hand_on_open(self, more: bytes = b"") -> None:
        if lines := self._taken_open() + more:
            self._last = asyncio.create_task(self._hand_on([lines]))

    async def _hand_on(self, pieces: list[bytes]) -> None:
        if pieces := [piece for piece in pieces if piece]:
            await ingest_patiently(self._acc, pieces, self.parser, self._notices, what=self._what)
            assert self._came is not None
            self._came.set()

    def _program_ended(self) -> None:
        """A last line without its end counts where lines are all that there is to read, and the program meant to end."""
        rest, self._splitter, self._skips = bytes(self._splitter.rest), self._framing.splitter(), False
        if rest and not (self._lines and self._program.status == 0):
            self._notices.add("rest", f"{self._what} ends within a line, which is left out: {quoted(rest[:80])}")
            rest = b""
        self._hand_on_open(rest)


def _closed(lines: bytes) -> int:
    """Where the line begins in which a string begins that does not end in any of the lines; their length without one."""
    start = 0
    while (end := find_open(lines, start)) >= 0:
        closing = _CLOSING.match(lines, end)
        if closing is None:
            return lines.rfind(b"\n", 0, end - 1) + 1
        start = closing.end()
    return len(lines)
