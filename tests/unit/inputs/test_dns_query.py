"""The input dns_query, and the messages of the DNS: what servers answer, in whole and in pieces."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import PyagentError
from pyagent.kit.dns import query, read_records
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.dns_query import DnsQuery

SOA = b"\xc0\x0c\xc0\x0c" + struct.pack(">5I", 2024010101, 7200, 3600, 2**32 - 1, 300)


def answer(asked: bytes, *records: tuple[int, bytes], code: int = 0, count: int | None = None) -> bytes:
    head = asked[:2] + struct.pack(">5H", 0x8180 | code, 1, len(records) if count is None else count, 0, 0)
    return (
        head
        + asked[12:]
        + b"".join(b"\xc0\x0c" + struct.pack(">2HIH", kind, 1, 60, len(data)) + data for kind, data in records)
    )


@asynccontextmanager
async def serving(reply: Callable[[bytes], list[bytes]]) -> AsyncIterator[int]:
    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            for one in reply(data):
                self.transport.sendto(one, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def ask(reply: Callable[[bytes], list[bytes]], **options: Any) -> tuple[dict[str, str], dict[str, Any], str]:
    """Tags, fields, and the error."""
    acc, problem = InputAccumulator(DnsQuery.measurements), ""
    async with serving(reply) as port:
        plugin = make_input(DnsQuery, {"servers": ["127.0.0.1"], "port": port, "domains": ["a.test"], **options})
        try:
            await plugin.gather(acc)
        except PyagentError as error:
            problem = str(error)
    [metric] = acc.drain()
    return dict(metric.tags), dict(metric.fields), problem


async def test_the_numbers_of_a_zone() -> None:
    tags, found, problem = await ask(lambda asked: [answer(asked, (6, SOA))], record_type="SOA")
    assert (tags["result"], tags["rcode"], problem) == ("success", "NOERROR", "")
    assert found["name"] == "a.test."
    numbers = {"serial": 2024010101, "refresh": 7200, "retry": 3600, "expire": 2**32 - 1, "minttl": 300}
    assert found | numbers == found


async def test_an_answer_to_another_query_is_not_taken() -> None:
    other = b"\0\0"

    def reply(asked: bytes) -> list[bytes]:
        wrong = bytes([asked[0] ^ 1, asked[1]])
        return [other, wrong + answer(asked, code=2)[2:], answer(asked, (1, bytes([10, 0, 0, 1])))]

    _, found, problem = await ask(reply, record_type="A", include_fields=["all_ips", "first_ip"])
    assert (found["ip"], found["ip_0"], problem) == ("10.0.0.1", "10.0.0.1", "")


async def test_an_address_of_ipv4_in_one_of_ipv6() -> None:
    mapped = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1])
    _, found, _ = await ask(
        lambda asked: [answer(asked, (28, mapped))], record_type="AAAA", include_fields=["first_ip"]
    )
    assert found["ip"] == "10.0.0.1"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (lambda asked: [answer(asked, (1, b"abc"))], "has an address of 3 bytes"),
        (lambda asked: [answer(asked, (6, b"abc"))], "a SOA record of the answer has 3 bytes"),
        (lambda asked: [answer(asked, (15, b"a"))], "an MX record of the answer is cut off"),
        (lambda asked: [answer(asked, (1, bytes(4)))[:-2]], "the answer is cut off"),
        (lambda asked: [asked], "it is no answer to the query"),
        (lambda asked: [answer(asked, code=5)], "cannot query 127.0.0.1 for NS of a.test: the server answers REFUSED"),
    ],
)
async def test_answers_that_are_none(reply: Callable[[bytes], list[bytes]], message: str) -> None:
    tags, found, problem = await ask(reply)
    assert message in problem
    assert (tags["result"], found["result_code"]) == ("error", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record_type": "a"}, "there is no record type 'a'; use one of A, AAAA, ANY"),
        ({"network": "sctp"}, "there is no network 'sctp'; use one of udp, udp4"),
        ({"domains": ["a..b"]}, "a part of the name has 0 bytes, not 1 to 63"),
        ({"domains": ["a" * 64]}, "a part of the name has 64 bytes, not 1 to 63"),
    ],
)
async def test_what_cannot_be_asked_for_is_an_error_and_a_metric(options: dict[str, Any], message: str) -> None:
    tags, found, problem = await ask(lambda asked: [], **options)
    assert message in problem
    assert (tags["result"], found) == ("error", {"query_time_ms": 0.0, "result_code": 2})


async def test_a_name_that_is_not_there_is_no_error() -> None:
    tags, found, problem = await ask(lambda asked: [answer(asked, code=3)])
    assert (tags["rcode"], found["rcode_value"], problem) == ("NXDOMAIN", 3, "")


def test_a_count_that_is_a_lie_costs_no_record() -> None:
    asked = query(7, "a.test", 1)
    assert len(read_records(answer(asked, (1, bytes(4)), count=65535), 7).records) == 1


def test_escaped_characters_of_a_name() -> None:
    assert query(1, r"a\.b\046c.test.", 1)[12:] == b"\x05a.b.c\x04test\0\0\x01\0\x01"


@given(st.binary(max_size=200), st.integers(0, 255))
def test_any_bytes_are_an_answer_or_a_value_error(data: bytes, at: int) -> None:
    whole = answer(query(1, "a.test", 1), (1, bytes(4)), (6, SOA))
    for one in (b"\0\x01\x81\x80" + data, whole[: at % len(whole)] + data, whole[:12] + data):
        with suppress(ValueError):
            read_records(one, 1)
