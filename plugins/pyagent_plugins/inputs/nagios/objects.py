"""Hosts and services of a Nagios, with their templates: the checks that it would run.

The rules: https://assets.nagios.com/downloads/nagioscore/docs/nagioscore/4/en/objectinheritance.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyagent.api import ConfigError

__all__ = ["DefinedCheck", "DefinedObject", "defined_checks"]

_MOST_CHECKS = 10_000
_MOST_TEMPLATES = 50
_COMMA = re.compile(r"\s*,\s*")
_LISTS = ("host_name", "hostgroup_name", "hostgroups", "members", "hostgroup_members")


@dataclass(frozen=True, slots=True)
class DefinedObject:
    kind: str
    values: Mapping[str, str]
    place: str
    """FILE:LINE."""


@dataclass(frozen=True, slots=True)
class DefinedCheck:
    """A service of one host, or the check of a host itself."""

    name: str
    host: str
    command: str
    """`NAME!ARGUMENT!...`."""
    macros: Mapping[str, str]
    every: float
    """Seconds between two of it."""
    place: str


def defined_checks(objects: Sequence[DefinedObject], unit: float) -> list[DefinedCheck]:
    """What is checked actively. `unit`: seconds of an interval of 1, Nagios' interval_length. Raises ConfigError."""
    whole = _Objects(objects)
    found: list[DefinedCheck] = []
    for check in whole.checks(unit):
        found.append(check)
        if len(found) > _MOST_CHECKS:
            raise ConfigError(f"cannot read {check.place}: there are more than {_MOST_CHECKS:,} checks", option="files")
    return found


class _Objects:
    def __init__(self, objects: Sequence[DefinedObject]) -> None:
        self._templates = {(one.kind, one.values["name"]): one for one in objects if "name" in one.values}
        self._known: dict[tuple[str, str], Mapping[str, str]] = {}
        real = [(one, self._inherited(one)) for one in objects if one.values.get("register") != "0"]
        self._hosts: dict[str, tuple[DefinedObject, Mapping[str, str]]] = {}
        self._groups: dict[str, tuple[DefinedObject, Mapping[str, str]]] = {}
        self._services = [(one, values) for one, values in real if one.kind == "service"]
        for one, values in real:
            if one.kind == "host":
                for name in _parts(values.get("host_name", "")):
                    self._hosts[name] = (one, values)
            elif one.kind == "hostgroup":
                self._groups[values.get("hostgroup_name", "")] = (one, values)

    def checks(self, unit: float) -> Iterator[DefinedCheck]:
        for host, (one, values) in self._hosts.items():
            if values.get("check_command"):
                yield from self._check(one, values, values["check_command"].partition("!")[0], host, unit)
        for one, values in self._services:
            name = values.get("service_description", "")
            hosts = self._hosts_of(one, values)
            if not name or not values.get("check_command"):
                lacking = "check_command" if name else "service_description"
                raise ConfigError(f"cannot read {one.place}: the service has no {lacking}; add it", option="files")
            for host in hosts:
                yield from self._check(one, values, name, host, unit)

    def _check(
        self, one: DefinedObject, values: Mapping[str, str], name: str, host: str, unit: float
    ) -> Iterator[DefinedCheck]:
        every = _number(one, values, "check_interval", values.get("normal_check_interval", "5"))
        if values.get("active_checks_enabled", "1") == "0" or not every:
            return
        macros = self._macros(host)
        if one.kind == "service":
            macros |= _custom("_SERVICE", values) | {
                "SERVICEDESC": name,
                "SERVICEDISPLAYNAME": values.get("display_name", name),
            }
        yield DefinedCheck(name, host, values["check_command"], macros, every * unit, one.place)

    def _macros(self, host: str) -> dict[str, str]:
        _, values = self._hosts[host]
        return _custom("_HOST", values) | {
            "HOSTNAME": host,
            "HOSTADDRESS": values.get("address", host),
            "HOSTALIAS": values.get("alias", host),
            "HOSTDISPLAYNAME": values.get("display_name", host),
        }

    def _hosts_of(self, one: DefinedObject, values: Mapping[str, str]) -> list[str]:
        """Those of its groups and those that it names, without those with a `!` before their name."""
        found: dict[str, None] = {}
        left_out: set[str] = set()
        for group in _parts(values.get("hostgroup_name", "")):
            hosts = self._members(one, group.removeprefix("!"), set())
            if group.startswith("!"):
                left_out.update(hosts)
            else:
                found |= dict.fromkeys(hosts)
        for host in _parts(values.get("host_name", "")):
            if host == "*":
                found |= dict.fromkeys(self._hosts)
            elif host.removeprefix("!") not in self._hosts:
                raise ConfigError(
                    f"cannot read {one.place}: no file defines the host {host.removeprefix('!')!r}; add the file to files",
                    option="files",
                )
            elif host.startswith("!"):
                left_out.add(host[1:])
            else:
                found[host] = None
        return [host for host in found if host not in left_out]

    def _members(self, one: DefinedObject, group: str, seen: set[str]) -> Iterable[str]:
        if group == "*":
            return list(self._hosts)
        if group in seen:
            return []
        seen.add(group)
        hosts = [name for name, (_, values) in self._hosts.items() if group in _parts(values.get("hostgroups", ""))]
        if group in self._groups:
            _, values = self._groups[group]
            members = _parts(values.get("members", ""))
            hosts += self._hosts if "*" in members else [name for name in members if name in self._hosts]
            for below in _parts(values.get("hostgroup_members", "")):
                hosts += self._members(one, below, seen)
        elif not hosts:
            raise ConfigError(
                f"cannot read {one.place}: no file defines the host group {group!r}; add the file to files",
                option="files",
            )
        return hosts

    def _inherited(self, one: DefinedObject, above: tuple[str, ...] = ()) -> Mapping[str, str]:
        """Its values with those of its templates: of several the first counts. A list that begins with `+` is added."""
        found = {key: value for key, value in one.values.items() if key not in ("name", "register", "use")}
        for name in _parts(one.values.get("use", "")):
            if name in above or len(above) == _MOST_TEMPLATES:
                problem = "uses itself" if name in above else f"is used by {_MOST_TEMPLATES} others, one by the other"
                raise ConfigError(f"cannot read {one.place}: the template {name!r} {problem}", option="files")
            template = self._templates.get((one.kind, name))
            if template is None:
                raise ConfigError(
                    f"cannot read {one.place}: no file defines the template {name!r} of a {one.kind}; add the file to files",
                    option="files",
                )
            known = self._known.get((one.kind, name))
            if known is None:
                known = self._known[one.kind, name] = self._inherited(template, (*above, name))
            for key, value in known.items():
                own = found.setdefault(key, value)
                if key in _LISTS and own.startswith("+") and own is not value:
                    found[key] = f"{own},{value.removeprefix('+')}" if value.startswith("+") else f"{own[1:]},{value}"
        if above:  # of a template `+` and `null` are for what uses it
            return found
        return {
            key: value.removeprefix("+") if key in _LISTS else value for key, value in found.items() if value != "null"
        }


def _parts(text: str) -> list[str]:
    return [part for part in _COMMA.split(text.strip()) if part]


def _custom(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}{key[1:].upper()}": value for key, value in values.items() if key.startswith("_")}


def _number(one: DefinedObject, values: Mapping[str, str], name: str, default: str) -> float:
    text = values.get(name, default)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e6:
        raise ConfigError(
            f"cannot read {one.place}: {name} is {text[:20]!r}; write a number, such as 5", option="files"
        )
    return number
