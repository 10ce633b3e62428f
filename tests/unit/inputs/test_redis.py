"""The input redis: addresses, answers that are none, and what is said then. What it makes of answers is in its cases."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, PyagentError
from pyagent.config import SourceText, load_plan
from pyagent.kit.connection import ServerAddress, connected
from pyagent.kit.resp import Answer, Refused, ask
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.redis import Redis

_TEXT = b"# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:5\r\n"
INFO = b"$%d\r\n%b\r\n" % (len(_TEXT), _TEXT)


@asynccontextmanager
async def answering(
    *answers: bytes, tls: ssl.SSLContext | None = None, path: Path | None = None
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives each request, which comes whole, the next answer; its address, and what it was sent."""
    sent: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            request = await reader.read(65536)
            if not request:
                break
            sent.append(request)
            writer.write(answer)
        writer.close()

    server = await (
        asyncio.start_unix_server(serve, path) if path else asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    )
    async with server:
        yield f"unix://{path}" if path else f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", sent


async def read(options: dict[str, Any]) -> list[Any]:
    acc = InputAccumulator(Redis.measurements)
    await make_input(Redis, options).gather(acc)
    return acc.drain()


async def asked(answer: bytes) -> Answer:
    async with (
        answering(answer) as (address, _),
        connected(ServerAddress.of(address, default_port=1), timeout=30) as connection,
    ):
        return await ask(connection, "PING")


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (b"+PONG\r\n", b"PONG"),
        (b":-5\r\n", -5),
        (b"$0\r\n\r\n", b""),
        (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*3\r\n:1\r\n*1\r\n+a\r\n$1\r\nb\r\n", [1, [b"a"], b"b"]),
    ],
)
async def test_answers(answer: bytes, value: Answer) -> None:
    assert await asked(answer) == value


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            "'HTTP/1.1 400 Bad Request' is no answer of Redis; another program may listen there",
        ),
        (b"\x15\x03\x01\r\n", r"is no answer of Redis"),
        (b"$x\r\n", r"'\$x' is no answer of Redis"),
        (b"$-2\r\n", r"'\$-2' is no answer of Redis"),
        (b"$2\r\nabcd", r"'\$2' is no answer of Redis"),
        (b"$99999999999\r\n", "the answer is larger than 67108864 bytes"),
        (b"*9999999\r\n", r"'\*9999999' is no answer of Redis"),
        (b"*1\r\n" * 40, r"'\*1' is no answer of Redis"),
        (b"*3\r\n:1\r\n", "the server closed the connection"),
        (b"", "the server closed the connection"),
        (b"+" + b"x" * 1_100_000, "a line of the answer is longer than 1048576 bytes"),
    ],
)
async def test_what_is_no_answer(answer: bytes, message: str) -> None:
    with pytest.raises(PyagentError, match=message):
        await asked(answer)


async def test_an_error_of_the_server() -> None:
    with pytest.raises(Refused, match="ERR unknown command"):
        await asked(b"-ERR unknown command\r\n")


@pytest.mark.parametrize(
    ("options", "url", "wanted"),
    [
        ({}, "tcp://:of-url@", b"*2\r\n$4\r\nAUTH\r\n$6\r\nof-url\r\n"),
        ({}, "tcp://me:of-url@", b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nof-url\r\n"),
        ({"password": "own"}, "tcp://me:of-url@", b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$3\r\nown\r\n"),
        ({"username": "I", "password": "own"}, "", b"*3\r\n$4\r\nAUTH\r\n$1\r\nI\r\n$3\r\nown\r\n"),
    ],
)
async def test_who_asks(options: dict[str, str], url: str, wanted: bytes) -> None:
    async with answering(b"+OK\r\n", INFO) as (address, sent):
        [metric] = await read({"servers": [url + address.removeprefix("tcp://")], **options})
    assert sent[0] == wanted
    assert metric.fields == {"redis_version": "7.0.15", "uptime": 5, "keyspace_hitrate": 0.0}


async def test_a_wrong_password_is_said_without_it() -> None:
    async with answering(b"-WRONGPASS invalid username-password pair: opensesame\r\n") as (address, _):
        with pytest.raises(PyagentError) as caught:
            await read({"servers": [address], "password": "opensesame"})
    assert str(caught.value) == (
        f"cannot read {address.removeprefix('tcp://')}: the server says 'WRONGPASS invalid username-password pair: ***';"
        " correct username and password"
    )


async def test_a_unix_socket_and_one_that_fails(tmp_path: Path) -> None:
    acc = InputAccumulator(Redis.measurements)
    async with answering(INFO, path=tmp_path / "s") as (address, _):
        with pytest.raises(PyagentError, match=r"cannot connect to 127\.0\.0\.1:1"):
            await make_input(Redis, {"servers": [address, "127.0.0.1:1"]}).gather(acc)
    assert [metric.tags for metric in acc.drain()] == [{"socket": str(tmp_path / "s")}]


async def test_tls(certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    async with answering(INFO, tls=context) as (address, _):
        assert len(await read({"servers": [address], "tls_ca": str(certificates / "ca.pem")})) == 1
    async with answering(INFO, tls=context) as (address, _):
        with pytest.raises(PyagentError, match="certificate"):
            await read({"servers": [address], "tls_enable": True})
    async with answering(INFO) as (address, _):
        off = {"tls_enable": False, "tls_ca": str(certificates / "ca.pem")}
        assert len(await read({"servers": [address], **off})) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"servers": ["redis://localhost"]},
            "cannot use the address 'redis://localhost': it begins with neither tcp:// nor",
        ),
        ({"servers": ["tcp://a:b@localhost:x"]}, "cannot use the address 'localhost:x': 'x' is no port"),
        ({"servers": ["tcp://[::1"]}, "cannot use the address 'tcp://[::1': Invalid IPv6 URL"),
        (
            {"commands": [{"command": ["get"], "field": "f", "type": "list"}]},
            "cannot be 'list'; use one of 'string', 'integer'",
        ),
        ({"commands": [{"command": ["get"], "type": "string"}]}, "field"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_input(Redis, options)
    assert message in str(caught.value)


def shown(options: dict[str, Any]) -> list[str]:
    return [str(one.address) for one in make_input(Redis, options)._servers]


def test_default_and_addresses() -> None:
    assert shown({}) == ["localhost:6379"]
    given = ["tcp://h", "h:1", "tcp://[::1]:7", "unix:///run/r.sock", "tcp://u:p%2Fw@h:2"]
    assert shown({"servers": given}) == ["h:6379", "h:1", "[::1]:7", "/run/r.sock", "h:2"]


def test_commands_of_a_hosted_configuration_need_the_hosts_leave() -> None:
    text = '[[inputs.redis]]\n[[inputs.redis.commands]]\ncommand = ["config", "set", "dir", "/"]\nfield = "f"\ntype = "string"\n'
    with pytest.raises(ConfigError, match="PYAGENT_ALLOW_REMOTE_EXEC=1"):
        load_plan([SourceText("http://h:8086/c", text)], environ={}, partial=True)
