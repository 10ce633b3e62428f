"""Counters of network drivers, and state of links.

Asks the kernel as the program ethtool does. Names and types are those of Telegraf 1.40.
"""

import errno
import re
import socket
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    Uint,
    fields,
    option,
)
from pyagent.kit.each import joined_failures
from pyagent.kit.filter import name_filter
from pyagent.kit.netlink import Link, network_links
from pyagent.kit.once import Once
from pyagent_plugins.inputs.ethtool.driver import NAME_SIZE, Driver, Unsupported
from pyagent_plugins.inputs.ethtool.namespaces import folder, is_current, named_namespaces, within

__all__ = ["Ethtool", "EthtoolOptions"]

_NORMALIZATIONS = ("snakecase", "trim", "lower", "underscore")


class EthtoolOptions(Options, frozen=True):
    interface_include: Annotated[list[str], option("names of interfaces, with wildcards ([]: all)")] = []
    interface_exclude: Annotated[list[str], option("names of interfaces that are left out, with wildcards")] = []
    down_interfaces: Annotated[
        Literal["", "expose", "skip"], option("skip: leave out interfaces that are not up; expose: do not")
    ] = "expose"
    namespace_include: Annotated[
        list[str], option('names of network namespaces, with wildcards; "" is that of the agent ([]: see below)')
    ] = []
    namespace_exclude: Annotated[
        list[str], option("names of network namespaces that are left out, with wildcards")
    ] = []
    normalize_keys: Annotated[
        list[str],
        option("what is done to the names of statistics: snakecase, trim, lower (case), underscore (for spaces)"),
    ] = []

    def remarks(self) -> Iterable[tuple[str, str]]:
        for name in self.normalize_keys:
            if name not in _NORMALIZATIONS:
                yield "normalize_keys", f"has {name!r}, which there is not; there are {', '.join(_NORMALIZATIONS)}"


_FIRST_CAPITAL = re.compile("(.)([A-Z][a-z]+)")
_ALL_CAPITALS = re.compile("([a-z0-9])([A-Z])")
_MOST_KEPT = 1 << 20
"""Bytes of names of statistics."""


class Ethtool(Input[EthtoolOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "ethtool",
            "An interface; more fields are the statistics of its driver.",
            tags={
                "interface": "its name",
                "driver": "its driver",
                "namespace": "its network namespace, if not the agent's",
            },
            fields={
                "interface_up": Field("bool", "", "it was set up"),
                "speed": Field(
                    "uint", "Mbit/s", "speed of the link; the largest number there is where it is not known"
                ),
            }
            | fields(
                "uint",
                "1",
                link="1: there is a carrier",
                duplex="0: half, 1: full, 255: not known",
                autoneg="1: speed and duplex are negotiated",
            ),
            open=True,
            charts=(Chart("Speed of links", ("speed",)), Chart("Links", ("link",))),
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._wanted = name_filter(
            options.interface_include, options.interface_exclude, names=("interface_include", "interface_exclude")
        )
        self._in_namespaces = bool(options.namespace_include or options.namespace_exclude)
        included = options.namespace_include or (["*"] if options.namespace_exclude else [""])
        self._wanted_namespace = name_filter(
            included, options.namespace_exclude, names=("namespace_include", "namespace_exclude")
        )
        self._once = Once()
        self._driver = Driver()
        self._known: dict[bytes, list[str]] = {}
        """Names of statistics, as a driver gives them: those of the fields."""

    def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        own, others = self._namespaces()
        if self._wanted_namespace(own):
            try:
                self._add_all(acc, own, failures)
            except PyagentError as error:
                failures.append(error)
        within(
            [name for name in others if self._wanted_namespace(name)],
            lambda name: self._add_all(acc, name, failures),
            failures,
        )
        if failures:
            raise joined_failures(failures)

    def _namespaces(self) -> tuple[str, list[str]]:
        """The name of the agent's own, empty where it has none, and those of the others."""
        if not self._in_namespaces:
            return "", []
        try:
            names = named_namespaces()
        except FileNotFoundError:
            if self._once("none"):
                self.log.warning("there are no network namespaces with a name: there is no folder %s", folder())
            return "", []
        own = next((name for name in names if is_current(name)), "")
        return own, [name for name in names if name != own]

    def _add_all(self, acc: Accumulator, namespace: str, failures: list[Exception]) -> None:
        """The interfaces in the namespace of this thread."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            for link in network_links():
                if link.loopback or not self._wanted(link.name):
                    continue
                if not link.up and self.options.down_interfaces == "skip":
                    continue
                try:
                    self._add(acc, opened, link, namespace)
                except OSError as error:
                    if error.errno != errno.ENODEV:  # it is not there any more
                        where = f" in the network namespace {namespace}" if namespace else ""
                        cause = error.strerror or error
                        failures.append(PyagentError(f"cannot read the statistics of {link.name}{where}: {cause}"))

    def _add(self, acc: Accumulator, opened: socket.socket, link: Link, namespace: str) -> None:
        try:
            told = self._driver.statistics(opened, link.name)
        except Unsupported:
            if self._once(f"{namespace}/{link.name}"):
                self.log.debug("the driver of %s has no statistics; the interface is left out", link.name)
            return
        values: dict[str, Any] = {"interface_up": link.up}
        keys = self._keys(told.names)
        values |= {key: Uint(value) for key, value in zip(keys, told.values, strict=True) if key}
        try:
            settings = self._driver.link(opened, link.name)
            values |= {self._normalized(key): Uint(value) for key, value in settings.items()}
        except Unsupported:
            pass  # as of a tunnel, which has no link
        finally:
            acc.add("ethtool", values, {"interface": link.name, "driver": told.driver, "namespace": namespace})

    def _keys(self, names: bytes) -> list[str]:
        """The fields of statistics; empty for one without a name."""
        if (keys := self._known.get(names)) is None:
            each = (names[place : place + NAME_SIZE] for place in range(0, len(names), NAME_SIZE))
            keys = [self._normalized(name.partition(b"\0")[0].decode("utf-8", "surrogateescape")) for name in each]
            if sum(map(len, self._known)) + len(names) > _MOST_KEPT:
                self._known.clear()
            self._known[names] = keys
        return keys

    def _normalized(self, key: str) -> str:
        """The order is Telegraf's: space at the ends goes before the rest becomes underscores."""
        wanted = self.options.normalize_keys
        if "snakecase" in wanted:
            key = _FIRST_CAPITAL.sub(r"\1_\2", key.strip())
            key = _ALL_CAPITALS.sub(r"\1_\2", key).lower()
        if "trim" in wanted:
            key = key.strip()
        if "lower" in wanted:
            key = key.lower()
        if "underscore" in wanted:
            key = key.replace(" ", "_")
        # Drivers of cloud machines count how often the interface came up by the name of the field above.
        return "interface_up_counter" if key == "interface_up" else key
