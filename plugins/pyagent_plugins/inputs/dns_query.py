"""Whether name servers answer, and how fast."""

import asyncio
import ipaddress
import secrets
import socket
import struct
import time
from typing import Annotated, Literal

from pyagent.api import (
    Accumulator,
    Chart,
    Duration,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    Uint,
    fields,
    option,
)
from pyagent.kit.connect_errors import explained
from pyagent.kit.connection import ServerAddress, connected
from pyagent.kit.dns import Answer, Record, query, read_records
from pyagent.kit.each import for_each
from pyagent.kit.tls import system_context

__all__ = ["DnsQuery", "DnsQueryOptions"]

_KINDS = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "SRV": 33,
    "SPF": 99,
    "ANY": 255,
}
_NETWORKS = {
    f"{protocol}{version}{tls}": (protocol, version, tls)
    for protocol, ends in (("udp", ("",)), ("tcp", ("", "-tls")))
    for version in ("", "4", "6")
    for tls in ends
}
_FAMILIES = {"": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}
_CODES = (
    *("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"),
    *("YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE", "DSOTYPENI"),
)
_PORT = 53
_SUCCESS, _TIMEOUT, _ERROR = Uint(0), Uint(1), Uint(2)
_LATE = 3600.0
"""Seconds: the deadline is one around it."""
_Fields = dict[str, float | int | str]


class DnsQueryOptions(Options, frozen=True):
    servers: Annotated[list[str], option("name servers to ask")] = []
    network: Annotated[
        str, option("udp, tcp or tcp-tls; with 4 or 6 behind udp or tcp, over that version of IP alone")
    ] = "udp"
    domains: Annotated[list[str], option('names to ask for ([]: ".", and its NS records)')] = []
    record_type: Annotated[str, option("A, AAAA, ANY, CNAME, MX, NS, PTR, SOA, SPF, SRV or TXT (empty: NS)")] = "NS"
    port: Annotated[int, option("port of the servers (0: 53)", le=65535)] = _PORT
    timeout: Annotated[Duration, option("longest time until the answer is there", ge=0)] = Duration("2s")
    include_fields: Annotated[
        list[Literal["first_ip", "all_ips"]],
        option("first_ip: the field ip with the first address; all_ips: fields ip_0, ip_1, ... with all of them"),
    ] = []


class DnsQuery(Input[DnsQueryOptions]):
    measurements = (
        Measurement(
            "dns_query",
            "The answer of each server for each name, or that there was none.",
            tags={
                "server": "the server",
                "domain": "the name asked for",
                "record_type": "the type asked for",
                "result": "success, timeout or error",
                "rcode": "what the server says of the query: NOERROR, NXDOMAIN, ...",
            },
            fields=fields("float", "ms", query_time_ms="until the answer was there; 0 without one")
            | {
                "result_code": Field("uint", "1", "0: success; 1: timeout; 2: error"),
                "rcode_value": Field("int", "1", "rcode as a number"),
                "name": Field("str", "", "name of the last record of the types A, AAAA, CNAME, MX or SOA"),
                "ip": Field("str", "", "first address of the answer"),
                "preference": Field("uint", "1", "of an MX record"),
            }
            | fields("uint", "1", serial="of a SOA record: its version")
            | fields(
                "uint",
                "s",
                refresh="of a SOA record: interval of the secondaries",
                retry="of a SOA record: their pause after a failure",
                expire="of a SOA record: how long they answer without the primary",
                minttl="of a SOA record: how long it is remembered that a name is not there",
            ),
            charts=(Chart("Query time", ("query_time_ms",)), Chart("Result", ("result_code",))),
            open=True,
        ),
    )

    def setup(self) -> None:
        self._domains = self.options.domains or ["."]
        self._type = (self.options.record_type or "NS") if self.options.domains else "NS"
        self._network = self.options.network or "udp"
        self._port = self.options.port if self.options.port > 0 else _PORT

    async def gather(self, acc: Accumulator) -> None:
        pairs = [(server, domain) for domain in self._domains for server in self.options.servers]
        await for_each(pairs, lambda pair: self._query(*pair, acc))

    async def _query(self, server: str, domain: str, acc: Accumulator) -> None:
        tags = {"server": server, "domain": domain, "record_type": self._type, "result": "error"}
        found: _Fields = {"query_time_ms": 0.0, "result_code": _ERROR}
        try:
            answer, seconds = await self._ask(server, domain)
            said = _fields_of(answer, self.options.include_fields)
        except TimeoutError:
            tags["result"], found["result_code"] = "timeout", _TIMEOUT
            return
        except ValueError as error:
            raise self._cannot(server, domain, str(error)) from None
        else:
            code = _CODES[answer.code] if answer.code < len(_CODES) else ""
            tags["rcode"], found["rcode_value"], found["query_time_ms"] = code, answer.code, seconds * 1000
            if answer.code == 0:
                tags["result"], found["result_code"] = "success", _SUCCESS
                found |= said
            elif code != "NXDOMAIN":
                raise self._cannot(server, domain, f"the server answers {code or answer.code}")
        finally:
            acc.add("dns_query", found, tags)

    async def _ask(self, server: str, domain: str) -> tuple[Answer, float]:
        """The answer, and the seconds that it took. Raises TimeoutError, ValueError, PyagentError."""
        if self._type not in _KINDS:
            raise ValueError(f"there is no record type {self._type!r}; use one of {', '.join(sorted(_KINDS))}")
        if self._network not in _NETWORKS:
            raise ValueError(f"there is no network {self._network!r}; use one of {', '.join(_NETWORKS)}")
        protocol, version, tls = _NETWORKS[self._network]
        number = secrets.randbelow(1 << 16)
        data = query(number, domain, _KINDS[self._type])
        async with asyncio.timeout(self.options.timeout.seconds):
            host = await _resolved(server, self._port, _FAMILIES[version]) if version else server
            address = ServerAddress("udp" if protocol == "udp" else "tcp", host, self._port)
            context = system_context() if tls else None
            async with connected(address, timeout=_LATE, tls=context, server_name=server if tls else "") as connection:
                start = time.perf_counter()
                if protocol == "udp":
                    await connection.send(data)
                    answer = await connection.rest()
                    while answer[:2] != data[:2]:  # of an earlier query, or of somebody else
                        answer = await connection.rest()
                else:
                    await connection.send(struct.pack(">H", len(data)) + data)
                    answer = await connection.exactly(int.from_bytes(await connection.exactly(2), "big"))
                return read_records(answer, number), time.perf_counter() - start

    def _cannot(self, server: str, domain: str, cause: str) -> PyagentError:
        return PyagentError(f"cannot query {server} for {self._type} of {domain}: {cause}")


async def _resolved(server: str, port: int, family: int) -> str:
    """An address of that family. Raises ValueError."""
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(server, port, family=family)
    except OSError as error:
        raise ValueError(explained(error)) from None
    return str(infos[0][4][0])


def _fields_of(answer: Answer, include: list[Literal["first_ip", "all_ips"]]) -> _Fields:
    """Raises ValueError for a record that is none."""
    found: _Fields = {}
    for index, record in enumerate(answer.records):
        ip = ""
        match record.kind:
            case 1 | 28:
                ip = _address(record)
            case 15:
                if len(record.data) < 3:
                    raise ValueError("an MX record of the answer is cut off")
                found["preference"] = Uint(int.from_bytes(record.data[:2], "big"))
            case 6:
                found |= _authority(record)
            case 5:
                pass
            case _:
                continue
        found["name"] = record.name
        if ip and "first_ip" in include:
            found.setdefault("ip", ip)
        if ip and "all_ips" in include:
            found[f"ip_{index}"] = ip
    return found


def _address(record: Record) -> str:
    if len(record.data) != (4 if record.kind == 1 else 16):
        raise ValueError(f"a record of the answer has an address of {len(record.data)} bytes")
    found = ipaddress.ip_address(record.data)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _authority(record: Record) -> _Fields:
    """The numbers behind its two names."""
    if len(record.data) < 22:
        raise ValueError(f"a SOA record of the answer has {len(record.data)} bytes")
    values = struct.unpack(">5I", record.data[-20:])
    return dict(zip(("serial", "refresh", "retry", "expire", "minttl"), map(Uint, values), strict=True))
