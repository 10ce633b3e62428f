"""What stands for a daemon of libvirt: it answers each procedure as it is told, in libvirt's protocol."""

import socket
import struct
from collections.abc import Callable, Mapping, Sequence

from pyagent_plugins.inputs.libvirt.rpc import Domain, opaque

AUTH_LIST, POLKIT, OPEN, NODE_INFO, INFO, VCPUS = 66, 70, 1, 6, 16, 20
PINS, ALL_DOMAINS, ALL_STATISTICS = 230, 273, 344
HEADER = struct.Struct(">IIIiIII")

Answer = bytes | tuple[int, str]
"""What it holds, or the number and the text of an error."""
Told = Answer | Callable[[bytes], Answer]


class ScriptedDaemon:
    """It may take the place of a connection; `serve` makes it one of a socket."""

    def __init__(self, answers: Mapping[int, Told]) -> None:
        self.answers = {AUTH_LIST: numbers(0), OPEN: b"", **answers}
        self.asked: list[tuple[int, bytes]] = []
        self.closed = False
        self._in, self._out = b"", b""

    def sendall(self, data: bytes, /) -> None:
        self._in += data
        while len(self._in) >= 4 and len(self._in) >= (size := int.from_bytes(self._in[:4], "big")):
            message, self._in = self._in[:size], self._in[size:]
            _, program, version, procedure, _, serial, _ = HEADER.unpack(message[: HEADER.size])
            arguments = message[HEADER.size :]
            self.asked.append((procedure, arguments))
            told = self.answers.get(procedure, (39, f"unknown procedure: {procedure}"))
            answer = told(arguments) if callable(told) else told
            status, payload = (0, answer) if isinstance(answer, bytes) else (1, error(*answer))
            header = HEADER.pack(HEADER.size + len(payload), program, version, procedure, 1, serial, status)
            self._out += self.changed(header + payload)

    def changed(self, message: bytes) -> bytes:
        return message

    def recv(self, most: int, /) -> bytes:
        data, self._out = self._out[:most], self._out[most:]
        return data

    def shutdown(self, how: int, /) -> None:
        """It is closed next."""

    def close(self) -> None:
        self.closed = True

    def serve(self, connection: socket.socket) -> None:
        while data := connection.recv(65536):
            self.sendall(data)
            connection.sendall(self.recv(1 << 30))

    def asked_for(self, procedure: int) -> list[bytes]:
        return [arguments for one, arguments in self.asked if one == procedure]


def numbers(*values: int) -> bytes:
    """An array."""
    return struct.pack(f">{len(values) + 1}i", len(values), *values)


def error(code: int, message: str) -> bytes:
    return struct.pack(">iiI", code, 10, 1) + opaque(message.encode()) + struct.pack(">i5I", 2, 0, 0, 0, 0, 0)


def guest(name: str, number: int = 1) -> Domain:
    return Domain(name, name.encode().ljust(16, b"\0")[:16], number)


def domains(*guests: Domain) -> bytes:
    return struct.pack(">I", len(guests)) + b"".join(one.encoded() for one in guests) + struct.pack(">I", len(guests))


def parameter(name: str, value: int | float | str | bool, kind: int = 4) -> bytes:
    """`kind`: of a number; 4 is an unsigned one of 64 bits."""
    if isinstance(value, str):
        return opaque(name.encode()) + struct.pack(">I", 7) + opaque(value.encode())
    if isinstance(value, bool):
        kind = 6
    layout = {1: ">i", 2: ">I", 3: ">q", 4: ">Q", 5: ">d", 6: ">i"}[kind]
    return opaque(name.encode()) + struct.pack(">I", kind) + struct.pack(layout, value)


def statistics(*records: tuple[Domain, Sequence[bytes]]) -> bytes:
    return struct.pack(">I", len(records)) + b"".join(
        one.encoded() + struct.pack(">I", len(values)) + b"".join(values) for one, values in records
    )


def node_info(nodes: int, sockets: int, cores: int, threads: int) -> bytes:
    return bytes(4 * 32) + struct.pack(">Q6i", 1 << 20, 1, 2400, nodes, sockets, cores, threads)


def info(processors: int) -> bytes:
    return struct.pack(">IQQIQ", 1, 1024, 1024, processors, 5)


def vcpus(current: Sequence[int], maps: bytes) -> bytes:
    infos = b"".join(struct.pack(">IiQi", number, 1, 7, place) for number, place in enumerate(current))
    return struct.pack(">I", len(current)) + infos + opaque(maps)


def pins(maps: bytes, count: int) -> bytes:
    return opaque(maps) + struct.pack(">i", count)
