"""Peers of an NTP daemon, as `ntpq -p` lists them."""

import re
import shlex
from collections.abc import Callable
from typing import Annotated

from pyagent.api import Accumulator, Chart, ConfigError, Field, Input, Measurement, Options, PyagentError, option
from pyagent.kit.command import Commands, find_program, shown
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_finite, parse_integer
from pyagent.kit.once import Once
from pyagent.kit.shown import quoted

__all__ = ["Ntpq", "NtpqOptions"]


class NtpqOptions(Options, frozen=True):
    servers: Annotated[list[str], option("hosts whose daemon is asked ([]: this one)")] = []
    options: Annotated[str, option("options of ntpq, in a shell's quotes; -p is added", executes=True)] = "-p"
    dns_lookup: Annotated[bool, option("false: -n is added", deprecated="options")] = True
    reach_format: Annotated[
        str,
        option("the field reach: octal (as ntpq prints it), decimal, count (of polls answered), ratio (of them)"),
    ] = "octal"


_TIMEOUT = 30.0
_STATES = "*#o+x.-"
# Some versions write a second name in brackets, which may be cut.
_BRACKETS = re.compile(r"(?<![\t\n\f\r ])[\t\n\f\r ]+\(\S*")
_TAGS = {"remote": "remote", "refid": "refid", "st": "stratum", "t": "type"}
_OCTAL = re.compile(r"[+-]?[0-7]{1,22}")
_UNITS = {"d": 86400, "h": 3600, "m": 60}


class Ntpq(Input[NtpqOptions]):
    measurements = (
        Measurement(
            "ntpq",
            "A peer of the daemon. What it has not measured yet is left out. `reach` is an integer in the form of "
            "reach_format, or with ratio a float from 0 to 1.",
            tags={
                "remote": "the peer",
                "refid": "what the peer follows",
                "stratum": "its distance from a reference clock",
                "type": "u unicast, b broadcast, l local, ...",
                "state_prefix": "* the one that is followed, + a candidate, - an outlier, x a false ticker, ...",
                "source": "the server that was asked, where `servers` names any",
            },
            fields={
                "delay": Field("float", "ms", "time to the peer and back"),
                "offset": Field("float", "ms", "its clock less the one of the host"),
                "jitter": Field("float", "ms", "how far offsets differ"),
                "poll": Field("int", "s", "between two polls"),
                "when": Field("int", "s", "since the last answer"),
            },
            open=True,
            charts=(Chart("Offset of the peers' clocks", ("offset", "jitter")), Chart("Delay", ("delay",))),
        ),
    )

    def setup(self) -> None:
        options = self.options
        try:
            words = shlex.split(options.options)
        except ValueError as error:
            raise ConfigError(f"cannot read the options {options.options!r}: {error}", option="options") from None
        self._words = words if "-p" in words else [*words, "-p"]
        if not options.dns_lookup and "-n" not in words:
            self._words = [*self._words, "-n"]
        reach = _REACH.get(options.reach_format or "octal")
        if reach is None:
            raise ConfigError(
                f"cannot use reach_format {options.reach_format!r}; there are {', '.join(_REACH)}",
                option="reach_format",
            )
        self._readers = _READERS | {"reach": reach}
        self._commands = Commands(timeout=_TIMEOUT, timeout_option="")
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        program = find_program("ntpq", package="ntpsec")
        failures: list[Exception] = []
        for server in self.options.servers or [""]:
            command = [program, *self._words, *([server] if server else [])]
            try:
                output = self._commands.run(command)
            except PyagentError as error:
                failures.append(error)
                continue
            if not output.stdout.strip() and output.stderr.strip():
                # ntpq calls it a success
                text = output.stderr.decode("utf-8", "replace").strip().partition("\n")[0][:200]
                message = f"`{shown(command)}` lists no peers: {text}"
                if self._once(message):
                    self.log.warning("%s", message)
            problems = self._add(output.stdout.decode("utf-8", "replace"), server, acc)
            failures += [PyagentError(f"cannot read the output of `{shown(command)}`: {text}") for text in problems]
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        self._commands.stop()

    def _add(self, text: str, server: str, acc: Accumulator) -> list[str]:
        """What is wrong with it, by line; the rest is added."""
        problems: list[str] = []
        columns: list[str] = []
        for number, line in enumerate(text.split("\n"), start=1):
            state, words = _split(line)
            if not columns:
                columns = words if len(words) >= 2 else []
                continue
            if len(words) != len(columns):
                continue
            tags = {"state_prefix": state, "source": server}
            found: dict[str, int | float] = {}
            for column, word in zip(columns, words, strict=True):
                if column in _TAGS:
                    tags[_TAGS[column]] = word
                elif (read := self._readers.get(column)) is not None and (word != "-" or column not in _UNITED):
                    value = None if word == column else read(word)
                    if value is None:
                        problems.append(f"line {number}: {column} is {quoted(word[:40])}")
                    else:
                        found[column] = value
            if found:
                acc.add("ntpq", found, {name: value for name, value in tags.items() if value})
        return problems


def _split(line: str) -> tuple[str, list[str]]:
    """The mark of the peer's state, and the words."""
    state = line[0] if line and line[0] in _STATES else ""
    return state, _BRACKETS.sub("", line.lstrip(_STATES) if state else line).split()


def _duration(text: str) -> int | None:
    factor = _UNITS.get(text[-1:], 1)
    number = parse_integer(text[:-1] if factor > 1 else text)
    return None if number is None or not -(2**63) <= number * factor < 2**63 else number * factor


def _octal(text: str) -> int | None:
    if _OCTAL.fullmatch(text) and -(2**63) <= (number := int(text, 8)) < 2**63:
        return number
    return None


def _count(text: str) -> int | None:
    number = None if text[:1] in "+-" else _octal(text)
    return None if number is None else number.bit_count()


def _ratio(text: str) -> float | None:
    count = _count(text)
    return None if count is None else count / 8


_Read = Callable[[str], int | float | None]
_READERS: dict[str, _Read] = {
    "delay": parse_finite,
    "jitter": parse_finite,
    "offset": parse_finite,
    "poll": _duration,
    "when": _duration,
}
_UNITED = ("poll", "when")
"""Columns with units; a minus alone is no value there."""
_REACH: dict[str, _Read] = {"octal": parse_integer, "decimal": _octal, "count": _count, "ratio": _ratio}
