"""Devices that the Linux kernel serves, by generic netlink: <linux/wireguard.h>."""

import errno
import socket
import struct
from collections.abc import Iterator, Sequence

from pyagent.kit.netlink import (
    Attributes,
    GenericNetlink,
    attribute,
    attribute_list,
    attributes,
    generic_netlink,
    network_links,
    number,
)
from pyagent.kit.numbers import INT64_MAX
from pyagent_plugins.inputs.wireguard.devices import (
    MOST_SECONDS,
    Device,
    Peer,
    checked,
    shown_endpoint,
    shown_network,
    time_of,
)

__all__ = ["kernel_devices"]

_GET_DEVICE = 0
_NAME, _PORT, _MARK, _PEERS = 2, 6, 7, 8
_KEY, _ENDPOINT, _KEEPALIVE, _HANDSHAKE, _RECEIVED, _SENT, _ALLOWED, _PROTOCOL = 1, 4, 5, 6, 7, 8, 9, 10
_FAMILY, _ADDRESS, _BITS = 1, 2, 3
_KEY_SIZE = 32
_LONGEST_NAME = 15
_NO_DEVICE = (errno.ENODEV, errno.EOPNOTSUPP)
_SIZES: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 16}


def kernel_devices(names: Sequence[str]) -> Iterator[Device]:
    """Those of `names` that there are; without names, all.

    Raises UnknownFamily for a kernel without WireGuard, PyagentError for what else goes wrong.
    """
    with generic_netlink("WireGuard", "wireguard", module="wireguard") as kernel:
        for name in names or [link.name for link in network_links() if link.kind == "wireguard"]:
            if (device := _device(kernel, name)) is not None:
                yield device


def _device(kernel: GenericNetlink, name: str) -> Device | None:
    """None where it is none of the kernel's, or not any more."""
    asked = name.encode("utf-8", "surrogateescape")
    if not 0 < len(asked) <= _LONGEST_NAME:
        return None
    try:
        answers = kernel.ask(_GET_DEVICE, attribute(_NAME, asked + b"\0"))
    except OSError as error:
        if error.errno in _NO_DEVICE:
            return None
        raise
    device = Device(name, "linux_kernel")
    for answer in answers:
        # What is not in the first message stands in none of the others but for more peers.
        device.port = _count(answer, _PORT, device.port)
        device.mark = _count(answer, _MARK, device.mark)
        for _, peer in attribute_list(answer.get(_PEERS, b"")):
            _add_peer(device, attributes(peer))
    return device


def _add_peer(device: Device, found: Attributes) -> None:
    key = found[_KEY]
    if len(key) != _KEY_SIZE:
        raise ValueError(f"a key of {len(key)} bytes")
    allowed = [_network(attributes(one)) for _, one in attribute_list(found.get(_ALLOWED, b""))]
    if (known := device.peers.get(key)) is not None:
        # One whose networks did not fit goes on in the next message, which has no more of it.
        known.allowed += allowed
        return
    device.peers[key] = Peer(
        endpoint=_endpoint(found[_ENDPOINT]) if _ENDPOINT in found else "",
        keepalive=_count(found, _KEEPALIVE),
        handshake=_time(found[_HANDSHAKE]) if _HANDSHAKE in found else 0,
        received=_count(found, _RECEIVED),
        sent=_count(found, _SENT),
        protocol=_count(found, _PROTOCOL),
        allowed=allowed,
    )


def _count(found: Attributes, kind: int, default: int = 0) -> int:
    return checked(number(found[kind]), MOST_SECONDS if kind == _KEEPALIVE else INT64_MAX) if kind in found else default


def _network(found: Attributes) -> str:
    family = number(found[_FAMILY])
    address = found[_ADDRESS]
    if len(address) != _SIZES.get(family):
        raise ValueError(f"an address of {len(address)} bytes of the family {family}")
    return shown_network(f"{socket.inet_ntop(family, address)}/{number(found[_BITS])}")


def _endpoint(data: bytes) -> str:
    """`struct sockaddr_in` or `sockaddr_in6`."""
    if len(data) == 16:
        _, port, address = struct.unpack_from("=H2s4s", data)
    elif len(data) == 28:
        _, port, address = struct.unpack_from("=H2s4x16s", data)
    else:
        raise ValueError(f"an endpoint of {len(data)} bytes")
    return shown_endpoint(address, int.from_bytes(port, "big"))


def _time(data: bytes) -> int:
    """`struct __kernel_timespec`, or the one of 32 bits."""
    if len(data) not in (8, 16):
        raise ValueError(f"a time of {len(data)} bytes")
    seconds, nanoseconds = struct.unpack("=qq" if len(data) == 16 else "=ii", data)
    return time_of(seconds, nanoseconds)
