"""processors.reverse_dns and the kit that asks, against a name server that answers as the test says."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, PyagentError
from pyagent.kit.reverse_dns import Resolver, hosts_names, question, read_answer
from pyagent.testing import make_processor, process_async
from pyagent_plugins.processors.reverse_dns import ReverseDns

NAME = "1.2.0.192.in-addr.arpa"
HANG = 60.0


def answer(asked: bytes, *names: str, flags: int = 0x8180, pointer: bool = True) -> bytes:
    """An answer to a question: its names, of which the first may point into the question."""
    records = b""
    for name in names:
        data = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
        owner = b"\xc0\x0c" if pointer else asked[12:-4]
        records += owner + struct.pack(">2HIH", 12, 1, 60, len(data)) + data
    return asked[:2] + struct.pack(">5H", flags, 1, len(names), 0, 0) + asked[12:] + records


class NameServer(asyncio.DatagramProtocol):
    """`reply(question)`: the answer, or None for none; it counts the questions."""

    def __init__(self, reply: Callable[[bytes], bytes | None]) -> None:
        self._reply = reply
        self.asked = 0
        self.port = 0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        if (reply := self._reply(data)) is not None:
            self._transport.sendto(reply, addr)

    def close(self) -> None:
        self._transport.close()


@asynccontextmanager
async def served(tmp_path: Path, reply: Callable[[bytes], bytes | None]) -> AsyncIterator[tuple[NameServer, Resolver]]:
    hosts, settings = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text("127.0.0.1 localhost me.example # here\n::1 ip6\nnonsense x\n10.0.0.9\n")
    settings.write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:30\n")
    loop = asyncio.get_running_loop()
    _, server = await loop.create_datagram_endpoint(lambda: NameServer(reply), local_addr=("127.0.0.1", 0))
    try:
        yield server, Resolver(str(hosts), str(settings), server.port)
    finally:
        server.close()


async def test_names_come_from_the_file_of_hosts_and_from_the_server(tmp_path: Path) -> None:
    async with served(tmp_path, lambda asked: answer(asked, "a.example", "b.example")) as (server, resolver):
        assert await resolver.names("127.0.0.1", HANG) == ["localhost", "me.example."]
        assert await resolver.names("::1%lo", HANG) == ["ip6"]
        assert server.asked == 0
        assert await resolver.names("192.0.2.1", HANG) == ["a.example.", "b.example."]
        assert await resolver.names("2001:db8::1", HANG) == ["a.example.", "b.example."]
        (tmp_path / "hosts").write_text("192.0.2.1 own\n")
        assert await resolver.names("192.0.2.1", HANG) == ["own"]


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (lambda asked: answer(asked, flags=0x8182), "the server cannot answer \\(code 2\\)"),
        (lambda asked: answer(b"\0\0" if asked[:2] != b"\0\0" else b"\1\1", flags=0x8180), "it is no answer"),
        (lambda asked: answer(asked, "a.example")[:-3], "cut off"),
        (lambda asked: asked[:5], "cut off"),
    ],
)
async def test_what_is_no_answer(tmp_path: Path, reply: Callable[[bytes], bytes], problem: str) -> None:
    async with served(tmp_path, reply) as (_, resolver):
        with pytest.raises(PyagentError, match=problem):
            await resolver.names("192.0.2.1", HANG)


async def test_a_name_that_there_is_not_and_what_is_no_address(tmp_path: Path) -> None:
    async with served(tmp_path, lambda asked: answer(asked, flags=0x8183)) as (_, resolver):
        assert await resolver.names("192.0.2.1", HANG) == []
        with pytest.raises(PyagentError, match="it is no IP address"):
            await resolver.names("not an address", HANG)


async def test_a_server_that_says_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, lambda asked: None) as (_, resolver):
        with pytest.raises(PyagentError, match=r"no answer within 0\.05 s"):
            await resolver.names("192.0.2.1", 0.05)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_none(data: bytes) -> None:
    for given_bytes in (data, question(7, NAME)[:2] + b"\x81\x80\0\1\0\5\0\0\0\0" + question(7, NAME)[12:] + data):
        try:
            names, _ = read_answer(given_bytes, 7, NAME)
        except ValueError:
            continue
        assert all(len(name) <= 1100 and name.isascii() for name in names)


def test_names_that_point_at_themselves_come_to_an_end() -> None:
    asked = question(7, NAME)
    looping = answer(asked, "x")[: len(asked)] + b"\xc0" + bytes([len(asked)]) + struct.pack(">2HIH", 12, 1, 0, 0)
    with pytest.raises(ValueError, match="too long"):
        read_answer(looping, 7, NAME)


@given(st.text())
def test_any_file_of_hosts_is_read(text: str) -> None:
    hosts_names(text)


LOOKUPS = {"lookup": [{"tag": "ip", "dest": "name"}, {"field": "from", "dest": "from_name"}]}


def metric(ip: str, **fields: Any) -> Metric:
    return Metric("m", {"ip": ip}, {"v": 1, **fields}, 5)


@asynccontextmanager
async def processor(
    reply: Callable[[str], Awaitable[list[str]]], monkeypatch: pytest.MonkeyPatch, **options: Any
) -> AsyncIterator[tuple[ReverseDns, list[str]]]:
    asked: list[str] = []

    async def names(self: Resolver, address: str, timeout: float) -> list[str]:
        asked.append(address)
        return await reply(address)

    monkeypatch.setattr(Resolver, "names", names)
    made = make_processor(ReverseDns, LOOKUPS | options)
    assert isinstance(made, ReverseDns)
    try:
        yield made, asked
    finally:
        await made.stop()


async def host(address: str) -> list[str]:
    return [f"host{address[-1]}.", "other."]


async def test_tags_and_fields_get_names_and_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    async with processor(host, monkeypatch, cache_ttl="10s") as (dns, asked):
        given_metrics = [metric("10.0.0.1", **{"from": "10.0.0.2"}), metric("10.0.0.2", **{"from": 7}), metric("")]
        wanted = [
            Metric("m", {"ip": "10.0.0.1", "name": "host1."}, {"v": 1, "from": "10.0.0.2", "from_name": "host2."}, 5),
            Metric("m", {"ip": "10.0.0.2", "name": "host2."}, {"v": 1, "from": 7}, 5),
            metric(""),
        ]
        assert await process_async(dns, given_metrics) == wanted
        assert await process_async(dns, given_metrics) == wanted
        assert sorted(asked) == ["10.0.0.1", "10.0.0.2"]
        now = 10_000_000_000
        assert await process_async(dns, given_metrics[:1]) == wanted[:1]
        assert len(asked) == 4


async def test_no_more_look_ups_at_once_than_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = most = 0

    async def counted(address: str) -> list[str]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return await host(address)

    async with processor(counted, monkeypatch, max_parallel_lookups=3) as (dns, asked):
        await process_async(dns, [metric(f"10.0.0.{n}") for n in range(50)])
        assert (most, len(asked)) == (3, 50)


async def test_what_fails_is_told_and_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(address: str) -> list[str]:
        raise PyagentError(f"cannot look up {address}: refused")

    async with processor(failing, monkeypatch) as (dns, asked):
        for _ in range(2):
            assert await process_async(dns, [metric("10.0.0.1")]) == [metric("10.0.0.1")]
        assert len(asked) == 2
    assert [record.getMessage() for record in caplog.records] == ["cannot look up 10.0.0.1: refused"]
