"""Units by the program systemctl: where there is no bus, or no library for it."""

import os
from collections.abc import Iterable, Iterator, Sequence

from pyagent.api import PyagentError
from pyagent.kit.command import CommandFailed, Commands
from pyagent.kit.numbers import parse_integer, parse_unsigned
from pyagent_plugins.inputs.systemd_units.units import MEMORY, Properties, Unit

__all__ = ["Systemctl"]

_NUMBERS = ("NRestarts", "MainPID", *MEMORY.values())
_TEXTS = ("UnitFileState", "UnitFilePreset")
_SHOWN = ("Id", *_TEXTS, "ActiveEnterTimestamp", "StatusErrno", *_NUMBERS)
_AT_ONCE = 200
"""Units that one systemctl is asked for."""
_MARKS = ("●", "○", "*", "x", "×")  # noqa: RUF001  # that is the sign
"""What older versions show before units that are not well."""
_PRECISE = ["--timestamp=us+utc"]


class Systemctl:
    """`timeout`: seconds for each run."""

    def __init__(self, program: str, *, user: bool, timeout: float) -> None:
        self._command = [program, *(["--user"] if user else []), "--no-pager"]
        # Times are told in the zone of the environment.
        environment = {"TZ": "UTC"}
        if user and "XDG_RUNTIME_DIR" not in os.environ:  # as in a service
            environment["XDG_RUNTIME_DIR"] = f"/run/user/{os.getuid()}"
        self._commands = Commands(timeout=timeout, environment=environment)
        self._precise = _PRECISE

    def stop(self) -> None:
        self._commands.stop()

    def units(self) -> list[Unit]:
        units = []
        for number, words in self._lines("list-units", "--all", "--full", "--plain", "--no-legend"):
            if len(words) < 4:
                raise PyagentError(f"cannot read what `systemctl list-units` prints: line {number} is {words!r}")
            units.append(Unit(*words[:4]))
        return units

    def files(self) -> list[tuple[str, str]]:
        lines = self._lines("list-unit-files", "--full", "--plain", "--no-legend", "--state=disabled,static")
        return [(words[0], words[1] if len(words) > 1 else "") for _, words in lines]

    def named(self, names: Sequence[str]) -> list[Unit]:
        shown = self._show(names, ("LoadState", "ActiveState", "SubState"))
        return [
            Unit(name, found.get("LoadState", ""), found.get("ActiveState", ""), found.get("SubState", ""))
            for name, found in shown.items()
        ]

    def properties(self, units: Sequence[Unit]) -> dict[str, Properties]:
        return {name: _typed(found) for name, found in self._show([unit.name for unit in units]).items()}

    def _lines(self, *arguments: str) -> Iterator[tuple[int, list[str]]]:
        text = self._commands.run([*self._command, *arguments]).text
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            if words and words[0] in _MARKS:
                del words[0]
            if words:
                yield number, words

    def _show(self, names: Sequence[str], more: Iterable[str] = ()) -> dict[str, dict[str, str]]:
        """Properties of units by their names. Raises PyagentError."""
        found: dict[str, dict[str, str]] = {}
        wanted = ",".join((*_SHOWN, *more))
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


def _typed(found: dict[str, str]) -> Properties:
    values: dict[str, str | int | None] = {name: found.get(name) for name in _TEXTS}
    values |= {name: parse_unsigned(found.get(name, "")) for name in _NUMBERS}
    values["StatusErrno"] = parse_integer(found.get("StatusErrno", ""))
    values["ActiveEnterTimestamp"] = _microseconds(found.get("ActiveEnterTimestamp"))
    return {name: value for name, value in values.items() if value is not None}


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
