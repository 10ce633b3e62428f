"""Sockets of processes: the kernel's diagnosis by netlink (sock_diag(7)), and /proc/PID/net/unix."""

import ipaddress
import os
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from pyagent.api import PyagentError, Uint
from pyagent.kit.procfs import host_path

__all__ = ["PROTOCOLS", "Sockets"]

PROTOCOLS = ("tcp4", "tcp6", "udp4", "udp6", "unix")

_SOCK_DIAG, _BY_FAMILY = 4, 20
_DUMP = 0x301
"""NLM_F_REQUEST, NLM_F_ROOT and NLM_F_MATCH."""
_ERROR, _DONE = 2, 3
_TIMEOUT = 5.0
_INFO, _PEER, _QUEUES = 2, 2, 4
"""Attributes: of internet sockets the first, of unix sockets the others."""
_SHOWN = 0x15
"""UDIAG_SHOW_NAME, _PEER and _RQLEN."""
_STATES = (
    *("unknown", "established", "syn-sent", "syn-recv", "fin-wait1", "fin-wait2", "time-wait", "closed"),
    *("close-wait", "last-ack", "listen", "closing", "sync-recv"),
)
_TYPES = {1: "stream", 2: "dgram", 3: "raw", 4: "rdm", 5: "seqpacket", 6: "dccp", 10: "packet"}
_LINK = re.compile(r"socket:\[(\d{1,10})\]")

Found = dict[int, dict[str, Any]]
"""By inode."""


@dataclass(slots=True)
class Sockets:
    """Of one gather: all sockets are asked for once, whatever the number of processes."""

    _asked: dict[str, Found] = field(default_factory=dict)

    def of(self, pid: int, protocol: str) -> Iterator[dict[str, Any]]:
        """Fields of each socket of a process, and its `protocol`. Raises PyagentError."""
        inodes = _inodes(pid)
        if not inodes:
            return
        if protocol not in self._asked:
            self._asked[protocol] = _ask(protocol)
        found = self._asked[protocol]
        if protocol != "unix":
            for inode in inodes:
                if values := found.get(inode):
                    yield {"protocol": protocol, "pid": pid, **values}
            return
        for inode, kind, name in _unix(pid):
            if inode not in inodes:
                continue
            values = (
                found.get(inode) if kind == "stream" else {"state": "close", "rx_queue": Uint(0), "tx_queue": Uint(0)}
            )
            if values is not None:
                name = name or f"inode-{inode}"
                yield {"protocol": protocol, "pid": pid, "type": kind, "name": name, "inode": Uint(inode), **values}


def _inodes(pid: int) -> list[int]:
    folder = host_path("proc", str(pid), "fd")
    found = []
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return []
    except OSError as error:
        raise PyagentError(
            f"cannot get the sockets of process {pid}: {folder}: {error.strerror}; the agent needs the capabilities"
            " CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for processes of other accounts"
        ) from None
    for name in names:
        try:
            match = _LINK.fullmatch(os.readlink(f"{folder}/{name}"))
        except OSError:
            continue
        if match:
            found.append(int(match[1]))
    return list(dict.fromkeys(found))


def _unix(pid: int) -> Iterator[tuple[int, str, str]]:
    """Inode, type and name of the unix sockets that a process sees."""
    try:
        with open(host_path("proc", str(pid), "net/unix"), errors="surrogateescape") as file:
            for line in file:
                words = line.rstrip("\n").split(" ", 1)[-1].split(None, 6)
                if len(words) >= 6 and words[5].isdecimal() and len(words[5]) <= 10:
                    kind = int(words[3], 16) if len(words[3]) <= 4 else 0
                    yield int(words[5]), _TYPES.get(kind, "unknown"), words[6] if len(words) > 6 else ""
    except (OSError, ValueError):
        return


def _ask(protocol: str) -> Found:
    if protocol == "unix":
        request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, _SHOWN, 0xFFFFFFFF, 0xFFFFFFFF)
        read = _of_unix
    else:
        number = socket.IPPROTO_TCP if protocol.startswith("tcp") else socket.IPPROTO_UDP
        family = socket.AF_INET6 if protocol.endswith("6") else socket.AF_INET
        extension = 1 << (_INFO - 1) if number == socket.IPPROTO_TCP else 0
        # Every state; then the identity of the one socket that is asked for: none.
        request = struct.pack("=BBBBI", family, number, extension, 0, 0xFFFFFFFF) + bytes(48)
        read = _of_internet
    found: Found = {}
    try:
        with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG)) as link:
            link.settimeout(_TIMEOUT)
            link.sendto(struct.pack("=IHHII", 16 + len(request), _BY_FAMILY, _DUMP, 1, 0) + request, (0, 0))
            for message in _messages(link):
                inode, values = read(message)
                found[inode] = values
    except (OSError, struct.error, ValueError) as error:
        raise PyagentError(f"cannot ask the kernel for its {protocol} sockets: {error}") from None
    return found


def _messages(link: socket.socket) -> Iterator[bytes]:
    while True:
        data = link.recv(1 << 18)
        place = 0
        while place + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, place)
            if kind == _DONE:
                return
            if kind == _ERROR:
                number = -struct.unpack_from("=i", data, place + 16)[0]
                # A kernel without this protocol has no such sockets.
                if number == 2:
                    return
                raise OSError(number, os.strerror(number))
            if length < 16:
                raise ValueError("a message is cut")
            yield data[place + 16 : place + length]
            place += (length + 3) & ~3


def _of_internet(message: bytes) -> tuple[int, dict[str, Any]]:
    family, state = message[0], message[1]
    source_port, destination_port = struct.unpack_from("!HH", message, 4)
    size = 16 if family == socket.AF_INET6 else 4
    rx_queue, tx_queue, _, inode = struct.unpack_from("=IIII", message, 56)
    values: dict[str, Any] = {
        "state": _state(state),
        "src": _address(message[8 : 8 + size]),
        "src_port": Uint(source_port),
        "dest": _address(message[24 : 24 + size]),
        "dest_port": Uint(destination_port),
        "rx_queue": Uint(rx_queue),
        "tx_queue": Uint(tx_queue),
    }
    for kind, data in _attributes(message, 72):
        if kind == _INFO:
            data = data.ljust(208, b"\0")  # older kernels tell less
            values["bytes_received"] = Uint(struct.unpack_from("=Q", data, 128)[0])
            values["bytes_sent"] = Uint(struct.unpack_from("=Q", data, 200)[0])
            values["lost"] = Uint(struct.unpack_from("=I", data, 32)[0])
            values["retransmits"] = Uint(data[2])
    return inode, values


def _of_unix(message: bytes) -> tuple[int, dict[str, Any]]:
    inode = struct.unpack_from("=I", message, 4)[0]
    values: dict[str, Any] = {"state": _state(message[2]), "rx_queue": Uint(0), "tx_queue": Uint(0)}
    for kind, data in _attributes(message, 16):
        if kind == _PEER:
            values["peer"] = Uint(struct.unpack_from("=I", data)[0])
        elif kind == _QUEUES:
            values["rx_queue"], values["tx_queue"] = map(Uint, struct.unpack_from("=II", data))
    return inode, values


def _attributes(message: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    while place + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, place)
        if length < 4:
            return
        yield kind, message[place + 4 : place + length]
        place += (length + 3) & ~3


def _state(number: int) -> str:
    return _STATES[number] if number < len(_STATES) else "unknown"


def _address(data: bytes) -> str:
    address = ipaddress.ip_address(data)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
