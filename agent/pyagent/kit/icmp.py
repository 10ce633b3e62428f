"""Echo requests by ICMP, without a program: by datagram sockets, which need no right where the kernel allows them, or raw ones.

result = await ping("192.0.2.1", count=3, interval=1.0, deadline=10.0)
"""

import asyncio
import errno
import secrets
import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pyagent.api.errors import PyagentError

__all__ = ["PingResult", "ping"]

_SO_TIMESTAMPNS, _IP_RECVTTL = 35, 12
_SOL_RAW, _ICMP_FILTER = 255, 1
_SOL_ICMPV6, _ICMPV6_FILTER = 58, 1
_REQUEST, _REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_TOKEN = 16
_LARGEST = 65_507
_REMEDY = (
    "the kernel allows neither datagram nor raw sockets for ICMP; widen net.ipv4.ping_group_range to the agent's group"
    " (`sysctl net.ipv4.ping_group_range='0 2147483647'`), or give it AmbientCapabilities=CAP_NET_RAW in a drop-in of its unit"
)


@dataclass(slots=True)
class PingResult:
    sent: int = 0
    ttl: int | None = None
    """Of the first reply."""
    times: list[int] = field(default_factory=list)
    """Nanoseconds, of each request that was answered."""


async def ping(
    host: str,
    *,
    count: int = 1,
    interval: float = 1.0,
    deadline: float = 10.0,
    size: int = 56,
    source: str = "",
    versions: Sequence[int] = (4, 6),
    raw_first: bool = True,
) -> PingResult:
    """Send `count` requests with `size` bytes each, `interval` seconds apart, and wait for the replies until `deadline` seconds
    are over. `source`: address to send from. `versions`: of IP, the best first.

    Raises PyagentError where nothing can be sent.
    """
    if not 0 <= size <= _LARGEST:
        raise PyagentError(f"cannot ping {host}: packets have 0 to {_LARGEST} bytes, not {size}")
    version, address = await _resolved(host, versions)
    kinds = (socket.SOCK_RAW, socket.SOCK_DGRAM) if raw_first else (socket.SOCK_DGRAM, socket.SOCK_RAW)
    opened = _opened(host, version, kinds)
    with opened:
        try:
            if source:
                opened.bind((source, 0))
            opened.connect(address)
        except OSError as error:
            raise PyagentError(f"cannot ping {host}: {error.strerror}") from None
        return await _Run(opened, version, size).run(host, count, interval, deadline)


async def _resolved(host: str, versions: Sequence[int]) -> tuple[int, tuple[object, ...]]:
    family = socket.AF_UNSPEC
    if len(versions) == 1:
        family = socket.AF_INET if versions[0] == 4 else socket.AF_INET6
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(host, None, family=family, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise PyagentError(f"cannot ping {host}: {error.strerror or error}") from None
    except UnicodeError:
        raise PyagentError(f"cannot ping {host!r}: it is no name of a host") from None
    found = [(4 if info[0] == socket.AF_INET else 6, info[4]) for info in infos]
    return min(found, key=lambda one: versions.index(one[0]))


def _opened(host: str, version: int, kinds: Sequence[int]) -> socket.socket:
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    for kind in kinds:
        try:
            opened = socket.socket(family, kind, protocol)
        except PermissionError:
            continue
        except OSError as error:
            raise PyagentError(f"cannot ping {host}: {error.strerror}") from None
        opened.setblocking(False)
        with suppress(OSError):  # without it the time is that of the loop
            opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        with suppress(OSError):
            if version == 4:
                opened.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            else:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        if kind == socket.SOCK_RAW:
            with suppress(OSError):  # replies alone; all is looked at once more
                if version == 4:
                    opened.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("@I", 0xFFFFFFFE))
                else:
                    bits = bytearray(b"\xff" * 32)
                    bits[_REPLY[6] // 8] &= ~(1 << _REPLY[6] % 8) & 0xFF
                    opened.setsockopt(_SOL_ICMPV6, _ICMPV6_FILTER, bytes(bits))
        return opened
    raise PyagentError(f"cannot ping {host}: {_REMEDY}")


class _Run:
    """One series of requests on a socket that is connected."""

    def __init__(self, opened: socket.socket, version: int, size: int) -> None:
        self._socket = opened
        self._version = version
        self._is_raw = opened.type == socket.SOCK_RAW
        self._number = secrets.randbelow(1 << 16)
        self._payload = secrets.token_bytes(min(size, _TOKEN)).ljust(size, b"\0")
        self._sent: dict[int, tuple[int, int]] = {}
        """Times of those that wait for their reply, by their number: that of the clock, and one that never goes back."""
        self._result = PingResult()
        self._all = asyncio.Event()

    async def run(self, host: str, count: int, interval: float, deadline: float) -> PingResult:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket.fileno(), self._receive, count)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline):
                    for sequence in range(count):
                        if sequence:
                            await asyncio.sleep(interval)
                        self._send(sequence & 0xFFFF)
                    await self._all.wait()
        except OSError as error:
            raise PyagentError(f"cannot ping {host}: {error.strerror}") from None
        finally:
            loop.remove_reader(self._socket.fileno())
        return self._result

    def _send(self, sequence: int) -> None:
        head = struct.pack(">BBHHH", _REQUEST[self._version], 0, 0, self._number, sequence)
        if self._version == 4:  # of ICMPv6 the kernel makes it
            sum_ = _checksum(head + self._payload)
            head = struct.pack(">BBHHH", _REQUEST[4], 0, sum_, self._number, sequence)
        self._sent[sequence] = (time.time_ns(), time.perf_counter_ns())
        try:
            self._socket.send(head + self._payload)
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.EAGAIN, errno.EHOSTUNREACH, errno.ECONNREFUSED):
                raise
            # No room, or an answer to the one before that nobody is there: this one is lost.
        self._result.sent += 1

    def _receive(self, count: int) -> None:
        try:
            data, notes, _, _ = self._socket.recvmsg(65536, 256)
        except OSError:
            return  # that a router or the host says it is not there is no reply
        now, clock = time.perf_counter_ns(), None
        ttl = None
        for level, kind, value in notes:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(value) >= 16:
                seconds, nanoseconds = struct.unpack("@qq", value[:16])
                clock = seconds * 1_000_000_000 + nanoseconds
            elif (level, kind) in (
                (socket.IPPROTO_IP, socket.IP_TTL),
                (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT),
            ):
                ttl = int.from_bytes(value[:4], sys.byteorder)
        if self._is_raw and self._version == 4:
            if len(data) < 20:
                return
            ttl = data[8]
            data = data[(data[0] & 0xF) * 4 :]
        if len(data) < 8 or data[0] != _REPLY[self._version] or data[8:] != self._payload:
            return
        number, sequence = struct.unpack(">HH", data[4:8])
        if (self._is_raw and number != self._number) or sequence not in self._sent:
            return  # of somebody else, or twice
        at, start = self._sent.pop(sequence)
        taken = now - start
        if clock is not None and 0 < clock - at < taken:
            taken = clock - at  # when the kernel had it, however busy the loop is
        if self._result.ttl is None:
            self._result.ttl = ttl
        self._result.times.append(taken)
        if len(self._result.times) >= count:
            self._all.set()


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
