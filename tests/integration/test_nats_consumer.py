"""inputs.nats_consumer against nats-server: what a stream keeps is acknowledged when it is held, and not before."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tomli
from agent_process import AgentProcess
from consumed import numbers, until
from serving import DEADLINE, Served, serving

from pyagent.api import ConfigError, PyagentError
from pyagent.testing import make_input
from pyagent.testing.servers import NatsServer, free_port
from pyagent_plugins.inputs.nats_consumer import NATSConsumer

LOGIN = {"username": "mon", "password": "monpw"}


@asynccontextmanager
async def consuming(table: dict[str, Any], **more: Any) -> AsyncIterator[Served]:
    async with serving(NATSConsumer, table, listens=False, **more) as served:
        yield served


@asynccontextmanager
async def client(server: NatsServer) -> AsyncIterator[Any]:
    from nats.aio.client import Client

    made = Client()
    await made.connect(server.url, user="mon", password="monpw")
    try:
        yield made
    finally:
        await made.close()


async def stream(server: NatsServer) -> None:
    async with client(server) as connection:
        await connection.jetstream().add_stream(name="S1", subjects=["js.>"])


async def publish(server: NatsServer, first: int, last: int) -> None:
    """Returns when the stream has them all."""
    async with client(server) as connection:
        for number in range(first, last):
            await connection.jetstream().publish("js.n", f"m,n={number} v={number}i {number + 1}".encode())


def stream_table(server: NatsServer, **more: Any) -> dict[str, Any]:
    return {"servers": [server.url], "jetstream_subjects": ["js.n"], **LOGIN, **more}


async def test_as_recorded(nats_server: NatsServer, shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    await stream(nats_server)
    for name in ("influx", "jetstream"):
        case = shared / "golden/telegraf/services/nats_consumer" / name
        text = (case / "telegraf.conf").read_text().replace("127.0.0.1:18660", f"127.0.0.1:{nats_server.port}")
        table = tomli.loads(text)["inputs"]["nats_consumer"][0]
        expected = (case / "expected.out").read_text().splitlines()
        async with client(nats_server) as connection:
            if name == "jetstream":
                await connection.jetstream().publish("js.one", b"before v=1i")
            async with consuming(table) as served:
                if name == "jetstream":
                    await connection.jetstream().publish("js.one", b"during v=2i")
                else:
                    for line in (case / "sent.txt").read_text().splitlines():
                        subject, payload = line.split(" ", 1)
                        await connection.publish(subject, payload.encode())
                assert sorted(await until(served, len(expected))) == sorted(expected)
                if name == "influx":
                    async with asyncio.timeout(DEADLINE):
                        while "it begins with 'bad line is'" not in caplog.text:
                            await asyncio.sleep(0.005)


async def test_a_server_that_is_away_or_refuses_is_an_error_of_the_start(nats_server: NatsServer) -> None:
    for table, message in (
        ({**stream_table(nats_server), "password": "wrong"}, "(?i)authorization violation"),
        ({"servers": [f"nats://127.0.0.1:{free_port()}"]}, "cannot connect"),
        (stream_table(nats_server), "cannot subscribe"),  # there is no stream
        ({"credentials": __file__}, "the Python library 'nkeys' is missing"),
    ):
        plugin = make_input(NATSConsumer, table)
        with pytest.raises(PyagentError, match=message):
            await plugin.start(None)  # type: ignore[arg-type]
        await plugin.stop()
    with pytest.raises(ConfigError, match="username and password"):
        make_input(NATSConsumer, {"username": "mon"})


async def test_what_the_queue_does_not_hold_is_not_acknowledged_and_a_server_that_is_killed_comes_again(
    nats_server: NatsServer,
) -> None:
    await stream(nats_server)
    found: set[int] = set()
    table = stream_table(nats_server, max_undelivered_messages=7)
    async with consuming(table, limit=5) as served:
        await publish(nats_server, 0, 60)
        consumer = served.runner.plugin._consumer
        async with asyncio.timeout(DEADLINE):
            while consumer.has_room:
                await asyncio.sleep(0.005)
        assert consumer.undelivered == 7
        await asyncio.to_thread(nats_server.kill)
        await asyncio.to_thread(nats_server.start_again)
        await publish(nats_server, 60, 80)
        async with asyncio.timeout(2 * DEADLINE):
            while len(found) < 80:
                found |= numbers(served.lines())
                await asyncio.sleep(0.005)
    assert found == set(range(80))


CONFIG = """
[agent]
  interval = "1s"
  flush_interval = "1s"
  buffer_strategy = "disk"
  omit_hostname = true
  skip_processors_after_aggregators = true
[[outputs.file]]
  files = ["{folder}/{name}.out"]
[[inputs.nats_consumer]]
  servers = ["{url}"]
  subjects = []
  jetstream_subjects = ["js.n"]
  username = "mon"
  password = "monpw"
"""


async def test_two_agents_that_share_a_stream_and_are_killed_lose_nothing(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    """What neither had acknowledged when it died comes again after the server's 30 seconds, to the other one if need be."""
    await stream(nats_server)
    agents: dict[str, AgentProcess] = {}

    async def start(name: str) -> None:
        config = tmp_path / f"{name}.conf"
        config.write_text(CONFIG.format(folder=tmp_path, name=name, url=nats_server.url))
        agents[name] = await AgentProcess("--config", str(config), "--state-directory", str(tmp_path / name)).start()

    def written() -> set[int]:
        texts = [path.read_text() for path in tmp_path.glob("*.out")]
        return numbers([line for text in texts for line in text.splitlines()])

    try:
        for name in ("one", "two"):
            await start(name)
            await agents[name].logged("connected to")
        for turn in range(2):
            sending = asyncio.create_task(publish(nats_server, 100 * turn, 100 * turn + 100))
            for name in ("one", "two"):
                await asyncio.sleep(0.05 * turn)
                agents[name].signal(signal.SIGKILL)
                await agents[name].kill()
                await start(name)
            await sending
        with suppress(TimeoutError):  # what is missing then, the comparison says
            async with asyncio.timeout(4 * DEADLINE):
                while len(written()) < 200:
                    await asyncio.sleep(0.1)
        assert written() == set(range(200))
    finally:
        for agent in agents.values():
            with suppress(ProcessLookupError):
                await agent.kill()
