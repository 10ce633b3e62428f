"""What the programs of sysstat measure.

Runs `sadc` for a while and `sadf` on what it wrote. Names and types are those of Telegraf 1.40.
"""

import os
import tempfile
import time
from typing import Annotated

from pyagent.api import About, Accumulator, Duration, Input, Measurement, Options, PyagentError, option
from pyagent.kit.command import CommandFailed, Commands, find_program
from pyagent.kit.csv_rows import BadRow, csv_rows
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_finite

__all__ = ["Sysstat", "SysstatOptions"]


class SysstatOptions(Options, frozen=True):
    sadc_path: Annotated[str, option("the program sadc", executes=True)] = ""
    sadf_path: Annotated[str, option("the program sadf (empty: that in PATH)", executes=True)] = ""
    sadc_interval: Annotated[Duration, option("how long sadc measures (0s: the interval, less a second)")] = Duration(
        "0s"
    )
    activities: Annotated[list[str] | None, option("what sadc measures (unset: DISK)")] = None
    group: Annotated[bool, option("one measurement for each option; else one for each value")] = True
    options: Annotated[
        dict[str, str], option("options of sadf, and what their measurements are named or begin with", executes=True)
    ] = {}
    device_tags: Annotated[dict[str, list[dict[str, str]]], option("tags of devices")] = {}


_PARSE = 1
"""Seconds that Telegraf leaves to sadf."""
_SADF_TIMEOUT = 30.0
_FIELDS = 6
_ESCAPES = (("%%", "pct_"), ("%", "pct_"), ("/", "_per_"))


class Sysstat(Input[SysstatOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement("sysstat", "The options name the measurements; their fields are those of sadf.", open=True),
    )

    def setup(self) -> None:
        options = self.options
        self._sadf = options.sadf_path or find_program("sadf", "sadf_path", package="sysstat", in_path=True)
        activities = ["DISK"] if options.activities is None else options.activities
        self._activities = [word for name in activities for word in ("-S", name)]
        self._interval = int(options.sadc_interval.seconds) + _PARSE if options.sadc_interval.seconds else 0
        self._first = 0.0
        self._reading = Commands(timeout=_SADF_TIMEOUT, timeout_option="")
        self._collecting: Commands | None = None

    def gather(self, acc: Accumulator) -> None:
        if not self._interval:
            now = time.monotonic()
            if not self._first:
                self._first = now
            else:
                self._interval = int(now - self._first + 0.5)
        ends = time.time_ns() + self._interval * 1_000_000_000
        seconds = max(self._interval - _PARSE, 1)
        descriptor, path = tempfile.mkstemp(prefix="sysstat-")
        os.close(descriptor)
        try:
            self._collecting = Commands(timeout=seconds + _PARSE + 1, timeout_option="sadc_interval")
            self._collecting.run([self.options.sadc_path, *self._activities, str(seconds), "2", path])
            failures: list[Exception] = []
            for words, name in self.options.options.items():
                try:
                    self._read(acc, words, name, path, ends)
                except PyagentError as error:
                    failures.append(error)
            if failures:
                raise joined_failures(failures)
        finally:
            os.unlink(path)

    async def stop(self) -> None:
        self._reading.stop()
        if self._collecting is not None:
            self._collecting.stop()

    def _read(self, acc: Accumulator, words: str, name: str, path: str, ends: int) -> None:
        failed: CommandFailed | None = None
        try:
            output = self._reading.run([self._sadf, "-p", "--", "-p", *words.split(" "), path])
        except CommandFailed as error:
            failed, output = error, error.output
        grouped: dict[str, dict[str, float]] = {}
        where = f"the output of `sadf {words}`"
        try:
            for number, row in csv_rows(output.text, "\t", "", False):
                value = parse_finite(row[5]) if len(row) == _FIELDS else None
                if value is None:
                    cause = (
                        "its value is no number"
                        if len(row) == _FIELDS
                        else f"it has {len(row)} fields, and not {_FIELDS}"
                    )
                    raise PyagentError(f"cannot read {where}: line {number + 1}: {cause}: {row[-1][:80]!r}")
                device, field = row[3], _escaped(row[4])
                if self.options.group:
                    grouped.setdefault(device, {})[field] = value
                else:
                    acc.add(f"{name}_{field}", {"value": value}, self._tags(device), ends)
        except BadRow as error:
            raise PyagentError(f"cannot read {where}: line {error.line + 1}: {error.reason}") from None
        for device, values in grouped.items():
            acc.add(name, values, self._tags(device), ends)
        if failed is not None:
            raise failed

    def _tags(self, device: str) -> dict[str, str]:
        if device == "-":
            return {}
        tags = {"device": device}
        for more in self.options.device_tags.get(device, ()):
            tags |= more
        return tags


def _escaped(name: str) -> str:
    for old, new in _ESCAPES:
        name = name.replace(old, new)
    return name
