"""Runs commands and parses what they print.

The commands of one table run side by side, each in a process group of its own. One that fails loses its own output and
nobody else's. One that takes too long is asked to end (SIGTERM), and after five seconds killed, with all its children.
"""

import os
import selectors
import shlex
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import Annotated

from pyagent.api import (
    Accumulator,
    ConfigError,
    Duration,
    Input,
    Measurement,
    ParseError,
    ParserOptions,
    PyagentError,
    option,
)
from pyagent.api.errors import TooMuch
from pyagent.kit.globpath import match_files

__all__ = ["Exec", "ExecOptions"]


class ExecOptions(ParserOptions, frozen=True):
    commands: Annotated[
        list[str | list[str]], option("commands: each a list of words, or one text in a shell's quotes", executes=True)
    ] = []
    command: Annotated[str, option("one more command", executes=True)] = ""
    environment: Annotated[list[str], option("variables for the commands, NAME=value", executes=True)] = []
    timeout: Annotated[Duration, option("how long a command may take")] = Duration("5s")
    ignore_error: Annotated[bool, option("parse the output also of a command that ends with another status than 0")] = (
        False
    )
    log_stderr: Annotated[bool, option("log what commands write to standard error")] = False
    data_format: Annotated[str, option("format of the output; it has options of its own")] = "json"


_KILL_GRACE = 5.0
_MAX_OUTPUT = 64 * 1024 * 1024
_MAX_STDERR = 64 * 1024
_STDERR_IN_ERROR = 512
# What systemd tells the agent is not meant for its children: one could report for it, or keep its watchdog quiet.
_NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_LEVELS = {"E! ": "error", "W! ": "warning", "I! ": "info", "D! ": "debug", "T! ": "debug"}


class Exec(Input[ExecOptions]):
    measurements = (Measurement("exec", "what the commands print, where they give it no name of its own", open=True),)

    def setup(self) -> None:
        options = self.options
        given = [*options.commands, *([options.command] if options.command else [])]
        if not given:
            raise ConfigError("there is no command; add one to commands", option="commands")
        self._commands = [_words(command) for command in given]
        for variable in options.environment:
            if "=" not in variable:
                self.log.warning("the variable %r is left out: write it as NAME=value", variable)
        self._environment = [variable.partition("=") for variable in options.environment if "=" in variable]
        self.new_parser()  # each output has one of its own, and the first finds wrong options out
        self._running: set[int] = set()
        self._stopped = False

    def gather(self, acc: Accumulator) -> None:
        failures: list[str] = []
        surprises: list[Exception] = []

        def run(command: list[str]) -> None:
            try:
                acc.add_metrics(self.new_parser().parse(self._output(command)))
            except (ParseError, TooMuch, ValueError) as error:
                failures.append(f"cannot parse the output of `{_shown(command)}`: {error}")
            except PyagentError as error:
                failures.append(str(error))
            except Exception as error:  # in a thread nobody else would see it
                surprises.append(error)

        first, *others = self._expanded()
        threads = [threading.Thread(target=run, args=(command,), daemon=True) for command in others]
        for thread in threads:
            thread.start()
        run(first)
        for thread in threads:
            thread.join()
        if surprises:
            raise surprises[0]
        if failures:
            raise PyagentError("; ".join(sorted(failures)))  # in any order, and yet the same cause

    async def stop(self) -> None:
        self._stopped = True
        for group in tuple(self._running):
            _signal(group, signal.SIGKILL)

    def _expanded(self) -> list[list[str]]:
        """The commands now: wildcards in a program's name stand for all files that match."""
        found = []
        for command in self._commands:
            try:
                programs = match_files(command[0])
            except ValueError:
                programs = []
            found += [[program, *command[1:]] for program in programs or command[:1]]
        return found

    def _output(self, command: list[str]) -> bytes:
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        environment |= {name: value for name, _, value in self._environment}
        name = _shown(command)
        try:
            process = subprocess.Popen(  # noqa: S603  # running what the configuration says is its purpose
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise PyagentError(f"cannot run `{name}`: {cause}") from None
        self._running.add(process.pid)
        try:
            if self._stopped:
                _signal(process.pid, signal.SIGKILL)
            output, errors, problem = _communicate(process, self.options.timeout.seconds)
        finally:
            self._running.discard(process.pid)
        if not problem and process.returncode and not self.options.ignore_error:
            status = process.returncode
            problem = f"it was ended by signal {-status}" if status < 0 else f"exit status {status}"
        if problem:
            raise PyagentError(f"cannot run `{name}`: {problem}{_brief(errors)}")
        if self.options.log_stderr:
            self._log_stderr(errors)
        return output

    def _log_stderr(self, errors: bytes) -> None:
        for line in errors.decode("utf-8", "replace").splitlines():
            if line.strip():
                level = _LEVELS.get(line[:3])
                getattr(self.log, level or "error")("%s", line[3:] if level else line)


def _shown(command: list[str]) -> str:
    text = shlex.join(command)
    return text if len(text) <= 200 else text[:197] + "..."


def _words(command: str | list[str]) -> list[str]:
    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError as error:
        raise ConfigError(f"cannot read the command {command!r}: {error}", option="commands") from None
    if not words or not words[0]:
        raise ConfigError("a command is empty; give the program and its arguments", option="commands")
    return words


def _communicate(process: "subprocess.Popen[bytes]", timeout: float) -> tuple[bytes, bytes, str]:
    """Standard output, standard error and what went wrong on the way. Ends within the timeout and the grace, whatever
    the process and those that it started do."""
    assert process.stdout is not None
    assert process.stderr is not None
    received = {process.stdout: bytearray(), process.stderr: bytearray()}
    problem = ""
    deadline = time.monotonic() + timeout
    with process.stdout, process.stderr, selectors.DefaultSelector() as selector:
        for stream in received:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            events = selector.select(min(max(deadline - time.monotonic(), 0), 3600))
            for key, _ in events:
                stream = process.stdout if key.fileobj is process.stdout else process.stderr
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(stream)
                elif stream is process.stdout or len(received[stream]) < _MAX_STDERR:
                    received[stream] += chunk
            if len(received[process.stdout]) > _MAX_OUTPUT:
                problem = f"it printed more than {_MAX_OUTPUT >> 20} MiB"
                break
            # Also while something comes: it may come for ever.
            if time.monotonic() >= deadline and selector.get_map():
                if problem:
                    break
                problem = f"it took longer than {Duration(round(timeout * 1e9))}; see `timeout`"
                _signal(process.pid, signal.SIGTERM)
                deadline = time.monotonic() + _KILL_GRACE
    if not problem:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            problem = "it closed its output and did not end"
    if problem:
        # Before the process is waited for: until then nobody else can have its number.
        _signal(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_GRACE)
    return bytes(received[process.stdout]), bytes(received[process.stderr]), problem


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _brief(errors: bytes) -> str:
    """The first line of standard error, for a message."""
    text = errors.decode("utf-8", "replace").strip()
    line = text.partition("\n")[0][:_STDERR_IN_ERROR]
    return f": {line}{'...' if len(line) < len(text) else ''}" if line else ""
