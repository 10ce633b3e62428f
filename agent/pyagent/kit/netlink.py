"""Questions to the Linux kernel by netlink: families of generic netlink by name, and the network interfaces there are.

    with generic_netlink("IPVS", "IPVS", module="ip_vs") as kernel:
        for answer in kernel.ask(GET_SERVICE):
            service = attributes(answer[1])
            port = number(service[4])

What the kernel refuses, or does not answer in time, and what of its answers cannot be understood (ValueError and KeyError
within the block) comes out of the block as a PyagentError, with what to do. An answer is bounded in size and in time.
"""

import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pyagent.api.errors import PyagentError

__all__ = [
    "Attributes",
    "GenericNetlink",
    "Link",
    "Netlink",
    "UnknownFamily",
    "attribute",
    "attribute_list",
    "attributes",
    "generic_netlink",
    "network_links",
    "number",
    "text",
]

Attributes = dict[int, bytes]

# <linux/netlink.h>
_ROUTE, _GENERIC = 0, 16
_REQUEST, _DUMP = 0x1, 0x300
_INTERRUPTED, _CAPPED, _WITH_TEXT = 0x10, 0x100, 0x200
_NOTHING, _ERROR, _DONE, _OVERRUN = 1, 2, 3, 4
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_ERROR_TEXT = 1
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED, _KIND = 0x8000, 0x3FFF
# <linux/genetlink.h>
_CONTROLLER, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_GENERIC_HEADER = struct.Struct("=BBH")
# <linux/rtnetlink.h>, <linux/if_link.h>
_NEW_LINK, _GET_LINK = 16, 18
_LINK = struct.Struct("=BxHiII")
_LINK_NAME, _LINK_INFO, _LINK_MASK, _INFO_KIND = 3, 18, 29, 1
_WITHOUT_STATISTICS = 1 << 3
_UP, _LOOPBACK = 0x1, 0x8

_DATAGRAM = 1 << 18
_MOST = 64 << 20
_TIMEOUT = 5.0
_ATTEMPTS = 5
_REMEDIES = {
    errno.EPERM: "give the agent the capability CAP_NET_ADMIN: the drop-in `network.conf` of its unit, which has"
    " `AmbientCapabilities=CAP_NET_ADMIN`",
    errno.EAFNOSUPPORT: "allow the agent netlink: AF_NETLINK in `RestrictAddressFamilies=` of its unit",
}


class UnknownFamily(PyagentError):
    """The kernel has no such family of generic netlink: its module is not loaded."""


def attribute(kind: int, data: bytes, *, nested: bool = False) -> bytes:
    """One attribute of a question. `nested`: `data` are attributes."""
    size = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(size, kind | (_NESTED if nested else 0)) + data + bytes(-size % 4)


def attribute_list(data: bytes) -> list[tuple[int, bytes]]:
    """The attributes that follow one another, as they come. Raises ValueError for lengths that cannot be."""
    found = []
    place, end = 0, len(data)
    while place < end:
        if end - place < _ATTRIBUTE.size:
            raise ValueError(f"an attribute of {end - place} bytes")
        length, kind = _ATTRIBUTE.unpack_from(data, place)
        if not _ATTRIBUTE.size <= length <= end - place:
            raise ValueError(f"an attribute of {length} bytes in {end - place}")
        found.append((kind & _KIND, data[place + _ATTRIBUTE.size : place + length]))
        place += length + -length % 4
    return found


def attributes(data: bytes) -> Attributes:
    """The same by their kind; where one comes twice, the later counts."""
    return dict(attribute_list(data))


def number(data: bytes) -> int:
    """An attribute as a number without a sign, in this machine's order of bytes. Raises ValueError."""
    if len(data) not in (1, 2, 4, 8):
        raise ValueError(f"a number of {len(data)} bytes")
    return int.from_bytes(data, sys.byteorder)


def text(data: bytes) -> str:
    """An attribute as a text, which ends with a zero byte or with the attribute."""
    return os.fsdecode(data.partition(b"\0")[0])


class Netlink:
    """A socket to the kernel, and what is asked by it."""

    def __init__(self, opened: socket.socket, *, timeout: float = _TIMEOUT) -> None:
        self._socket = opened
        self._timeout = timeout
        self._sequence = 0
        opened.bind((0, 0))
        for wanted in (_EXT_ACK, _CAP_ACK):
            with suppress(OSError):  # a kernel before 4.12 gives errors without a text
                opened.setsockopt(_SOL_NETLINK, wanted, 1)

    def ask(self, kind: int, body: bytes, *, answer: int, dump: bool = True) -> list[bytes]:
        """The bodies of all answers to a message of `kind`; `answer` is the kind that they have. `dump`: it is a list.

        Raises OSError with what the kernel says, TimeoutError without an answer in time, ValueError for one that is none.
        A list that changed while it was read is read again.
        """
        for _ in range(_ATTEMPTS):
            found, interrupted = self._exchange(kind, body, answer, dump)
            if not interrupted:
                return found
        raise OSError(errno.EINTR, f"its list changed while it was read, {_ATTEMPTS} times in a row")

    def _exchange(self, kind: int, body: bytes, answer: int, dump: bool) -> tuple[list[bytes], bool]:
        self._sequence += 1
        deadline = time.monotonic() + self._timeout
        flags = _REQUEST | (_DUMP if dump else 0)
        self._socket.settimeout(self._timeout)
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
        found: list[bytes] = []
        size, interrupted = 0, False
        while True:
            for came, flags, message in self._messages(deadline):
                size += _HEADER.size + len(message)
                if size > _MOST:
                    raise ValueError(f"it is longer than {_MOST >> 20} MiB")
                interrupted = interrupted or bool(flags & _INTERRUPTED)
                if came == _NOTHING:
                    continue
                if came == _OVERRUN:
                    raise OSError(errno.ENOBUFS, "a part of the answer was lost")
                if came in (_ERROR, _DONE):
                    _raise_error(message, flags, whole=came == _ERROR)
                    return found, interrupted
                if came != answer:
                    raise ValueError(f"a message of the kind {came} in place of {answer}")
                found.append(message)
                if not dump:
                    return found, interrupted

    def _messages(self, deadline: float) -> Iterator[tuple[int, int, bytes]]:
        """Kind, flags and body of each message that comes next and answers the last question."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        received, _, state, sender = self._socket.recvmsg(_DATAGRAM)
        if sender[0] != 0:
            return  # another process wrote it, not the kernel
        if state & socket.MSG_TRUNC:
            raise ValueError(f"a message of more than {_DATAGRAM} bytes")
        place = 0
        while place < len(received):
            rest = len(received) - place
            if rest < _HEADER.size:
                raise ValueError(f"a message of {rest} bytes")
            length, kind, flags, sequence, _ = _HEADER.unpack_from(received, place)
            if not _HEADER.size <= length <= rest:
                raise ValueError(f"a message of {length} bytes in {rest}")
            if sequence == self._sequence:
                yield kind, flags, received[place + _HEADER.size : place + length]
            place += length + -length % 4


class GenericNetlink:
    """A family of generic netlink."""

    def __init__(self, kernel: Netlink, family: int, version: int) -> None:
        self._kernel = kernel
        self._family = family
        self._version = version

    def ask(self, command: int, data: bytes = b"", *, dump: bool = True) -> list[Attributes]:
        """The attributes of each answer to `command`, whose own attributes are `data`. Raises what `Netlink.ask` does."""
        return [attributes(body) for body in self.ask_bodies(command, data, dump=dump)]

    def ask_bodies(self, command: int, data: bytes = b"", *, dump: bool = True) -> list[bytes]:
        """The same as they came, for `attribute_list`."""
        body = _GENERIC_HEADER.pack(command, self._version, 0) + data
        answers = self._kernel.ask(self._family, body, answer=self._family, dump=dump)
        if any(len(answer) < _GENERIC_HEADER.size for answer in answers):
            raise ValueError("an answer without a header")
        return [answer[_GENERIC_HEADER.size :] for answer in answers]


@contextmanager
def generic_netlink(
    what: str, family: str, *, module: str, version: int = 1, timeout: float = _TIMEOUT
) -> Iterator[GenericNetlink]:
    """Ask the family of this name, for errors that read "cannot read WHAT: ...". `module`: what brings it.

    Raises UnknownFamily where the kernel has it not. `timeout`: seconds for each question.
    """
    with _explained(what), _opened(_GENERIC) as opened:
        kernel = Netlink(opened, timeout=timeout)
        controller = GenericNetlink(kernel, _CONTROLLER, 1)
        try:
            [found] = controller.ask(_GET_FAMILY, attribute(_FAMILY_NAME, family.encode() + b"\0"), dump=False)
        except FileNotFoundError:
            raise UnknownFamily(
                f"cannot read {what}: the kernel does not have it; load the module {module} (`modprobe {module}`)"
            ) from None
        yield GenericNetlink(kernel, number(found[_FAMILY_ID]), version)


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface."""

    index: int
    name: str
    kind: str
    """As `ip link add type` has it: veth, wireguard, ...; empty for hardware."""
    up: bool
    """It was set up; whether there is a carrier is another question."""
    loopback: bool


def network_links() -> list[Link]:
    """The interfaces in the network namespace of the thread that calls. Raises PyagentError."""
    mask = attribute(_LINK_MASK, struct.pack("=I", _WITHOUT_STATISTICS))
    with _explained("the network interfaces"), _opened(_ROUTE) as opened:
        body = _LINK.pack(0, 0, 0, 0, 0) + mask
        return [_link(answer) for answer in Netlink(opened).ask(_GET_LINK, body, answer=_NEW_LINK)]


def _link(body: bytes) -> Link:
    if len(body) < _LINK.size:
        raise ValueError(f"an interface of {len(body)} bytes")
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = attributes(body[_LINK.size :])
    info = attributes(found.get(_LINK_INFO, b""))
    return Link(
        index, text(found[_LINK_NAME]), text(info.get(_INFO_KIND, b"")), bool(flags & _UP), bool(flags & _LOOPBACK)
    )


def _opened(protocol: int) -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)


def _raise_error(message: bytes, flags: int, *, whole: bool) -> None:
    """`whole`: it is an error, which has the question as well; else the end of a list. Returns where all is well."""
    if len(message) < 4:
        if whole:
            raise ValueError(f"an error of {len(message)} bytes")
        return
    [code] = struct.unpack_from("=i", message)
    if code >= 0:
        return
    cause = os.strerror(-code)
    if flags & _WITH_TEXT:
        place = 4
        if whole and len(message) >= place + _HEADER.size:
            asked = _HEADER.size if flags & _CAPPED else _HEADER.unpack_from(message, place)[0]
            place += asked + -asked % 4
        if said := text(attributes(message[place:]).get(_ERROR_TEXT, b"")):
            cause = f"{cause} ({said})"
    raise OSError(-code, cause)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise PyagentError(f"cannot read {what}: the kernel did not answer in time") from None
    except OSError as error:
        remedy = _REMEDIES.get(errno.EPERM if error.errno == errno.EACCES else error.errno or 0, "")
        raise PyagentError(f"cannot read {what}: {error.strerror or error}{remedy and f'; {remedy}'}") from None
    except KeyError as error:
        raise PyagentError(f"cannot read {what}: the kernel's answer has no attribute {error}") from None
    except ValueError as error:
        raise PyagentError(f"cannot read {what}: the kernel's answer cannot be understood: {error}") from None
