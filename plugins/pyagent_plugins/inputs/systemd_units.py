"""States of the units of systemd.

Runs systemctl. Names and types are those of Telegraf 1.40.
"""

import os
import pwd
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    Uint,
    fields,
    option,
)
from pyagent.kit.command import CommandFailed, Commands, find_program
from pyagent.kit.filter import name_filter
from pyagent.kit.numbers import parse_integer, parse_unsigned
from pyagent.kit.once import Once

__all__ = ["SystemdUnits", "SystemdUnitsOptions"]

_TYPES = (*("service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope"),)


class SystemdUnitsOptions(Options, frozen=True):
    pattern: Annotated[str, option("names of units, with wildcards, and blanks between them")] = "*"
    unittype: Annotated[str, option("their type: service, socket, timer and so on")] = "service"
    scope: Annotated[str, option("system, or user: those of the agent's account")] = "system"
    collect_disabled_units: Annotated[bool, option("also units that are not loaded")] = False
    details: Annotated[bool, option("also restarts, memory and the main process")] = False
    timeout: Annotated[Duration, option("how long systemctl may take")] = Duration("5s")
    subcommand: Annotated[str, option("show is `details`; list is the rest", deprecated="details")] = ""


_LOADS = ("loaded", "stub", "not-found", "bad-setting", "error", "merged", "masked")
_ACTIVES = ("active", "reloading", "inactive", "failed", "activating", "deactivating")
_SUBS = {
    0x00: "running dead start-pre start exited reload stop stop-watchdog stop-sigterm stop-sigkill stop-post final-sigterm"
    " failed auto-restart condition cleaning",
    0x10: "waiting reload-signal reload-notify final-watchdog dead-before-auto-restart failed-before-auto-restart"
    " dead-resources-pinned auto-restart-queued",
    0x20: "tentative plugged",
    0x30: "mounting mounting-done mounted remounting unmounting remounting-sigterm remounting-sigkill unmounting-sigterm"
    " unmounting-sigkill",
    0x50: "abandoned",
    0x60: "active",
    0x70: "start-chown start-post listening stop-pre stop-pre-sigterm stop-pre-sigkill final-sigkill",
    0x80: "activating activating-done deactivating deactivating-sigterm deactivating-sigkill",
    0xA0: "elapsed",
}
_LOAD_CODES = {name: code for code, name in enumerate(_LOADS)}
_ACTIVE_CODES = {name: code for code, name in enumerate(_ACTIVES)}
_SUB_CODES = {name: start + place for start, names in _SUBS.items() for place, name in enumerate(names.split())}
_MEMORY = {
    "mem_current": "MemoryCurrent",
    "mem_peak": "MemoryPeak",
    "mem_avail": "MemoryAvailable",
    "swap_current": "MemorySwapCurrent",
    "swap_peak": "MemorySwapPeak",
}
_SHOWN = ("Id", "UnitFileState", "UnitFilePreset", "ActiveEnterTimestamp", "StatusErrno", "NRestarts", "MainPID")
_AT_ONCE = 200
"""Units that one systemctl is asked for."""
_UNSET = (1 << 64) - 1
_MARKS = ("●", "○", "*", "x", "×")  # noqa: RUF001  # that is the sign
"""What older versions show before units that are not well."""
_PRECISE = ["--timestamp=us+utc"]


class SystemdUnits(Input[SystemdUnitsOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "systemd_units",
            "A unit. The fields behind sub_code and the tags state and preset are there with `details`.",
            tags={
                "name": "its name",
                "load": "whether it was read: loaded, not-found, masked and so on",
                "active": "active, inactive, failed and so on",
                "sub": "its state by its type: running, exited, listening and so on",
                "user": 'the account, with `scope = "user"`',
                "state": "enabled, disabled, static and so on",
                "preset": "whether the distribution enables it",
            },
            fields=fields(
                "int", "1", load_code="load as a number", active_code="active as a number", sub_code="sub as a number"
            )
            | {
                "status_errno": Field("int", "1", "number of the error it ended with"),
                "restarts": Field("uint", "1", "times systemd started it anew"),
                "pid": Field("uint", "1", "its main process; 0: none"),
                "active_enter_timestamp_us": Field("uint", "µs", "when it became active, since 1970"),
            }
            | fields(
                "uint",
                "bytes",
                mem_current="memory in use",
                mem_peak="the most it had",
                mem_avail="memory it may still take",
                swap_current="swap in use",
                swap_peak="the most it had",
            ),
            charts=(Chart("States of units", ("active_code",)),),
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._type = options.unittype or "service"
        if self._type not in _TYPES:
            raise ConfigError(f"invalid 'unittype' {self._type!r}; there are {', '.join(_TYPES)}", option="unittype")
        if options.scope not in ("", "system", "user"):
            raise ConfigError(f"invalid 'scope' {options.scope!r}; there are system and user", option="scope")
        self._patterns = (options.pattern or "*").split(" ")
        self._wanted = name_filter(self._patterns, names=("pattern", "pattern"))
        self._user = _account() if options.scope == "user" else ""
        program = find_program("systemctl", package="systemd")
        self._command = [program, *(["--user"] if self._user else []), "--no-pager"]
        self._details = options.details or options.subcommand == "show"
        # Times are told in the zone of the environment.
        self._commands = Commands(timeout=options.timeout.seconds, environment={"TZ": "UTC"})
        self._precise = _PRECISE
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        units = list(self._units())
        shown = self._show([name for name, *_ in units]) if self._details else {}
        for name, *states in units:
            codes = [table.get(state) for table, state in zip(_CODES, states, strict=True)]
            if None in codes:
                unknown = next(state for code, state in zip(codes, states, strict=True) if code is None)
                if self._once(unknown):
                    self.log.error("cannot read the state of %s: %r is unknown; the unit is left out", name, unknown)
                continue
            tags = {"name": name, **dict(zip(("load", "active", "sub"), states, strict=True)), "user": self._user}
            values: dict[str, Any] = dict(zip(("load_code", "active_code", "sub_code"), codes, strict=True))
            if self._details:
                found = shown.get(name, {})
                tags |= {"state": found.get("UnitFileState", ""), "preset": found.get("UnitFilePreset", "")}
                values |= self._detailed(found)
            acc.add("systemd_units", values, {key: value for key, value in tags.items() if value})

    async def stop(self) -> None:
        self._commands.stop()

    def _units(self) -> Iterator[tuple[str, str, str, str]]:
        """Name, load, active and sub of each. Raises PyagentError."""
        ending = f".{self._type}"
        seen = set()
        for number, words in self._lines("list-units", "--all", "--full", "--plain", "--no-legend"):
            if len(words) < 4:
                raise PyagentError(f"cannot read what `systemctl list-units` prints: line {number} is {words!r}")
            name, load, active, sub = words[:4]
            if self._wanted(name):
                seen.add(_template(name))
                seen.add(name)
                if name.endswith(ending):
                    yield name, load, active, sub
        if not self.options.collect_disabled_units:
            return
        disabled = []
        states = "--state=disabled,static"
        for _, words in self._lines("list-unit-files", "--full", "--plain", "--no-legend", states):
            name = words[0]
            if not self._wanted(name) or not name.endswith(ending) or name in seen or _template(name) in seen:
                continue
            seen.add(name)
            if words[1:2] == ["disabled"] and "@." not in name:
                disabled.append(name)
            else:
                yield name, "stub", "inactive", "dead"
        for name, found in self._show(disabled, ("LoadState", "ActiveState", "SubState")).items():
            yield name, found.get("LoadState", ""), found.get("ActiveState", ""), found.get("SubState", "")

    def _lines(self, *arguments: str) -> Iterator[tuple[int, list[str]]]:
        text = self._commands.run([*self._command, *arguments]).text
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            if words and words[0] in _MARKS:
                del words[0]
            if words:
                yield number, words

    def _show(self, names: list[str], more: Iterable[str] = ()) -> dict[str, dict[str, str]]:
        """Properties of units by their names. Raises PyagentError."""
        found: dict[str, dict[str, str]] = {}
        wanted = ",".join((*_SHOWN, *_MEMORY.values(), *more))
        names = [name for name in names if "@." not in name]  # those that instances are made of have no state
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            text = self._shown(["show", f"--property={wanted}"], some)
            for block in text.split("\n\n"):
                values = dict(line.partition("=")[::2] for line in block.splitlines())
                if name := values.get("Id"):
                    found[name] = values
        return found

    def _shown(self, command: list[str], names: list[str]) -> str:
        if self._precise:
            try:
                return self._commands.run([*self._command, *command, *self._precise, "--", *names]).text
            except CommandFailed as failed:
                if b"timestamp" not in failed.output.stderr:
                    raise
            self._precise = []  # before systemd 248: whole seconds
        return self._commands.run([*self._command, *command, "--", *names]).text

    def _detailed(self, found: dict[str, str]) -> dict[str, Any]:
        values: dict[str, Any] = {} if found else {"status_errno": -1, "restarts": Uint(0)}
        if (errno := parse_integer(found.get("StatusErrno", ""))) is not None:
            values["status_errno"] = errno
        if (restarts := parse_unsigned(found.get("NRestarts", ""))) is not None:
            values["restarts"] = Uint(restarts)
        if (pid := parse_unsigned(found.get("MainPID", ""))) is not None:
            values["pid"] = Uint(pid)
        for field, name in _MEMORY.items():
            number = parse_unsigned(found.get(name, ""))
            values[field] = Uint(0 if number is None or number == _UNSET else number)
        if (entered := _microseconds(found.get("ActiveEnterTimestamp"))) is not None:
            values["active_enter_timestamp_us"] = Uint(entered)
        return values


_CODES = (_LOAD_CODES, _ACTIVE_CODES, _SUB_CODES)


def _template(name: str) -> str:
    """Of an instance (`getty@tty1.service`) the unit that it is made of; else the name."""
    before, found, after = name.partition("@")
    return f"{before}@.{after.rpartition('.')[2]}" if found else name


def _microseconds(text: str | None) -> int | None:
    """Of a time such as `Mon 2026-01-05 10:00:00.123456 UTC`; 0 for none, None for what is no time."""
    if text is None:
        return None
    if text in ("", "n/a", "0"):
        return 0
    from datetime import UTC, datetime

    words = text.split()
    if len(words) != 4 or words[3] != "UTC":
        return None
    try:
        moment = datetime.fromisoformat(f"{words[1]}T{words[2]}").replace(tzinfo=UTC)
    except ValueError:
        return None
    whole = round(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000 + moment.microsecond if whole >= 0 else None


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise ConfigError("unable to determine user: the agent's account has no name", option="scope") from None
