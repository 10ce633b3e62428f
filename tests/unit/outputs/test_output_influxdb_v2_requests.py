"""outputs.influxdb_v2: the requests that it sends, and over what."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from writing import LINES, TOKEN, outcome, output, serving

from pyagent.api import LineOptions, Retry
from pyagent.testing.outputs import Answer, MemoryBatch, ScriptedServer, write
from pyagent_plugins.outputs.influxdb_v2.address import WriteAddress


class TestRequest:
    async def test_is_as_telegraf_sends_it(self) -> None:
        _, server = await outcome(organization="my org", bucket="b")
        (request,) = server.requests
        assert (request.method, request.target) == ("POST", "/api/v2/write?bucket=b&org=my+org")
        assert request.headers["authorization"] == f"Token {TOKEN}"
        assert request.headers["content-type"] == "text/plain; charset=utf-8"
        assert request.headers["content-encoding"] == "gzip"
        assert request.headers["user-agent"].startswith("pyagent/")
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        assert gzip.decompress(request.body).decode() == "".join(f"{line}\n" for line in LINES)

    async def test_identity_has_no_content_encoding(self) -> None:
        _, server = await outcome(content_encoding="identity")
        (request,) = server.requests
        assert "content-encoding" not in request.headers
        assert request.body.decode().splitlines() == LINES

    @pytest.mark.parametrize(
        ("suffix", "bucket", "organization", "target"),
        [
            ("", "b/1", "my org", "/api/v2/write?bucket=b%2F1&org=my+org"),
            ("/", "b", "o", "/api/v2/write?bucket=b&org=o"),
            ("/base/", "b", "o", "/base/api/v2/write?bucket=b&org=o"),
            ("/base/?keep=1&a=b", "b/1", "my org", "/base/api/v2/write?a=b&bucket=b%2F1&keep=1&org=my+org"),
            ("//deep/../base//x", "b", "o", "/base/x/api/v2/write?bucket=b&org=o"),
            ("?bucket=other&org=another", "b", "o", "/api/v2/write?bucket=b&org=o"),
            ("/a%20b", "b&c=d", "é~-_.", "/a%20b/api/v2/write?bucket=b%26c%3Dd&org=%C3%A9~-_."),
            ("", "", "", "/api/v2/write?bucket=&org="),
        ],
    )
    async def test_path_and_query(self, suffix: str, bucket: str, organization: str, target: str) -> None:
        async with ScriptedServer() as server:
            plugin = output(server.url + suffix, bucket=bucket, organization=organization)
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert server.requests[0].target == target

    async def test_an_empty_token_is_sent_too(self) -> None:
        _, server = await outcome(token="")
        assert server.requests[0].headers["authorization"] == "Token"

    async def test_own_headers_win(self) -> None:
        own = {"X-Site": "north", "authorization": "Bearer other", "user-agent": "mine/2", "Host": "elsewhere.example"}
        _, server = await outcome(http_headers=own, user_agent="mine/1")
        headers = server.requests[0].headers
        assert {name.lower(): headers[name.lower()] for name in own} == {name.lower(): own[name] for name in own}

    async def test_user_agent(self) -> None:
        _, server = await outcome(user_agent="mine/1")
        assert server.requests[0].headers["user-agent"] == "mine/1"

    async def test_the_connection_is_kept(self) -> None:
        async with ScriptedServer(Answer(204), Answer.error(500, "internal error", "x")) as server:
            plugin = output(server.url)
            await write(plugin, MemoryBatch(LINES))
            with pytest.raises(Retry):
                await write(plugin, MemoryBatch(LINES))
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert (server.connections, len(server.requests)) == (1, 3)

    async def test_a_large_body_arrives_whole(self) -> None:
        lines = [f'm s="{"x" * 100_000}" {n}' for n in range(40)]
        error, server = await outcome(lines=lines, content_encoding="identity")
        assert error is None
        assert server.requests[0].text.splitlines() == lines

    def test_line_options(self) -> None:
        assert output().line_options() == LineOptions()
        chosen = output(influx_uint_support=True, influx_omit_timestamp=True).line_options()
        assert chosen == LineOptions(uint_support=True, omit_timestamp=True)


@given(st.text(), st.text(), st.dictionaries(st.text(min_size=1), st.text()))
def test_names_and_queries_arrive_as_they_are(bucket: str, organization: str, query: dict[str, str]) -> None:
    address = WriteAddress(f"http://h:1/base?{urlencode(query)}", organization)
    url, shown = address.url(bucket), address.name
    assert shown == "http://h:1/base"
    assert url.startswith("http://h:1/base/api/v2/write?")
    assert url.isascii()
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert [name for name, _ in pairs] == sorted({*query, "bucket", "org"})
    assert dict(pairs) == {**query, "bucket": bucket, "org": organization}


class TestProxy:
    async def test_through_a_proxy(self) -> None:
        async with ScriptedServer(Answer(502)) as proxy:
            plugin = output("http://influx.example:8086", http_proxy=f"http://me:the-password@127.0.0.1:{proxy.port}")
            with pytest.raises(Retry, match=r"at http://influx\.example:8086: 502"):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert proxy.requests[0].target == "http://influx.example:8086/api/v2/write?bucket=b&org=o"
        assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")

    async def test_a_proxy_that_refuses_does_not_show_its_password(self) -> None:
        async with ScriptedServer(Answer(407)) as proxy:
            plugin = output("https://influx.example", http_proxy=f"http://me:the-password@127.0.0.1:{proxy.port}")
            with pytest.raises(Retry, match="the proxy answered 407") as caught:
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert "the-password" not in str(caught.value)

    @pytest.mark.parametrize("given", ["option", "environment"])
    async def test_https_goes_through_its_tunnel(
        self, given: str, certificates: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
        async with ScriptedServer(tls=context) as server, tunnel(server.port) as (proxy, asked):
            if given == "environment":
                monkeypatch.setenv("https_proxy", proxy)
                monkeypatch.delenv("no_proxy", raising=False)
            options = {"http_proxy": proxy} if given == "option" else {}
            plugin = output("https://influx.example", tls_ca=str(certificates / "ca.pem"), **options)
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert asked == ["CONNECT influx.example:443 HTTP/1.1"]
            assert [request.headers["host"] for request in server.requests] == ["influx.example"]


@asynccontextmanager
async def tunnel(port: int) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy whose every tunnel leads to this port of loopback; gives its address, and the first line of each request."""
    asked: list[str] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[0])
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(copy(reader, to_server), copy(from_server, writer), return_exceptions=True)

    async with serving(serve) as own:
        yield f"http://127.0.0.1:{own}", asked


class TestUnixSocket:
    @asynccontextmanager
    async def server(self, path: str, status: str) -> AsyncIterator[list[bytes]]:
        """Answers everything with this status; gives the heads of the requests."""
        seen: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()

        async with serving(serve, path):
            yield seen

    async def test_host_and_path_are_those_of_telegraf(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = str(tmp_path / "influx db.sock")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # is not for sockets, as little as the option
        plugin = output(f"unix://{path}?a=b".replace(" ", "%20"), http_proxy="http://127.0.0.1:1")
        async with self.server(path, "204 No Content") as seen:
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert seen[0].startswith(b"POST /api/v2/write?a=b&bucket=b&org=o HTTP/1.1\r\n")
        assert b"Host: 127.0.0.1\r\n" in seen[0]
        assert f"Authorization: Token {TOKEN}\r\n".encode() in seen[0]

    async def test_without_a_listener(self, tmp_path: Path) -> None:
        path = str(tmp_path / "influx.sock")
        plugin = output(f"unix://{path}")
        with pytest.raises(Retry, match=f"at unix://{path}: cannot connect to {path}: No such file"):
            await write(plugin, MemoryBatch(LINES))
        with socket.socket(socket.AF_UNIX) as left:  # as a server that was killed leaves it
            left.bind(path)
        with pytest.raises(Retry, match=f"cannot connect to {path}: Connection refused"):
            await write(plugin, MemoryBatch(LINES))
        await plugin.close()

    async def test_failover_between_a_socket_and_the_network(self, tmp_path: Path) -> None:
        path = str(tmp_path / "influx.sock")
        async with self.server(path, "503 Busy") as seen, ScriptedServer() as server:
            plugin = output(f"unix://{path}", server.url)
            for _ in range(2):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert (len(seen), len(server.requests)) == (1, 2)
