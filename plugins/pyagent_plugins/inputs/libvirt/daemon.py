"""A daemon of libvirt: the login, and the questions of this input."""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from pyagent.api import PyagentError
from pyagent_plugins.inputs.libvirt.address import Address
from pyagent_plugins.inputs.libvirt.rpc import (
    Client,
    Decoder,
    Domain,
    Lost,
    Refused,
    Stream,
    optional_text,
    parameters,
)

__all__ = ["Daemon", "Mapped", "Value"]

Value = int | float | str

_OPEN, _NODE_INFO, _INFO, _VCPUS = 1, 6, 16, 20
_AUTH_LIST, _AUTH_POLKIT, _PINS, _ALL_DOMAINS, _ALL_STATISTICS = 66, 70, 230, 273, 344
_NONE, _SASL, _POLKIT = 0, 1, 2
_READ_ONLY = 1
_ALL_STATES = 16 | 32 | 64 | 128
"""Guests that run, are paused, are shut off, and the others."""
_NO_CONNECT, _NO_SUPPORT, _OPERATION_DENIED, _NO_DOMAIN, _AUTH_FAILED, _ACCESS_DENIED = 5, 3, 29, 42, 45, 88
_ADVICE = {
    _NO_CONNECT: "is libvirt's driver for it installed (apt install libvirt-daemon-driver-qemu), and libvirt_uri right?",
    _NO_SUPPORT: "libvirt's driver for these guests does not have it",
    _OPERATION_DENIED: "see access_drivers in libvirtd.conf",
    _ACCESS_DENIED: "allow the agent's account libvirt's actions connect.search-domains and domain.read in polkit",
}
_NO_SASL = (
    "it wants a login by SASL, which this input does not have; use qemu+ssh or qemu+tls, or the unix socket (auth_unix_ro, "
    "auth_tcp and auth_tls of libvirtd.conf say what it wants)"
)
_NO_POLKIT = "add the agent's account to the group libvirt, or name the socket that ends in -ro"
_WORDS = struct.Struct(">II")
_PAIR = struct.Struct(">ii")
_LEAST_RECORD = 32
_INFO_OF_VCPU = struct.Struct(">IiQi")
_MOST_PROCESSORS = 1 << 16
_MOST_MAPS = 1 << 20
_MODEL = 4 * 32
"""Bytes in front of the numbers of a host: 32 characters."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A processor of a guest."""

    number: int
    allowed: str
    """The host's processors that it may run on, with commas between them."""
    current: int
    """The one that it runs on; -1: none."""


class Daemon:
    """Raises Lost, after which it is of no more use, and other PyagentErrors."""

    def __init__(self, address: Address, seconds: float) -> None:
        self._address = address
        self._stream: Stream = address.connect(seconds)
        try:
            self._client = Client(self._stream)
            self._log_in()
            self._call(_OPEN, optional_text(address.name) + struct.pack(">I", _READ_ONLY))
        except PyagentError as error:
            self._stream.close()
            raise PyagentError(f"cannot connect to libvirt at {address.text}: {error}") from None

    def close(self) -> None:
        """Whoever waits for an answer, in another thread, does not any more."""
        with suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        self._stream.close()

    def domains(self) -> list[Domain]:
        return self._call(_ALL_DOMAINS, _WORDS.pack(1, _ALL_STATES)).domains()

    def statistics(
        self, domains: Sequence[Domain], groups: int
    ) -> Iterator[tuple[Domain, Iterator[tuple[str, Value]]]]:
        """Of each domain the names and values, to be read before the next one."""
        asked = struct.pack(">I", len(domains)) + b"".join(domain.encoded() for domain in domains)
        answer = self._call(_ALL_STATISTICS, asked + _WORDS.pack(groups, _ALL_STATES))
        for _ in range(answer.count(_LEAST_RECORD)):
            yield answer.domain(), parameters(answer)

    def mapping(self, domains: Sequence[Domain]) -> Iterator[tuple[Domain, list[Mapped] | PyagentError]]:
        """Where the processors of each domain may run, and run. What fails of one is its own."""
        processors = self._processors()
        width = (processors + 7) // 8
        counts = self._client.calls([(_INFO, domain.encoded()) for domain in domains])
        asked = []
        for domain, answer in list(zip(domains, counts, strict=True)):
            if isinstance(answer, Refused):
                if answer.code != _NO_DOMAIN:  # it has gone
                    yield domain, self._named(answer)
                continue
            answer.number(), answer.long(), answer.long()
            asked.append((domain, answer.number()))
        sizes = [domain.encoded() + _PAIR.pack(count, width) for domain, count in asked]
        running = list(self._client.calls([(_VCPUS, size) for size in sizes]))
        # One that does not run has no processors, and yet says where they may run.
        resting = [size + bytes(4) for size, answer in zip(sizes, running, strict=True) if isinstance(answer, Refused)]
        pinned = self._client.calls([(_PINS, size) for size in resting])
        for (domain, count), answer in zip(asked, running, strict=True):
            current: list[int] = []
            if isinstance(answer, Refused):
                answer = next(pinned)
                if isinstance(answer, Refused):
                    if answer.code != _NO_DOMAIN:
                        yield domain, self._named(answer)
                    continue
            else:
                infos = answer.fixed(answer.count(_INFO_OF_VCPU.size) * _INFO_OF_VCPU.size)
                current = [processor for _, _, _, processor in _INFO_OF_VCPU.iter_unpack(infos)]
            yield domain, _mapped(answer.opaque(), count, width, processors, current)

    def _processors(self) -> int:
        answer = self._call(_NODE_INFO)
        answer.fixed(_MODEL)
        answer.long(), answer.number(), answer.number()
        nodes, sockets, cores, threads = (answer.number() for _ in range(4))
        if not 0 < (processors := nodes * sockets * cores * threads) <= _MOST_PROCESSORS:
            raise Lost(f"libvirt says that its host has {processors} processors, which cannot be")
        return processors

    def _log_in(self) -> None:
        answer = self._client.call(_AUTH_LIST)
        wanted = [answer.number() for _ in range(answer.count(4))]
        if not wanted or _NONE in wanted:
            return
        if _POLKIT not in wanted:
            raise PyagentError(_NO_SASL)
        try:
            self._client.call(_AUTH_POLKIT)
        except Refused as error:
            raise PyagentError(f"{error}; {_NO_POLKIT}") from None

    def _call(self, procedure: int, arguments: bytes = b"") -> Decoder:
        try:
            return self._client.call(procedure, arguments)
        except Refused as error:
            raise self._named(error) from None

    def _named(self, error: Refused) -> PyagentError:
        advice = _ADVICE.get(error.code, "")
        return PyagentError(f"{error}; {advice}" if advice else str(error))


def _mapped(maps: bytes, count: int, width: int, processors: int, current: list[int]) -> list[Mapped]:
    """`maps`: `width` bytes for each processor of the guest, in which a bit stands for each of the host."""
    if len(maps) > _MOST_MAPS:
        raise Lost(f"libvirt has {len(maps)} bytes about the processors of a guest, which cannot be")
    result = []
    for number in range(min(count, len(maps) // width)):
        if allowed := _numbers(maps[number * width : (number + 1) * width], processors):
            result.append(Mapped(number, allowed, current[number] if number < len(current) else -1))
    return result


@lru_cache(maxsize=256)
def _numbers(bits: bytes, most: int) -> str:
    """Those whose bits are set. Many processors have the same."""
    return ",".join(str(number) for number in range(most) if bits[number >> 3] >> (number & 7) & 1)
