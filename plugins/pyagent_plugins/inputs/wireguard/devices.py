"""What is known of a device of WireGuard, whoever serves it. Keys that are secret are never kept."""

import ipaddress
from dataclasses import dataclass, field

from pyagent.kit.numbers import INT64_MAX

__all__ = ["MOST_SECONDS", "Device", "Peer", "checked", "shown_endpoint", "shown_network", "time_of"]

MOST_SECONDS = 65535
"""Of a keepalive."""
_MOST_PORT = 65535
_NANOSECONDS = 1_000_000_000


@dataclass(slots=True)
class Peer:
    endpoint: str = ""
    """ADDRESS:PORT, empty where none is known."""
    keepalive: int = 0
    """Seconds, 0 for none."""
    handshake: int = 0
    """Nanoseconds since 1970 at the last one, 0 for none."""
    received: int = 0
    sent: int = 0
    protocol: int = 0
    allowed: list[str] = field(default_factory=list)
    """Networks."""


@dataclass(slots=True)
class Device:
    name: str
    kind: str
    port: int = 0
    mark: int = 0
    peers: dict[bytes, Peer] = field(default_factory=dict)
    """By their public keys of 32 bytes."""


def shown_endpoint(address: bytes | str, port: int) -> str:
    """Raises ValueError."""
    checked(port, _MOST_PORT)
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return f"[{found}]:{port}"
        found = found.ipv4_mapped
    return f"{found}:{port}"


def checked(value: int, most: int = INT64_MAX) -> int:
    """The same. Raises ValueError for one that is larger than `most`."""
    if value > most:
        raise ValueError(f"a number of {value}")
    return value


def shown_network(text: str) -> str:
    """ADDRESS/BITS without the bits of hosts. Raises ValueError."""
    return str(ipaddress.ip_network(text, strict=False))


def time_of(seconds: int, nanoseconds: int) -> int:
    """Nanoseconds since 1970; 0 where there is no time. Raises ValueError for one that cannot be."""
    if seconds == nanoseconds == 0:
        return 0
    time = seconds * _NANOSECONDS + nanoseconds
    if seconds < 0 or not 0 <= nanoseconds < _NANOSECONDS or time > INT64_MAX:
        raise ValueError(f"a time of {seconds} s and {nanoseconds} ns")
    return time
