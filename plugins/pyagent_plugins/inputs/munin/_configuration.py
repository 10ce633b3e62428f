"""What plugin-conf.d says of each plugin: account, environment, timeout, command; with Munin's own rules of precedence."""

import grp
import os
import pwd
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pyagent.api import PyagentError
from pyagent.api.files import path_of, read_file

__all__ = ["PluginSettings", "account_of", "read_configuration"]

_IGNORED = re.compile(r"[#~]$|DEADJOE$|\.bak$|%$|\.dpkg-(tmp|new|old|dist)$|\.rpm(save|new)$|\.pod$|^\.")
_FILE = re.compile(r"[-\w.:]+", re.ASCII)
_SECTION = re.compile(r"\[([^\]]+)\]")
_LINE = re.compile(r"([\w.]+)\s+(.+)")
_COMMENT = re.compile(r"(?<!\\)#.*")
_MOST_FILES = 1000


@dataclass(slots=True)
class PluginSettings:
    user: str | None = None
    group: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    timeout: float | None = None
    host_name: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    """File and line of `user` and `group`, for messages."""

    def inherit(self, other: "PluginSettings") -> None:
        """Take from a section with a wildcard what a nearer one does not say."""
        self.environment = other.environment | self.environment
        for name in ("user", "group", "command", "timeout", "host_name"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(other, name))
                if name in other.places:
                    self.places[name] = other.places[name]


Sections = dict[str, PluginSettings]


def read_configuration(folder: str, complain: Callable[[str], None]) -> "Callable[[str], PluginSettings]":
    """What gives the settings of a plugin by its name. `complain`: told of a file that is wrong; the rest of it is left out,
    as munin-node does. Raises PyagentError where the folder is there and cannot be read."""
    sections: Sections = {}
    try:
        names = sorted(os.listdir(folder)) if folder else []
    except FileNotFoundError:
        names = []
    except PermissionError:
        raise PyagentError(
            f"cannot read {folder}: permission denied; add the agent's account to the folder's group, usually"
            ' `usermod -aG munin ACCOUNT`, or set configuration = "" to do without it'
        ) from None
    except OSError as error:
        raise PyagentError(f"cannot read {folder}: {error.strerror}; see `configuration`") from None
    for name in names[:_MOST_FILES]:
        path = os.path.join(folder, name)
        if not _FILE.fullmatch(name) or _IGNORED.search(name) or not os.path.isfile(path):
            continue
        try:
            _read(path, read_file(path_of(path, folder)).decode("utf-8", "surrogateescape"), sections)
        except OSError as error:
            complain(f"cannot read {path}: {error.strerror}; Munin's plugins run without it")
        except PyagentError as error:
            complain(f"{error}; the rest of the file is left out")
    wild = [name for name in sorted(sections, reverse=True) if name.startswith("*") or name.endswith("*")]

    def of(plugin: str) -> PluginSettings:
        found = PluginSettings()
        if plugin in sections and plugin not in wild:
            found.inherit(sections[plugin])
        for pattern in wild:
            if plugin.startswith(pattern[:-1]) if pattern.endswith("*") else plugin.endswith(pattern[1:]):
                found.inherit(sections[pattern])
        return found

    return of


def _read(path: str, text: str, sections: Sections) -> None:
    """Raises PyagentError, with file and line."""
    section = None
    for number, line in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", line).replace("\\#", "#").strip()
        if not line:
            continue
        if header := _SECTION.fullmatch(line):
            section = sections.setdefault(header[1], PluginSettings())
            continue
        place = f"{path}:{number}"
        if section is None:
            raise PyagentError(f"cannot read {place}: it stands before the first section; write [PLUGIN] above it")
        match = _LINE.fullmatch(line)
        if match is None:
            raise PyagentError(f"cannot read {place}: it is not NAME VALUE, such as `user root` or `env.warning 92`")
        _set(section, match[1], match[2], place)


def _set(section: PluginSettings, name: str, value: str, place: str) -> None:
    if name == "env" and "=" in value:
        raise PyagentError(f"cannot read {place}: write `env.{value.partition('=')[0].strip()} VALUE`")
    if name.startswith("env."):
        section.environment[name[4:]] = value
    elif name == "user":
        section.user = value
    elif name == "group":
        section.group = tuple(word for word in re.split(r"[\s,]+", value) if word)
    elif name == "command":
        section.command = tuple(value.split())
    elif name == "host_name":
        section.host_name = value
    elif name == "timeout":
        try:
            section.timeout = float(value)
        except ValueError:
            section.timeout = -1.0
        if not 0 < section.timeout <= 86400:
            section.timeout = None
            raise PyagentError(
                f"cannot read {place}: {value[:40]!r} is no timeout; write seconds, such as `timeout 60`"
            )
    elif name != "update_rate":
        raise PyagentError(f"cannot read {place}: there is no setting {name[:40]!r}; did you mean `env.{name[:40]}`?")
    section.places[name] = place


def account_of(settings: PluginSettings) -> tuple[int, int, tuple[int, ...]]:
    """User, group and further groups that munin-node, as root, gives a plugin. Raises PyagentError where there is none."""
    try:
        user = _user(settings.user or "nobody")
    except KeyError:
        where = settings.places.get("user", "")
        raise PyagentError(f"{where}: there is no user {settings.user!r}; name one that there is") from None
    groups = []
    for name in settings.group or ():
        optional = name.startswith("(") and name.endswith(")")
        try:
            groups.append(_group(name[1:-1] if optional else name))
        except KeyError:
            if not optional:
                where = settings.places.get("group", "")
                raise PyagentError(
                    f"{where}: there is no group {name!r}; write ({name}) where it may be missing"
                ) from None
    if not groups:
        try:
            groups = [grp.getgrnam("munin").gr_gid]
        except KeyError:
            groups = [user.pw_gid]
    return user.pw_uid, groups[0], tuple(groups)


def _user(name: str) -> pwd.struct_passwd:
    return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)


def _group(name: str) -> int:
    return grp.getgrgid(int(name)).gr_gid if name.isdecimal() else grp.getgrnam(name).gr_gid
