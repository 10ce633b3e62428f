"""What tests ask of a NATS server besides what is tested: streams, what is in them, and a gate before the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

DEADLINE = 60.0
"""Seconds until a wait is a failure."""


class Address(Protocol):
    @property
    def url(self) -> str: ...


@asynccontextmanager
async def client(*servers: Address) -> AsyncIterator[Any]:
    """The library's own, for the user that the servers of the tests have."""
    from nats.aio.client import Client

    made = Client()
    await made.connect([server.url for server in servers], user="mon", password="monpw")
    try:
        yield made
    finally:
        await made.close()


async def stored(server: Address, stream: str) -> list[Any]:
    """The messages that a stream holds, in order; none where it is not made yet."""
    from nats.js.errors import NotFoundError

    async with client(server) as connection:
        jetstream = connection.jetstream()
        try:
            state = (await jetstream.stream_info(stream)).state
        except NotFoundError:
            return []
        return [
            await jetstream.get_msg(stream, number) for number in range(max(state.first_seq, 1), state.last_seq + 1)
        ]


class Gate:
    """A way to a server on which its answers can be held back, as if the network lost them: what is sent to it arrives."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.open = True
        """False: what the server says is thrown away."""
        self._to = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "Gate":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, back]
        for source, target, answers in ((reader, back, False), (there, writer, True)):
            task = asyncio.create_task(self._pass_on(source, target, answers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.open or not answers:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()
