"""The input memcached: servers that fail beside others, and answers that are none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pyagent.api import ConfigError, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, gather, lines, make_input
from pyagent_plugins.inputs.memcached import Memcached

STATS = b"STAT pid 5\r\nSTAT version 1.6.18\r\nSTAT uptime 7\r\nSTAT curr_items 3\r\nSTAT bytes_read 9223372036854775807\r\nEND\r\n"


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"stats\r\n"
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_what_is_known_is_taken() -> None:
    async with serving(STATS) as address:
        metrics = await gather(make_input(Memcached, {"servers": [address]}))
    assert_declared(Memcached, metrics)
    assert lines(metrics) == [f"memcached,server={address} bytes_read=9223372036854775807i,curr_items=3i,uptime=7i"]


@pytest.mark.parametrize("value", ["many", "9" * 5000, "-", "1.5", "\u0661"])
async def test_a_value_that_is_no_integer_costs_its_field_alone(value: str) -> None:
    acc = InputAccumulator(Memcached.measurements)
    async with serving(STATS.replace(b"curr_items 3", f"curr_items {value}".encode())) as address:
        await make_input(Memcached, {"servers": [address]}).gather(acc)
    [metric] = acc.drain()
    assert set(metric.fields) == {"uptime", "bytes_read"}


async def test_one_that_fails_costs_no_other() -> None:
    acc = InputAccumulator(Memcached.measurements)
    async with serving(STATS) as good, serving(b"ERROR\r\n") as bad, serving(b"STAT uptime 7\r\n") as short:
        plugin = make_input(Memcached, {"servers": [bad, good, short, "127.0.0.1:1"], "unix_sockets": ["/none/x.sock"]})
        with pytest.raises(PyagentError) as caught:
            await plugin.gather(acc)
    message = str(caught.value)
    assert [metric.tags for metric in acc.drain()] == [{"server": good}]
    assert f"cannot read {bad}: the answer to `stats` has the line 'ERROR'" in message
    assert f"cannot read {short}: the server closed the connection" in message
    assert "cannot connect to 127.0.0.1:1: Connection refused" in message
    assert "cannot connect to /none/x.sock: No such file or directory" in message


def test_without_any_server_it_is_the_one_of_this_host() -> None:
    assert [str(server) for server in make_input(Memcached)._servers] == [":11211"]
    assert [str(one) for one in make_input(Memcached, {"servers": ["cache", "::1"]})._servers] == [
        "cache:11211",
        "[::1]:11211",
    ]
    assert [str(one) for one in make_input(Memcached, {"unix_sockets": ["/x"]})._servers] == ["/x"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"servers": ["cache:port"]}, "cannot use the address 'cache:port': 'port' is no port"),
        ({"enable_tls": True, "tls_ca": "/none.pem"}, "cannot load tls_ca"),
        ({"servers": "cache"}, "servers"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_input(Memcached, options)
