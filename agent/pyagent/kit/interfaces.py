"""The addresses of this host's network interfaces, for connections that are to leave by one of them."""

import fcntl
import ipaddress
import socket
import struct

from pyagent.api.errors import ConfigError
from pyagent.kit.procfs import host_path

__all__ = ["interface_addresses", "is_address"]

_SIOCGIFADDR = 0x8915


def interface_addresses(name: str, *, option: str = "interface") -> list[str]:
    """Its addresses, that of IPv4 first; of IPv6 without a scope. Raises ConfigError where there is no such interface."""
    try:
        number = socket.if_nametoindex(name)
    except OSError:
        known = ", ".join(found for _, found in socket.if_nameindex())
        raise ConfigError(
            f"cannot use the interface {name!r}: this host has no such interface; it has {known}", option=option
        ) from None
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            found.append(socket.inet_ntop(socket.AF_INET, answer[20:24]))
        except OSError:
            pass  # it has none of IPv4
    try:
        with open(host_path("proc", "net", "if_inet6"), encoding="ascii") as file:
            rows = [line.split() for line in file]
    except OSError:
        rows = []  # a kernel without IPv6
    found += [str(ipaddress.IPv6Address(int(row[0], 16))) for row in rows if len(row) > 1 and int(row[1], 16) == number]
    return found


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
