"""Plugins of Munin in a folder, run as munin-node runs them."""

import os
import pwd
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

from pyagent.api import PyagentError
from pyagent.kit.command import Account, Commands
from pyagent.kit.foreign_settings import mask_settings

from ._configuration import PluginSettings, account_of, read_configuration
from ._names import split_link

__all__ = ["Folder", "Program"]

_NAME = re.compile(r"[-\w@.:]+", re.ASCII)
_IGNORED = re.compile(r"^\.|\.conf$|~$|DEADJOE$|\.bak$|\.dpkg-(tmp|new|old|dist)$|\.rpm(save|new)$|\.pod$")
_MOST_PLUGINS = 1000
_MOST_OUTPUT = 4 << 20
_UMASK = 0o002
"""Munin's: what plugins leave may be written by their group."""


class Program:
    """One plugin, by the name of its link, with its settings. `library`: Munin's own folder, `state`: that of what plugins
    remember. Raises PyagentError where its account is wrong."""

    def __init__(
        self, path: str, settings: PluginSettings, *, library: str, state: str, timeout: float, name: str = ""
    ) -> None:
        self.name = name or os.path.basename(path)
        self.path = path
        self.file = os.path.realpath(path)
        """What the link leads to."""
        self.target = os.path.basename(self.file)
        self.settings = settings
        mask_settings([settings.environment, settings.command])
        self.lacking = ""
        """The setting that takes rights that the agent does not have."""
        user, account = os.geteuid(), None
        if user == 0:
            user, group, groups = account_of(settings)
            if (user, group) != (0, 0):
                account = Account(user, group, groups)
        elif settings.user not in (None, _name(user), str(user)):
            self.lacking = settings.places["user"]
        elif settings.group is not None:
            self.lacking = settings.places["group"]
        self._folder = os.path.join(state, _name(user))
        self._owner = user
        variables = _variables(library, self._folder, self.name, user) | settings.environment
        self._commands = Commands(
            timeout=settings.timeout or timeout,
            environment=variables,
            plain_words=False,
            refused="its account needs more rights: set `user` for it in plugin-conf.d, and run the agent as root",
            hidden=[word for word in (settings.command or ())[1:] if word != "%c"],
            most_output=_MOST_OUTPUT,
            inherit=False,
            account=account,
            umask=_UMASK,
        )

    @property
    def split(self) -> tuple[str, str]:
        """Its base and its instance: a link `if_eth0` to `if_` is `if` and `eth0`."""
        return split_link(self.name, self.target)

    def ask(self, question: str, *, may_fail: bool = False) -> str:
        """What it prints, with an empty question for its values. `may_fail`: whatever its status. Raises PyagentError."""
        words = [self.path, *([question] if question else [])]
        if command := self.settings.command:
            words = [word for one in command for word in (words if one == "%c" else [one])]
        self._make_folder()
        return self._commands.run(words, expected=None if may_fail else (0,)).text

    def stop(self) -> None:
        self._commands.stop()

    def _make_folder(self) -> None:
        """Where it keeps its state: Munin's packages make the parent, and munin-node each account's own."""
        if os.path.isdir(self._folder):
            return
        with suppress(OSError):  # most plugins keep nothing
            os.mkdir(self._folder, 0o755)
            if os.geteuid() == 0:
                os.chown(self._folder, self._owner, 0)


class Folder:
    """`complain`: told what is wrong with the configuration and goes on."""

    def __init__(
        self,
        path: str,
        configuration: str,
        *,
        library: str,
        state: str,
        timeout: float,
        complain: Callable[[str], None],
    ) -> None:
        self._path = path
        self._configuration = configuration
        self._library = library
        self._state = state
        self._timeout = timeout
        self._complain = complain

    def programs(self, wanted: Callable[[str], bool]) -> Iterator[Program | PyagentError]:
        """The plugins by name, as they are now. Raises PyagentError where the folder cannot be read."""
        names = self.names()
        settings = read_configuration(self._configuration, self._complain)
        for name in filter(wanted, names):
            try:
                yield self.program(os.path.join(self._path, name), settings(name))
            except PyagentError as error:
                yield PyagentError(f"cannot run Munin's plugin {name}: {error}")

    def program(self, path: str, settings: PluginSettings) -> Program:
        return Program(path, settings, library=self._library, state=self._state, timeout=self._timeout)

    def names(self) -> list[str]:
        try:
            names = sorted(os.listdir(self._path))
        except OSError as error:
            raise PyagentError(
                f"cannot read {self._path}: {error.strerror}; apt install munin-plugins-core, or set `directory` to the"
                " folder of Munin's plugins"
            ) from None
        found = [name for name in names if _NAME.fullmatch(name) and not _IGNORED.search(name) and self._runs(name)]
        if len(found) > _MOST_PLUGINS:
            raise PyagentError(f"cannot run the plugins in {self._path}: there are more than {_MOST_PLUGINS}")
        return found

    def _runs(self, name: str) -> bool:
        path = os.path.join(self._path, name)
        return os.path.isfile(path) and os.access(path, os.X_OK)


def _variables(library: str, state: str, name: str, user: int) -> dict[str, str]:
    """What munin-node gives: Munin::Common::Defaults and Munin::Node::Service of 2.0. Nothing of the agent's own, which may
    be secret, is among it."""
    with suppress(KeyError):
        account = pwd.getpwuid(user)
        return _FIXED | {
            "MUNIN_LIBDIR": library,
            "MUNIN_PLUGSTATE": state,
            "MUNIN_STATEFILE": f"{state}/{name}-",
            "FQDN": socket.getfqdn() if "." not in socket.gethostname() else socket.gethostname(),
            "HOME": account.pw_dir,
            "USER": account.pw_name,
            "LOGNAME": account.pw_name,
        }
    return _FIXED | {"MUNIN_LIBDIR": library, "MUNIN_PLUGSTATE": state, "MUNIN_STATEFILE": f"{state}/{name}-"}


_FIXED = {
    "LANG": "C",
    "LC_ALL": "C",
    "MUNIN_BASH": "/bin/bash",
    "MUNIN_BINDIR": "/usr/bin",
    "MUNIN_CAP_DIRTYCONFIG": "1",
    "MUNIN_CAP_MULTIGRAPH": "1",
    "MUNIN_CONFDIR": "/etc/munin",
    "MUNIN_DBDIR": "/var/lib/munin",
    "MUNIN_DEBUG": "0",
    "MUNIN_GOODSH": "/bin/sh",
    "MUNIN_GROUP": "munin",
    "MUNIN_HASSETR": "1",
    "MUNIN_LOGDIR": "/var/log/munin",
    "MUNIN_MASTER_IP": "",
    "MUNIN_MKTEMP": "mktemp -p /tmp/",
    "MUNIN_OSTYPE": "linux",
    "MUNIN_PERL": "/usr/bin/perl",
    "MUNIN_PERLLIB": "/usr/share/perl5",
    "MUNIN_PLUGINUSER": "nobody",
    "MUNIN_PREFIX": "/usr",
    "MUNIN_PYTHON": "/usr/bin/env python3",
    "MUNIN_RUBY": "/usr/bin/env ruby",
    "MUNIN_SBINDIR": "/usr/sbin",
    "MUNIN_STATEDIR": "/var/run/munin",
    "MUNIN_USER": "munin",
    "MUNIN_VERSION": "2.0.73",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONIOENCODING": "utf8:replace",
}


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
