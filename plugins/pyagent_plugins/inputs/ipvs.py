"""Virtual and real servers of IPVS.

IPVS is the load balancer of the Linux kernel. Asks the kernel by netlink. Names and types are those of Telegraf 1.40.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    Uint,
    counters,
    fields,
)

__all__ = ["Ipvs", "IpvsOptions"]


class IpvsOptions(Options, frozen=True):
    pass


_COUNTS = counters(
    "uint", "1", connections="connections", pkts_in="packets received", pkts_out="packets sent"
) | counters("uint", "bytes", bytes_in="received", bytes_out="sent")
_RATES = fields("uint", "1/s", cps="connections", pps_in="packets received", pps_out="packets sent")
_ADDRESS = {"address": "its address", "port": "its port", "address_family": "inet or inet6"}

# <linux/netlink.h>, <linux/genetlink.h>, <linux/ip_vs.h>
_GENERIC = 16
_CONTROLLER, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_GET_SERVICE, _GET_DESTINATION = 4, 8
_SERVICE, _DESTINATION = 1, 2
_HEADER = struct.Struct("=IHHII")
_GENERIC_HEADER = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_TYPE = 0x3FFF
_MOST = 65536
_TIMEOUT = 5.0
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
_REFUSED = "give the agent CAP_NET_ADMIN (AmbientCapabilities= of its unit)"
_MISSING = "load the module ip_vs (modprobe ip_vs)"

Attributes = dict[int, bytes]


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
        try:
            with _netlink() as kernel:
                kernel.settimeout(_TIMEOUT)
                kernel.bind((0, 0))
                self._ask(acc, kernel)
        except OSError as error:
            advice = {errno.EPERM: f"; {_REFUSED}", errno.ENOENT: f"; {_MISSING}"}.get(error.errno or 0, "")
            raise PyagentError(f"cannot read IPVS: {error.strerror or error}{advice}") from None
        except (struct.error, ValueError, KeyError) as error:
            raise PyagentError(f"cannot read IPVS: the kernel's answer cannot be understood: {error}") from None

    def _ask(self, acc: Accumulator, kernel: socket.socket) -> None:
        name = _attribute(_FAMILY_NAME, b"IPVS\0")
        [found] = _answers(kernel, _CONTROLLER, _GET_FAMILY, name, dump=False)
        [family] = struct.unpack("=H", found[_FAMILY_ID])
        for answer in list(_answers(kernel, family, _GET_SERVICE, b"")):
            service = _attributes(answer[_SERVICE])
            tags = _service_tags(service)
            acc.add("ipvs_virtual_server", _statistics(service, 12), tags, kind=MetricType.GAUGE)
            virtual = {
                f"virtual_{name}": tags[name] for name in ("fwmark", "protocol", "address", "port") if name in tags
            }
            asked = _attribute(_SERVICE | 0x8000, _identity(service))
            for one in list(_answers(kernel, family, _GET_DESTINATION, asked)):
                real = _attributes(one[_DESTINATION])
                values: dict[str, Any] = _statistics(real, 12)
                values |= {"active_connections": _number(real, 7), "inactive_connections": _number(real, 8)}
                own = _address(_number(real, 11) or _number(service, 1), real[1], real[2])
                acc.add("ipvs_real_server", values, own | virtual, kind=MetricType.GAUGE)


def _netlink() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _GENERIC)


def _service_tags(service: Attributes) -> dict[str, str]:
    family = _number(service, 1)
    mask = _number(service, 9)
    tags = {
        "sched": service[6].rstrip(b"\0").decode("utf-8", "replace"),
        # Of IPv6 it is the length of the prefix.
        "netmask": str(mask if family == socket.AF_INET6 else mask.bit_count()),
        "address_family": _FAMILIES.get(family, str(family)),
    }
    if mark := _number(service, 5):
        return tags | {"fwmark": str(mark)}
    protocol = _number(service, 2)
    return tags | _address(family, service[3], service[4]) | {"protocol": _PROTOCOLS.get(protocol, str(protocol))}


def _address(family: int, address: bytes, port: bytes) -> dict[str, str]:
    shown = socket.inet_ntop(family, address[: 4 if family == socket.AF_INET else 16]) if family in _FAMILIES else ""
    return {
        "address": shown,
        "port": str(struct.unpack(">H", port)[0]),
        "address_family": _FAMILIES.get(family, str(family)),
    }


def _identity(service: Attributes) -> bytes:
    """What names a service in a question: its mark, or protocol, address and port."""
    wanted = (1, 5) if _number(service, 5) else (1, 2, 3, 4)
    return b"".join(_attribute(kind, service[kind]) for kind in wanted)


def _statistics(attributes: Attributes, wide: int) -> dict[str, Any]:
    """Those of 64 bits (the attribute `wide`) where the kernel has them (4.1 and later)."""
    found = _attributes(attributes[wide] if wide in attributes else attributes[10])
    return {name: Uint(_number(found, kind)) for name, kind in _STATISTICS.items()}


def _number(attributes: Attributes, kind: int) -> int:
    return int.from_bytes(attributes.get(kind, b"")[:8], "little" if struct.pack("=H", 1)[0] else "big")


def _attribute(kind: int, data: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) % 4)


def _attributes(data: bytes) -> Attributes:
    """The attributes that follow one another. Raises ValueError for lengths that cannot be."""
    found: Attributes = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            raise ValueError(f"an attribute of {length} bytes in {len(data)}")
        found[kind & _TYPE] = data[_ATTRIBUTE.size : length]
        data = data[length + -length % 4 :]
    return found


def _answers(
    kernel: socket.socket, family: int, command: int, data: bytes, *, dump: bool = True
) -> Iterator[Attributes]:
    """The attributes of each answer. Raises OSError with what the kernel says."""
    body = _GENERIC_HEADER.pack(command, 1, 0) + data
    flags = _REQUEST | (_DUMP if dump else 0)
    kernel.send(_HEADER.pack(_HEADER.size + len(body), family, flags, 0, 0) + body)
    while True:
        received = kernel.recv(_MOST)
        while received:
            length, kind, _, _, _ = _HEADER.unpack_from(received)
            if not _HEADER.size <= length <= len(received):
                raise ValueError(f"a message of {length} bytes in {len(received)}")
            message, received = received[_HEADER.size : length], received[length + -length % 4 :]
            if kind == _DONE:
                return
            if kind == _ERROR:
                [number] = struct.unpack_from("=i", message)
                if number:
                    raise OSError(-number, os.strerror(-number))
                return
            yield _attributes(message[_GENERIC_HEADER.size :])
            if not dump:
                return
