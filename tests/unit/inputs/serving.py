"""A listening input at work: the engine's runner around it, and an output whose queue shows what it took."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from pyagent.api import Batch, Duration, Input, LineOptions, NoOptions, Output, Retry
from pyagent.config import InputPlan, OutputPlan
from pyagent.kit.http_client import HttpClient, HttpResponse
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.pipeline.schedule import SystemClock
from pyagent.testing import make_input

LOG = logging.getLogger("pyagent.test")
DEADLINE = 30.0
"""Seconds until a wait is a failure."""


class Down(Output):
    """Takes nothing, so that all stays in its queue."""

    async def write(self, batch: Batch) -> None:
        raise Retry("down")

    def line_options(self) -> LineOptions:
        return LineOptions(uint_support=True, sort_fields=True)


class Served:
    def __init__(self, runner: RunningInput, output: RunningOutput, client: HttpClient) -> None:
        self.runner = runner
        self.output = output
        self._client = client

    @property
    def port(self) -> int:
        port: int = self.runner.plugin._server.port
        return port

    def lines(self) -> list[str]:
        """What the queue holds, which it gives away."""
        batch = self.output.queue.next_batch(1_000_000)
        if batch is None:
            return []
        self.output.queue.complete(batch)
        return batch.payload().decode("utf-8", "surrogateescape").splitlines()

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        return await self._client.request(method, f"http://127.0.0.1:{self.port}{path}", body=body, headers=headers)

    async def post(self, path: str, body: bytes, **headers: str) -> HttpResponse:
        return await self.request("POST", path, body, {name.replace("_", "-"): text for name, text in headers.items()})

    async def connect(self) -> "Raw":
        return Raw(*await asyncio.open_connection("127.0.0.1", self.port))


class Raw:
    """A connection that sends what the test says, HTTP or not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    @property
    def closed(self) -> bool:
        """The server has."""
        return self._reader.at_eof() or self._writer.transport.is_closing()

    async def answer(self) -> tuple[int, str, bytes]:
        """Status, head and body of the next answer."""
        async with asyncio.timeout(DEADLINE):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [
                line.partition(":")[2] for line in head.lower().splitlines() if line.startswith("content-length")
            ]
            body = await self._reader.readexactly(int(lengths[0]) if lengths else 0)
        return int(head.split()[1]), head, body

    async def rest(self) -> bytes:
        """All until the server closes."""
        async with asyncio.timeout(DEADLINE):
            with suppress(ConnectionError):
                return await self._reader.read()
        return b""

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def serving(
    plugin: type[Input[Any]],
    options: Mapping[str, Any] | None = None,
    *,
    limit: int = 1_000_000,
    listens: bool = True,
    **more: Any,
) -> AsyncIterator[Served]:
    """The plugin with these options, listening on loopback (or not: it connects to a broker); a queue of `limit` metrics behind it. `more`: further settings
    of every input, such as `name_prefix`."""
    plan: dict[str, Any] = {"name": "test", "options": NoOptions(), "location": "test.conf:1", "identity": "test"}
    output = RunningOutput(
        OutputPlan(
            kind="outputs", plugin=Down, flush_interval=Duration("1h"), queue_id="q", metric_buffer_limit=limit, **plan
        ),
        Down(NoOptions(), LOG),
        log=LOG,
    )
    runner = RunningInput(
        InputPlan(kind="inputs", plugin=plugin, interval=Duration("1h"), precision=Duration("1s"), **plan, **more),
        make_input(plugin, {**({"service_address": "127.0.0.1:0"} if listens else {}), **(options or {})}, LOG),
        global_tags={},
        sink=Fanout([output]),
        clock=SystemClock(),
        log=LOG,
    )
    client = HttpClient(timeout=DEADLINE)
    await runner.plugin.start(runner.acc)
    try:
        yield Served(runner, output, client)
    finally:
        await client.close()
        await runner.stop(grace=5)
        output._compression.abandon()  # of a backlog that a test has left


def json_of(answer: HttpResponse) -> Any:
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.body)
