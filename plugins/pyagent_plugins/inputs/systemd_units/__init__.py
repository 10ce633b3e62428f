"""States of the units of systemd.

Asked over D-Bus, or by systemctl. Names and types are those of Telegraf 1.40.
"""

import os
import pwd
from contextlib import ExitStack, suppress
from importlib import util
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
from pyagent.kit.command import find_program
from pyagent.kit.filter import name_filter
from pyagent.kit.libraries import missing_library
from pyagent.kit.once import Once
from pyagent_plugins.inputs.systemd_units.bus import Bus, NoBus
from pyagent_plugins.inputs.systemd_units.systemctl import Systemctl
from pyagent_plugins.inputs.systemd_units.units import ACTIVES, LOADS, MEMORY, SUBS, UNSET, Properties, Source, Unit

__all__ = ["SystemdUnits", "SystemdUnitsOptions"]

_TYPES = (*("service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope"),)


class SystemdUnitsOptions(Options, frozen=True):
    pattern: Annotated[str, option("names of units, with wildcards, and blanks between them")] = "*"
    unittype: Annotated[str, option("their type: service, socket, timer and so on")] = "service"
    scope: Annotated[str, option("system, or user: those of the agent's account")] = "system"
    collect_disabled_units: Annotated[bool, option("also units that are not loaded")] = False
    details: Annotated[bool, option("also restarts, memory and the main process")] = False
    timeout: Annotated[Duration, option("how long systemd may take to answer")] = Duration("5s")
    subcommand: Annotated[str, option("show is `details`; list is the rest", deprecated="details")] = ""


_TAGS = {"state": "UnitFileState", "preset": "UnitFilePreset"}
_COUNTS = {"restarts": "NRestarts", "pid": "MainPID", "active_enter_timestamp_us": "ActiveEnterTimestamp"}


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
        self._details = options.details or options.subcommand == "show"
        self._systemctl = self._bus = None
        if there := util.find_spec("dbus_fast") is not None:
            # Its wildcards are less than ours: without a pattern it tells all of them.
            patterns = [] if "{" in options.pattern else self._patterns
            seconds = options.timeout.seconds
            self._bus = Bus(user=bool(self._user), patterns=patterns, kind=self._type, timeout=seconds)
        try:
            program = find_program("systemctl", package="systemd")
            self._systemctl = Systemctl(program, user=bool(self._user), timeout=options.timeout.seconds)
        except ConfigError:
            if not there:
                raise ConfigError(f"cannot ask systemd: {missing_library('dbus_fast')}") from None
        if not there:
            self.log.info("systemctl is run, which takes more time: %s", missing_library("dbus_fast"))
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        with ExitStack() as stack:
            source = self._source(stack)
            units = self._selected(source)
            found = source.properties(units) if self._details else {}
        for unit in units:
            name, load, active, sub, _ = unit
            codes = LOADS.get(load), ACTIVES.get(active), SUBS.get(sub)
            if None in codes:
                unknown = next(state for code, state in zip(codes, unit[1:4], strict=True) if code is None)
                if self._once(unknown):
                    self.log.error("cannot read the state of %s: %r is unknown; the unit is left out", name, unknown)
                continue
            tags = {"name": name, "load": load, "active": active, "sub": sub, "user": self._user}
            values: dict[str, Any] = dict(zip(("load_code", "active_code", "sub_code"), codes, strict=True))
            if self._details:
                of_unit = found.get(name, {})
                tags |= {tag: str(of_unit.get(of, "")) for tag, of in _TAGS.items()}
                values |= _detailed(of_unit)
            acc.add("systemd_units", values, {key: value for key, value in tags.items() if value})

    async def stop(self) -> None:
        if self._systemctl is not None:
            self._systemctl.stop()

    def _source(self, stack: ExitStack) -> Source:
        """Whoever answers now. Raises PyagentError."""
        if self._bus is not None:
            with suppress(NoBus):
                return stack.enter_context(self._bus.connected())
        if self._systemctl is None:
            where = self._bus.address if self._bus else ""
            raise PyagentError(f"cannot ask systemd: there is no bus at {where}, and no systemctl; apt install systemd")
        return self._systemctl

    def _selected(self, source: Source) -> list[Unit]:
        """Raises PyagentError."""
        ending = f".{self._type}"
        loaded = [unit for unit in source.units() if self._wanted(unit.name)]
        units = [unit for unit in loaded if unit.name.endswith(ending)]
        if not self.options.collect_disabled_units:
            return units
        seen = {name for unit in loaded for name in (unit.name, _template(unit.name))}
        disabled: list[str] = []
        static: list[str] = []
        for name, state in source.files():
            if not self._wanted(name) or not name.endswith(ending) or name in seen or _template(name) in seen:
                continue
            seen.add(name)
            (disabled if state == "disabled" and "@." not in name else static).append(name)
        return [*units, *(Unit(name, "stub", "inactive", "dead") for name in static), *source.named(disabled)]


def _detailed(found: Properties) -> dict[str, Any]:
    values: dict[str, Any] = {} if found else {"status_errno": -1, "restarts": Uint(0)}
    if (errno := found.get("StatusErrno")) is not None:
        values["status_errno"] = errno
    for field, name in _COUNTS.items():
        if isinstance(number := found.get(name), int):
            values[field] = Uint(number)
    for field, name in MEMORY.items():
        number = found.get(name)
        values[field] = Uint(number if isinstance(number, int) and number != UNSET else 0)
    return values


def _template(name: str) -> str:
    """Of an instance (`getty@tty1.service`) the unit that it is made of; else the name."""
    before, found, after = name.partition("@")
    return f"{before}@.{after.rpartition('.')[2]}" if found else name


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise ConfigError("unable to determine user: the agent's account has no name", option="scope") from None
