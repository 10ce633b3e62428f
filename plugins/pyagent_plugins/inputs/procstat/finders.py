"""Which processes: by a file with the number, name, command line, account, control group, or unit of systemd or supervisor."""

import glob
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from pyagent.api import PyagentError
from pyagent.kit.command import CommandFailed, Commands
from pyagent.kit.procfs import host_path, read_text
from pyagent.kit.regex import Regex
from pyagent_plugins.inputs.procstat.processes import Processes

__all__ = [
    "Finder",
    "Group",
    "Native",
    "Pgrep",
    "cgroups",
    "matches",
    "pid_of_file",
    "supervised",
    "systemd_main",
    "systemd_units",
]

_PID_MAX = (1 << 31) - 1
_SUPERVISOR_STATUSES = (0, 3)
"""3: one of the units does not run."""
_UNIT_FILES = "enabled,disabled,static"
_NO_MATCH = 1


@dataclass(slots=True)
class Group:
    """Processes that were selected together."""

    pids: list[int]
    tags: dict[str, str] = field(default_factory=dict)
    level: int = 0
    """How far below those that the filter selects."""


class Finder(Protocol):
    """Raises PyagentError."""

    def by_name(self, pattern: str, regex: Regex | None) -> list[int]: ...

    def by_command(self, pattern: str, regex: Regex | None) -> list[int]: ...

    def by_user(self, user: str) -> list[int]: ...

    def children(self, pid: int) -> list[int]: ...


class Pgrep:
    """By the program pgrep, whose path this is."""

    def __init__(self, program: str, commands: Commands) -> None:
        self._program = program
        self._commands = commands

    def by_name(self, pattern: str, regex: Regex | None) -> list[int]:
        return self._run(pattern)

    def by_command(self, pattern: str, regex: Regex | None) -> list[int]:
        return self._run("-f", pattern)

    def by_user(self, user: str) -> list[int]:
        return self._run("-u", user)

    def children(self, pid: int) -> list[int]:
        return self._run("-P", str(pid))

    def _run(self, *arguments: str) -> list[int]:
        output = self._commands.run([self._program, *arguments], expected=(0, _NO_MATCH))
        return [_pid(word, "pgrep prints") for word in output.text.split()] if output.status == 0 else []


class Native:
    """By /proc."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def by_name(self, pattern: str, regex: Regex | None) -> list[int]:
        """By the path of the program."""
        return self._matching(regex, self._processes.executable)

    def by_command(self, pattern: str, regex: Regex | None) -> list[int]:
        return self._matching(regex, self._processes.command_line)

    def by_user(self, user: str) -> list[int]:
        return [pid for pid in self._processes.pids() if self._processes.user(pid) == user]

    def children(self, pid: int) -> list[int]:
        return self._processes.parents().get(pid, [])

    def _matching(self, regex: Regex | None, text_of: Callable[[int], str | None]) -> list[int]:
        assert regex is not None
        return [pid for pid in self._processes.pids() if (text := text_of(pid)) is not None and matches(regex, text)]


def matches(regex: Regex, text: str) -> bool:
    """Raises PyagentError."""
    try:
        return regex.search(text) is not None
    except ValueError as error:
        raise PyagentError(f"cannot match a command line: {error}") from None


def pid_of_file(path: str) -> int:
    """Raises PyagentError."""
    return _pid(read_text(path), f"{path}: line 1 is")


def cgroups(pattern: str) -> list[Group]:
    """Those of each control group that a path, or one below /sys/fs/cgroup, matches. Raises PyagentError."""
    path = pattern if pattern.startswith("/") else host_path("sys", "fs/cgroup", pattern)
    groups = []
    for found in sorted(glob.glob(path)):
        if not os.path.isdir(found):
            raise PyagentError(
                f"cannot use the cgroup {found}: it is no directory; name the directory of a control group"
            )
        file = os.path.join(found, "cgroup.procs")
        words = read_text(file).split("\n")
        pids = [
            _pid(word.strip(), f"{file}: line {number} is")
            for number, word in enumerate(words, start=1)
            if word.strip()
        ]
        groups.append(Group(pids, {"cgroup": pattern, "cgroup_full": found}))
    return groups


def systemd_main(commands: Commands, unit: str) -> list[int]:
    """The main process of a unit, none where it does not run. Raises PyagentError."""
    text = commands.run(["systemctl", "show", unit]).text
    values = [line.partition("=")[2].strip() for line in text.splitlines() if line.startswith("MainPID=")]
    return [_pid(value, f"systemctl: MainPID of {unit} is") for value in values if value not in ("", "0")]


def systemd_units(commands: Commands, patterns: Iterable[str]) -> list[Group]:
    """The main processes of the units that run and match. Raises PyagentError."""
    listing = ["list-unit-files", f"--state={_UNIT_FILES}", "--no-legend", "--no-pager", "--plain", "--full", "--"]
    # It fails where no unit matches.
    text = commands.run(["systemctl", *listing, *patterns], expected=(0, 1)).text
    names = [line.split()[0] for line in text.splitlines() if line.strip()]
    names = [name for name in names if name.endswith(".service") and not name.endswith("@.service")]
    if not names:
        return []
    groups = []
    shown = commands.run(["systemctl", "show", "--property=Id", "--property=MainPID", "--", *names]).text
    for block in re.split(r"\n\s*\n", shown):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        name, main = values.get("Id", ""), values.get("MainPID", "").strip()
        if name and main not in ("", "0"):
            groups.append(Group([_pid(main, f"systemctl: MainPID of {name} is")], {"systemd_unit": name}))
    return groups


def supervised(commands: Commands, units: str) -> list[tuple[dict[str, str], int | None]]:
    """Tags and process of each unit of which supervisorctl tells. Raises PyagentError."""
    try:
        output = commands.run(["supervisorctl", "status", units], expected=_SUPERVISOR_STATUSES)
    except CommandFailed as error:
        # It says on standard output what is wrong.
        line = error.output.stdout.decode("utf-8", "replace").strip().partition("\n")[0][:200]
        raise PyagentError(f"{error}: {line}" if line and not error.output.stderr.strip() else str(error)) from None
    found: list[tuple[dict[str, str], int | None]] = []
    for number, line in enumerate(output.text.splitlines(), start=1):
        words = line.split()
        if len(words) < 2:
            continue
        tags = {"supervisor_unit": words[0], "status": words[1]}
        pid = None
        if words[1] in ("FATAL", "EXITED", "BACKOFF", "STOPPING"):
            tags["error"] = " ".join(words[2:])
        elif words[1] == "RUNNING":
            if len(words) < 6:
                raise PyagentError(f"cannot read what supervisorctl prints: line {number} is {line[:80]!r}")
            pid = _pid(words[3].replace(",", ""), f"supervisorctl: the process of {words[0]} is")
            tags["uptimes"] = words[5]
        found.append((tags, pid))
    return found


def _pid(text: str, what: str) -> int:
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 10 and int(digits) <= _PID_MAX:
        return int(text)
    raise PyagentError(f"cannot read the number of a process: {what} {text[:80]!r}")
