"""Inputs of time, mail, power supplies and disks: damaged answers of their daemons."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pyagent.api import PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.apcupsd import Apcupsd
from pyagent_plugins.inputs.hddtemp import Hddtemp


@asynccontextmanager
async def saying(answer: bytes, *, after: int = 0) -> AsyncIterator[str]:
    """A server that speaks when it has read so many bytes, and closes the connection; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(after)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


_DISKS = b"|/dev/sda|ST1|36|C||/dev/sdc|ST3|9|C||/dev/sdb|ST2|40|C|"


@pytest.mark.parametrize("cut", range(1, len(_DISKS) + 1))
async def test_hddtemp_cut(cut: int) -> None:
    """No temperature has lost a digit, and an answer that ends within a disk is an error."""
    answer = _DISKS[:cut]
    acc = InputAccumulator(Hddtemp.measurements)
    async with saying(answer) as address:
        plugin = make_input(Hddtemp, {"address": address, "devices": ["sda", "sdb"]})
        if answer.endswith((b"|C", b"|C|")):
            await plugin.gather(acc)
        else:
            with pytest.raises(PyagentError, match="ends within a disk"):
                await plugin.gather(acc)
    found = [(metric.tags["device"], metric.fields["temperature"]) for metric in acc.drain()]
    assert found == [("sda", 36), ("sdb", 40)][: (answer.count(b"|C") + 1) // 2]


async def test_hddtemp_of_another_form() -> None:
    acc = InputAccumulator(Hddtemp.measurements)
    async with saying(b"\xff\0|a|b|c|d|e|f") as address:
        with pytest.raises(PyagentError, match="stands before the disk 'a'"):
            await make_input(Hddtemp, {"address": address}).gather(acc)
    assert not acc.drain()


def _of_apcupsd(*lines: bytes) -> bytes:
    return b"".join(len(line).to_bytes(2, "big") + line for line in lines) + b"\0\0"


_STATUS = _of_apcupsd(
    b"STATFLAG : 0x05000008\n", b"STATUS   : ONLINE \n", b"TIMELEFT : 46.5 Minutes\n", b"LINEV    : 124.0 Volts\n"
)


async def _apcupsd(answer: bytes) -> list[dict[str, Any]]:
    acc = InputAccumulator(Apcupsd.measurements)
    async with saying(answer, after=len(b"\0\6status")) as address:
        await make_input(Apcupsd, {"servers": [address]}).gather(acc)
    return [dict(metric.fields) for metric in acc.drain()]


async def test_apcupsd() -> None:
    [found] = await _apcupsd(_STATUS)
    assert (found["status_flags"], found["time_left_ns"], found["input_voltage"]) == (
        83886088,
        2_790_000_000_000,
        124.0,
    )
    assert found["number_transfers"] == 0


@pytest.mark.parametrize("cut", range(len(_STATUS)))
async def test_apcupsd_cut(cut: int) -> None:
    with pytest.raises(PyagentError, match="the server closed the connection"):
        await _apcupsd(_STATUS[:cut])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"no name", "line 1 of its status is 'no name'"),
        (b"STATFLAG : ok", "STATFLAG of its status is 'ok'"),
        (b"STATFLAG : ", "STATFLAG of its status is ''"),
        (b"STATFLAG : 0x10000000000000000", "STATFLAG of its status is '0x10000000000000000'"),
        (b"LINEV : N/A", "LINEV of its status is 'N/A'"),
        (b"TIMELEFT : 5", "TIMELEFT of its status is '5'"),
        (b"TIMELEFT : 1e300 Minutes", "TIMELEFT of its status is '1e300 Minutes'"),
        (b"NUMXFERS : 99999999999999999999", "NUMXFERS of its status is"),
    ],
)
async def test_apcupsd_of_another_form(line: bytes, message: str) -> None:
    with pytest.raises(PyagentError, match=message):
        await _apcupsd(_of_apcupsd(line, *([] if line.startswith(b"STATFLAG") else [b"STATFLAG : 8"])))


async def test_apcupsd_without_end() -> None:
    with pytest.raises(PyagentError, match="more than 1000 lines"):
        await _apcupsd(_of_apcupsd(*[b"A : 1"] * 1001))
