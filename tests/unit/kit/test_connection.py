"""Asking a server: addresses, answers in pieces, TLS, bounds, deadlines, and what a failure says."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, PyagentError
from pyagent.kit.connection import Connection, ServerAddress, connected
from pyagent.kit.tls import TlsOptions, server_context

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[ServerAddress]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield ServerAddress("tcp", "127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


def sends(*pieces: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return serve


# Addresses ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "shown"),
    [
        ("cache", "tcp", "cache", 11211, "cache:11211"),
        ("cache:1", "tcp", "cache", 1, "cache:1"),
        (":1", "tcp", "", 1, ":1"),
        ("tcp://10.0.0.1", "tcp", "10.0.0.1", 11211, "10.0.0.1:11211"),
        ("udp://cache:53", "udp", "cache", 53, "cache:53"),
        ("::1", "tcp", "::1", 11211, "[::1]:11211"),
        ("[::1]", "tcp", "::1", 11211, "[::1]:11211"),
        ("[fe80::1]:65535", "tcp", "fe80::1", 65535, "[fe80::1]:65535"),
    ],
)
def test_an_address(text: str, scheme: str, host: str, port: int, shown: str) -> None:
    address = ServerAddress.of(text, default_port=11211)
    assert (address.scheme, address.host, address.port, str(address)) == (scheme, host, port, shown)


@pytest.mark.parametrize("text", ["unix:///run/x.sock", "/run/x.sock"])
def test_the_address_of_a_unix_socket(text: str) -> None:
    assert ServerAddress.of(text, default_port=1) == ServerAddress("unix", path="/run/x.sock")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "it names no host"),
        ("tcp://", "it names no host"),
        ("http://cache:80", "it begins with none of tcp://, udp://, unix://"),
        ("unix://run/x.sock", "the path of a unix socket begins with /"),
        ("cache:memcached", "'memcached' is no port"),
        ("cache:0", "'0' is no port"),
        ("cache:65536", "'65536' is no port"),
        ("cache:", "'' is no port"),
        ("cache:\u0661", "'\u0661' is no port"),
    ],
)
def test_an_address_that_is_none(text: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerAddress.of(text, default_port=1, option="nodes")
    assert str(caught.value) == f"cannot use the address {text!r}: {cause}; write HOST:PORT or unix:///PATH"
    assert caught.value.option == "nodes"


# Answers ------------------------------------------------------------------------------------------------------------------


async def test_lines_bytes_and_the_rest_in_whatever_pieces_they_come() -> None:
    async with (
        serving(sends(b"on", b"e\r", b"\ntwo\n\n12", b"345re", b"st\n", b"end")) as address,
        connected(address, timeout=60) as connection,
    ):
        assert [await connection.line() for _ in range(3)] == [b"one", b"two", b""]
        assert await connection.exactly(5) == b"12345"
        assert await connection.exactly(0) == b""
        assert await connection.rest() == b"rest\nend"
        assert await connection.rest() == b""


async def test_a_request_and_its_answer() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())

    async with serving(echo) as address, connected(address, timeout=60) as connection:
        for word in (b"a", b"b"):
            await connection.send(word + b"\n")
            assert await connection.line() == word.upper()


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "x.sock")
    server = await asyncio.start_unix_server(lambda _, writer: (writer.write(b"hello\n"), writer.close())[1], path)
    async with connected(ServerAddress("unix", path=path), timeout=60) as connection:
        assert await connection.line() == b"hello"
    server.close()
    with pytest.raises(
        PyagentError, match=rf"^cannot connect to {tmp_path}/none: No such file or directory; is it running"
    ):
        async with connected(ServerAddress("unix", path=f"{tmp_path}/none"), timeout=60):
            pass


async def test_datagrams() -> None:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def datagram_received(self, data: bytes, address: object) -> None:
            self.transport.sendto(data.upper(), address)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
    address = ServerAddress("udp", "127.0.0.1", transport.get_extra_info("sockname")[1])
    async with connected(address, timeout=60) as connection:
        for word in (b"ask", b"again"):
            await connection.send(word)
            assert await connection.rest() == word.upper()
    transport.close()
    await asyncio.sleep(0)

    async def ask(connection: Connection) -> None:
        await connection.send(b"ask")
        await connection.rest()

    wanted = "cannot read ADDRESS: Connection refused; is it running, and is this its port?"
    assert await failure(address, ask) == wanted


async def test_tls(certificates: Path) -> None:
    context = server_context()
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    trusting = TlsOptions(tls_ca=str(certificates / "ca.pem")).ssl_context()
    async with serving(sends(b"secret\n"), context) as address:
        async with connected(address, timeout=60, tls=trusting) as connection:
            assert await connection.line() == b"secret"
        async with connected(address, timeout=60, tls=trusting, server_name="influx.example") as connection:
            assert await connection.line() == b"secret"
        with pytest.raises(
            PyagentError, match=r"^cannot connect to 127\.0\.0\.1:\d+: certificate verify failed: Hostname"
        ):
            async with connected(address, timeout=60, tls=trusting, server_name="other.example"):
                pass


# Failures -----------------------------------------------------------------------------------------------------------------


async def failure(address: ServerAddress, ask: Callable[[Connection], Awaitable[object]], most: int = 1 << 20) -> str:
    with pytest.raises(PyagentError) as caught:
        async with connected(address, timeout=60, most=most) as connection:
            await ask(connection)
    return str(caught.value).replace(str(address), "ADDRESS")


async def test_a_server_that_closes_the_connection() -> None:
    async with serving(sends(b"half")) as address:
        assert await failure(address, Connection.line) == "cannot read ADDRESS: the server closed the connection"
        assert (
            await failure(address, lambda it: it.exactly(5)) == "cannot read ADDRESS: the server closed the connection"
        )


async def test_answers_are_bounded() -> None:
    async with serving(sends(*[b"x" * 100] * 20)) as address:
        larger = "cannot read ADDRESS: the answer is larger than 1000 bytes"
        assert await failure(address, Connection.rest, 1000) == larger
        assert await failure(address, lambda it: it.exactly(10**12), 1000) == larger
    async with serving(sends(*[b"x" * 100_000] * 20)) as address:
        wanted = "cannot read ADDRESS: a line of the answer is longer than 1048576 bytes"
        assert await failure(address, Connection.line, 1 << 30) == wanted


async def test_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = ServerAddress("tcp", "127.0.0.1", unused.getsockname()[1])
        wanted = "cannot connect to ADDRESS: Connection refused; is it running, and is this its port?"
        assert await failure(address, Connection.line) == wanted


async def test_the_deadline_holds_for_all_of_it() -> None:
    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(dripping) as address:
        with pytest.raises(PyagentError, match=rf"^cannot read {address}: no answer within 0\.2 s$"):
            async with connected(address, timeout=0.2) as connection:
                await connection.line()


async def test_what_the_caller_raises_comes_out_and_no_connection_is_left() -> None:
    gone = asyncio.Event()

    async def waiting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async with serving(waiting) as address:
        with pytest.raises(KeyError):
            async with connected(address, timeout=60):
                raise KeyError
        await asyncio.wait_for(gone.wait(), 30)
        with pytest.raises(TimeoutError):
            async with connected(address, timeout=60):
                raise TimeoutError
