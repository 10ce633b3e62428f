"""Requests to chronyd and its replies (`candm.h` of chrony), over UDP or a unix socket of datagrams."""

import asyncio
import grp
import os
import secrets
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from pyagent.api.errors import PyagentError
from pyagent.kit.connect_errors import explained
from pyagent.kit.connection import ServerAddress

__all__ = ["Client", "Reply", "address_text", "numbers_of"]

_VERSIONS = (6, 5)
_REQUEST, _REPLY = 1, 2
_HEAD = struct.Struct(">BBHHHIII")
_REPLY_HEAD = struct.Struct(">BBHHHHHHHIII")
_SPACE = 396
"""A request is as large as the largest reply, so that nobody can use chronyd to send more than was sent to it."""
_BAD_VERSION = 18
_STATUSES = (
    *(
        "SUCCESS",
        "FAILED",
        "UNAUTH",
        "INVALID",
        "NOSUCHSOURCE",
        "INVALIDTS",
        "NOTENABLED",
        "BADSUBNET",
        "ACCESSALLOWED",
    ),
    *("ACCESSDENIED", "NOHOSTACCESS", "SOURCEALREADYKNOWN", "TOOMANYSOURCES", "NORTC", "BADRTCFILE", "INACTIVE"),
    *("BADSAMPLE", "INVALIDAF", "BADPKTVERSION", "BADPKTLENGTH"),
)
_ADVICE = {2: "; chronyd gives that over its unix socket alone, see `server`"}
_INET4 = 1


@dataclass(frozen=True, slots=True)
class Reply:
    kind: int
    data: bytes

    def read(self, layout: struct.Struct) -> tuple[int, ...]:
        """Raises PyagentError for a reply that is too short."""
        if len(self.data) < layout.size:
            raise PyagentError(f"reply {self.kind} has {len(self.data)} bytes of data, {layout.size} are needed")
        return layout.unpack_from(self.data)


def numbers_of(*numbers: int) -> list[float]:
    """Numbers of chronyd: seven bits for the exponent, 25 for the coefficient, both signed."""
    found = []
    for number in numbers:
        exponent, coefficient = number >> 25, number & 0x1FFFFFF
        exponent -= 128 if exponent >= 64 else 0
        coefficient -= 1 << 25 if coefficient >= 1 << 24 else 0
        found.append(coefficient * 2.0 ** (exponent - 25))
    return found


def address_text(data: bytes, family: int) -> str:
    if family == _INET4:
        return str(IPv4Address(data[:4]))
    found = IPv6Address(data)
    return str(found.ipv4_mapped or found)


class Client:
    """One connection. All methods raise PyagentError, with the server's address."""

    def __init__(self, connected: socket.socket, shown: str, timeout: float, own_path: str = "") -> None:
        self._socket = connected
        self._shown = shown
        self._timeout = timeout
        self._own_path = own_path
        self._sequence = secrets.randbits(32)
        self._version = _VERSIONS[0]

    @classmethod
    async def over_udp(cls, address: ServerAddress, timeout: float) -> Self:
        try:
            async with asyncio.timeout(timeout):
                infos = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
        except TimeoutError:
            raise PyagentError(f"cannot find {address}: no answer of a name server within {timeout:g} s") from None
        except OSError as error:
            raise PyagentError(f"cannot find {address}: {explained(error)}") from None
        family, kind, protocol, _, where = infos[0]
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        try:
            made.connect(where)
        except OSError as error:
            made.close()
            raise PyagentError(f"cannot connect to {address}: {explained(error)}") from None
        return cls(made, str(address), timeout)

    @classmethod
    def over_unix(cls, path: str, timeout: float, *, group: str, permissions: int) -> Self:
        """chronyd answers to a socket of our own beside its own, which it has to be able to write to."""
        own = os.path.join(os.path.dirname(path), f"chrony-pyagent-{secrets.token_hex(8)}.sock")
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        client = cls(made, path, timeout, own)
        made.setblocking(False)
        try:
            made.connect(path)
            made.bind(own)
            os.chmod(own, permissions)
            _give(own, group)
        except PyagentError:
            client.close()
            raise
        except OSError as error:
            client.close()
            remedy = "; run the agent as root or in chronyd's group" if isinstance(error, PermissionError) else ""
            raise PyagentError(f"cannot connect to {path}: {error.strerror}{remedy}") from None
        return client

    def close(self) -> None:
        self._socket.close()
        if self._own_path:
            with suppress(OSError):
                os.unlink(self._own_path)

    async def ask(self, what: str, command: int, data: bytes = b"") -> Reply:
        """`what`: for messages."""
        try:
            async with asyncio.timeout(self._timeout):
                reply, status = await self._ask(command, data)
        except TimeoutError:
            allowed = "" if self._own_path else ", and does it allow this host (cmdallow)"
            raise PyagentError(
                f"cannot read {what} from {self._shown}: no answer within {self._timeout:g} s;"
                f" is chronyd running there{allowed}?"
            ) from None
        except OSError as error:
            raise PyagentError(f"cannot read {what} from {self._shown}: {explained(error)}") from None
        if status:
            name = _STATUSES[status] if status < len(_STATUSES) else "status"
            advice = _ADVICE.get(status, "")
            raise PyagentError(f"cannot read {what} from {self._shown}: it answers {name} ({status}){advice}")
        return reply

    async def _ask(self, command: int, data: bytes) -> tuple[Reply, int]:
        loop = asyncio.get_running_loop()
        while True:
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            head = _HEAD.pack(self._version, _REQUEST, 0, command, 0, self._sequence, 0, 0)
            await loop.sock_sendall(self._socket, head + data.ljust(_SPACE, b"\0"))
            while True:
                answer = await loop.sock_recv(self._socket, 4096)
                if len(answer) < _REPLY_HEAD.size:
                    continue
                version, packet, _, of, kind, status, _, _, _, sequence, _, _ = _REPLY_HEAD.unpack_from(answer)
                if packet == _REPLY and of == command and sequence == self._sequence:
                    break  # others are late answers, or nobody's
            if status == _BAD_VERSION and version != self._version and version in _VERSIONS:
                self._version = version
                continue
            return Reply(kind, answer[_REPLY_HEAD.size :]), status


def _give(path: str, group: str) -> None:
    """Raises PyagentError, OSError."""
    # Debian's name for the group, beside that of others.
    for name in (group, "_chrony") if group == "chrony" else (group,):
        with suppress(KeyError):
            os.chown(path, -1, grp.getgrnam(name).gr_gid)
            return
    raise PyagentError(f"cannot give the socket {path} to the group {group}: there is none; set `socket_group`")
