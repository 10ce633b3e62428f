"""What Nagios' and NRPE's files define, and what macros in them stand for.

One reader for both, as no line of the one means something else in the other: `command[NAME]=LINE`, `include=`,
`include_file=`, `include_dir=`, `command_prefix=`, `command_timeout=` of NRPE; `define command {`, host, hostgroup and service,
`$USER1$=`, `cfg_file=`, `cfg_dir=`, `resource_file=`, `interval_length=`, `service_check_timeout=` of Nagios. Everything else
in them is about a server, and left out.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyagent.api import ConfigError
from pyagent.api.files import read_file
from pyagent.kit.globpath import match_files
from pyagent.kit.shown import quoted
from pyagent_plugins.inputs.nagios.objects import DefinedObject

__all__ = ["Command", "Definitions", "expanded", "words_of"]

_MOST_FILES = 1000
_NRPE_COMMAND = re.compile(r"command\[([^\]]+)\]\s*=\s*(.*)")
_USER = re.compile(r"\$(USER\d{1,3})\$\s*=\s*(.*)")
_SETTING = re.compile(r"([a-z_]+)\s*=\s*(.*)")
_DEFINE = re.compile(r"define\s+(\w+)\s*\{\s*")
_COMMENT = re.compile(r"(?<!\\);.*")
_MACRO = re.compile(r"\$([\w:.-]*)\$")
"""With a colon it is one of another host, which is none of ours to know."""
_ARGUMENT = re.compile(r"ARG([1-9]\d?)")
_NEEDS_ARGUMENT = re.compile(r"\$ARG\d+\$")
_FOR_SHELL = frozenset("!$^&*()~[]\\|{};<>?'\"`")
"""A line with one of these Nagios runs by a shell, as one that begins with a variable."""


@dataclass(frozen=True, slots=True)
class Command:
    line: str
    place: str
    """FILE:LINE."""
    is_complete: bool
    """NRPE's, and without `$ARG1$`: it is a check as it stands. One of Nagios is a check by its service only."""
    keeps_unknown: bool
    """NRPE knows no macros but arguments, and leaves what looks like one to the shell."""


@dataclass
class Definitions:
    commands: dict[str, Command] = field(default_factory=dict)
    """By name; of two the later counts."""
    macros: dict[str, str] = field(default_factory=dict)
    """`USER1` and so on."""
    objects: list[DefinedObject] = field(default_factory=list)
    """Hosts, host groups and services."""
    timeout: float = 0.0
    """Seconds, of NRPE's command_timeout or Nagios' service_check_timeout; 0: they say none."""
    interval_length: float = 60.0
    """Seconds of an interval of 1."""
    missing: list[str] = field(default_factory=list)
    """What is included and cannot be read, for a warning each."""

    def __post_init__(self) -> None:
        self._prefix = ""
        self._read: set[str] = set()

    @property
    def files(self) -> list[str]:
        """Those that have been read, one with a mistake in it, too."""
        return sorted(self._read)

    def read(self, pattern: str) -> None:
        """Read a file, all that a pattern matches, or all `.cfg` below a folder. Raises ConfigError."""
        try:
            paths = match_files(pattern)
        except ValueError as error:
            raise ConfigError(str(error), option="files") from None
        if not paths:
            raise ConfigError(f"cannot read {quoted(pattern)}: there is no such file", option="files")
        for path in paths:
            file = path
            try:
                for file in _files_below(path) if os.path.isdir(path) else (path,):
                    self._file(file)
            except OSError as error:
                raise ConfigError(f"cannot read {quoted(file)}: {error.strerror}", option="files") from None
        if self._prefix:
            self.commands = {
                name: Command(f"{self._prefix} {one.line}", one.place, one.is_complete, True)
                if one.keeps_unknown
                else one
                for name, one in self.commands.items()
            }
            self._prefix = ""

    def _file(self, path: str) -> None:
        identity = os.path.realpath(path)
        if identity in self._read:  # files that include each other
            return
        if len(self._read) >= _MOST_FILES:
            raise ConfigError(f"cannot read {quoted(path)}: there are more than {_MOST_FILES} files", option="files")
        data = read_file(path)
        self._read.add(identity)
        lines = enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1)
        for number, text in lines:
            line = text.strip()
            if not line or line.startswith(("#", ";")):
                continue
            if begun := _DEFINE.match(line):
                self._object(path, number, begun[1], lines)
            elif line.startswith("command["):
                found = _NRPE_COMMAND.fullmatch(line)
                if found is None or not found[2]:
                    problem = f"cannot read {path}:{number}: it is no command; write command[NAME]=PROGRAM ARGUMENTS"
                    raise ConfigError(problem, option="files")
                is_complete = _NEEDS_ARGUMENT.search(found[2]) is None
                self.commands[found[1].strip()] = Command(found[2], f"{path}:{number}", is_complete, True)
            elif user := _USER.fullmatch(line):
                self.macros[user[1]] = user[2]
            elif setting := _SETTING.fullmatch(line):
                self._setting(path, number, setting[1], setting[2])

    def _setting(self, path: str, number: int, name: str, value: str) -> None:
        if name in ("include", "include_file", "cfg_file", "resource_file", "include_dir", "cfg_dir"):
            target = os.path.join(os.path.dirname(path), value)
            try:
                for file in _files_below(target) if name.endswith("_dir") else (target,):
                    self._file(file)
            except OSError as error:
                self.missing.append(f"cannot read {quoted(target)}, which {path}:{number} includes: {error.strerror}")
        elif name == "command_prefix":
            self._prefix = value
        elif name in ("command_timeout", "service_check_timeout", "interval_length"):
            if not (value.isascii() and value.isdigit() and int(value[:9]) > 0):
                problem = f"cannot read {path}:{number}: {name} is {value[:20]!r}; write whole seconds"
                raise ConfigError(problem, option="files")
            if name == "interval_length":
                self.interval_length = float(value[:9])
            else:
                self.timeout = float(value[:9])

    def _object(self, path: str, begun: int, kind: str, lines: Iterator[tuple[int, str]]) -> None:
        found: dict[str, str] = {}
        rest = ""
        for number, text in lines:
            line = rest + _COMMENT.sub("", text).replace("\\;", ";").strip()
            if line.endswith("\\") and not line.endswith("\\\\"):
                rest = line[:-1]
                continue
            rest = ""
            if line.startswith("}"):
                break
            if line and not line.startswith("#"):
                name, _, value = line.replace("\t", " ", 1).partition(" ")
                found[name] = value.strip()
            if _DEFINE.match(line):
                raise ConfigError(f"cannot read {path}:{number}: the object of line {begun} has no }}", option="files")
        else:
            raise ConfigError(f"cannot read {path}:{begun}: the object has no }}; it ends in none", option="files")
        if kind in ("host", "hostgroup", "service"):
            self.objects.append(DefinedObject(kind, found, f"{path}:{begun}"))
        if kind != "command":
            return
        name, line = found.get("command_name", ""), found.get("command_line", "")
        if not name or not line:
            lacking = "command_line" if name else "command_name"
            raise ConfigError(f"cannot read {path}:{begun}: the command has no {lacking}; add it", option="files")
        self.commands[name] = Command(line, f"{path}:{begun}", False, False)


def expanded(line: str, macros: Mapping[str, str], arguments: Sequence[str], *, keeps_unknown: bool = False) -> str:
    """The line with what its macros stand for: `$$` is a dollar, an argument that is not given nothing, as in Nagios.
    Raises ConfigError for a macro that is unknown; `keeps_unknown`: it stays as it is."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not name:
            return "$"
        if argument := _ARGUMENT.fullmatch(name):
            index = int(argument[1]) - 1
            return arguments[index] if index < len(arguments) else ""
        if name in macros:
            return macros[name]
        if keeps_unknown:
            return found[0]
        raise ConfigError(f"nothing says what ${name}$ stands for; set {name} in macros", option="check")

    return _MACRO.sub(value, line)


def words_of(line: str) -> list[str]:
    """What is run for a line: by a shell where it has characters of one, as Nagios does."""
    words = line.split()
    is_plain = _FOR_SHELL.isdisjoint(line) and not any("=" in word for word in words[:1])
    return words if is_plain else ["/bin/sh", "-c", line]


def _files_below(folder: str) -> list[str]:
    """Raises OSError."""
    found = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith("."):
            if not entry.is_symlink():
                found += _files_below(entry.path)
        elif entry.name.endswith(".cfg") and entry.is_file():
            found.append(entry.path)
    return found
