"""A program that runs beside the agent for as long as the plugin does, and is started again when it ends.

    def setup(self) -> None:
        self._program = LongRunning(["./translate"], self._received, self.log)

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        await self._program.start()
        await self._program.write(b"...")

    async def stop(self) -> None:
        await self._program.stop()

What it writes to standard error is logged, up to 300 lines a minute; a line may begin with its level: `E! `, `W! `, `I! `,
`D! `, `T! `. An option that names a program is declared with `executes=True`: a configuration from a URL may not set it then.
"""

import asyncio
import logging
import os
import re
import shutil
import signal
import stat
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from pyagent.api.errors import ConfigError, PyagentError
from pyagent.api.units import Duration
from pyagent.kit.command import NOT_INHERITED, why_not_started
from pyagent.kit.notices import FewLines
from pyagent.kit.shown import escaped

__all__ = ["LongRunning"]

_CHUNK = 65536
_LONGEST_LINE = 8192
"""Bytes of a line of standard error; the rest is another line."""
_LEVELS = {
    "E! ": logging.ERROR,
    "W! ": logging.WARNING,
    "I! ": logging.INFO,
    "D! ": logging.DEBUG,
    "T! ": logging.DEBUG,
}
_MOST_SAID = 100
_SOON = 60.0
"""Seconds after its start within which a program that has written nothing has ended for the reason of the time before."""
_NUMBERS = re.compile(r"\d+")
_LEFT = 1.0
"""Seconds in which what a program wrote at its end is read, where others still hold its pipes."""
_TERMINATING = 0.7
"""Seconds between SIGTERM and SIGKILL at most: with what is before and behind, less than an input has to stop."""
_LOOK = 0.02
_MOST_UNREAD = 1 << 20
"""Bytes that may wait for a program that does not read."""


class LongRunning:
    """One program at a time.

    `received(data)` is given what it writes to standard output, as it comes, up to `read_at_once` bytes; while it waits, no
    more is read. `ended()` is called when the program has ended; a text that it returns, why that was and what to do, is added
    to what is logged, and the same end is logged once then, with the same lines of standard error. `environment`:
    `NAME=VALUE`, besides the agent's.
    `restart_delay`: seconds before it is started again; with `stop_on_error` it is not where its exit status is not 0.
    Raises ConfigError where there is no such program, with `remedy`; `option` names the option that it is from. With
    `may_be_missing` that is a PyagentError of `start`, and whoever calls that again looks again. `arguments`: asked at each
    start for more of them. `tell(level, message)` is given what would be logged: that it ended, and its lines of standard
    error.
    """

    def __init__(
        self,
        command: Sequence[str],
        received: Callable[[bytes], Awaitable[None]],
        log: logging.Logger,
        *,
        environment: Sequence[str] = (),
        restart_delay: float = 10.0,
        ended: Callable[[], str | None] | None = None,
        option: str = "command",
        read_at_once: int = _CHUNK,
        stop_on_error: bool = False,
        may_be_missing: bool = False,
        arguments: Callable[[], Awaitable[Sequence[str]]] | None = None,
        tell: Callable[[int, str], None] | None = None,
        remedy: str = "",
    ) -> None:
        if not command or not command[0]:
            raise ConfigError("cannot run a program: none is named", option=option)
        self.name = command[0]
        """Its arguments may hold secrets, and are in no message."""
        variables = dict(pair.partition("=")[::2] for pair in environment)
        self._command = list(command)
        self._variables = variables
        self._may_be_missing = may_be_missing
        self._remedy = remedy
        if not may_be_missing and (problem := self.obstacle()):
            raise ConfigError(problem, option=option)
        self._received = received
        self._ended = ended
        self._log = log
        self._arguments = arguments
        self._tell = tell or (lambda level, message: log.log(level, "%s", message))
        self._lines = FewLines(log, f"what `{self.name}` writes to standard error")
        self._tell_line = tell or self._lines.add
        self._read_at_once = read_at_once
        self._stop_on_error = stop_on_error
        self._restart_delay = restart_delay
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        """Done when the first start has succeeded or failed."""
        self._stopping = False
        self._said: set[str] = set()
        """To standard error, since it was started."""
        self._known: set[str] = set()
        """What was logged of ends that `ended` explains, one after the other."""
        self._wrote = False
        """Anything, since it was started."""
        self._alike = 0
        """Times in a row that it has ended alike, soon and with nothing written, or could not be started."""
        self._end = ""
        self._said_before: set[str] = set()
        """To standard error, the time before, where that was such a one."""
        self.status: int | None = None
        """Of the last one that has ended; of one that a signal ended, its number negated."""

    @property
    def stopping(self) -> bool:
        """It is to end: what it still writes is read."""
        return self._stopping

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, and again whenever it ends; once is enough. Returns when the first start has succeeded, or failed."""
        if self._task is None:
            if self._may_be_missing and (problem := self.obstacle()):
                raise PyagentError(problem)
            self._first = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._watch())
        assert self._first is not None
        await asyncio.shield(self._first)

    async def write(self, data: bytes, timeout: float) -> None:
        """Write all of `data` to its standard input; returns when most of it is written. What waits after `timeout` seconds is
        written as soon as the program reads. Raises PyagentError where it does not run, or has not read what it was given
        before; then nothing of `data` is written."""
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None or process.stdin.is_closing():
            raise PyagentError(f"cannot write to `{self.name}`: it does not run")
        stdin = process.stdin
        if stdin.transport.get_write_buffer_size() > _MOST_UNREAD:
            await self._drain(stdin, timeout)
            if stdin.transport.get_write_buffer_size() > _MOST_UNREAD:
                raise PyagentError(f"cannot write to `{self.name}`: it does not read its standard input")
        stdin.write(data)
        await self._drain(stdin, timeout)

    @property
    def reads(self) -> bool:
        """Its standard input is open: what was written and is not `unwritten` is in the pipe to it, or read."""
        process = self._process
        return process is not None and process.stdin is not None and not process.stdin.is_closing()

    @property
    def unwritten(self) -> int:
        """Bytes of what was written that the program has not taken yet; 0 where it does not run."""
        process = self._process
        return process.stdin.transport.get_write_buffer_size() if process is not None and process.stdin else 0

    def catches(self, number: signal.Signals) -> bool:
        """Whether the signal would not just end it, as it does before a program has said what to do with it. True where the
        system does not say."""
        try:
            with open(f"/proc/{self._running().pid}/status", encoding="ascii", errors="replace") as file:
                masks = [int(line.split()[1], 16) for line in file if line.startswith(("SigCgt:", "SigIgn:"))]
        except (OSError, ValueError, IndexError):
            return True
        return not masks or any(mask >> (number - 1) & 1 for mask in masks)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program, not to what it has started. Raises PyagentError where it does not run."""
        with suppress(ProcessLookupError):
            self._running().send_signal(number)

    def _running(self) -> Process:
        process = self._process
        if process is None or process.returncode is not None:
            raise PyagentError(f"cannot signal `{self.name}`: it does not run")
        return process

    def obstacle(self) -> str:
        """What is wrong where there is no such program, or it cannot be run; "" where it can. Runs nothing."""
        name = self._command[0]
        path = self._variables.get("PATH") or os.environ.get("PATH") or os.defpath
        if shutil.which(name, path=path) is not None:
            hint = why_not_started(name, path, tried=False)
            return f"cannot run {name!r}: {hint}" if hint else ""
        cause, hint = "there is no such program", self._remedy
        try:
            # A name without a slash is looked for in PATH alone.
            mode = os.stat(name).st_mode if "/" in name else 0
        except PermissionError:
            mode = stat.S_IFREG
        except (OSError, ValueError):
            mode = 0
        if stat.S_ISDIR(mode):
            cause, hint = "it is a directory", "name the program in it"
        elif mode:
            cause, hint = "permission denied", "let the agent's account execute it"
        elif len(self._command) == 1 and " " in name:
            hint = "give each argument as a text of its own"
        return f"cannot run {name!r}: {cause}{'; ' * bool(hint)}{hint}"

    async def stop(self, grace: float = 1.5) -> bool:
        """Close its standard input, which tells it to end; one that does not gets SIGTERM after `grace` seconds, and SIGKILL as
        many later, or sooner, with all that it started. Harmless when it was never started. One that is cancelled kills it at
        once. Returns whether it ran, and ended without a signal."""
        self._stopping = True
        task, self._task = self._task, None
        if task is None:
            return False
        process, by_itself = self._process, False
        if process is None:
            task.cancel()
        else:
            try:
                if process.stdin is not None:
                    process.stdin.close()
                by_itself = bool((await asyncio.wait([task], timeout=grace))[0])
                if not by_itself or _lives(process):
                    _signal(process, signal.SIGTERM)
                    await _until_gone(task, process, min(grace, _TERMINATING))
                _signal(process, signal.SIGKILL)
                # Where others hold its pipes it is not read to its end, which is what asyncio waits for.
                await asyncio.wait([task], timeout=_LEFT / 2)
            finally:
                _signal(process, signal.SIGKILL)
                task.cancel()
        await asyncio.wait([task])
        return by_itself

    async def _drain(self, stdin: asyncio.StreamWriter, timeout: float) -> None:
        with suppress(TimeoutError, ConnectionError):
            await asyncio.wait_for(stdin.drain(), timeout)

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            began, self._wrote = clock(), False
            try:
                self._process = process = await self._spawned()
            except OSError as error:
                hint = why_not_started(self.name, self._variables.get("PATH", ""))
                cause = f"cannot run `{self.name}`: {error.strerror or error}{'; ' * bool(hint)}{hint}"
            else:
                self._log.debug("`%s` is started", self.name)
                self._started()
                try:
                    cause = f"`{self.name}` has ended: {await self._run(process)}"
                finally:
                    if process.returncode is None:
                        _signal(process, signal.SIGKILL)
                    self._process = None
                cause += self._explanation()
            if self._stopping:
                break
            if self._stop_on_error and self.status:
                self._tell(logging.ERROR, f"{cause}; it is not started again, as `stop_on_error` says")
                self._started()
                break
            pause = Duration(round(self._restart_delay * 1e9))
            alike = self._count_alike(cause, in_vain=not self._wrote and clock() - began < _SOON)
            # The first, second, fourth, eighth, ... of those that are alike: one that cannot work would fill the log.
            level = logging.DEBUG if cause in self._known or alike & (alike - 1) else logging.ERROR
            times = f" ({alike} times in a row)" if alike > 1 else ""
            self._tell(level, f"{cause}{times}; it is started again in {pause}")
            if 0 < len(self._known) < _MOST_SAID:
                self._known.add(cause)
            self._started()
            await asyncio.sleep(self._restart_delay)

    def _count_alike(self, cause: str, *, in_vain: bool) -> int:
        """How many ends in a row were like this one; 0: it has worked before."""
        end = _NUMBERS.sub("#", cause)
        if not in_vain:
            self._alike, self._end, self._said_before = 0, "", set()
        else:
            self._alike = self._alike + 1 if end == self._end else 1
            self._end = end
        return self._alike

    def _explanation(self) -> str:
        """Why it has ended, for the message, where that is known."""
        said, self._said = self._said, set()
        self._said_before = {_NUMBERS.sub("#", text) for text in said}
        if explained := self._ended and self._ended():
            if len(self._known) < _MOST_SAID:
                self._known |= {explained, *said}
            return f": {explained}"
        self._known.clear()
        return ""

    def _started(self) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    async def _spawned(self) -> Process:
        environment = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        more = await self._arguments() if self._arguments is not None else ()
        return await asyncio.create_subprocess_exec(
            *self._command,
            *more,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment | self._variables,
            start_new_session=True,
        )

    async def _run(self, process: Process) -> str:
        """Until it has ended; returns how."""
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [
            asyncio.create_task(self._read_output(process.stdout)),
            asyncio.create_task(self._read_errors(process.stderr)),
        ]
        try:
            self.status = status = await process.wait()
            await asyncio.wait(readers, timeout=_LEFT)
        finally:
            for reader in readers:
                reader.cancel()
            # Where others still hold its pipes, or nobody has read all, they stay open otherwise.
            with suppress(PermissionError):  # sudo is root's, and cannot be killed: it ends when its pipes are closed
                process._transport.close()  # type: ignore[attr-defined]  # there is no public way
            await asyncio.wait(readers)
            self._lines.finish()
        return f"a signal ended it ({-status})" if status < 0 else f"exit status {status}"

    async def _read_output(self, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(self._read_at_once):
            self._wrote = True
            await self._received(data)

    async def _read_errors(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while data := await stream.read(_CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._log_line(line)
            while len(rest) > _LONGEST_LINE:
                self._log_line(rest[:_LONGEST_LINE])
                rest = rest[_LONGEST_LINE:]
        if rest:
            self._log_line(rest)

    def _log_line(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode("utf-8", "backslashreplace").rstrip("\r")
        level = _LEVELS.get(text[:3])
        text = escaped(text)
        if len(self._said) < _MOST_SAID:
            self._said.add(text)
        again = text in self._known or (not self._wrote and _NUMBERS.sub("#", text) in self._said_before)
        if level is not None:
            self._tell_line(logging.DEBUG if again else level, text[3:])
        elif text:
            self._tell_line(logging.DEBUG if again else logging.ERROR, f"stderr: {text}")


def _signal(process: Process, number: int) -> None:
    """To its group: what it has started may outlive it."""
    with suppress(ProcessLookupError, PermissionError):
        if not _is_another(process):
            os.killpg(process.pid, number)


def _lives(process: Process) -> bool:
    """Whether there is any of its group."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_another(process)


def _is_another(process: Process) -> bool:
    """Whether its number is another one's now: as long as there is any of its group, nobody gets it."""
    if process.returncode is None:
        return False
    try:
        os.getpgid(process.pid)
    except ProcessLookupError:
        return False
    return True


async def _until_gone(task: asyncio.Task[None], process: Process, seconds: float) -> None:
    for _ in range(round(seconds / _LOOK)):
        if task.done() and not _lives(process):
            return
        await asyncio.sleep(_LOOK)
