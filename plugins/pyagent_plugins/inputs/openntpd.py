"""Peers, sensors and the state of OpenNTPD."""

from collections.abc import Mapping
from typing import Annotated

from pyagent.api import Accumulator, Chart, Duration, Field, Input, Measurement, Options, PyagentError, fields, option
from pyagent.kit.command import Commands, find_program
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_finite, parse_integer
from pyagent.kit.shown import quoted

__all__ = ["Openntpd", "OpenntpdOptions"]


class OpenntpdOptions(Options, frozen=True):
    use_sudo: Annotated[bool, option("run ntpctl by sudo", executes=True)] = False
    binary: Annotated[str, option("the program ntpctl", executes=True)] = "/usr/sbin/ntpctl"
    timeout: Annotated[Duration, option("how long it may take")] = Duration("5s")


_Columns = Mapping[str, int]
_PEER_INTEGERS: _Columns = {"wt": 0, "tl": 1, "next": 3, "poll": 4}
_PEER_FLOATS: _Columns = {"offset": 5, "delay": 6, "jitter": 7}
_SENSOR_INTEGERS: _Columns = {"wt": 0, "gd": 1, "st": 2, "next": 3, "poll": 4}
_SENSOR_FLOATS: _Columns = {"offset": 5, "correction": 6}
_NO_PEER = ("-", "----", "peer", "not", "valid")
"""Words of `---- peer not valid ----`, which stands in place of numbers."""
_TIMES = ("next", "poll")
_PREFIX = {"state_prefix": "*: the one that is followed"}
_COMMON = {
    "wt": Field("int", "1", "weight"),
    "next": Field("int", "s", "until the next poll"),
    "poll": Field("int", "s", "between two polls"),
}


class Openntpd(Input[OpenntpdOptions]):
    measurements = (
        Measurement(
            "openntpd",
            "A peer. What is not measured yet is left out.",
            tags={"remote": "its name or address", "stratum": "its distance from a reference clock", **_PREFIX},
            fields={**_COMMON, "tl": Field("int", "1", "trust level")}
            | fields("float", "ms", offset="its clock less the host's", delay="there and back", jitter="of offsets"),
            charts=(Chart("Offset of the peers' clocks", ("offset", "jitter")), Chart("Delay", ("delay",))),
        ),
        Measurement(
            "openntpd_sensors",
            "A sensor: a clock of this host.",
            tags={"sensor": "its name", "refid": "what it is", **_PREFIX},
            fields={**_COMMON, "gd": Field("int", "1", "1: its data are good"), "st": Field("int", "1", "stratum")}
            | fields("float", "ms", offset="its clock less the host's", correction="that is set for it"),
            charts=(Chart("Offset of the sensors", ("offset",)),),
        ),
        Measurement(
            "openntpd_status",
            "The daemon.",
            fields=fields(
                "int",
                "1",
                peers_valid="peers that are valid",
                peers_total="peers",
                sensors_valid="sensors that are valid",
                sensors_total="sensors",
                clock_synced="1: the clock is synchronised",
                stratum="of this host",
            )
            | fields("int", "s", constraint_offset_s="from the time that HTTPS servers tell"),
            charts=(Chart("Valid peers", ("peers_valid", "peers_total")),),
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._commands = Commands(timeout=options.timeout.seconds, use_sudo=options.use_sudo)

    def gather(self, acc: Accumulator) -> None:
        options = self.options
        # With sudo it may be one that the agent's account cannot run.
        program = options.binary if options.use_sudo else find_program(options.binary, "binary", package="openntpd")
        output = self._commands.run([program, "-s", "all"])
        reader = _Reader(acc)
        reader.read(output.stdout.decode("utf-8", "replace"))
        if reader.problems:
            told = f"cannot read the output of {self.options.binary}"
            raise joined_failures([PyagentError(f"{told}: {problem}") for problem in reader.problems])

    async def stop(self) -> None:
        self._commands.stop()


class _Reader:
    """Adds what it reads, and collects what is wrong."""

    def __init__(self, acc: Accumulator) -> None:
        self.problems: list[str] = []
        self._acc = acc
        self._number = 0

    def read(self, text: str) -> None:
        lines = iter(enumerate(text.split("\n"), start=1))
        section = ""
        for self._number, line in lines:
            words = line.split()
            if words in (["peer"], ["sensor"]):
                section = words[0]
                next(lines, None)  # the names of the columns
            elif words and section:
                self._number, values = next(lines, (self._number, ""))
                self._add(section, words, values.split())
            elif words:
                self._add_status(line)

    def _add_status(self, line: str) -> None:
        found = {"clock_synced": 0}
        for part in (part.strip() for part in line.split(", ")):
            for name in ("peers", "sensors"):
                if part.endswith(f"{name} valid"):
                    valid, _, total = part.split()[0].partition("/")
                    counts = (parse_integer(valid), parse_integer(total))
                    if counts[0] is None or counts[1] is None:
                        self._wrong(f"{name} valid", part)
                    else:
                        found[f"{name}_valid"], found[f"{name}_total"] = counts[0], counts[1]
            for before, name in (("constraint offset ", "constraint_offset_s"), ("stratum ", "stratum")):
                if part.startswith(before):
                    text = part.removeprefix(before).removesuffix("s")
                    if (number := parse_integer(text)) is None:
                        self._wrong(before.strip(), text)
                    else:
                        found[name] = number
            if part == "clock synced":
                found["clock_synced"] = 1
        self._acc.add("openntpd_status", found)

    def _add(self, section: str, names: list[str], values: list[str]) -> None:
        if not values:
            return
        tags = {}
        if "*" in values[0]:
            tags["state_prefix"], *values = values
        if section == "peer":
            tags["remote"] = names[-1] if names[0] == "not" else names[0]
            if len(values) > 2:
                tags["stratum"] = values[2]
            found = self._numbers(values, _PEER_INTEGERS, _PEER_FLOATS, _NO_PEER)
            measurement = "openntpd"
        else:
            tags["sensor"] = names[0]
            if len(names) > 1:
                tags["refid"] = names[1]
            found = self._numbers(values, _SENSOR_INTEGERS, _SENSOR_FLOATS, ("-",))
            measurement = "openntpd_sensors"
        if found:
            self._acc.add(measurement, found, tags)

    def _numbers(
        self, values: list[str], integers: _Columns, floats: _Columns, none: tuple[str, ...]
    ) -> dict[str, int | float]:
        found: dict[str, int | float] = {}
        for name, index in (*integers.items(), *floats.items()):
            text = values[index] if index < len(values) else "-"
            if text == "-" or (name in floats and text in none):
                continue
            value: int | float | None
            if name in floats:
                value = parse_finite(text.removesuffix("ms"))
            else:
                value = parse_integer(text.removesuffix("s") if name in _TIMES else text)
            if value is None:
                self._wrong(name, text)
            else:
                found[name] = value
        return found

    def _wrong(self, name: str, text: str) -> None:
        self.problems.append(f"line {self._number}: {name} is {quoted(text[:40])}")
