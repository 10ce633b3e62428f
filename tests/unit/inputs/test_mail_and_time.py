"""Inputs of time, mail, power supplies and disks: damaged answers of their daemons."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pyagent.api import PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.hddtemp import Hddtemp


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """A server that speaks first, and closes the connection; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
