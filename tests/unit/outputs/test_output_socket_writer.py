"""outputs.socket_writer: what comes to a socket of each kind, and what a connection that breaks ends in."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, NotConnected, PartialWrite, PyagentError, Reject
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent_plugins.outputs.socket_writer import SocketWriter

LINES = b"".join(b"m v=%di %d\n" % (number, number) for number in range(3))


def metrics(count: int = 3) -> list[Metric]:
    return [Metric("m", {}, {"v": number}, number) for number in range(count)]


class Listener:
    """A plain socket that takes connections, one after the other."""

    def __init__(self) -> None:
        self.streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.come = asyncio.Event()
        self.port = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.streams.append((reader, writer))
        self.come.set()

    async def next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(30):
            await self.come.wait()
        self.come.clear()
        return self.streams[-1]


@asynccontextmanager
async def listening(path: Path | None = None) -> AsyncIterator[Listener]:
    listener = Listener()
    if path is None:
        server = await asyncio.start_server(listener.accept, "127.0.0.1", 0)
        listener.port = server.sockets[0].getsockname()[1]
    else:
        server = await asyncio.start_unix_server(listener.accept, path)
    try:
        yield listener
    finally:
        server.close()
        for _, writer in listener.streams:
            writer.transport.abort()


class TestStreams:
    @pytest.mark.parametrize("kind", ["tcp", "tcp4", "unix"])
    async def test_what_comes(self, kind: str, tmp_path: Path) -> None:
        async with listening(tmp_path / "s" if kind == "unix" else None) as listener:
            address = f"unix://{tmp_path}/s" if kind == "unix" else f"{kind}://127.0.0.1:{listener.port}"
            output = make_output(SocketWriter, {"address": address, "keep_alive_period": "2m"})
            await output.connect()
            reader, _ = await listener.next()
            for _ in range(2):
                batch = make_batch(output, metrics())
                sent = asyncio.create_task(write(output, batch))
                assert await reader.readexactly(len(LINES)) == LINES
                await sent
            await output.close()
            assert await reader.read() == b""

    async def test_a_batch_that_is_larger_than_all_buffers(self) -> None:
        async with listening() as listener:
            output = make_output(SocketWriter, {"address": f"tcp://127.0.0.1:{listener.port}"})
            await output.connect()
            reader, _ = await listener.next()
            given = [Metric("m", {}, {"s": "x" * 60_000}, number) for number in range(300)]
            batch = make_batch(output, given)
            sent = asyncio.create_task(write(output, batch))
            assert await reader.readexactly(len(batch.payload())) == batch.payload()
            await sent
            await output.close()

    @pytest.mark.parametrize(("encoding", "inflate"), [("gzip", gzip.decompress), ("zlib", zlib.decompress)])
    async def test_compressed(self, encoding: str, inflate: Any) -> None:
        async with listening() as listener:
            table = {"address": f"tcp://127.0.0.1:{listener.port}", "content_encoding": encoding, "data_format": "json"}
            output = make_output(SocketWriter, table)
            await output.connect()
            reader, _ = await listener.next()
            await write(output, make_batch(output, metrics(1)))
            await output.close()
            assert inflate(await reader.read()).startswith(b'{"fields":{"v":0}')

    async def test_one_that_has_closed_is_noticed_before_anything_is_sent(self) -> None:
        async with listening() as listener:
            output = make_output(SocketWriter, {"address": f"tcp://127.0.0.1:{listener.port}"})
            await output.connect()
            _, writer = await listener.next()
            writer.close()
            await writer.wait_closed()
            stream = output._stream
            assert stream is not None
            await stream._watch
            batch = make_batch(output, metrics())
            with pytest.raises(NotConnected, match="Connection reset by peer"):
                await write(output, batch)
            await output.connect()
            reader, _ = await listener.next()
            await write(output, batch)
            assert await reader.readexactly(len(LINES)) == LINES
            await output.close()

    async def test_one_that_dies_with_what_it_has_not_read(self) -> None:
        async with listening() as listener:
            output = make_output(SocketWriter, {"address": f"tcp://127.0.0.1:{listener.port}"})
            await output.connect()
            _, writer = await listener.next()
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a stream's
            batch = make_batch(output, [Metric("m", {}, {"s": "x" * 60_000}, number) for number in range(300)])
            sent = asyncio.create_task(write(output, batch))
            await asyncio.sleep(0)
            writer.transport.abort()
            with pytest.raises(NotConnected, match="cannot write to tcp://"):
                await sent
            await output.close()

    async def test_a_write_that_waits_ends_with_the_agent(self) -> None:
        async with listening() as listener:
            output = make_output(SocketWriter, {"address": f"tcp://127.0.0.1:{listener.port}"})
            await output.connect()
            _, writer = await listener.next()
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a stream's
            batch = make_batch(output, [Metric("m", {}, {"s": "x" * 60_000}, number) for number in range(300)])
            sent = asyncio.create_task(write(output, batch))
            await asyncio.sleep(0)
            sent.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sent
            await output.close()

    async def test_nobody_there(self, tmp_path: Path) -> None:
        for address, cause in (("tcp://127.0.0.1:1", "refused"), (f"unix://{tmp_path}/none", "No such file")):
            output = make_output(SocketWriter, {"address": address})
            with pytest.raises(PyagentError, match=f"cannot connect to {address}: .*{cause}"):
                await output.connect()
            await output.close()


class TestDatagrams:
    @pytest.mark.parametrize("kind", ["udp", "udp4", "unixgram"])
    async def test_one_for_each_metric(self, kind: str, tmp_path: Path) -> None:
        family = socket.AF_UNIX if kind == "unixgram" else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as receiver:
            receiver.bind(str(tmp_path / "s") if kind == "unixgram" else ("127.0.0.1", 0))
            receiver.settimeout(10)
            address = (
                f"unixgram://{tmp_path}/s" if kind == "unixgram" else f"{kind}://127.0.0.1:{receiver.getsockname()[1]}"
            )
            output = make_output(SocketWriter, {"address": address})
            await output.connect()
            long = Metric("m", {}, {"s": "x" * 300_000}, 1)
            first, second, third = metrics()
            with pytest.raises(PartialWrite, match="too long for a datagram") as caught:
                await write(output, make_batch(output, [first, long, second, third]))
            with pytest.raises(Reject):
                await write(output, make_batch(output, [long]))
            await output.close()
            assert (caught.value.rejected, caught.value.suspects) == (1, (1,))
            assert b"".join(receiver.recv(65536) for _ in range(3)) == LINES

    async def test_a_receiver_that_is_gone(self, tmp_path: Path) -> None:
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(str(tmp_path / "s"))
        output = make_output(SocketWriter, {"address": f"unixgram://{tmp_path}/s"})
        await output.connect()
        receiver.close()
        with pytest.raises(NotConnected, match="refused"):
            await write(output, make_batch(output, metrics()))
        await output.close()

    async def test_whole_documents(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(10)
            address = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
            output = make_output(SocketWriter, {"address": address, "data_format": "prometheus"})
            await output.connect()
            await write(output, make_batch(output, metrics(2)))
            await output.close()
            assert [receiver.recv(65536).splitlines()[-1] for _ in range(2)] == [b"m_v 0", b"m_v 1"]


@pytest.mark.parametrize(
    ("table", "option", "message"),
    [
        ({}, "address", "it is no address"),
        ({"address": "127.0.0.1:8094"}, "address", "it is no address"),
        ({"address": "vsock://2:9000"}, "address", "vsock is not supported; give 'tcp://HOST:PORT'"),
        ({"address": "unixpacket:///x"}, "address", "unixpacket is not supported"),
        ({"address": "unix://x"}, "address", "begins with /"),
        ({"address": "tcp://host"}, "address", "it is no HOST:PORT"),
        ({"address": "tcp://::1:80"}, "address", "it is no HOST:PORT"),
        ({"address": "tls://u:pw@x"}, "address", r"cannot write to 'tls://\*\*\*@x': it is no HOST:PORT"),
        ({"address": "tls://u:pw@x:1"}, "address", r"cannot write to 'tls://\*\*\*@x:1': it is no HOST:PORT"),
        ({"address": "udp://h:1", "insecure_skip_verify": True}, "address", "it is for streams"),
        ({"address": "tcp://h:1", "content_encoding": "zstd"}, "content_encoding", "gzip"),
    ],
)
def test_wrong_options(table: dict[str, Any], option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make_output(SocketWriter, table)
    assert caught.value.option == option


@pytest.mark.parametrize(
    "address", ["tcp://example.com:http", "tcp6://[2001:db8::1]:8094", "udp6://[::1]:1", "tls://h:1"]
)
def test_addresses(address: str) -> None:
    assert make_output(SocketWriter, {"address": address}).destination(None) == address
