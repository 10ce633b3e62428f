"""The inputs http_response and net_response: answers that break off, do not come, or are odd, and wrong options."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pyagent.api import ConfigError
from pyagent.testing import gather, make_input
from pyagent_plugins.inputs.http_response import HttpResponseInput
from pyagent_plugins.inputs.net_response import NetResponse


@asynccontextmanager
async def serving(
    answer: bytes, *, end: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
) -> AsyncIterator[str]:
    """A server that says `answer` to whoever connects, and closes; or does what `end` says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if end is not None:
            await end(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def http(address: str, **options: Any) -> tuple[dict[str, str], dict[str, Any]]:
    plugin = make_input(HttpResponseInput, {"urls": [f"http://{address}/"], **options})
    try:
        [metric] = await gather(plugin)
    finally:
        await plugin.stop()
    return dict(metric.tags), dict(metric.fields)


async def net(address: str, **options: Any) -> tuple[str, dict[str, Any]]:
    [metric] = await gather(make_input(NetResponse, {"protocol": "tcp", "address": address, **options}))
    return metric.tags["result"], dict(metric.fields)


async def test_a_body_that_breaks_off_could_not_be_read() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") as address:
        tags, found = await http(address, response_string_match="half")
    assert (tags["result"], tags["status_code"]) == ("body_read_error", "200")
    assert (found["content_length"], found["response_string_match"], found["result_code"]) == (4, 0, 2)


async def test_a_body_that_is_no_text_is_no_field() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe") as address:
        tags, found = await http(address, response_body_field="body")
        assert (tags["result"], "body" in found) == ("body_read_error", False)
        assert (await http(address))[0]["result"] == "success"


async def test_who_speaks_no_http_has_no_answer() -> None:
    async with serving(b"220 mail.example\r\n") as address:
        tags, found = await http(address)
    assert tags["result"] == "connection_failed"
    assert found == {"result_code": 3, "result_type": "connection_failed"}


async def test_a_host_that_nobody_knows() -> None:
    tags, _ = await http("no-such-name.invalid")
    assert tags["result"] == "dns_error"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"urls": ["ftp://x/"]}, "write http:// or https:// before it"),
        ({"token": "a", "bearer_token": "/b"}, "cannot use both bearer_token and token"),
        ({"response_string_match": "("}, r"cannot read the regular expression"),
        ({"interface": "none0"}, "cannot use the interface 'none0': this host has no such interface; it has lo"),
    ],
)
async def test_wrong_options_of_http_response(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_input(HttpResponseInput, options)


async def test_an_interface_is_asked_from() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as address:
        assert (await http(address, interface="lo"))[0]["result"] == "success"


@pytest.mark.parametrize(
    ("answer", "expect", "result"),
    [
        (b"SSH-2.0\r\nmore\r\n", "more", "string_mismatch"),
        (b"SSH-2.0\r\nmore\r\n", "^SSH", "success"),
        (b"login: ", "login", "success"),
        (b"", "x", "read_failed"),
        (b"\r\n", ".*", "string_mismatch"),
        (b"\xff\x00 binary\n", "binary", "success"),
        (b"a" * 3_000_000, "b", "string_mismatch"),
    ],
)
async def test_what_a_port_says(answer: bytes, expect: str, result: str) -> None:
    async with serving(answer) as address:
        found, fields = await net(address, expect=expect)
    assert found == result
    assert fields["string_found"] is (result == "success")


async def test_a_line_that_does_not_end_counts_as_far_as_it_came() -> None:
    done = asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        await done.wait()

    async with serving(b"login: ", end=wait) as address:
        assert (await net(address, expect="login", read_timeout="50ms"))[0] == "success"
        done.set()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": "localhost"}, "it is not HOST:PORT"),
        ({"address": "localhost:"}, "it is not HOST:PORT"),
        ({"address": "::1:80"}, "it is not HOST:PORT"),
        ({"address": "a:1", "protocol": "udp", "expect": "x"}, "send is empty"),
        ({"address": "a:1", "protocol": "udp", "send": "x"}, "expect is empty"),
        ({"address": "a:1", "expect": "(a"}, "cannot read the regular expression"),
    ],
)
async def test_wrong_options_of_net_response(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_input(NetResponse, {"protocol": "tcp", **options})
