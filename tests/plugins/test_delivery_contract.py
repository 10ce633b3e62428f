"""What an output promises with the engine, for each output that comes with the agent: of all metrics that it is given, each is
delivered once, refused and in the quarantine, or still in the queue; whatever the receiver answers, and however often.

Two kinds of trouble: what `write` raises before it has delivered anything, and what a server answers.
"""

import asyncio
import contextlib
import gzip
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mqtt_subscriber import subscribed
from nats_streams import stored
from real_servers import unavailable

from pyagent.api import Batch, Duration, Metric, NotConnected, Output, Reject, Retry, TooLarge
from pyagent.config import OutputPlan
from pyagent.config.catalog import Catalog
from pyagent.pipeline.outputs.running_output import BufferResources, RunningOutput
from pyagent.testing.outputs import Answer, Raw, ScriptedServer, make_output
from pyagent.testing.servers import Mosquitto, NatsServer, ServerMissing

LOG = logging.getLogger("pyagent.test")
GIVEN = 300
OUTPUTS = sorted(entry.name for entry in Catalog().entries("outputs") if entry.origin == "pyagent")
TROUBLES = (Answer(503), Answer(429), Answer(500), Answer(413), Raw(then="reset"))


class Receiver:
    """What is at the other end: `options` lead to it, and `numbers` has come to it."""

    def __init__(self, options: dict[str, Any], numbers: Callable[[], list[int] | Awaitable[list[int]]] | None) -> None:
        self.options = options
        self.numbers = numbers
        """None: nobody can say; what `write` returned for counts."""


def numbers_in(text: bytes) -> list[int]:
    return [int(number) for number in re.findall(rb"[ {]\"?n\"?[=:](\d+)", text)]


def accepted(server: ScriptedServer, script: list[Answer | Raw]) -> Iterator[bytes]:
    """The bodies that were answered by success."""
    for index, request in enumerate(server.requests):
        step = script[index] if index < len(script) else Answer()
        if isinstance(step, Answer) and step.status < 300:
            body = request.body
            yield gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body


@asynccontextmanager
async def over_http(
    tmp_path: Path, draw: random.Random, option: str, several: bool, **more: Any
) -> AsyncIterator[Receiver]:
    script: list[Answer | Raw] = [draw.choice((*TROUBLES, Answer())) for _ in range(20)]
    async with ScriptedServer(*script) as server:

        def numbers() -> list[int]:
            return [number for body in accepted(server, script) for number in numbers_in(body)]

        yield Receiver({option: [server.url] if several else server.url, **more}, numbers)


@asynccontextmanager
async def to_file(tmp_path: Path, draw: random.Random, **more: Any) -> AsyncIterator[Receiver]:
    path = tmp_path / "out"
    yield Receiver({"files": [str(path)], **more}, lambda: numbers_in(path.read_bytes()) if path.exists() else [])


@asynccontextmanager
async def to_program(tmp_path: Path, draw: random.Random, **more: Any) -> AsyncIterator[Receiver]:
    """It is there to its end only once the output is closed; until then what `write` returned for counts."""
    command = ["sh", "-c", 'cat >>"$0"', str(tmp_path / "out")]
    yield Receiver({"command": command, "restart_delay": "0s", **more}, None)


@asynccontextmanager
async def to_nobody(tmp_path: Path, draw: random.Random, **options: Any) -> AsyncIterator[Receiver]:
    yield Receiver(options, None)


@asynccontextmanager
async def to_stream(
    tmp_path: Path, draw: random.Random, subjects: Sequence[str] = (), **more: Any
) -> AsyncIterator[Receiver]:
    try:
        server = NatsServer()
        await asyncio.to_thread(server.start)
    except ServerMissing as error:
        unavailable(str(error))
    try:
        options = {"servers": [server.url], "username": "mon", "password": "monpw", **more}

        async def numbers() -> list[int]:
            return [number for message in await stored(server, "S") for number in numbers_in(message.data)]

        yield Receiver(
            options | {"jetstream": {"name": "S", "subjects": list(subjects), "async_publish": True}}, numbers
        )
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def to_broker(tmp_path: Path, draw: random.Random, **more: Any) -> AsyncIterator[Receiver]:
    try:
        broker = Mosquitto()
        await asyncio.to_thread(broker.start)
    except ServerMissing as error:
        unavailable(str(error))
    try:
        async with subscribed(broker) as subscriber:

            async def numbers() -> list[int]:
                await subscriber.settled()
                return [number for _, payload in subscriber.texts for number in numbers_in(payload)]

            options = {"servers": [broker.url], "username": "mon", "password": "monpw", "qos": 1, **more}
            yield Receiver(options, numbers)
    finally:
        await asyncio.to_thread(broker.stop)


@asynccontextmanager
async def to_socket(tmp_path: Path, draw: random.Random, **more: Any) -> AsyncIterator[Receiver]:
    """Each connection is closed after some batches, when they are read."""
    received = bytearray()
    tasks: set[asyncio.Task[None]] = set()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = draw.randrange(1, 4)
        while left and (block := await reader.read(1 << 20)):
            received.extend(block)
            left -= 1
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(read(reader, writer)))

    server = await asyncio.start_unix_server(accept, tmp_path / "s")
    yield Receiver({"address": f"unix://{tmp_path}/s", **more}, lambda: numbers_in(bytes(received)))
    server.close()
    await asyncio.gather(*tasks)


Harness = Callable[[Path, random.Random], AbstractAsyncContextManager[Receiver]]
CONTRACTS: dict[str, Harness] = {
    "discard": to_nobody,
    "execd": to_program,
    "execd json documents": lambda path, draw: to_program(path, draw, data_format="json", use_batch_format=True),
    "file": to_file,
    "file json": lambda path, draw: to_file(path, draw, data_format="json"),
    "file json documents": lambda path, draw: to_file(path, draw, data_format="json", use_batch_format=True),
    "http": lambda path, draw: over_http(path, draw, "url", several=False),
    "http json": lambda path, draw: over_http(path, draw, "url", several=False, data_format="json"),
    "http each": lambda path, draw: over_http(path, draw, "url", several=False, use_batch_format=False),
    "influxdb": lambda path, draw: over_http(path, draw, "urls", several=True, skip_database_creation=True),
    "influxdb divided": lambda path, draw: over_http(path, draw, "urls", several=True, database_tag="host"),
    "influxdb_v2 divided": lambda path, draw: over_http(
        path, draw, "urls", several=True, bucket_tag="host", bucket="b"
    ),
    "influxdb_v2": lambda path, draw: over_http(path, draw, "urls", several=True, bucket="b"),
    "mqtt": to_broker,
    "mqtt batches": lambda path, draw: to_broker(path, draw, layout="batch", data_format="json", protocol="5", qos=2),
    "mqtt template": lambda path, draw: to_broker(path, draw, topic='t/{{ .Tag "host" }}'),
    "nats": to_stream,
    "nats batches": lambda path, draw: to_stream(path, draw, use_batch_format=True),
    "nats template": lambda path, draw: to_stream(
        path, draw, subject='telegraf.{{ .Tag "host" }}', subjects=["telegraf.>"]
    ),
    "prometheus_client": lambda path, draw: to_nobody(path, draw, listen="127.0.0.1:0"),
    "socket_writer": to_socket,
    "socket_writer json": lambda path, draw: to_socket(path, draw, data_format="json"),
}
"""By the output's name, and what is special of it."""


def plugin_class(name: str) -> type[Output[Any]]:
    [entry] = Catalog().find(f"outputs.{name}")
    plugin = Catalog().load(entry)
    assert issubclass(plugin, Output)
    return plugin


class Quarantine:
    def __init__(self) -> None:
        self.numbers: list[int] = []

    def put(self, output: str, partition: str | None, texts: list[bytes], reason: str, **more: Any) -> int:
        self.numbers += [number for text in texts for number in numbers_in(text)]
        return 0

    def sync(self) -> None:
        pass


class Troubled:
    """Stands before `write`, and raises, as the script has it, before anything is delivered. Some metrics are never taken."""

    def __init__(self, output: Output[Any], draw: random.Random, never: set[int]) -> None:
        self._write = output.write
        self._draw = draw
        self._never = never
        self.returned: list[int] = []

    async def __call__(self, batch: Batch) -> None:
        numbers = [int(metric.fields["n"]) for metric in batch.metrics()] if self._decodes(batch) else []
        numbers = numbers or numbers_in(batch.payload())
        bad = tuple(index for index, number in enumerate(numbers) if number in self._never)
        if bad:
            raise Reject("never", bad if self._draw.random() < 0.5 else None)
        match self._draw.randrange(6):
            case 0:
                raise Retry("later")
            case 1:
                raise NotConnected("gone")
            case 2 if batch.count > 1:
                raise TooLarge("too large")
            case 3:
                raise OSError("anything")
        returned = self._write(batch)
        if returned is not None:
            await returned
        self.returned += numbers

    def _decodes(self, batch: Batch) -> bool:
        with contextlib.suppress(Reject):
            return bool(batch.metrics())
        return False


def running(plugin: Output[Any]) -> tuple[RunningOutput, Quarantine]:
    plan = OutputPlan(
        kind="outputs",
        name="test",
        plugin=type(plugin),
        options=plugin.options,
        location="test.conf:1",
        identity="test",
        flush_interval=Duration("10s"),
        metric_batch_size=40,
        queue_id="test",
    )
    quarantine = Quarantine()
    output = RunningOutput(plan, plugin, log=LOG, buffer_resources=BufferResources(dead_letters=quarantine))
    output._executor = output._manager
    return output, quarantine


async def emptied(output: RunningOutput) -> int:
    """What is left in its queue in the end."""
    for _ in range(400):
        if not output.queued:
            break
        await output.write_queue()
    return output.queued


async def arrived(receiver: Receiver) -> list[int]:
    found = receiver.numbers() if receiver.numbers is not None else []
    return await found if isinstance(found, Awaitable) else found


def test_there_is_a_contract_for_every_output() -> None:
    assert {name.partition(" ")[0] for name in CONTRACTS} == set(OUTPUTS)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CONTRACTS)
async def test_nothing_is_lost_and_nothing_comes_twice(
    name: str, seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    draw = random.Random(f"{name} {seed}")
    never = set(draw.sample(range(GIVEN), 5))
    async with CONTRACTS[name](tmp_path, draw) as receiver:
        plugin = make_output(plugin_class(name.partition(" ")[0]), receiver.options)
        output, quarantine = running(plugin)
        troubled = Troubled(plugin, draw, never)
        plugin.write = troubled  # type: ignore[method-assign]
        metrics = [
            Metric("m", {"host": "a"}, {"n": number}, 1_700_000_000_000_000_000 + number) for number in range(GIVEN)
        ]
        for start in range(0, GIVEN, 50):
            output.enqueue(output.encoder(metrics[start : start + 50]))
            await output.write_queue()
        kept = await emptied(output)
        delivered = troubled.returned if receiver.numbers is None else await arrived(receiver)
        await output.stop(grace=5)
    assert kept == 0
    # A server may refuse one metric that is sent alone, too (413).
    assert sorted(delivered + quarantine.numbers) == list(range(GIVEN))
    assert never <= set(quarantine.numbers)
    assert (output.written, output.rejected) == (len(delivered), len(quarantine.numbers))


class Calm(random.Random):
    """Receivers that take everything."""

    def choice(self, seq: Any) -> Any:
        return seq[-1]


def oddities(text: str) -> Iterator[Metric]:
    """`text` wherever a metric has any, `n` from 100 on."""
    for number, (name, tags, fields) in enumerate(
        [
            (f"m{text}", {"host": "a"}, {}),
            (text, {"host": "a"}, {}),
            ("m", {"host": text}, {}),
            ("m", {"host": f"a{text}b"}, {}),
            ("m", {"host": "a", f"t{text}": "x"}, {}),
            ("m", {"host": "a"}, {f"o{text}": 1}),
            ("m", {"host": "a"}, {"s": f"x{text}"}),
        ],
        100,
    ):
        yield Metric(name, tags, {"n": number, **fields}, 1_700_000_000_000_000_000 + number)


@pytest.mark.parametrize("text", ["\udcff", chr(0xD800)])
@pytest.mark.parametrize("name", CONTRACTS)
async def test_text_that_is_not_utf8_costs_nobody_else(
    name: str, text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is delivered, or refused by itself."""
    async with CONTRACTS[name](tmp_path, Calm()) as receiver:
        plugin = make_output(plugin_class(name.partition(" ")[0]), receiver.options)
        output, quarantine = running(plugin)
        good = [Metric("m", {"host": "a"}, {"n": n}, 1_700_000_000_000_000_000 + n) for n in range(10)]
        odd = list(oddities(text))
        mixed = [*good[:5], *odd, *good[5:]]
        output.enqueue(output.encoder(mixed))
        kept = await emptied(output)
        delivered = await arrived(receiver)
        await output.stop(grace=5)
    assert kept == 0
    assert not output.not_encodable
    assert output.written + output.rejected == len(mixed)
    assert set(quarantine.numbers) <= {metric.fields["n"] for metric in odd}
    if receiver.numbers is not None:
        assert sorted(delivered + quarantine.numbers) == sorted(int(metric.fields["n"]) for metric in mixed)
    assert "UnicodeEncodeError" not in caplog.text
    assert r"\udc" not in caplog.text
