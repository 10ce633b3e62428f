"""The way into NATS: what is said where a server breaks off, and what is left of the library then."""

import asyncio
import logging

import pytest

from pyagent.kit.nats import NatsConnector, NatsOptions, nats_words

LOG = logging.getLogger("pyagent.nats")
INFO = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"proto":1}\r\n'


class Server:
    """Says `hello`, and PONG where it is asked; then nothing."""

    def __init__(self, hello: bytes) -> None:
        self.hello = hello

    async def __aenter__(self) -> NatsConnector:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return NatsConnector(NatsOptions(servers=[f"nats://127.0.0.1:{port}"]), LOG)

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.hello)
        if self.hello == INFO:
            while (line := await reader.readline()) and line != b"PING\r\n":
                pass
            writer.write(b"PONG\r\n")
            await reader.read()
        writer.close()


@pytest.mark.parametrize("hello", [b"", b"INFO {bad\r\n", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_what_speaks_no_nats_is_told_in_words(hello: bytes) -> None:
    async with Server(hello) as connector:
        with pytest.raises(Exception, match="it does not speak NATS, or closed the connection before it said so"):
            await connector.connect()


def test_an_error_of_a_connection_that_is_gone_has_no_address_of_an_object_in_it() -> None:
    gone = "unable to perform operation on <TCPTransport closed=True reading=False 0x55fe9c0>; the handler is closed"
    for text in (gone, "nats: connection closed", "Connection lost"):
        assert nats_words(RuntimeError(text)) == "the server or the network ended the connection"
    assert nats_words(RuntimeError("cannot use <Task pending at 0x7f01>")) == "cannot use Task"


async def test_no_task_of_the_library_is_left_where_its_own_close_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(INFO) as connector:
        client, _ = await connector.connect()

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True 0x1>; the handler is closed")

        async def received(message: object) -> None:
            pass

        await client.subscribe("x", cb=received)
        monkeypatch.setattr(client, "_flush_pending", broken)
        await connector.close()
        left = [task for task in asyncio.all_tasks() if "nats" in repr(task.get_coro()) and "Client" in repr(task)]
        assert left == []
