"""What a configuration from a URL may make this host do, and what of it the text may name."""

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from pyagent.api import Secret
from pyagent.api.hosted import Guard, HostedPath
from pyagent.config.environment import names_of
from pyagent.config.secrets import Secrets

__all__ = ["Policy", "foreign_hosts"]

_PORTS = {"http": 80, "https": 443}
_OWN = frozenset((".", "buffer", "config", "quarantine"))
"""What the agent itself keeps in the state directory: written by others, what was promised to be safe would be lost."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a text from a URL may make this host do. The default allows everything, as for a local file."""

    restricted: bool = False
    state_directories: tuple[str, ...] = ()
    secrets: Secrets = field(default_factory=Secrets)
    """What references to secrets stand for."""
    guard: Guard | None = None
    """Keeps the paths of the text from secrets of this host."""
    output_hosts: tuple[str, ...] | None = None
    """The hosts that its outputs may write to besides its own; None: any, with a warning."""

    @classmethod
    def for_remote(cls, environ: Mapping[str, str], secrets: Secrets | None = None) -> "Policy":
        secrets = secrets or Secrets()
        named = environ.get("PYAGENT_REMOTE_OUTPUT_HOSTS")
        hosts = None if named is None else names_of(named)
        if environ.get("PYAGENT_ALLOW_REMOTE_EXEC") == "1":
            return cls(secrets=secrets, output_hosts=hosts)
        given = environ.get("PYAGENT_STATE_DIRECTORY") or environ.get("STATE_DIRECTORY") or ""
        state = tuple(os.path.realpath(path) for path in given.split(":") if path)
        return cls(True, state, secrets, Guard(environ), hosts)

    def refusal(self, effects: Mapping[str, Any], value: Any) -> str | None:
        """Why an option of these effects may not have this value, None if it may."""
        if not self.restricted:
            return None
        values = value if isinstance(value, list) else [value]
        if effects.get("executes") and value:
            return "runs commands or code"
        if effects.get("writes") and not all(map(self._may_write, values)):
            return "writes outside of the state directory"
        if (reads := effects.get("reads_path")) and self.guard is not None:
            paths = [
                path
                for item in values
                if isinstance(item, str)
                for path in (reads(item) if callable(reads) else [item])
            ]
            if not all(map(self._may_read, paths)):
                return "reads secrets of this host"
        return None

    def hosted(self, effects: Mapping[str, Any], value: Any) -> Any:
        """The value of an option that names files to read, so that its guard goes along with it."""
        if self.guard is None or not effects.get("reads_path"):
            return value
        if isinstance(value, list):
            return [HostedPath(item, self.guard) if isinstance(item, str) else item for item in value]
        if isinstance(value, Secret):
            return Secret(HostedPath(value.reveal(), self.guard)) if value else value
        return HostedPath(value, self.guard) if isinstance(value, str) and value else value

    def _may_read(self, path: str) -> bool:
        assert self.guard is not None
        from pyagent.kit.globpath import check_readable  # most texts name no file

        try:
            check_readable(HostedPath(path, self.guard))
        except PermissionError:
            return False
        return True

    def _may_write(self, target: object) -> bool:
        if not isinstance(target, str) or target in ("", "stdout", "stderr"):
            return True
        try:
            path = os.path.realpath(target)
        except ValueError:  # a NUL in it
            return False
        below = (
            os.path.relpath(path, allowed).split("/")[0]
            for allowed in self.state_directories
            if os.path.commonpath((path, allowed)) == allowed
        )
        return any(name not in _OWN for name in below)


def foreign_hosts(table: Any, where: str, allowed: tuple[str, ...] | None) -> tuple[list[str], str]:
    """The hosts in URLs of an output's table that are neither in `allowed` nor the one of the URL `where`, which comes second.

    An entry of `allowed` is a name, a pattern of names or an address, each with or without a port.
    """
    own, _ = _host_and_port(where)
    found: dict[str, None] = {}
    for url in _urls(table):
        host, port = _host_and_port(url)
        if host != own and not any(_matches(entry, host, port) for entry in allowed or ()):
            found[host] = None
    return list(found), own


def _urls(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _URL.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _urls(item)
    elif isinstance(value, list):
        for item in value:
            yield from _urls(item)


def _host_and_port(url: str) -> tuple[str, str]:
    """Of an address of this very host, `localhost`. What cannot be read is a host of its own."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return "?", ""
    return _plain((parts.hostname or "").rstrip(".")), str(port or "")


def _plain(host: str) -> str:
    host = host.lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host if host and host != "localhost" else "localhost"
    return "localhost" if address.is_loopback else str(address)


def _matches(entry: str, host: str, port: str) -> bool:
    name, _, wanted = entry.rpartition(":") if re.search(r"^[^:]+:\d+$|\]:\d+$", entry) else (entry, "", "")
    return (not wanted or wanted == port) and fnmatchcase(host, _plain(name.strip("[]")))
