"""libvirt's remote protocol, as far as it is needed to ask for domains and their statistics.

A message is its length, six numbers (program, version, procedure, kind, serial, status) and XDR (RFC 4506); libvirt's
`virnetprotocol.x` and `remote_protocol.x` define them. Whatever comes, memory and time are bounded.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pyagent.api import PyagentError, Uint

__all__ = ["Client", "Decoder", "Domain", "Lost", "Refused", "Stream", "opaque", "optional_text", "parameters"]

_PROGRAM, _VERSION = 0x20008086, 1
_CALL, _REPLY = 0, 1
_OK, _ERROR = 0, 1
_HEADER = struct.Struct(">IIIiIII")
_NUMBER = struct.Struct(">I")
_SIGNED = struct.Struct(">i")
_LONG = struct.Struct(">Q")
_MOST = (32 << 20) + 4
"""Bytes of a message that libvirt allows."""
_IN_FLIGHT = 5
"""Calls that wait for their answers; libvirt's daemons take no more of a client at once."""
_UUID = 16
_LEAST_DOMAIN = 4 + _UUID + 4


class Stream(Protocol):
    """A connection to a daemon. What fails is an OSError."""

    def sendall(self, data: bytes, /) -> None: ...

    def recv(self, most: int, /) -> bytes: ...

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


class Lost(PyagentError):
    """There is no connection any more."""


class Refused(PyagentError):
    """The daemon's answer is an error. `code`: its virErrorNumber."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Domain:
    name: str
    uuid: bytes
    number: int
    """-1: it does not run."""

    def encoded(self) -> bytes:
        return opaque(self.name.encode("utf-8", "surrogateescape")) + self.uuid + _SIGNED.pack(self.number)


class Client:
    """Calls of one connection, for one thread. Raises Lost, after which it is of no more use, and Refused."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._waiting = 0
        """Calls without an answer yet: their serials are numbers of their own, and are used again later."""

    def call(self, procedure: int, arguments: bytes = b"") -> "Decoder":
        (answer,) = self.calls([(procedure, arguments)])
        if isinstance(answer, Refused):
            raise answer
        return answer

    def calls(self, wanted: Sequence[tuple[int, bytes]]) -> "Iterator[Decoder | Refused]":
        """The answers, in the order of the calls. Some are sent before the answers of others are here."""
        while self._waiting:  # somebody did not want to know all the answers
            self._answer()
        sent = 0
        answers: dict[int, Decoder | Refused] = {}
        for place in range(len(wanted)):
            while sent < len(wanted) and sent < place + _IN_FLIGHT:
                self._send(*wanted[sent], sent)
                sent += 1
            while place not in answers:
                serial, answer = self._answer()
                if place <= serial < sent:
                    answers[serial] = answer
            yield answers.pop(place)

    def _send(self, procedure: int, arguments: bytes, serial: int) -> None:
        size = _HEADER.size + len(arguments)
        if size > _MOST:
            raise Lost(f"the question has {size} bytes, more than libvirt takes")
        header = _HEADER.pack(size, _PROGRAM, _VERSION, procedure, _CALL, serial, _OK)
        try:
            self._stream.sendall(header + arguments)
        except OSError as error:
            raise _lost(error) from None
        self._waiting += 1

    def _answer(self) -> "tuple[int, Decoder | Refused]":
        """The next one, and the serial of its call; events and what else was not asked for have -1."""
        size, program, version, _, kind, serial, status = _HEADER.unpack(self._exactly(_HEADER.size))
        if program != _PROGRAM and not 0 < program >> 16 == _PROGRAM >> 16:
            raise Lost("what answers does not speak libvirt's protocol")
        if not _HEADER.size <= size <= _MOST or version != _VERSION:
            raise Lost(f"a message of libvirt has {size} bytes and version {version}, which cannot be")
        decoder = Decoder(self._exactly(size - _HEADER.size))
        if program != _PROGRAM or kind != _REPLY:
            return -1, decoder
        self._waiting -= 1
        return serial, _refused(decoder) if status == _ERROR else decoder

    def _exactly(self, size: int) -> bytes:
        chunks = bytearray()
        while len(chunks) < size:
            try:
                chunk = self._stream.recv(min(size - len(chunks), 1 << 16))
            except OSError as error:
                raise _lost(error) from None
            if not chunk:
                raise Lost("libvirt closed the connection")
            chunks += chunk
        return bytes(chunks)


def _lost(error: OSError) -> Lost:
    return Lost("libvirt does not answer" if isinstance(error, TimeoutError) else error.strerror or str(error))


def _refused(decoder: "Decoder") -> Refused:
    code = decoder.signed()
    decoder.signed()
    message = decoder.text() if decoder.number() else ""
    return Refused(message[:500] or f"error {code} without a message", code)


class Decoder:
    """Reads XDR. Raises Lost where a message ends too early, or has what it cannot have."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def number(self) -> int:
        return int(self._read(_NUMBER))

    def signed(self) -> int:
        return int(self._read(_SIGNED))

    def long(self) -> int:
        return int(self._read(_LONG))

    def _read(self, layout: struct.Struct) -> Any:
        try:
            (value,) = layout.unpack_from(self.data, self.place)
        except struct.error:
            raise _cut() from None
        self.place += layout.size
        return value

    def fixed(self, size: int) -> bytes:
        data = self.data[self.place : self.place + size]
        if len(data) < size:
            raise _cut()
        self.place += size
        return data

    def opaque(self) -> bytes:
        size = self.number()
        data = self.fixed(size)
        self.place += -size % 4
        return data

    def text(self) -> str:
        return self.opaque().decode("utf-8", "surrogateescape")

    def count(self, least: int) -> int:
        """How many things follow that have `least` bytes each."""
        count = self.number()
        if count * least > len(self.data) - self.place:
            raise _cut()
        return count

    def domain(self) -> Domain:
        return Domain(self.text(), self.fixed(_UUID), self.signed())

    def domains(self) -> list[Domain]:
        return [self.domain() for _ in range(self.count(_LEAST_DOMAIN))]


def _cut() -> Lost:
    return Lost("a message of libvirt ends too early")


def opaque(data: bytes) -> bytes:
    return _NUMBER.pack(len(data)) + data + bytes(-len(data) % 4)


def optional_text(text: str) -> bytes:
    """Nothing, where it is empty."""
    return _NUMBER.pack(1) + opaque(text.encode("utf-8", "surrogateescape")) if text else _NUMBER.pack(0)


_LAYOUTS = {
    1: struct.Struct(">i"),
    2: struct.Struct(">I"),
    3: struct.Struct(">q"),
    4: struct.Struct(">Q"),
    5: struct.Struct(">d"),
    6: struct.Struct(">i"),
}
_UNSIGNED = (2, 4)
_TEXT = 7
_LEAST_PARAMETER = 12


def parameters(decoder: Decoder) -> Iterator[tuple[str, int | float | str]]:
    """Names and values of typed parameters; a boolean is 0 or 1. There may be 100,000 of them."""
    count, data, place = decoder.count(_LEAST_PARAMETER), decoder.data, decoder.place
    unpack = _NUMBER.unpack_from
    value: int | float | str
    try:
        for _ in range(count):
            (size,) = unpack(data, place)
            name = data[place + 4 : place + 4 + size].decode("utf-8", "surrogateescape")
            place += 4 + size + -size % 4
            (kind,) = unpack(data, place)
            layout = _LAYOUTS.get(kind)
            if layout is not None:
                (value,) = layout.unpack_from(data, place + 4)
                place += 4 + layout.size
                yield name, Uint(value) if kind in _UNSIGNED else value
            elif kind == _TEXT:
                decoder.place = place + 4
                value = decoder.text()
                place = decoder.place
                yield name, value
            else:
                raise Lost(f"libvirt has a value of type {kind}, which is unknown")
    except struct.error:
        raise _cut() from None
    decoder.place = place
