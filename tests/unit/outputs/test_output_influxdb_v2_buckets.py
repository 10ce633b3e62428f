"""outputs.influxdb_v2 where a tag names the bucket, over a Unix socket, and what a partial write may have refused."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Limits, Partition, Reject, Retry
from pyagent.testing.outputs import Answer, MemoryBatch, ScriptedServer, make_output, write
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB
from pyagent_plugins.outputs.influxdb_v2.answers import suspected_lines

NO_BUCKET = Answer.error(404, "not found", 'bucket "x" not found')


def output(*urls: str, **options: Any) -> InfluxDB:
    return make_output(InfluxDB, {"urls": list(urls), "organization": "o", "bucket": "default", **options})


def batch(partition: str | None) -> MemoryBatch:
    return MemoryBatch(["m n=1i 1"], partition=partition)


async def test_the_tags_value_names_the_bucket() -> None:
    async with ScriptedServer() as server:
        plugin = output(server.url, bucket_tag="bucket", exclude_bucket_tag=True)
        assert plugin.partition() == Partition("bucket", exclude=True)
        for partition in ("a/b", None, ""):
            await write(plugin, batch(partition))
        await plugin.close()
    assert [request.target for request in server.requests] == [
        "/api/v2/write?bucket=a%2Fb&org=o",
        "/api/v2/write?bucket=default&org=o",
        "/api/v2/write?bucket=default&org=o",
    ]


async def test_a_bucket_that_is_missing_is_not_held_against_the_node() -> None:
    async with ScriptedServer(NO_BUCKET) as one, ScriptedServer(NO_BUCKET) as two:
        plugin = output(one.url, two.url, bucket_tag="bucket")
        with pytest.raises(Retry) as caught:
            await write(plugin, batch("x"))
        assert caught.value.slow
        assert "or the tag 'bucket' of the metrics" in str(caught.value)
        for _ in range(4):
            await write(plugin, batch("y"))
        await plugin.close()
        # They take turns, as if nothing had happened.
        assert len(one.requests) == len(two.requests) == 3


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "influx.sock")
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    plugin = output(f"unix://{path}", http_proxy="http://127.0.0.1:1")
    with pytest.raises(Retry, match=f"at unix://{path}: cannot connect to {path}: No such file"):
        await write(plugin, batch(None))
    server = await asyncio.start_unix_server(serve, path)
    await write(plugin, batch(None))
    await plugin.close()
    server.close()
    await server.wait_closed()
    assert seen[0].startswith(b"POST /api/v2/write?bucket=default&org=o HTTP/1.1\r\n")
    assert b"Host: 127.0.0.1\r\n" in seen[0]


def test_the_engine_is_told_the_limits() -> None:
    plugin = output("http://h:1", concurrent_writes=4, rate_limit="5MB", rate_limit_period="5m")
    assert plugin.limits() == Limits(4, 5_000_000, 300.0)
    assert output("http://h:1").limits() == Limits()
    assert output("http://h:1").partition() is None


@pytest.mark.parametrize(
    ("iana", "openssl"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_RSA_WITH_AES_128_CBC_SHA256", "AES128-SHA256"),
    ],
)
def test_cipher_suites_by_their_iana_names(iana: str, openssl: str) -> None:
    context = make_output(InfluxDB, {"tls_cipher_suites": [iana]}).options.ssl_context()
    assert context is not None
    old = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]
    assert old == [openssl]


@pytest.mark.parametrize("names", [["TLS_AES_128_GCM_SHA256"], ["secure"], []])
def test_suites_that_are_always_allowed(names: list[str]) -> None:
    context = make_output(InfluxDB, {"tls_cipher_suites": names}).options.ssl_context()
    usual = {suite["name"] for suite in ssl.create_default_context().get_ciphers()}
    assert context is None or {suite["name"] for suite in context.get_ciphers()} == usual


CONFLICT = (
    "failure writing points to database: partial write: field type conflict: "
    'input field "used" on measurement "mem" is type integer, already exists as type float dropped=1'
)
RETENTION = (
    "failure writing points to database: partial write: dropped 2 points outside retention policy of duration 1h0m0s - "
    "oldest point m at 2000-01-01T00:00:00Z dropped because it violates a Retention Policy Lower Bound at "
    "2023-11-14T22:13:20.123456789Z, newest point m at 2000-01-01T00:00:00Z dropped because it violates a Retention "
    "Policy Lower Bound at 2023-11-14T22:13:20.123456789Z dropped=2"
)


async def test_lines_that_a_partial_write_may_have_refused_are_named_as_suspects() -> None:
    lines = [
        "mem,host=a used=1i 10",
        "mem,host=b used=1.5 20",
        'mem,host=c text="used=1i",used=t 30',
        "mem used=2i,free=3i",
        "memory used=1i 40",
        "mem,used=1i free=1i 50",
        "mem,host=a\\ b\\,c free=1,used=7i 60",
    ]
    assert suspected_lines(CONFLICT, MemoryBatch(lines)) == (0, 3, 6)
    async with ScriptedServer(Answer.error(422, "unprocessable entity", CONFLICT)) as server:
        plugin = output(server.url)
        with pytest.raises(Reject) as caught:
            await write(plugin, MemoryBatch(lines))
        await plugin.close()
    assert (caught.value.lines, caught.value.rest_stored, caught.value.dropped) == ((0, 3, 6), True, 1)


def test_lines_beyond_the_retention_are_suspects() -> None:
    second = 1_700_000_000
    lines = [
        f"m n=1i {(second - 1) * 10**9}",
        f"m n=1i {(second + 1) * 10**9}",
        "m n=1i",
        f"m n=1i {946684800 * 10**9}",
    ]
    assert suspected_lines(RETENTION, MemoryBatch(lines)) == (0, 3)


@given(st.text(), st.lists(st.text(alphabet='m,= \\"i1tuf.é\n'), min_size=1, max_size=4))
def test_no_message_and_no_line_is_too_odd(message: str, lines: list[str]) -> None:
    for text in (
        message,
        CONFLICT,
        RETENTION,
        f'input field "{message}" on measurement "m" is type float, already exists as type',
    ):
        assert all(0 <= index < len(lines) for index in suspected_lines(text, MemoryBatch(lines)))
