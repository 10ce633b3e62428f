"""Names the services of ports, by `/etc/services`.

The port is a tag or a field, `443` or `443/tcp`; the name becomes a tag or a field, too.
"""

import logging
from collections.abc import Mapping
from typing import Annotated

from pyagent.api import Metric, Options, Processor, option
from pyagent.api.files import read_file
from pyagent.kit.numbers import parse_integer
from pyagent.kit.once import Once
from pyagent.kit.procfs import host_path
from pyagent.kit.shown import quoted

__all__ = ["PortName", "PortNameOptions"]


class PortNameOptions(Options, frozen=True):
    tag: Annotated[str, option("tag with the port")] = "port"
    field: Annotated[str, option("field with the port; where both are there, it counts")] = "port"
    dest: Annotated[str, option("tag or field for the name, as the port is one")] = "service"
    default_protocol: Annotated[str, option("tcp or udp, where the metric names none")] = "tcp"
    protocol_tag: Annotated[str, option("tag with the protocol")] = "proto"
    protocol_field: Annotated[str, option("field with the protocol")] = "proto"


class PortName(Processor[PortNameOptions]):
    def setup(self) -> None:
        self._services = _read_services(self.log)
        self._once = Once()

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for metric in metrics:
            self._name(metric)
        return metrics

    def _name(self, metric: Metric) -> None:
        options, fields, tags = self.options, metric.fields, metric.tags
        text = tags.get(options.tag, "") if options.tag else ""
        value = fields.get(options.field) if options.field else None
        if value is not None:
            if isinstance(value, bool | float):
                self._complain(f"cannot read a port of the field {quoted(options.field)}: it is no integer and no text")
                return
            text = value if isinstance(value, str) else str(int(value))
        if not text:
            return
        number, _, protocol = text.partition("/")
        port = parse_integer(number)
        if port is None:
            self._complain(f"cannot read the port {quoted(number)[:80]}: it is no number")
            return
        protocol = protocol or options.default_protocol
        if options.protocol_tag:
            protocol = tags.get(options.protocol_tag, protocol)
        if options.protocol_field and (named := fields.get(options.protocol_field)) is not None:
            if not isinstance(named, str):
                self._complain(f"cannot read a protocol of the field {quoted(options.protocol_field)}: it is no text")
                return
            protocol = named
        services = self._services.get(protocol.lower())
        if services is None:
            self._complain(f"cannot name ports of the protocol {quoted(protocol)[:80]}: /etc/services has none of it")
            return
        service = services.get(port)
        if service is None:
            self.log.debug("the port %d of %s has no name", port, protocol)
        elif value is not None:
            metric.fields = {**fields, options.dest: service}
        else:
            metric.tags = {**tags, options.dest: service}

    def _complain(self, text: str) -> None:
        if self._once(text):
            self.log.error("%s", text)


def _read_services(log: logging.Logger) -> Mapping[str, Mapping[int, str]]:
    """By protocol and port; the last name of a port counts, and names after the first one of a line do not."""
    services: dict[str, dict[int, str]] = {}
    for line in _services_file(log).split("\n"):
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        number, slash, protocol = words[1].partition("/")
        port = parse_integer(number)
        if slash and port is not None and port > 0:
            services.setdefault(protocol.lower(), {})[port] = words[0]
    return services


def _services_file(log: logging.Logger) -> str:
    """openSUSE has it below /usr."""
    for path in (host_path("etc", "services"), "/usr/etc/services"):
        try:
            return read_file(path).decode("utf-8", "surrogateescape")
        except OSError as error:
            log.debug("cannot read %s: %s", path, error.strerror)
    return ""
