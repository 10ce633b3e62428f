"""How many clients a listener has, and which one goes when one more comes: on asyncio's own loop, and on uvloop."""

import asyncio
import errno
import itertools
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyagent.kit import connections
from pyagent.kit.connections import Connections, StreamClient, limit_connections
from pyagent.kit.tls import client_context, server_context

LOG = logging.getLogger("pyagent.test")
DEADLINE = 60.0
LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
try:
    import uvloop

    LOOPS.append(uvloop.new_event_loop)
except ImportError:
    pass


class Echo:
    """Answers each line with itself; `wait` is a request in work until `go`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    def client(self) -> StreamClient:
        async def serve(client: StreamClient, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                client.idle_since = None
                if line == b"wait\n":
                    writer.write(b"working\n")
                    await self.go.wait()
                writer.write(line)
                client.idle_since = asyncio.get_running_loop().time()
            writer.close()

        return StreamClient(serve, 1024)


class Line:
    """A client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, text: str) -> str:
        """The next line, empty where it was closed."""
        try:
            self.writer.write(text.encode() + b"\n")
            async with asyncio.timeout(DEADLINE):
                return (await self.reader.readline()).decode().strip()
        except ConnectionError:
            return ""

    async def closed(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                assert await self.reader.read() == b""
        except ConnectionError:
            pass


@asynccontextmanager
async def listening(
    echo: Echo, *, most: int | None = None, tls: ssl.SSLContext | None = None, pause: float = 0.05
) -> AsyncIterator[tuple[Connections, Callable[[], Coroutine[Any, Any, Line]]]]:
    bound = socket.create_server(("127.0.0.1", 0))
    address = bound.getsockname()
    server = Connections(bound, echo.client, LOG, most=most, tls=tls, pause=pause)
    server.start()
    opened: list[Line] = []

    async def connect() -> Line:
        opened.append(Line(*await asyncio.open_connection(*address)))
        return opened[-1]

    try:
        yield server, connect
    finally:
        echo.go.set()
        await server.close()
        for line in opened:
            line.writer.transport.abort()
        while server.places:
            await asyncio.sleep(0.01)


def on_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"][: len(LOOPS)])
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(test(caplog))

    return run


@on_loops
async def test_the_one_that_is_idle_longest_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(Echo(), most=3) as (server, connect):
        lines = [await connect() for _ in range(3)]
        for index in (1, 0, 2):
            assert await lines[index].ask("a") == "a"
            await asyncio.sleep(0.01)
        for index in (1, 0):
            assert await (await connect()).ask("new") == "new"
            await lines[index].closed()
        assert await lines[2].ask("b") == "b"
        assert len(server.places) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "3 connections are open, more than there may be: those that are idle longest are closed"
    ]


@on_loops
async def test_one_with_a_request_in_work_is_never_closed(caplog: pytest.LogCaptureFixture) -> None:
    echo = Echo()
    async with listening(echo, most=2) as (_, connect):
        busy = [await connect() for _ in range(2)]
        for line in busy:
            assert await line.ask("wait") == "working"
        late = asyncio.create_task((await connect()).ask("late"))
        await asyncio.sleep(0.1)  # it has looked for room twice
        assert not late.done()
        echo.go.set()
        assert await late == "late"
        for line in busy:
            line.writer.write_eof()
        assert sorted([await line.reader.read() for line in busy]) in ([b"", b"wait\n"], [b"wait\n", b"wait\n"])


@on_loops
async def test_all_listeners_share_half_of_the_descriptors(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections.resource, "getrlimit", lambda which: (8, 8))
        async with listening(Echo()) as (first, connect), listening(Echo()) as (second, connect_there):
            idle = [await connect() for _ in range(4)]
            await asyncio.sleep(0.01)  # uvloop's clock has milliseconds
            assert await idle[3].ask("a") == "a"
            assert await (await connect_there()).ask("b") == "b"
            await idle[0].closed()
            assert (len(first.places), len(second.places)) == (3, 1)
            assert await (await connect()).ask("c") == "c"
            await idle[1].closed()
            assert (len(first.places), len(second.places)) == (3, 1)


@on_loops
async def test_without_descriptors_it_is_told_once_and_does_not_spin(caplog: pytest.LogCaptureFixture) -> None:
    failing, asked = True, list[float]()

    async def accept(which: socket.socket) -> tuple[socket.socket, Any]:
        asked.append(time.monotonic())
        if failing:
            raise OSError(errno.EMFILE, "Too many open files")
        return await own(which)

    class Loop:
        def __getattr__(self, name: str) -> Any:
            return accept if name == "sock_accept" else getattr(real, name)

    real = asyncio.get_running_loop()
    own = real.sock_accept
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections.asyncio, "get_running_loop", Loop)
        async with listening(Echo()) as (_, connect):
            line = await connect()
            async with asyncio.timeout(DEADLINE):
                while len(asked) < 4:
                    await asyncio.sleep(0.01)
            # A pause lasts, but for the grain of the loops' clocks.
            assert min(after - before for before, after in itertools.pairwise(asked)) > 0.04
            failing = False
            assert await line.ask("a") == "a"
    [told] = [record.getMessage() for record in caplog.records]
    assert "Too many open files" in told


def test_a_client_that_never_shakes_hands_has_a_place_and_loses_it(certificates: Path) -> None:
    context = server_context()
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    trusting = client_context(str(certificates / "ca.pem"))

    async def main() -> None:
        async with listening(Echo(), most=2, tls=context) as (server, connect):
            silent = [await connect() for _ in range(2)]
            while len(server.places) < 2:
                await asyncio.sleep(0.01)
            port = silent[0].writer.get_extra_info("peername")[1]
            line = Line(*await asyncio.open_connection("127.0.0.1", port, ssl=trusting))
            assert await line.ask("a") == "a"
            await silent[0].closed()
            wrong = await connect()
            assert await wrong.ask("no TLS at all") == ""
            line.writer.transport.abort()

    for new_loop in LOOPS:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())


@on_loops
async def test_the_bound_is_everybodys(caplog: pytest.LogCaptureFixture) -> None:
    limit_connections(1)
    try:
        async with listening(Echo()) as (_, connect):
            first = await connect()
            assert await first.ask("a") == "a"
            assert await (await connect()).ask("b") == "b"
            await first.closed()
    finally:
        limit_connections(1024)
