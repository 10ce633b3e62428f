"""What the tests of outputs.influxdb_v2 share: an output with a token, what one write to a scripted server ends in, and servers
of any bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pyagent.api import Reject, Retry, TooLarge
from pyagent.testing.outputs import Answer, MemoryBatch, Raw, ScriptedServer, make_output, write
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB

TOKEN = "a-token-that-nobody-may-see"
LINES = ["mem,host=a used=1i 10", "mem,host=b used=2i 20", "mem,host=c used=3i 30"]


def output(*urls: str, **options: Any) -> InfluxDB:
    table = {"urls": list(urls), "token": TOKEN, "organization": "o", "bucket": "b", **options}
    return make_output(InfluxDB, table)


async def outcome(
    *script: Answer | Raw, lines: list[str] | None = None, strict: bool = False, **options: Any
) -> tuple[Exception | None, ScriptedServer]:
    """What one write ends in; every message is checked for being one line without the token."""
    async with ScriptedServer(*script) as server:
        plugin = output(server.url, **options)
        plugin.strict = strict
        try:
            await write(plugin, MemoryBatch(lines or LINES))
        except (Retry, Reject, TooLarge) as error:
            text = str(error)
            assert text.startswith(f"cannot write to bucket 'b' at {server.url}: ")
            assert TOKEN not in text
            assert "\n" not in text
            assert len(text) <= 500
            return error, server
        finally:
            await plugin.close()
        return None, server


def conflict(dropped: str) -> Answer:
    text = f'partial write: field type conflict: input field "used" on measurement "mem" is type float{dropped}'
    return Answer.error(422, "unprocessable entity", f"failure writing points to database: {text}")


def parse_error(*lines: str) -> Answer:
    return Answer.error(400, "invalid", "\n".join(f"unable to parse '{line}': missing fields" for line in lines))


@asynccontextmanager
async def serving(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], path: str | None = None
) -> AsyncIterator[int]:
    """A server of no protocol on loopback, or at the path of a Unix socket; gives its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except OSError:
            pass  # the client left
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(run(reader, writer)))

    if path is None:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
    else:
        server = await asyncio.start_unix_server(accept, path)
    try:
        yield 0 if path else server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
