"""Frequencies, states and power of processors.

Keeps `turbostat` running and reads what it prints. Names and types are those of Telegraf 1.40.
"""

import re
from typing import Annotated

from pyagent.api import About, Accumulator, Duration, Input, Measurement, Options, fields, option
from pyagent.kit.command import find_program
from pyagent.kit.long_running import LongRunning
from pyagent.kit.numbers import parse_finite

__all__ = ["Turbostat", "TurbostatOptions"]


class TurbostatOptions(Options, frozen=True):
    path: Annotated[str, option("the program, where it is not in PATH", executes=True)] = ""
    interval: Annotated[Duration, option("between two measurements")] = Duration("10s")
    use_sudo: Annotated[bool, option("run it by sudo")] = False


_WORDS = {
    "%": "percent",
    "+": "plus",
    "-": "minus",
    "watt": "power_watt",
    "mhz": "frequency_mhz",
    "tmp": "temperature_celsius",
    "thr": "throttle",
    "avg": "average",
    "cor": "core",
    "bzy": "busy",
    "pkg": "package",
    "sys": "system",
    "unc": "uncore",
    "u": "uncore",
    "a": "actual",
    "j": "energy_joule",
}
_JOINED = re.compile("Watt|MHz|Tmp|Thr|GFX|SAM")
"""Words that stand in a name without anything between."""
_TOKEN = re.compile("[0-9a-zA-Z]+|%|\\+|-")
_TAGS = ("package", "node", "die", "core", "cpu", "apic", "x2apic")
_TIME = "time_of_day_seconds"
_LONGEST_LINE = 65536
_DEFAULT_INTERVAL = Duration("10s")
_REFUSED = "turbostat needs root (set `use_sudo`, and allow it in /etc/sudoers.d) and the module msr (modprobe msr)"
_MOST_TIME = 9e9
"""Seconds since 1970 that still fit a time in nanoseconds."""


class Turbostat(Input[TurbostatOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "turbostat",
            "A processor; `-` stands for all of them. The columns are those that turbostat has on this host.",
            tags=dict.fromkeys(_TAGS, "as turbostat names it"),
            fields=fields(
                "float", "MHz", average_frequency_mhz="also of idle times", busy_frequency_mhz="while it is busy"
            )
            | fields("float", "percent", busy_percent="of the time in which it is busy")
            | fields("float", "watts", package_power_watt="of the package"),
            open=True,
        ),
    )

    def setup(self) -> None:
        interval = self.options.interval if self.options.interval.seconds > 0 else _DEFAULT_INTERVAL
        seconds = f"{interval.seconds:.9f}".rstrip("0").rstrip(".")
        name = self.options.path or "turbostat"
        if not self.options.use_sudo:
            name = find_program(name, "path", package="linux-cpupower")
        program = [name, "--quiet", "--interval", seconds, "--show", "all"]
        self._program = LongRunning(
            ["sudo", *program] if self.options.use_sudo else program,
            self._received,
            self.log,
            environment=["LC_ALL=C"],
            ended=self._ended,
            option="path",
            remedy="apt install sudo" if self.options.use_sudo else "apt install linux-cpupower, or set `path`",
        )
        self._begin()

    async def start(self, acc: Accumulator) -> None:
        self._acc = acc
        await self._program.start()

    async def stop(self) -> None:
        await self._program.stop()

    def _ended(self) -> str:
        measured = bool(self._header)
        self._begin()
        return "" if measured else _REFUSED

    def _begin(self) -> None:
        self._rest = b""
        self._header: list[str] = []
        self._columns: list[str] = []
        self._skipping = False

    async def _received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not self._skipping:
                self._line(line.decode("utf-8", "replace"))
            self._skipping = False
        if len(self._rest) > _LONGEST_LINE:
            if not self._skipping:
                self.log.error("turbostat: a line has more than %d bytes; it is left out", _LONGEST_LINE)
            self._rest, self._skipping = b"", True

    def _line(self, line: str) -> None:
        words = line.split()
        if not self._header:
            self._header, self._columns = words, [_column(word) for word in words]
        elif words != self._header:
            cause = self._add(words)
            if cause:
                self.log.error("turbostat: cannot read the line %r: %s", line.strip()[:80], cause)

    def _add(self, words: list[str]) -> str:
        """What is wrong with the line, if anything is."""
        if len(words) > len(self._columns):
            return f"it has {len(words)} values for {len(self._columns)} columns"
        time: int | None = None
        tags: dict[str, str] = {}
        values: dict[str, float] = {}
        for name, word in zip(self._columns, words, strict=False):
            if name in _TAGS:
                tags[name] = word
                continue
            number = parse_finite(word)
            if number is None:
                return f"{word[:40]!r} is no number for {name}"
            if name != _TIME:
                values[name] = number
            elif not abs(number) < _MOST_TIME:
                return f"{word[:40]!r} is no time"
            else:
                time = int(number * 1e9)
        if not values:
            return "it has no value for any field"
        self._acc.add("turbostat", values, tags, time)
        return ""


def _column(name: str) -> str:
    tokens = _TOKEN.findall(_JOINED.sub(lambda word: f"_{word[0]}_", name).lower())
    return "_".join(_WORDS.get(token, token) for token in tokens)
