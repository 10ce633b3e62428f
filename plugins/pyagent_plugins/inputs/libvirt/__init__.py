"""Guests of this host or others, by libvirt.

Speaks libvirt's own protocol, and needs no library. Names and types are those of Telegraf 1.40.
"""

from collections.abc import Iterable
from typing import Annotated

from pyagent.api import Accumulator, ConfigError, Input, Options, PyagentError, option
from pyagent.kit.each import joined_failures
from pyagent.kit.memo import Memo
from pyagent_plugins.inputs.libvirt.address import Address
from pyagent_plugins.inputs.libvirt.daemon import Daemon, Mapped, Value
from pyagent_plugins.inputs.libvirt.rpc import Domain, Lost
from pyagent_plugins.inputs.libvirt.statistics import AFFINITY, GROUPS, MEASUREMENTS, place_of

__all__ = ["Libvirt", "LibvirtOptions"]

_URI = "qemu:///system"
_MAPPING = "vcpu_mapping"
_VCPU = "libvirt_vcpu"
_SECONDS = 60.0
"""For an answer: a guest that hangs may hold it up for half of that."""


class LibvirtOptions(Options, frozen=True):
    domains: Annotated[list[str], option("names of the guests ([]: all of them)")] = []
    libvirt_uri: Annotated[
        str,
        option(
            "DRIVER[+TRANSPORT]://[USER@][HOST][:PORT]/PATH[?PARAMETERS]; the transports are unix, ssh, tcp and tls",
            reads_path=True,
        ),
    ] = _URI
    statistics_groups: Annotated[list[str] | None, option(f"{', '.join(GROUPS)} (unset: all; []: none)")] = None
    additional_statistics: Annotated[
        list[str], option("vcpu_mapping: also which processors of the host those of a guest may use, and use")
    ] = []


class Libvirt(Input[LibvirtOptions]):
    measurements = MEASUREMENTS

    def setup(self) -> None:
        options = self.options
        self._address = Address.of(options.libvirt_uri or _URI)
        self._wanted = frozenset(options.domains)
        groups = list(GROUPS) if options.statistics_groups is None else options.statistics_groups
        self._groups = sum(GROUPS[name] for name in _known(groups, GROUPS, "statistics_groups"))
        self._maps = bool(_known(options.additional_statistics, (_MAPPING,), "additional_statistics"))
        if not self._groups and not self._maps:
            raise ConfigError("nothing is wanted: statistics_groups is empty", option="statistics_groups")
        self._places = Memo(place_of)
        self._daemon: Daemon | None = None

    def gather(self, acc: Accumulator) -> None:
        try:
            found = self._domains()
            domains = [domain for domain in found if domain.name in self._wanted] if self._wanted else found
            if domains:
                self._gather(acc, domains)
        except Lost as error:
            self._close()
            raise PyagentError(f"cannot read libvirt at {self._address.text}: {error}") from None

    async def stop(self) -> None:
        self._close()

    def _close(self) -> None:
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.close()

    def _domains(self) -> list[Domain]:
        """By the connection of the last gather; where the daemon was started anew, by a new one."""
        if self._daemon is not None:
            try:
                return self._daemon.domains()
            except Lost:
                self._close()
        self._daemon = daemon = Daemon(self._address, _SECONDS)
        return daemon.domains()

    def _gather(self, acc: Accumulator, domains: list[Domain]) -> None:
        daemon = self._daemon
        if daemon is None:
            raise Lost("the agent stops")
        failures: list[Exception] = []
        current: dict[tuple[str, str], int] = {}
        if self._maps:
            for domain, mapped in daemon.mapping(domains):
                if isinstance(mapped, PyagentError):
                    failures.append(PyagentError(f"cannot read the processors of the guest {domain.name!r}: {mapped}"))
                    continue
                current |= {(domain.name, str(one.number)): one.current for one in mapped}
                _add_affinities(acc, domain, mapped)
        if self._groups:
            for domain, values in daemon.statistics(domains, self._groups):
                self._add(acc, domain.name, values, current)
        if failures:
            raise joined_failures(failures)

    def _add(
        self, acc: Accumulator, domain: str, values: Iterable[tuple[str, Value]], current: dict[tuple[str, str], int]
    ) -> None:
        rows: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, Value]] = {}
        for name, value in values:
            place = self._places[name]
            if place is not None:
                rows.setdefault((place.measurement, place.tags), {})[place.field] = value
        for (measurement, tags), row in rows.items():
            if measurement == _VCPU:
                if "halted" in row:
                    row["halted"] = row["halted_i"] = int(row["halted"] in (1, "yes"))
                processor = current.get((domain, tags[0][1]), -1)
                if processor >= 0:
                    row["cpu_id"] = processor
            acc.add(measurement, row, {"domain_name": domain, **dict(tags)})


def _add_affinities(acc: Accumulator, domain: Domain, mapped: list[Mapped]) -> None:
    for one in mapped:
        acc.add(AFFINITY, {"cpu_id": one.allowed}, {"domain_name": domain.name, "vcpu_id": str(one.number)})


def _known(given: list[str], known: Iterable[str], option: str) -> list[str]:
    """The same, where each is known and there once. Raises ConfigError."""
    for place, name in enumerate(given):
        if name not in known:
            raise ConfigError(f"{option} has {name!r}; there is {', '.join(known)}", option=option)
        if name in given[:place]:
            raise ConfigError(f"{option} has {name!r} twice", option=option)
    return given
