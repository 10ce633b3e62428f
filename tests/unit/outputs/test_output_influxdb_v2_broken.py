"""outputs.influxdb_v2 and answers that are none, or no end of one: each has one defined outcome, in bounded time and memory."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from writing import LINES, outcome, output, serving

from pyagent.api import Reject, Retry, TooLarge
from pyagent.testing.outputs import Answer, MemoryBatch, Raw, ScriptedServer, write


class TestDelivered:
    async def test_the_status_is_enough_where_the_body_breaks_off(self) -> None:
        error, server = await outcome(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"))
        assert error is None
        assert len(server.requests) == 1

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    async def test_the_status_is_enough_where_the_body_cannot_be_inflated(self, encoding: str) -> None:
        error, _ = await outcome(Answer(200, b"not compressed at all", {"Content-Encoding": encoding}))
        assert error is None

    async def test_the_status_is_enough_where_the_rest_never_comes(self) -> None:
        stalled = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", "stall")
        error, server = await outcome(stalled, timeout="1s")
        assert error is None
        assert len(server.requests) == 1

    async def test_a_second_answer_is_not_that_of_the_next_request(self) -> None:
        twice = Raw(b"HTTP/1.1 204 No Content\r\n\r\n" * 2, "stall")
        async with ScriptedServer(twice, Answer(503)) as server:
            plugin = output(server.url)
            await write(plugin, MemoryBatch(LINES))
            with pytest.raises(Retry, match="503"):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert server.connections == 2


class TestKept:
    @pytest.mark.parametrize(
        ("step", "cause"),
        [
            (Raw(then="reset"), "the server closed the connection without an answer|Connection reset by peer"),
            (Raw(), "the server closed the connection without an answer"),
            (Raw(b"HTTP/1.1 20"), "the server closed the connection without an answer"),
            (Raw(b"HTTP/1.1 20x OK\r\n\r\n"), "it does not answer in HTTP"),
            (Raw(b"HTTP/1.1 204 No Content\r\nno header\r\n\r\n"), "it does not answer in HTTP"),
            (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), "it does not answer in HTTP"),
            (
                Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
                "it does not answer in HTTP (Duplicate Content-Length)",
            ),
            (Raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "it does not answer in HTTP; it may speak TLS: try https://"),
            (Raw(b"\x15\x03\x01\x00\x02\x02\x46"), "this port speaks https: write https://"),  # TLS: an alert
            (Raw(b"no HTTP at all\r\n"), "it does not answer in HTTP; it may speak TLS: try https://"),
            (Raw(b"SSH-2.0-OpenSSH_9\r\n"), "it does not answer in HTTP; it may speak TLS: try https://"),
            (Raw(b"HTTP/1.1 204 No\r\n" + b"X: " + b"y" * 100_000), "it does not answer in HTTP"),
        ],
    )
    async def test_a_broken_answer(self, step: Raw, cause: str) -> None:
        error, _ = await outcome(step, step)
        assert isinstance(error, Retry)
        assert not error.needs_operator
        assert any(text in str(error) for text in cause.split("|"))
        assert "^" not in str(error), "what the library's parser says is for those who know it"

    async def test_no_answer(self) -> None:
        error, _ = await outcome(Raw(then="stall"), timeout="100ms")
        assert isinstance(error, Retry)
        assert "no answer within 0.1 s" in str(error)

    async def test_nobody_listens(self) -> None:
        async with ScriptedServer() as server:
            pass
        plugin = output(server.url)
        with pytest.raises(Retry, match=r"cannot connect to 127\.0\.0\.1:\d+: Connect") as caught:
            await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert not caught.value.needs_operator

    @pytest.mark.parametrize(
        "data", [b"", b"HTTP/1.1 2", b"HTTP/1.1 204 No Content\r\nX-A: ", b"HTTP/1.1 100 Continue\r\n\r\n"]
    )
    async def test_an_answer_that_stops_on_its_way(self, data: bytes) -> None:
        error, _ = await outcome(Raw(data, "stall"), timeout="100ms")
        assert isinstance(error, Retry)
        assert "no answer within 0.1 s" in str(error)

    async def test_https_to_a_port_of_http(self) -> None:
        async with ScriptedServer() as server:
            plugin = output(server.url.replace("http:", "https:"), timeout="300ms")
            with pytest.raises(Retry, match=r"at https://127\.0\.0\.1:\d+: ") as caught:
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert not caught.value.needs_operator


@asynccontextmanager
async def flood(first: bytes, more: bytes) -> AsyncIterator[str]:
    """A server that answers with `first` and then `more` for ever; gives its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        while True:
            writer.write(more)
            await writer.drain()

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}"


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class TestEndless:
    @pytest.mark.parametrize(
        ("first", "more", "kind", "text"),
        [
            (b"HTTP/1.1 204 No Content\r\n", b"X: y\r\n", Retry, "it does not answer in HTTP"),
            (b"HTTP/1.1 204 No Content\r\nX: ", b"y", Retry, "it does not answer in HTTP"),
            (b"HTTP/1.1 204 ", b"No", Retry, "it does not answer in HTTP"),
            (b"HTTP/1.1 ", b"2", Retry, "it does not answer in HTTP"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n", Retry, "no answer within 0.3 s"),
            (b"HTTP/1.1 500 Oh\r\n" + CHUNKED + b"1;", b"extension", Retry, "no answer within 0.3 s|500 Oh"),
            (b"HTTP/1.1 200 OK\r\n" + CHUNKED, b"8\r\n--------\r\n", None, ""),
            (b"HTTP/1.1 400 Bad Request\r\n" + CHUNKED, b"8\r\n--------\r\n", Retry, "400 Bad Request"),
            (b"HTTP/1.1 413 Too Large\r\n\r\n", b"x", TooLarge, "413 Too Large"),
            (b"HTTP/1.1 500 Oh\r\n\r\n", b"x", Retry, "500 Oh"),
            (b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\n\r\n", b"<html>", Retry, "502 Bad"),
        ],
    )
    async def test_it_is_cut(self, first: bytes, more: bytes, kind: type[Exception] | None, text: str) -> None:
        async with flood(first, more * (60_000 // len(more))) as url:
            # Two of them end by time alone; the others must be cut long before it.
            plugin = output(url, timeout="300ms" if text.startswith("no answer") else "60s")
            if kind is None:
                await write(plugin, MemoryBatch(LINES))
            else:
                with pytest.raises(kind, match=text) as caught:
                    await write(plugin, MemoryBatch(LINES))
                assert len(str(caught.value)) <= 500
            await plugin.close()


def compressed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


NAMED = json.dumps({"code": "invalid", "message": f"unable to parse '{LINES[1]}': missing fields"})


class TestCompressed:
    async def answer(self, status: int, body: bytes, encoding: str = "gzip") -> Exception | None:
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        error, _ = await outcome(Answer(status, body, headers))
        return error

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    async def test_it_is_read(self, encoding: str) -> None:
        body = compressed(NAMED) if encoding == "gzip" else zlib.compress(NAMED.encode())
        error = await self.answer(400, body, encoding)
        assert isinstance(error, Reject)
        assert error.lines == (1,)

    @pytest.mark.parametrize("body", [b"", b"\x1f\x8b", compressed(NAMED)[:-20], b"not compressed", b"\x1f\x8b" * 50])
    @pytest.mark.parametrize(("status", "kind"), [(400, Retry), (503, Retry), (413, TooLarge)])
    async def test_where_it_is_damaged_the_status_counts(self, status: int, kind: type[Exception], body: bytes) -> None:
        error = await self.answer(status, body)
        assert isinstance(error, kind)
        assert getattr(error, "lines", None) is None
        # Without its body nobody knows whose words they are.
        assert getattr(error, "needs_operator", False) is (status == 400)

    async def test_one_that_would_fill_the_memory_is_cut(self) -> None:
        packer = zlib.compressobj(wbits=31)
        bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
        error = await self.answer(503, bomb)
        assert isinstance(error, Retry)
        assert "503 Reason" in str(error)
