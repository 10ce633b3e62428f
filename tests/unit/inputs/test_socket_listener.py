"""Sockets: what Telegraf made of what was sent, a full queue, and senders that are slow, broken or hostile."""

import asyncio
import gzip
import logging
import socket
import ssl
import stat
import subprocess
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tomli
from serving import DEADLINE, Served, serving

from pyagent.api import ConfigError
from pyagent.kit.connections import limit_connections
from pyagent.kit.datagrams import Datagrams
from pyagent.testing import make_input
from pyagent_plugins.inputs.socket_listener import SocketListener

TCP = {"service_address": "tcp://127.0.0.1:0"}
UDP = {"service_address": "udp://127.0.0.1:0"}


@asynccontextmanager
async def listening(options: dict[str, Any] | None = None, **more: Any) -> AsyncIterator[Served]:
    async with serving(SocketListener, {**TCP, **(options or {})}, **more) as served:
        yield served


async def until_queued(served: Served, count: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while len(served.output.queue) < count:
            await asyncio.sleep(0.005)


async def lines(served: Served, count: int) -> list[str]:
    """The lines in the queue when there are so many."""
    await until_queued(served, count)
    return served.lines()


async def until(served: Served, count: int) -> list[str]:
    """The same without their times."""
    return [line.rpartition(" ")[0] for line in await lines(served, count)]


async def connect(served: Served, **more: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", served.port, **more)


async def send(served: Served, *blocks: bytes, **more: Any) -> None:
    """All of it over one connection, which is closed then."""
    _, writer = await connect(served, **more)
    for block in blocks:
        writer.write(block)
        await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """The server closes the connection, in whatever way."""
    async with asyncio.timeout(DEADLINE):
        with suppress(ConnectionError):
            return await reader.read() == b""
    return True


def datagrams(served: Served, *messages: bytes, address: Any = None) -> None:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(message, address or ("127.0.0.1", served.port))


# What Telegraf made of it ---------------------------------------------------------------------------------------------


async def test_as_recorded(shared: Path, tmp_path: Path) -> None:
    cases = sorted(
        path.parent for path in (shared / "golden/telegraf/services/socket_listener").glob("*/telegraf.conf")
    )
    assert len(cases) >= 13
    for case in cases:
        if case.name in ("port_in_use", "allowed_sources"):
            continue  # elsewhere
        text = (case / "telegraf.conf").read_text().replace("DIR", str(tmp_path)).replace("18610", "0")
        options = tomli.loads(text)["inputs"]["socket_listener"][0]
        name = {"name_override": options.pop("name_override")} if "name_override" in options else {}
        expected = (case / "expected.out").read_text().splitlines()
        async with listening(options, **name) as served:
            sent = (case / "sent.txt").read_bytes()
            scheme, _, path = options["service_address"].partition("://")
            if options.get("content_encoding") == "gzip":
                sent = gzip.compress(sent)
            if scheme == "tcp":
                await send(served, sent)
            elif scheme == "unix":
                _, writer = await asyncio.open_unix_connection(path)
                writer.write(sent)
                writer.close()
            else:
                datagrams(served, sent, address=path if scheme == "unixgram" else None)
            assert sorted(await until(served, len(expected))) == sorted(expected), case.name


async def test_the_time_of_reception() -> None:
    async with listening({"time_source": "receive_time"}) as served:
        await send(served, b"m v=1i 7\n")
        [line] = await lines(served, 1)
        assert not line.endswith(" 7")
    async with listening() as served:
        await send(served, b"m v=1i 7\n")
        assert await lines(served, 1) == ["m v=1i 7"]


# Streams --------------------------------------------------------------------------------------------------------------


async def test_lines_in_any_blocks_and_a_last_one_without_an_end() -> None:
    async with listening() as served:
        await send(served, b"a v=1i\nb", b" v=2i\r\n", b"\n\nc v=", b"3i")
        assert await until(served, 3) == ["a v=1i", "b v=2i", "c v=3i"]


async def test_a_bad_line_costs_no_other_and_is_told_with_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as served:
        await send(served, b'good v=1i\nbad line\nopen s="x\nalso s="y" 1\n')
        assert await until(served, 2) == ["good v=1i", 'also s="y"']
    [told] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "missing" in told or "invalid" in told
    assert "it begins with 'bad line'" in told


async def test_a_stream_that_breaks_off_in_a_message_gives_no_half_of_it(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as served:
        _, writer = await connect(served)
        writer.write(b"a v=1i\nb v=12")
        assert await until(served, 1) == ["a v=1i"]
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.close()
        async with asyncio.timeout(DEADLINE):
            while "had begun is dropped, 6 bytes" not in caplog.text:
                await asyncio.sleep(0.005)
        assert served.lines() == []


@pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("zlib", zlib.compress)])
async def test_a_compressed_stream(name: str, compress: Any) -> None:
    async with listening({"content_encoding": name}) as served:
        await send(served, compress(b"a v=1i\nb v") + compress(b"=2i\n" * 1), b"")
        assert await until(served, 2) == ["a v=1i", "b v=2i"]


@pytest.mark.parametrize(
    "data", [b"no such thing\n", gzip.compress(b"m v=1i\n")[:-9] + b"\xff" * 20], ids=["none", "broken"]
)
async def test_a_stream_that_cannot_be_inflated_is_closed(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with listening({"content_encoding": "gzip"}) as served:
        reader, writer = await connect(served)
        writer.write(data)
        assert await is_closed(reader)
        writer.close()
    assert "a connection is closed" in caplog.text


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


async def test_tls_with_certificates_of_clients(pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    options = {"tls_cert": str(certificate), "tls_key": str(key), "tls_allowed_cacerts": [str(certificate)]}
    async with listening(options) as served:
        context = ssl.create_default_context(cafile=certificate)
        context.load_cert_chain(certificate, key)
        await send(served, b"a v=1i\n" * 20_000, ssl=context)
        assert await until(served, 20_000) == ["a v=1i"] * 20_000
        with suppress(ssl.SSLError, ConnectionError):
            await send(served, b"b v=1i\n", ssl=ssl.create_default_context(cafile=certificate))
        await send(served, b"c v=1i\n")  # no TLS at all
        await send(served, b"d v=1i\n", ssl=context)
        assert await until(served, 1) == ["d v=1i"]


async def test_a_unix_socket_and_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    for scheme in ("unix", "unixgram", "unix"):
        async with listening({"service_address": f"{scheme}://{path}", "socket_mode": "620"}) as served:
            assert stat.S_IMODE(path.stat().st_mode) == 0o620
            if scheme == "unix":
                _, writer = await asyncio.open_unix_connection(path)
                writer.write(b"m v=1i\n")
                writer.close()
            else:
                datagrams(served, b"m v=1i", address=str(path))
            assert await until(served, 1) == ["m v=1i"]
        assert not path.exists()
    # One that a killed process left is replaced, one that is in use is not.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(path))
    async with listening({"service_address": f"unix://{path}"}) as served:
        with pytest.raises(Exception, match="Address already in use"):
            async with listening({"service_address": f"unixgram://{path}"}):
                pass


@pytest.mark.parametrize(
    "address", ["tcp://:0", "tcp4://:0", "tcp4://localhost:0", "tcp6://[::1]:0", "udp://:0", "udp6://:0"]
)
async def test_addresses_of_both_versions(address: str) -> None:
    version = socket.AF_INET6 if "6" in address else socket.AF_INET
    host = "::1" if version == socket.AF_INET6 else "127.0.0.1"
    async with listening({"service_address": address}) as served:
        kind = socket.SOCK_DGRAM if address.startswith("udp") else socket.SOCK_STREAM
        with socket.socket(version, kind) as sender:
            sender.connect((host, served.port))
            sender.sendall(b"m v=1i\n")
        assert await until(served, 1) == ["m v=1i"]


# Bounds ---------------------------------------------------------------------------------------------------------------


async def test_a_full_queue_stops_the_sender_and_nothing_is_lost() -> None:
    async with listening(limit=10) as served:
        _, writer = await connect(served)
        line = b"m v=1i " + b"1" * 9 + b"\n"
        count = 0
        async with asyncio.timeout(DEADLINE):
            while True:  # until neither the queue, the listener nor the kernel takes more
                writer.write(line * 1000)
                count += 1000
                if writer.transport.get_write_buffer_size() > 2**20:
                    break
                await asyncio.sleep(0)
        taken = 0
        writer.write_eof()
        async with asyncio.timeout(DEADLINE):
            while taken < count:
                taken += len(served.lines())
                await asyncio.sleep(0.001)
        assert taken == count
        writer.close()


async def test_datagrams_that_there_is_no_room_for_are_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening(UDP, limit=1) as served:
        datagrams(served, b"m v=1i")
        assert await until(served, 1)
        datagrams(served, b"m v=1i", b"n v=1i")
        await until_queued(served, 1)
        reader = served.runner.plugin._server._datagrams
        assert isinstance(reader, Datagrams)
        reader.most_held = 10_000
        async with asyncio.timeout(DEADLINE):
            while not reader.dropped:
                datagrams(served, *[b"m v=1i"] * 50)
                await asyncio.sleep(0)
        assert 0 < reader.held <= 10_200
    assert caplog.text.count("WARNING  pyagent.test:notices.py") == 4
    assert caplog.text.count("a datagram is dropped") == 2  # the first, and in the end how many more
    assert "bytes that were received are lost" in caplog.text


async def test_what_was_received_is_handed_on_when_it_stops() -> None:
    async with listening() as served, listening(UDP) as other:
        _, writer = await connect(served)
        writer.write(b"a v=1i\nb v=2i\n")
        assert await until(served, 2)
        writer.write(b"c v=3i\n")
        datagrams(other, *[b"m v=1i"] * 100)  # the loop has no turn to read them before the stop
        await other.runner.plugin.stop()
        assert len(other.lines()) == 100
        writer.close()


async def test_connections_over_max_connections_are_closed_and_the_others_stay() -> None:
    async with listening({"max_connections": 2}) as served:
        first = [await connect(served) for _ in range(2)]
        reader, writer = await connect(served)
        assert await is_closed(reader)
        writer.close()
        for _, writer in first:
            writer.write(b"m v=1i\n")
        assert len(await until(served, 2)) == 2
        first[0][1].close()
        async with asyncio.timeout(DEADLINE):
            while not served.output.queue:
                await send(served, b"m v=1i\n")
                await asyncio.sleep(0.005)
        first[1][1].close()


async def test_ten_thousand_connections_cost_those_that_send_nothing() -> None:
    limit_connections(20)
    try:
        async with listening() as served:
            _, good = await connect(served)
            others = []
            for count in range(1, 301):  # those that are idle are given up for the next ones: 10,000 are no more
                others.append((await connect(served))[1])
                others[-1].write(b"half a line")
                good.write(b"good v=1i\n")
                async with asyncio.timeout(DEADLINE):
                    while len(served.output.queue) < count:
                        await asyncio.sleep(0)
            assert len(served.runner.plugin._server._connections.places) <= 20
            assert len(served.lines()) == 300
            for writer in (good, *others):
                writer.close()
    finally:
        limit_connections(1024)


async def test_a_message_that_takes_longer_than_read_timeout_ends_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening({"read_timeout": "300ms"}) as served:
        reader, writer = await connect(served)

        async def drip() -> None:
            with suppress(ConnectionError):
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.01)

        writer.write(b"a v=1i\n")
        dripping = asyncio.create_task(drip())
        assert await is_closed(reader)
        dripping.cancel()
        writer.close()
        assert await until(served, 1) == ["a v=1i"]
    assert "did not arrive within 0.3 s" in caplog.text


@pytest.mark.parametrize(
    "options",
    [{}, {"splitting_strategy": "variable length", "splitting_length_field": {"bytes": 8}}],
    ids=["no end", "2^63"],
)
async def test_a_message_without_end_ends_its_connection_and_no_other(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(options) as served:
        reader, writer = await connect(served)
        writer.write(b"\x80" * 100_000)
        assert await is_closed(reader)
        writer.close()
        await send(served, (b"m v=1i\n" if not options else b"\0\0\0\0\0\0\0\x0e" + b"m v=1i"))
        if not options:
            assert await until(served, 1) == ["m v=1i"]
    assert "a connection is closed: a message" in caplog.text


async def test_read_buffer_size_takes_longer_messages() -> None:
    async with listening({"read_buffer_size": "300KiB", "data_format": "value", "data_type": "string"}) as served:
        await send(served, b"x" * 200_000 + b"\n")
        [line] = await until(served, 1)
        assert len(line) > 200_000


async def test_garbage_of_every_kind_is_survived() -> None:
    for options in ({}, {"data_format": "json"}, {"splitting_strategy": "fixed length", "splitting_length": 5}):
        async with listening(options) as served:
            await send(served, bytes(range(256)) * 200)
            await send(served, b"\n" * 50_000)
            await send(served, b'="' * 20_000 + b"\n")
            await send(served, b"m v=1i" if "data_format" not in options else b'{"v":1}')
            if "splitting_strategy" not in options:
                assert len(await until(served, 1)) == 1


async def test_datagrams_that_inflate_to_too_much_or_not_at_all(caplog: pytest.LogCaptureFixture) -> None:
    async with listening({**UDP, "content_encoding": "gzip", "max_decompression_size": "1MiB"}) as served:
        datagrams(served, gzip.compress(bytes(2**21)), b"nonsense", b"", gzip.compress(b"m v=1i")[:-1])
        datagrams(served, gzip.compress(b"m v=1i"))
        assert await until(served, 1) == ["m v=1i"]
    assert "cannot inflate it" in caplog.text


async def test_a_string_of_one_datagram_does_not_reach_into_the_next() -> None:
    async with listening(UDP) as served:
        datagrams(served, b'a s="x', b'b,t=" v=1i', b'c s="one\ntwo"', b'd s="y"')
        await until_queued(served, 3)
        text = "\n".join(served.lines())
        for metric in ('b,t=" v=1i ', 'c s="one\ntwo" ', 'd s="y" '):
            assert metric in text


async def test_sources_that_are_not_allowed() -> None:
    for address in ("tcp://127.0.0.1:0", "tcp://:0"):
        async with listening(
            {"service_address": address, "allowed_sources": ["127.0.0.2", "::ffff:127.0.0.3"]}
        ) as served:
            reader, writer = await connect(served)
            assert await is_closed(reader)
            writer.close()
            for source in ("127.0.0.2", "127.0.0.3"):
                await send(served, b"m v=1i\n", local_addr=(source, 0))
                assert await until(served, 1) == ["m v=1i"]
    async with listening({**UDP, "allowed_sources": ["127.0.0.2"]}) as served:
        datagrams(served, b"no v=1i")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.2", 0))
            sender.sendto(b"yes v=1i", ("127.0.0.1", served.port))
        assert await until(served, 1) == ["yes v=1i"]


async def test_a_multicast_group_on_an_interface() -> None:
    for source in ("", "127.0.0.1"):
        options = {"service_address": "udp4://239.255.77.77:0%lo", "multicast_source": source}
        async with listening(options) as served:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
                sender.bind(("127.0.0.1", 0))
                sender.sendto(b"m v=1i", ("239.255.77.77", served.port))
            assert await until(served, 1) == ["m v=1i"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"service_address": ""}, "no address"),
        ({"service_address": ":8094"}, "no address"),
        ({"service_address": "http://:8094"}, "no address"),
        ({"service_address": "tcp://:65536"}, "no address"),
        ({"service_address": "unix://relative"}, "no address"),
        ({"service_address": "vsock://2:80"}, "vsock is not supported"),
        ({"service_address": "udp6://[ff02::1%lo]:1%lo"}, "an interface twice"),
        ({"service_address": "unix:///s", "socket_mode": "rw"}, "socket_mode"),
        ({"service_address": "unix:///s", "allowed_sources": ["::1"]}, "no IP address"),
        ({"allowed_sources": ["localhost"]}, "'localhost'"),
        ({"multicast_source": "here"}, "'here'"),
        ({"content_encoding": "zstd"}, "content_encoding 'zstd'"),
        ({"max_connections": -1}, "max_connections"),
        ({"splitting_strategy": "fixed length"}, "splitting_length 0"),
        ({"tls_key": "/nowhere.pem"}, "tls_cert"),
        ({"data_format": "value", "data_type": "x"}, "data_type"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_input(SocketListener, {**TCP, **options})
    assert message in str(raised.value)
