"""Virtual and real servers of IPVS.

IPVS is the load balancer of the Linux kernel. Asks the kernel by netlink. Names and types are those of Telegraf 1.40.
"""

import socket
import struct
from typing import Any

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    Input,
    Measurement,
    MetricType,
    Options,
    Uint,
    counters,
    fields,
)
from pyagent.kit.netlink import Attributes, GenericNetlink, attribute, attributes, generic_netlink, number, text

__all__ = ["Ipvs", "IpvsOptions"]


class IpvsOptions(Options, frozen=True):
    pass


_COUNTS = counters(
    "uint", "1", connections="connections", pkts_in="packets received", pkts_out="packets sent"
) | counters("uint", "bytes", bytes_in="received", bytes_out="sent")
_RATES = fields("uint", "1/s", cps="connections", pps_in="packets received", pps_out="packets sent")
_ADDRESS = {"address": "its address", "port": "its port", "address_family": "inet or inet6"}

# <linux/ip_vs.h>
_GET_SERVICE, _GET_DESTINATION = 4, 8
_SERVICE, _DESTINATION = 1, 2
_NARROW, _WIDE = 10, 12
_STATISTICS = {
    "connections": 1,
    "pkts_in": 2,
    "pkts_out": 3,
    "bytes_in": 4,
    "bytes_out": 5,
    "cps": 6,
    "pps_in": 7,
    "pps_out": 8,
}
_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}
_FAMILIES: dict[int, str] = {socket.AF_INET: "inet", socket.AF_INET6: "inet6"}


class Ipvs(Input[IpvsOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "ipvs_virtual_server",
            "A virtual server. It is told by protocol, address and port, or by the mark of its packets.",
            tags=_ADDRESS
            | {
                "protocol": "tcp, udp or sctp",
                "fwmark": "the mark",
                "sched": "how it schedules",
                "netmask": "bits of it",
            },
            fields=_COUNTS | _RATES,
            charts=(Chart("Connections", ("connections",)), Chart("Traffic", ("bytes_in", "bytes_out"))),
        ),
        Measurement(
            "ipvs_real_server",
            "A server behind a virtual one.",
            tags=_ADDRESS
            | {
                "virtual_protocol": "of its virtual server",
                "virtual_address": "of its virtual server",
                "virtual_port": "of its virtual server",
                "virtual_fwmark": "of its virtual server",
            },
            fields=_COUNTS
            | _RATES
            | fields(
                "int", "1", active_connections="connections that are open", inactive_connections="that are not any more"
            ),
            charts=(
                Chart("Open connections", ("active_connections", "inactive_connections")),
                Chart("Traffic of real servers", ("bytes_in", "bytes_out")),
            ),
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        with generic_netlink("IPVS", "IPVS", module="ip_vs") as kernel:
            for answer in kernel.ask(_GET_SERVICE):
                self._add(acc, kernel, attributes(answer[_SERVICE]))

    def _add(self, acc: Accumulator, kernel: GenericNetlink, service: Attributes) -> None:
        """A virtual server, and the real ones behind it."""
        tags = _service_tags(service)
        acc.add("ipvs_virtual_server", _statistics(service), tags, kind=MetricType.GAUGE)
        virtual = {f"virtual_{name}": tags[name] for name in ("fwmark", "protocol", "address", "port") if name in tags}
        for answer in kernel.ask(_GET_DESTINATION, attribute(_SERVICE, _identity(service), nested=True)):
            real = attributes(answer[_DESTINATION])
            values: dict[str, Any] = _statistics(real)
            values |= {"active_connections": number(real[7]), "inactive_connections": number(real[8])}
            family = number(real[11]) if 11 in real else number(service[1])
            acc.add("ipvs_real_server", values, _address(family, real[1], real[2]) | virtual, kind=MetricType.GAUGE)


def _service_tags(service: Attributes) -> dict[str, str]:
    family = number(service[1])
    mask = number(service[9])
    tags = {
        "sched": text(service[6]),
        # Of IPv6 it is the length of the prefix.
        "netmask": str(mask if family == socket.AF_INET6 else mask.bit_count()),
        "address_family": _FAMILIES.get(family, str(family)),
    }
    if mark := _mark(service):
        return tags | {"fwmark": str(mark)}
    protocol = number(service[2])
    return tags | _address(family, service[3], service[4]) | {"protocol": _PROTOCOLS.get(protocol, str(protocol))}


def _mark(service: Attributes) -> int:
    """0 for a server that is told by its address; the kernel leaves out the other."""
    return number(service[5]) if 5 in service else 0


def _address(family: int, address: bytes, port: bytes) -> dict[str, str]:
    shown = socket.inet_ntop(family, address[: 4 if family == socket.AF_INET else 16]) if family in _FAMILIES else ""
    if len(port) != 2:
        raise ValueError(f"a port of {len(port)} bytes")
    return {
        "address": shown,
        "port": str(struct.unpack(">H", port)[0]),
        "address_family": _FAMILIES.get(family, str(family)),
    }


def _identity(service: Attributes) -> bytes:
    """What names a service in a question: its mark, or protocol, address and port."""
    wanted = (1, 5) if _mark(service) else (1, 2, 3, 4)
    return b"".join(attribute(kind, service[kind]) for kind in wanted)


def _statistics(found: Attributes) -> dict[str, Any]:
    """Those of 64 bits where the kernel has them (4.1 and later)."""
    counted = attributes(found[_WIDE] if _WIDE in found else found[_NARROW])
    return {name: Uint(number(counted[kind])) for name, kind in _STATISTICS.items()}
