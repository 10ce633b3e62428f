"""The input chrony: what chronyd may answer, over UDP and a unix socket."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import lines, make_input
from pyagent_plugins.inputs.chrony import Chrony
from pyagent_plugins.inputs.chrony.protocol import Client, numbers_of

_Answer = Callable[[int, int, int, bytes], list[bytes]]
"""Version, command, sequence and data of a request to its replies."""


def reply(
    command: int, kind: int, sequence: int, data: bytes = b"", *, status: int = 0, version: int = 6, packet: int = 2
) -> bytes:
    head = (version, packet, 0, command, kind, status, 0, 0, 0, sequence, 0, 0)
    return struct.pack(">BBHHHHHHHIII", *head) + data


class _Chronyd(asyncio.DatagramProtocol):
    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        version, packet, _, command, _, sequence = struct.unpack_from(">BBHHHI", data)
        assert packet == 1
        assert len(data) == 416
        for answer in self._answer(version, command, sequence, data[20:]):
            self._transport.sendto(answer, address)


@asynccontextmanager
async def chronyd(answer: _Answer) -> AsyncIterator[str]:
    made = asyncio.get_running_loop().create_datagram_endpoint(lambda: _Chronyd(answer), ("127.0.0.1", 0))
    transport, _ = await made
    try:
        yield f"udp://127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


async def read(answer: _Answer, **options: Any) -> list[str]:
    """The metrics, without the address of the server."""
    acc = InputAccumulator(Chrony.measurements)
    async with chronyd(answer) as address:
        try:
            await make_input(Chrony, {"server": address, "timeout": "5s", **options}).gather(acc)
        finally:
            found = acc.drain()
        return [line.replace(f",source={address[6:]}", "") for line in lines(found)]


_ACTIVITY = struct.pack(">5i", 3, 1, 0, -2, 4)
_SOURCE_V6 = bytes.fromhex("20010db8000000000000000000000001") + struct.pack(
    ">HHhHHHHHIIII", 2, 0, -2, 1, 5, 1, 3, 255, 17, 0, 0, 0
)
_SOURCE_PPS = b"PPS\0".ljust(16, b"\0") + struct.pack(">HHhHHHHHIIII", 1, 0, 4, 0, 0, 2, 0, 377, 2, 0, 0, 0)


def test_numbers() -> None:
    """Seven bits for the exponent, 25 for the coefficient, both signed."""
    assert numbers_of(0, 0x04800000, 0x05800000, 0xFFFFFFFF) == [0.0, 1.0, -1.0, -(2.0**-26)]


@pytest.mark.parametrize(
    ("kind", "layout", "names"),
    [
        (14, ">5I", "ntp_hits cmd_hits ntp_drops cmd_drops log_drops"),
        (22, ">8I", "ntp_hits nke_hits cmd_hits ntp_drops nke_drops cmd_drops log_drops ntp_auth_hits"),
        (
            25,
            ">17Q16x",
            "ntp_hits nke_hits cmd_hits ntp_drops nke_drops cmd_drops log_drops ntp_auth_hits ntp_interleaved_hits "
            "ntp_timestamps ntp_span_seconds ntp_daemon_rx_timestamps ntp_daemon_tx_timestamps ntp_kernel_rx_timestamps "
            "ntp_kernel_tx_timestamps ntp_hardware_rx_timestamps ntp_hardware_tx_timestamps",
        ),
    ],
)
async def test_statistics_of_every_version(kind: int, layout: str, names: str) -> None:
    expected = {name: number for number, name in enumerate(names.split(), start=1)}
    data = struct.pack(layout, *expected.values())
    [line] = await read(
        lambda _, command, sequence, __: [reply(command, kind, sequence, data)], metrics=["serverstats"]
    )
    assert line == "chrony_serverstats " + ",".join(f"{name}={value}u" for name, value in sorted(expected.items()))


async def test_late_and_foreign_answers_are_passed_over() -> None:
    def answer(_: int, command: int, sequence: int, __: bytes) -> list[bytes]:
        right = reply(command, 12, sequence, _ACTIVITY)
        return [
            b"",
            b"short",
            reply(command, 12, sequence ^ 1, bytes(20)),
            reply(command + 1, 12, sequence, bytes(20)),
            reply(command, 12, sequence, bytes(20), packet=1),
            right,
        ]

    [line] = await read(answer, metrics=["activity"])
    assert line == "chrony_activity burst_offline=-2i,burst_online=0i,offline=1i,online=3i,unresolved=4i"


async def test_version_5() -> None:
    versions = []

    def answer(version: int, command: int, sequence: int, _: bytes) -> list[bytes]:
        versions.append(version)
        status, data = (18, b"") if version != 5 else (0, _ACTIVITY)
        return [reply(command, 12 if data else 1, sequence, data, status=status, version=5)]

    assert len(await read(answer, metrics=["activity"])) == 1
    assert versions == [6, 5]


async def test_sources_with_names_and_clocks() -> None:
    def answer(_: int, command: int, sequence: int, data: bytes) -> list[bytes]:
        if command == 14:
            return [reply(command, 2, sequence, struct.pack(">I", 2))]
        if command == 15:
            source = (_SOURCE_V6, _SOURCE_PPS)[int.from_bytes(data[:4], "big")]
            return [reply(command, 3, sequence, source)]
        assert (command, data[:20]) == (65, _SOURCE_V6[:20])
        return [reply(command, 19, sequence, b"ntp.example\0\xff".ljust(256, b"x"))]

    second, first = await read(answer, metrics=["sources"])
    assert first.startswith('chrony_sources,peer=ntp.example flags=3u,index=0i,ip="2001:db8::1"')
    assert 'mode="peer",poll=-2i,reachability=255u,sample=17u,state="outlier",stratum=1u' in first
    assert second.startswith("chrony_sources,peer=PPS ")
    assert 'mode="reference clock"' in second


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"status": 2}, "it answers UNAUTH .2.; chronyd gives that over its unix socket alone, see `server`"),
        ({"status": 99}, "it answers status .99."),
        ({"status": 18}, "it answers BADPKTVERSION .18."),
        ({"kind": 5}, "it is reply 5, and 12 is expected"),
        ({"data": _ACTIVITY[:-1]}, "reply 12 has 19 bytes of data, 20 are needed"),
    ],
)
async def test_what_is_no_answer(answers: dict[str, Any], message: str) -> None:
    made = {"kind": 12, "data": _ACTIVITY} | answers
    with pytest.raises(PyagentError, match=message):
        await read(lambda _, command, sequence, __: [reply(command, sequence=sequence, **made)], metrics=["activity"])


@pytest.mark.parametrize(
    ("own_path", "allowed"),
    [("", r", and does it allow this host \(cmdallow\)"), ("/run/chrony/none-of-ours.sock", "")],
)
@pytest.mark.parametrize("answers", [[], [reply(33, 5, 0, packet=1), b"?"]])
async def test_one_that_is_silent_or_answers_something_else(answers: list[bytes], own_path: str, allowed: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    with ours, theirs:
        for answer in answers:
            theirs.send(answer)
        client = Client(ours, "udp://ntp:323", 0.01, own_path)
        message = (
            rf"^cannot read tracking from udp://ntp:323: no answer within 0\.01 s; is chronyd running there{allowed}\?$"
        )
        with pytest.raises(PyagentError, match=message):
            await client.ask("tracking", 33)


async def test_too_many_sources() -> None:
    with pytest.raises(PyagentError, match="it has 4294967295, and 10000 is the most"):
        await read(lambda _, command, sequence, __: [reply(command, 2, sequence, b"\xff" * 4)], metrics=["sources"])


async def test_one_that_fails_costs_no_other() -> None:
    acc = InputAccumulator(Chrony.measurements)

    def answer(_: int, command: int, sequence: int, __: bytes) -> list[bytes]:
        return [reply(command, 12, sequence, _ACTIVITY, status=0 if command == 44 else 2)]

    async with chronyd(answer) as address:
        plugin = make_input(Chrony, {"server": address, "metrics": ["serverstats", "activity"]})
        with pytest.raises(PyagentError, match="cannot read serverstats from 127"):
            await plugin.gather(acc)
    assert [metric.name for metric in acc.drain()] == ["chrony_activity"]


async def test_a_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    plugin = make_input(Chrony, {"server": f"unixgram://{tmp_path}/c.sock"})
    with pytest.raises(PyagentError, match=r"cannot connect to /.*: No such file or directory"):
        await plugin.gather(InputAccumulator(Chrony.measurements))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "options",
    [
        {"server": "tcp://127.0.0.1:323"},
        {"server": "127.0.0.1"},
        {"server": "udp://127.0.0.1/path"},
        {"server": "udp://127.0.0.1:99999"},
        {"metrics": ["nothing"]},
        {"socket_perms": "rw"},
    ],
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make_input(Chrony, options)
