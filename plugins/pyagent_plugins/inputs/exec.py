"""Runs commands and parses what they print.

The commands of one table run side by side, up to fifty, each in a process group of its own. One that fails loses its own
output and nobody else's. One that takes too long is asked to end (SIGTERM), and after five seconds killed, with all its
children.
"""

import shlex
from collections.abc import Sequence
from typing import Annotated

from pyagent.api import (
    Accumulator,
    ConfigError,
    Duration,
    Input,
    Measurement,
    Metric,
    ParseError,
    ParserOptions,
    PyagentError,
    option,
)
from pyagent.api.errors import TooMuch
from pyagent.kit.command import Commands, CommandStopped, Output, shown
from pyagent.kit.each import for_each_in_threads
from pyagent.kit.globpath import match_files
from pyagent.kit.origins import program_of

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
        variables = (variable.partition("=") for variable in options.environment if "=" in variable)
        self._runner = Commands(
            timeout=options.timeout.seconds,
            environment={name: value for name, _, value in variables},
            plain_words=False,
            missing="install it, or correct its path",
        )

    def origins(self) -> Sequence[str]:
        return list(dict.fromkeys(program_of(command) for command in self._commands))

    def gather(self, acc: Accumulator) -> None:
        for_each_in_threads(self._expanded(), lambda command: self._run(command, acc))

    async def stop(self) -> None:
        self._runner.stop()

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

    def _run(self, command: list[str], acc: Accumulator) -> None:
        try:
            if self.options.data_format == "nagios":
                acc.add_metrics(self._checked(command))
            else:
                acc.add_data(self._output(command), self.new_parser())
        except (ParseError, TooMuch, ValueError) as error:
            raise PyagentError(f"cannot parse the output of `{shown(command)}`: {error}") from None

    def _output(self, command: list[str]) -> bytes:
        output = self._runner.run(command, expected=None if self.options.ignore_error else (0,))
        if self.options.log_stderr:
            self._log_stderr(output.stderr)
        return output.stdout

    def _checked(self, command: list[str]) -> list[Metric]:
        """Of a Nagios plugin, whose exit status is part of what it says; so is that it could not be run."""
        from pyagent.kit.nagios import UNKNOWN, add_state

        try:
            output = self._runner.run(command, expected=None)
        except CommandStopped:
            raise
        except PyagentError as error:
            output = Output(b"", str(error).encode("utf-8", "surrogateescape"), UNKNOWN)
        else:
            if self.options.log_stderr:
                self._log_stderr(output.stderr)
        metrics = self.new_parser().parse(output.stdout)
        add_state(metrics, output.status, output.stderr)
        return metrics

    def _log_stderr(self, errors: bytes) -> None:
        for line in errors.decode("utf-8", "replace").splitlines():
            if line.strip():
                level = _LEVELS.get(line[:3])
                getattr(self.log, level or "error")("%s", line[3:] if level else line)


def _words(command: str | list[str]) -> list[str]:
    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError as error:
        raise ConfigError(f"cannot read the command {command!r}: {error}", option="commands") from None
    if not words or not words[0]:
        raise ConfigError("a command is empty; give the program and its arguments", option="commands")
    return words
