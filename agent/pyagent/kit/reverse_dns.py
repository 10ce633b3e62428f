"""Names of addresses: what /etc/hosts says, else what the name servers of /etc/resolv.conf answer (PTR records of the DNS).

    resolver = Resolver()
    names = await resolver.names("192.0.2.1", timeout=3.0)

It asks by itself and not by the system's resolver, whose calls block a thread each and cannot be ended.
"""

import asyncio
import ipaddress
import os
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from pyagent.api.errors import PyagentError
from pyagent.kit.dns import query, read_name

__all__ = ["HOSTS", "RESOLV_CONF", "Resolver", "hosts_names", "question", "read_answer"]

HOSTS, RESOLV_CONF = "/etc/hosts", "/etc/resolv.conf"
T = TypeVar("T")
_PORT = 53
_POINTER, _INTERNET = 12, 1
_MOST_NAMES = 100
_NO_SUCH_NAME = 3
_LONGEST_FILE = 1 << 20


class Resolver:
    """`hosts`, `resolv_conf`: the files, which are read again when they change."""

    def __init__(self, hosts: str = HOSTS, resolv_conf: str = RESOLV_CONF, port: int = _PORT) -> None:
        self._port = port
        self._hosts = _File(hosts, hosts_names)
        self._servers = _File(resolv_conf, _settings)

    async def names(self, address: str, timeout: float) -> list[str]:
        """Those that the address has, with a full stop at their end where they are complete; none where it has none.

        Raises PyagentError for what is no address, and where no server answers within `timeout` seconds.
        """
        try:
            # A zone is none of the name server's affair.
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            raise PyagentError(f"cannot look up {address[:80]!r}: it is no IP address") from None
        if found := self._hosts.content().get(str(ip)):
            return found
        servers, each, attempts = self._servers.content()
        problem = "no answer"
        try:
            async with asyncio.timeout(timeout):
                for _ in range(attempts):
                    for server in servers:
                        try:
                            async with asyncio.timeout(each):
                                return await self._ask(server, ip.reverse_pointer)
                        except TimeoutError:
                            problem = f"{server} does not answer"
                        except OSError as error:
                            problem = f"{server}: {error.strerror or error}"
                        except ValueError as error:
                            problem = f"{server}: {error}"
        except TimeoutError:
            problem = f"no answer within {timeout:g} s"
        raise PyagentError(f"cannot look up {ip}: {problem}")

    async def _ask(self, server: str, name: str) -> list[str]:
        number = secrets.randbelow(1 << 16)
        data = question(number, name)
        answer = await _over_udp(server, self._port, data)
        names, cut_off = read_answer(answer, number, name)
        if cut_off:
            names, _ = read_answer(await _over_tcp(server, self._port, data), number, name)
        return names


def question(number: int, name: str) -> bytes:
    """A question for the PTR records of a name."""
    return query(number, name, _POINTER)


def read_answer(data: bytes, number: int, name: str) -> tuple[list[str], bool]:
    """The names in an answer, and whether it is cut off. Raises ValueError for what is none to this question, or says that the
    server cannot answer."""
    try:
        got, flags, questions, answers = struct.unpack_from(">4H", data)
        if got != number or not flags & 0x8000 or questions != 1:
            raise ValueError("it is no answer to the question")
        asked, at = read_name(data, 12)
        if asked.rstrip(".").lower() != name.lower():
            raise ValueError("it answers another question")
        code = flags & 0xF
        if code not in (0, _NO_SUCH_NAME):
            raise ValueError(f"the server cannot answer (code {code})")
        names: list[str] = []
        at += 4
        for _ in range(min(answers, _MOST_NAMES)):
            _, at = read_name(data, at)
            kind, group, _, length = struct.unpack_from(">2HIH", data, at)
            at += 10
            if at + length > len(data):
                raise ValueError("the answer is cut off")
            if (kind, group) == (_POINTER, _INTERNET):
                names.append(read_name(data, at)[0])
            at += length
    except (struct.error, IndexError):
        if len(data) > 2 and data[2] & 0x02:
            return [], True
        raise ValueError("the answer is cut off") from None
    return names, bool(flags & 0x0200)


class _Once(asyncio.DatagramProtocol):
    """The first datagram, or what is wrong."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _over_udp(server: str, port: int, data: bytes) -> bytes:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        _Once, remote_addr=(server, port), family=socket.AF_INET6 if ":" in server else socket.AF_INET
    )
    try:
        transport.sendto(data)
        return await protocol.answer
    finally:
        transport.close()


async def _over_tcp(server: str, port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, port)
    try:
        writer.write(struct.pack(">H", len(data)) + data)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    except asyncio.IncompleteReadError:
        raise ValueError("it closes the connection") from None
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class _File(Generic[T]):
    """What a file says; one that cannot be read is an empty one."""

    def __init__(self, path: str, read: Callable[[str], T]) -> None:
        self._path = path
        self._read = read
        self._identity: tuple[int, int, int] | None = None
        self._content = read("")

    def content(self) -> T:
        try:
            found = os.stat(self._path)
            identity = (found.st_mtime_ns, found.st_ino, found.st_size)
            if identity != self._identity:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    self._content = self._read(file.read(_LONGEST_FILE))
                self._identity = identity
        except OSError:
            self._identity, self._content = None, self._read("")
        return self._content


def hosts_names(text: str) -> dict[str, list[str]]:
    """The names of each address. One with a full stop in it gets another one at its end: it is complete."""
    result: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        with suppress(ValueError):
            result.setdefault(str(ipaddress.ip_address(address.partition("%")[0])), []).extend(
                f"{name}." if "." in name and not name.endswith(".") else name for name in names
            )
    return result


def _settings(text: str) -> tuple[Sequence[str], float, int]:
    """Servers, seconds for each, and how often all of them are asked."""
    servers: list[str] = []
    each, attempts = 5, 2
    for line in text.splitlines():
        word, *values = line.partition("#")[0].partition(";")[0].split() or [""]
        if word == "nameserver" and values and len(servers) < 3:
            servers.append(values[0])
        elif word == "options":
            for name, _, value in (option.partition(":") for option in values):
                if value.isdecimal() and name in ("timeout", "attempts"):
                    number = max(min(int(value[:6]), 30), 1)
                    each, attempts = (number, attempts) if name == "timeout" else (each, number)
    return servers or ["127.0.0.1", "::1"], float(each), attempts
