"""The addresses of Telegraf's socket listeners: streams and datagrams, by TCP, UDP and unix sockets."""

import asyncio
import re
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any

from pyagent.api.errors import ConfigError, PyagentError
from pyagent.kit.listen_address import ListenAddress, bind_everywhere, bound_socket, socket_mode

__all__ = ["SocketAddress", "peer_address", "plain_address"]

_FAMILIES = {"tcp": 0, "udp": 0, "tcp4": 4, "udp4": 4, "tcp6": 6, "udp6": 6}
_ELSEWHERE = ("unixpacket", "vsock", "ip", "ip4", "ip6")
_PLACE = re.compile(r"(?:\[([^\]%]*)(?:%([^\]]+))?\]|([^:%\[\]]*)):(\d{1,5})(?:%(.+))?", re.ASCII)
_ADD_SOURCE_MEMBERSHIP, _JOIN_SOURCE_GROUP = 39, 46  # Linux; the module socket does not name them


@dataclass(frozen=True, slots=True)
class SocketAddress(ListenAddress):
    """`scheme://[HOST]:PORT[%INTERFACE]`, `unix:///PATH` or `unixgram:///PATH`."""

    scheme: str = "tcp"
    interface: str = ""
    """Which a multicast group is joined on; empty: the system chooses."""
    source: str = ""
    """The one sender whose packets to a multicast group count; empty: all."""

    @classmethod
    def parse(cls, text: str, mode: str = "", source: str = "") -> "SocketAddress":
        """`mode`: octal permissions of a unix socket. Raises ConfigError."""
        scheme, found, rest = text.partition("://")
        if found and scheme in _ELSEWHERE:
            message = f"cannot listen on {text!r}: {scheme} is not supported; use tcp, udp, unix or unixgram"
            raise ConfigError(message, option="service_address")
        if scheme in ("unix", "unixgram") and rest.startswith("/"):
            return cls(text, path=rest, mode=socket_mode(mode), scheme=scheme)
        match = _PLACE.fullmatch(rest) if found and scheme in _FAMILIES else None
        if match is None or int(match[4]) > 65535:
            message = (
                f"cannot listen on {text!r}: it is no address; give 'tcp://HOST:PORT', 'udp://:PORT', 'unix:///PATH'"
            )
            raise ConfigError(f"{message} or 'unixgram:///PATH'", option="service_address")
        six, zone, four, port, interface = match.groups()
        if zone and interface:
            message = f"cannot listen on {text!r}: it names an interface twice, in the address and behind the port"
            raise ConfigError(message, option="service_address")
        host = (f"{six}%{zone}" if zone else six) or four or ""
        address = cls(text, host=host, port=int(port), scheme=scheme, interface=interface or zone or "", source=source)
        if source:
            _check_source(address)
        return address

    @property
    def is_datagram(self) -> bool:
        return self.scheme.startswith("udp") or self.scheme == "unixgram"

    async def _bind(self) -> socket.socket:
        kind = socket.SOCK_DGRAM if self.is_datagram else socket.SOCK_STREAM
        if self.path:
            return self._bind_path(kind)
        version = _FAMILIES[self.scheme]
        if not self.host:
            if version == 0:
                return bind_everywhere(self.port, kind)
            family, every = (socket.AF_INET, "0.0.0.0") if version == 4 else (socket.AF_INET6, "::")  # noqa: S104  # asked for
            shared = kind == socket.SOCK_STREAM
            return bound_socket(family, (every, self.port), kind, only_six=True, shared=shared)
        family = {0: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}[version]
        infos = await asyncio.get_running_loop().getaddrinfo(
            self.host, self.port, family=family, type=kind, flags=socket.AI_PASSIVE
        )
        # As Go does it: one address, an IPv4 one if there is one.
        found, _, _, _, address = min(infos, key=lambda info: info[0] != socket.AF_INET)
        group = ip_address(str(address[0]).partition("%")[0])
        # Several programs of a host may listen to a group; of other datagrams each would get some.
        shared = kind == socket.SOCK_STREAM or group.is_multicast
        bound = bound_socket(found, address, kind, only_six=version == 6, shared=shared)
        if self.is_datagram and group.is_multicast:
            try:
                self._join(bound, group.packed)
            except OSError as error:
                bound.close()
                where = f" on {self.interface}" if self.interface else ""
                raise PyagentError(
                    f"cannot join the multicast group {group}{where}: {error.strerror or error}; "
                    "name an interface that takes multicast, as in 'udp://239.0.0.1:4000%eth0'"
                ) from None
        return bound

    def _join(self, bound: socket.socket, group: bytes) -> None:
        index = socket.if_nametoindex(self.interface) if self.interface else 0
        if bound.family == socket.AF_INET:
            if self.source:
                local = _first_address(self.interface) if self.interface else bytes(4)
                request = group + local + ip_address(self.source).packed
                bound.setsockopt(socket.IPPROTO_IP, _ADD_SOURCE_MEMBERSHIP, request)
            else:
                request = group + bytes(4) + struct.pack("@i", index)
                bound.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        elif self.source:
            request = struct.pack("@I4x", index) + _sockaddr_in6(group) + _sockaddr_in6(ip_address(self.source).packed)
            bound.setsockopt(socket.IPPROTO_IPV6, _JOIN_SOURCE_GROUP, request)
        else:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@i", index))


def _check_source(address: SocketAddress) -> None:
    try:
        ip_address(address.source)
    except ValueError:
        message = f"cannot use the multicast_source {address.source!r}: it is no IP address"
        raise ConfigError(message, option="multicast_source") from None


def _sockaddr_in6(packed: bytes) -> bytes:
    return (struct.pack("@HHI", socket.AF_INET6, 0, 0) + packed + bytes(4)).ljust(128, b"\0")


def _first_address(interface: str) -> bytes:
    """Its first IPv4 address: this call of the kernel knows no index."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, 0x8915, struct.pack("256s", interface.encode()[:15]))  # SIOCGIFADDR
    return answer[20:24]


def plain_address(text: str) -> str:
    """An IP address in one spelling; an IPv4 one, as a socket for both writes it, as IPv4. Raises ValueError."""
    found = ip_address(text)
    return str(found.ipv4_mapped or found) if isinstance(found, IPv6Address) else str(found)


def peer_address(address: Any) -> str:
    """The same of what the system says of a peer."""
    return plain_address(address[0].partition("%")[0])
