"""Check programs of Nagios: states, texts, values.

Checks stand in the table, or are the commands and services that the files of an NRPE or a Nagios define. Each is run as these
do, a few at a time; what it prints is read as the parser `nagios` does. None is a failure of the input: what cannot be run or
takes too long is in the state unknown. A state that has changed is logged once.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pyagent.api import (
    Accumulator,
    Chart,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    Metric,
    Options,
    ParseError,
    PyagentError,
    Secret,
    fields,
    option,
)
from pyagent.kit.command import Commands, CommandStopped, Output, shown
from pyagent.kit.filter import name_filter
from pyagent.kit.foreign_settings import mask_settings
from pyagent.kit.laggards import EachInThreads
from pyagent.kit.nagios import UNKNOWN, add_state, read_output
from pyagent.kit.origins import program_of
from pyagent.kit.shown import readable
from pyagent_plugins.inputs.nagios.definitions import Definitions, expanded, words_of
from pyagent_plugins.inputs.nagios.objects import defined_checks

__all__ = ["Nagios", "NagiosCheck", "NagiosOptions"]

_TIMEOUT = 60.0
"""NRPE's and Nagios' own."""
_MOST_OUTPUT = 1 << 20
_MOST_LOGGED = 200
_STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_MACROS = {"HOSTADDRESS": "127.0.0.1", "HOSTNAME": "localhost"}
_TARGET = "target"
_EARLY = 0.5
"""Seconds by which a check may be run before its time: gathers are not exactly one interval apart."""
_SEPARATOR = re.compile(r"(?<!\\)!")


class NagiosCheck(Options, frozen=True):
    name: Annotated[str, option("its name, the tag `check`")] = ""
    command: Annotated[
        str | list[str], option("the program and its arguments: a line as in Nagios, or a list of words", executes=True)
    ] = ""
    check_command: Annotated[str, option("in place of it a command of `files`, NAME!ARGUMENT!...", executes=True)] = ""
    macros: Annotated[
        dict[str, Secret],
        option("what macros stand for, such as HOSTADDRESS; 127.0.0.1 if it says none", executes=True),
    ] = {}
    timeout: Annotated[Duration, option("how long it may take (0s: as the others)", ge=0)] = Duration(0)
    tags: Annotated[dict[str, str], option("further tags of its metrics")] = {}


class NagiosOptions(Options, frozen=True):
    files: Annotated[
        list[str],
        option("files of NRPE or Nagios, or folders of them; their services are run", executes=True, reads_path=True),
    ] = []
    command_include: Annotated[
        list[str], option("of NRPE's commands and Nagios' services those to run; wildcards (none: all)")
    ] = []
    command_exclude: Annotated[list[str], option("and those not to run")] = []
    macros: Annotated[
        dict[str, Secret], option("what macros stand for in all checks, where files do not say it", executes=True)
    ] = {}
    timeout: Annotated[Duration, option("how long a check may take (0s: as the files say, else 60s)", ge=0)] = Duration(
        0
    )
    max_parallel_checks: Annotated[int, option("checks at once", ge=1)] = 8
    check: Annotated[list[NagiosCheck], option("checks, each a table `[[inputs.nagios.check]]`")] = []


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    words: list[str]
    tags: Mapping[str, str]
    commands: Commands
    place: str = ""
    """FILE:LINE that defines it."""
    every: float = 0.0
    """Seconds between two of it, where they are more than the input's interval."""
    problem: str = ""
    """Why it cannot be run."""

    @property
    def shown_name(self) -> str:
        return f"{self.name} of {self.tags[_TARGET]}" if _TARGET in self.tags else self.name

    @property
    def origin(self) -> str:
        target = f" of {self.tags[_TARGET]}" if _TARGET in self.tags and self.place else ""
        return f"{self.name}{target}: {program_of(self.words)}{f' ({self.place})' if self.place else ''}"


_LIMITS = {
    f"{name}_{end}": Field("float", "1", f"{text} {meaning}")
    for name, text in (("warning", "it warns"), ("critical", "it is critical"))
    for end, meaning in (
        ("lt", "below this"),
        ("gt", "above this"),
        ("le", "from this on, up to the other end"),
        ("ge", "up to this, from the other end on"),
    )
}


class Nagios(Input[NagiosOptions]):
    measurements = (
        Measurement(
            "nagios_state",
            "The state of each check.",
            tags={"check": "its name", "target": "the host that it is about, of a service in files"},
            fields={
                "state": Field("int", "1", "0: OK, 1: warning, 2: critical, 3: unknown"),
                "service_output": Field("str", "", "its text, or why it could not be run"),
                "long_service_output": Field("str", "", "further lines of it"),
            },
            charts=(Chart("State of the checks", ("state",), overview=True),),
            open=True,
        ),
        Measurement(
            "nagios",
            "Performance data, in the unit of the tag.",
            tags={
                "check": "its name",
                "perfdata": "the label",
                "unit": "s, ms, %, B, c and so on, where there is one",
                "target": "the host that it is about, of a service in files",
            },
            fields=fields("float", "1", value="the value", min="the least that it can be", max="the most") | _LIMITS,
            charts=(Chart("Values", ("value",)),),
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        if not options.check and not options.files:
            raise ConfigError("there is no check; add a table [[inputs.nagios.check]], or files", option="check")
        self._definitions = Definitions()
        for pattern in options.files:
            self._definitions.read(pattern)
        for problem in self._definitions.missing:
            self.log.warning("%s", problem)
        # Nagios keeps passwords in macros without names; paths are what else is in them.
        mask_settings([{"password": value} for value in self._definitions.macros.values() if not value.startswith("/")])
        self._timeout = options.timeout.seconds or self._definitions.timeout or _TIMEOUT
        self._runners: dict[float, Commands] = {}
        self._checks = [self._given(number, check) for number, check in enumerate(options.check, 1)]
        self._checks += self._of_files({check.name for check in self._checks})
        if not self._checks:
            raise ConfigError(
                "there is no check in files: a command of Nagios that no service names, or one with $ARG1$, is run by a table "
                "[[inputs.nagios.check]] with check_command",
                option="files",
            )
        series = Counter((check.name, tuple(sorted(check.tags.items()))) for check in self._checks)
        for (name, _), count in series.items():
            if count > 1:
                raise ConfigError(f"two checks are called {name!r}; give them different names, or tags", option="check")
        self._states: dict[int, int] = {}
        self._told: set[int] = set()
        """Checks of whose performance data it has been said that it cannot be read."""
        self._each = EachInThreads(at_once=options.max_parallel_checks)
        self._clock = time.monotonic
        self._due: dict[int, float] = {}

    @classmethod
    def read_at_start(cls, options: Options) -> Sequence[str]:
        assert isinstance(options, NagiosOptions)
        definitions = Definitions()
        with suppress(ConfigError):  # setup tells it
            for pattern in options.files:
                definitions.read(pattern)
        return definitions.files

    def origins(self) -> Sequence[str]:
        return [check.origin for check in self._checks]

    def gather(self, acc: Accumulator) -> None:
        self._each.run({index: partial(self._run, index, check, acc) for index, check in self._now_due()})

    def _now_due(self) -> Iterator[tuple[int, _Check]]:
        now = self._clock()
        for index, check in enumerate(self._checks):
            due = self._due.get(index, now)
            if now + _EARLY >= due:
                # One that is late is not run once more for what was missed.
                self._due[index] = due + check.every if due + check.every > now else now + check.every
                yield index, check

    async def stop(self) -> None:
        for runner in self._runners.values():
            runner.stop()

    def _given(self, number: int, check: NagiosCheck) -> _Check:
        name = check.name or check.check_command.partition("!")[0]
        if not name:
            raise ConfigError(f"check {number} has no name; give it one", option="check")
        if bool(check.command) is bool(check.check_command):
            raise ConfigError(f"the check {name!r} needs either command or check_command", option="check")
        macros = self._macros() | _revealed(check.macros)
        try:
            if isinstance(check.command, list):
                words = [expanded(word, macros, (), keeps_unknown=True) for word in check.command]
            elif check.command:
                words = words_of(expanded(check.command, macros, (), keeps_unknown=True))
            else:
                words = self._defined(check.check_command, macros)
        except ConfigError as error:
            raise ConfigError(f"cannot run the check {name!r}: {error}", option="check") from None
        if not words or not words[0]:
            raise ConfigError(f"the command of the check {name!r} is empty; name a program", option="check")
        return self._check(name, words, check.tags, timeout=check.timeout.seconds)

    def _macros(self) -> dict[str, str]:
        return _MACROS | self._definitions.macros | _revealed(self.options.macros)

    def _defined(self, text: str, macros: Mapping[str, str]) -> list[str]:
        """The words of a Nagios' `check_command`."""
        name, *arguments = [part.replace("\\!", "!") for part in _SEPARATOR.split(text)]
        command = self._definitions.commands.get(name)
        if command is None:
            known = ", ".join(sorted(self._definitions.commands)[:10]) or "none"
            raise ConfigError(f"files define no command {name!r}; there are {known}", option="check")
        keeps = command.keeps_unknown
        if keeps:
            macros = {}
        # In Nagios arguments may have macros as well.
        given = [expanded(argument, macros, (), keeps_unknown=keeps) for argument in arguments]
        return words_of(expanded(command.line, macros, given, keeps_unknown=keeps))

    def _of_files(self, named: set[str]) -> list[_Check]:
        names = ("command_include", "command_exclude")
        wanted = name_filter(self.options.command_include, self.options.command_exclude, names=names)
        found = [
            self._check(name, words_of(expanded(command.line, {}, (), keeps_unknown=True)), {}, place=command.place)
            for name, command in self._definitions.commands.items()
            if command.is_complete and name not in named and wanted(name)
        ]
        macros = self._macros()
        defined = defined_checks(self._definitions.objects, self._definitions.interval_length)
        run = {_SEPARATOR.split(one.check_command)[0] for one in self.options.check}
        run.update(_SEPARATOR.split(one.command)[0] for one in defined)
        lacking = [
            name
            for name, command in self._definitions.commands.items()
            if command.keeps_unknown and not command.is_complete and name not in run | named and wanted(name)
        ]
        if lacking:
            self.log.warning(
                "not run, as they take arguments ($ARG1$): %s; give each a table [[inputs.nagios.check]] with check_command ="
                ' "NAME!ARGUMENT", or name it in command_exclude',
                readable(", ".join(lacking))[:_MOST_LOGGED],
            )
        for one in defined:
            if one.name in named or not wanted(one.name):
                continue
            words, problem = [], ""
            try:
                words = self._defined(one.command, {**macros, **one.macros})
            except ConfigError as error:  # one of many: it is in the state unknown, and the others run
                problem = f"{error} ({one.place})"
            tags = {_TARGET: one.host}
            found.append(self._check(one.name, words, tags, place=one.place, every=one.every, problem=problem))
        return found

    def _check(
        self,
        name: str,
        words: list[str],
        tags: Mapping[str, str],
        *,
        timeout: float = 0,
        place: str = "",
        every: float = 0,
        problem: str = "",
    ) -> _Check:
        seconds = timeout or self._timeout
        mask_settings(words)
        runner = self._runners.get(seconds)
        if runner is None:
            runner = self._runners[seconds] = Commands(timeout=seconds, most_output=_MOST_OUTPUT)
        return _Check(name, words, tags, runner, place, every, problem)

    def _run(self, index: int, check: _Check, acc: Accumulator) -> None:
        try:
            if check.problem:
                raise PyagentError(check.problem)
            output = check.commands.run(check.words, expected=None)
        except CommandStopped:
            raise
        except PyagentError as error:
            # Its arguments may have secrets, and this becomes a field: the program and the cause alone.
            words = check.words if check.words[:1] == ["/bin/sh"] else check.words[:1]
            program = program_of(words) or "the check"
            cause = str(error).removeprefix(f"cannot run `{shown(check.words)}`: ")
            output = Output(b"", f"cannot run {program}: {cause}".encode("utf-8", "surrogateescape"), UNKNOWN)
        problem: ParseError | None = None
        unread: list[str] = []
        now = time.time_ns()
        try:
            metrics = read_output(output.stdout, now, unread)
        except ParseError as error:
            problem = error
            metrics = read_output(output.stdout.partition(b"|")[0], now)  # its state counts all the same
        add_state(metrics, output.status, output.stderr)
        tags = {"check": check.name, **check.tags}
        for metric in metrics:
            metric.tags = tags | metric.tags
        self._log_change(index, check, metrics[-1])
        if unread and index not in self._told:
            self._told.add(index)
            self.log.warning(
                "the check %s prints performance data that cannot be read: %s; it is to be"
                " 'label'=value[unit];[warning];[critical];[min];[max]",
                check.shown_name,
                readable(", ".join(unread))[:_MOST_LOGGED],
            )
        acc.add_metrics(metrics)
        if problem is not None:
            raise PyagentError(f"cannot read the performance data of the check {check.name!r}: {problem}")

    def _log_change(self, index: int, check: _Check, metric: Metric) -> None:
        state = int(metric.fields["state"])
        before = self._states.get(index)
        self._states[index] = state
        if state == (before or 0):
            return
        text = readable(str(metric.fields["service_output"]))[:_MOST_LOGGED]
        log = self.log.warning if state else self.log.info
        was = "" if before is None else f", and was {_STATES[before]}"
        log("the check %s is %s%s: %s", check.shown_name, _STATES[state], was, text)


def _revealed(macros: Mapping[str, Secret]) -> dict[str, str]:
    return {key: value.reveal() for key, value in macros.items()}
