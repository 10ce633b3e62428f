"""The embedded server's bounds of queries, by way of its API: who asks for too much harms nobody else."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest

from pyagent.sandbox import QueryLimits, Sandbox, SandboxError
from pyagent.sandbox.embedded import Sandbox as Embedded

ENDLESS = "\n".join(
    [
        'import "array"',
        "f0 = () => 1",
        *(f"f{n + 1} = () => f{n}() + f{n}()" for n in range(60)),
        "array.from(rows: [{v: f60()}])",
    ]
)
LARGE = """import "generate"
generate.from(count: 1000000, start: 2024-01-01T00:00:00Z, stop: 2024-01-02T00:00:00Z, fn: (n) => n)"""
SMALL = 'import "array"\narray.from(rows: [{v: 1}])'
ANSWER = ",result,table,v\r\n,_result,0,1\r\n\r\n"
PATH = "/api/v2/query?org=home"


def headers(server: Embedded) -> dict[str, str]:
    return {"Authorization": f"Token {server.token}", "Content-Type": "application/vnd.flux"}


async def ask(session: aiohttp.ClientSession, server: Embedded, script: str) -> tuple[int, Any]:
    async with session.post(server.url + PATH, data=script.encode(), headers=headers(server)) as response:
        text = await response.text()
        return response.status, json.loads(text) if text.startswith("{") else text


async def test_a_query_that_takes_too_long() -> None:
    async with Sandbox(limits=QueryLimits(timeout=0.2)) as server, aiohttp.ClientSession() as session:
        await server.setup()
        status, error = await ask(session, server, ENDLESS)
        assert (status, error["code"]) == (400, "invalid")
        assert error["message"].startswith("context deadline exceeded: the query took longer than 0.2s")
        with pytest.raises(SandboxError, match="context deadline exceeded"):
            await server.query(ENDLESS)


async def test_a_query_that_takes_too_much_memory() -> None:
    async with Sandbox(limits=QueryLimits(memory_bytes=10_000_000)) as server, aiohttp.ClientSession() as session:
        await server.setup()
        status, error = await ask(session, server, LARGE)
        assert (status, error["code"]) == (400, "invalid")
        assert error["message"].startswith("memory allocation limit reached: limit 10000000 bytes, allocated: ")
        assert await ask(session, server, SMALL) == (200, ANSWER)


async def test_an_answer_that_takes_too_much_memory() -> None:
    script = 'from(bucket: "monitoring-system") |> range(start: 0)'
    tags = ",".join(f"t{n}={'x' * 100}" for n in range(20))
    async with Sandbox(limits=QueryLimits(memory_bytes=2_000_000)) as server, aiohttp.ClientSession() as session:
        await server.setup()
        await server.write("\n".join(f"m,{tags} f={n} {n}" for n in range(1000)))
        assert (await ask(session, server, script + " |> count()"))[0] == 200
        status, error = await ask(session, server, script)
        assert (status, error["code"]) == (400, "invalid")
        assert error["message"].startswith("memory allocation limit reached: limit 2000000 bytes, allocated: ")


async def test_a_client_that_goes_away_makes_room() -> None:
    limits = QueryLimits(concurrency=1, queue_size=1, timeout=0)
    async with Sandbox(limits=limits) as server, aiohttp.ClientSession() as session:
        await server.setup()
        body = ENDLESS.encode()
        head = [f"POST {PATH} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in headers(server).items()]
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()
        while not server.state.queries.running:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(ask(session, server, SMALL))
        while server.state.queries.running < 2:
            await asyncio.sleep(0.01)
        # While it runs: another query finds no room, but health, writes and counts are answered.
        status, error = await ask(session, server, SMALL)
        assert (status, error) == (400, {"code": "invalid", "message": "queue length exceeded"})
        async with session.get(server.url + "/health") as response:
            assert response.status == 200
        await server.write("m f=1 1")
        assert await server.count() == 1
        writer.close()
        assert await waiting == (200, ANSWER)


async def test_a_query_that_does_not_end_holds_up_no_other() -> None:
    async with Sandbox(limits=QueryLimits(concurrency=3, timeout=0)) as server, aiohttp.ClientSession() as session:
        await server.setup()
        endless = [asyncio.create_task(ask(session, server, ENDLESS)) for _ in range(2)]
        while server.state.queries.running < 2:
            await asyncio.sleep(0.01)
        for _ in range(3):
            await server.write("m f=1 1")
            assert await ask(session, server, SMALL) == (200, ANSWER)
        assert not any(query.done() for query in endless)
        for query in endless:
            query.cancel()
        await asyncio.gather(*endless, return_exceptions=True)


async def test_a_script_is_also_only_read_in_a_bounded_time() -> None:
    async with Sandbox(limits=QueryLimits(timeout=0.2)) as server, aiohttp.ClientSession() as session:
        await server.setup()
        body = json.dumps({"type": "flux", "query": "x = 1\n" * 200_000})
        url = server.url + "/api/v2/query/analyze"
        async with session.post(url, data=io.BytesIO(body.encode()), headers=headers(server)) as response:
            [error] = (await response.json())["errors"]
        assert error["message"].startswith("context deadline exceeded")
