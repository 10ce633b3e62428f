"""inputs.mqtt_consumer against mosquitto: what it acknowledged is held, and what it did not comes again."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tomli
from agent_process import AgentProcess
from consumed import numbers, until
from serving import DEADLINE, Served, serving

from pyagent.api import PyagentError
from pyagent.testing import make_input
from pyagent.testing.servers import Mosquitto, ServerMissing, free_port
from pyagent_plugins.inputs.mqtt_consumer import MQTTConsumer

LOGIN = {"username": "mon", "password": "monpw"}


def options(*brokers: Mosquitto, **more: Any) -> dict[str, Any]:
    return {"servers": [broker.url for broker in brokers], "topics": ["t/#"], **LOGIN, **more}


LASTING = {"qos": 1, "persistent_session": True, "client_id": "c"}


@asynccontextmanager
async def consuming(table: dict[str, Any], **more: Any) -> AsyncIterator[Served]:
    async with serving(MQTTConsumer, table, listens=False, **more) as served:
        yield served


async def publish(broker: Mosquitto, *messages: tuple[str, bytes], qos: int = 1) -> None:
    """Returns when the broker has them all."""
    from paho.mqtt import publish as paho

    texts = [{"topic": topic, "payload": payload, "qos": qos} for topic, payload in messages]
    tls = {"ca_certs": str(broker._tls / "ca.pem")} if broker._tls else None
    login = {"username": "mon", "password": "monpw"}
    await asyncio.to_thread(
        paho.multiple,
        texts,
        hostname="127.0.0.1",
        port=broker.port,
        auth=login,
        tls=tls,  # type: ignore[arg-type]
    )


def numbered(first: int, last: int) -> list[tuple[str, bytes]]:
    return [("t/n", f"m,n={number} v={number}i {number + 1}".encode()) for number in range(first, last)]


# What Telegraf made of it ---------------------------------------------------------------------------------------------


async def test_as_recorded(mosquitto: Mosquitto, shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    cases = sorted((shared / "golden/telegraf/services/mqtt_consumer").glob("*/sent.txt"))
    assert len(cases) >= 4
    for sent in cases:
        text = (sent.parent / "telegraf.conf").read_text().replace("127.0.0.1:18650", f"127.0.0.1:{mosquitto.port}")
        table = tomli.loads(text)["inputs"]["mqtt_consumer"][0]
        expected = (sent.parent / "expected.out").read_text().splitlines()
        async with consuming(table) as served:
            messages = [line.split(" ", 1) for line in sent.read_text().splitlines()]
            await publish(mosquitto, *((topic, payload.encode()) for topic, payload in messages))
            assert sorted(await until(served, len(expected))) == sorted(expected), sent.parent.name
    assert "it begins with 'this is not influx at all'" in caplog.text


async def test_a_broker_that_is_away_or_refuses_is_an_error_of_the_start(mosquitto: Mosquitto) -> None:
    for table, message in (
        ({**options(mosquitto), "password": "wrong"}, "the broker refuses: not authorized"),
        ({"servers": [f"tcp://127.0.0.1:{free_port()}"], "topics": ["t"]}, "Connection refused"),
    ):
        plugin = make_input(MQTTConsumer, table)
        with pytest.raises(PyagentError, match=message) as raised:
            await plugin.start(None)  # type: ignore[arg-type]
        assert "wrong" not in str(raised.value)
        await plugin.stop()


@pytest.fixture
def mosquitto_tls(certificates: Path) -> Iterator[Mosquitto]:
    try:
        with Mosquitto(certificates) as broker:
            yield broker
    except ServerMissing as error:
        pytest.skip(str(error))


async def test_tls(mosquitto_tls: Mosquitto, certificates: Path) -> None:
    table = options(mosquitto_tls, tls_ca=str(certificates / "ca.pem"))
    for more in ({}, {"tls_server_name": "influx.example"}, {"tls_ca": "", "insecure_skip_verify": True}):
        async with consuming({**table, **more}) as served:
            await publish(mosquitto_tls, *[("t/x", b"m v=1i\n" * 1000)] * 20)
            assert len(await until(served, 20_000)) == 20_000
    for more, message in (
        ({"tls_ca": str(certificates / "another-ca.pem")}, "certificate"),
        ({"tls_server_name": "elsewhere.example"}, "certificate"),
        ({"servers": [f"tcp://127.0.0.1:{mosquitto_tls.port}"]}, "cannot connect"),
    ):
        with pytest.raises(PyagentError, match=message):
            await make_input(MQTTConsumer, {**table, "connection_timeout": "5s", **more}).start(None)  # type: ignore[arg-type]


# Nothing is acknowledged and lost -------------------------------------------------------------------------------------


async def test_what_the_queue_does_not_hold_is_not_acknowledged(mosquitto: Mosquitto) -> None:
    table = options(mosquitto, **LASTING, max_undelivered_messages=7)
    found: set[int] = set()
    async with consuming(table, limit=5) as served:
        await publish(mosquitto, *numbered(0, 100))
        consumer = served.runner.plugin._consumer
        async with asyncio.timeout(DEADLINE):
            while consumer.has_room:
                await asyncio.sleep(0.005)
        assert consumer.undelivered <= 7 + 20  # what the broker has sent before reading stopped
        found |= numbers(served.lines())
        assert len(found) < 100
    # The rest was not acknowledged, and the next one of this name gets it.
    async with consuming(table, limit=5) as served, asyncio.timeout(DEADLINE):
        while len(found) < 100:
            found |= numbers(served.lines())
            await asyncio.sleep(0.005)
    assert found == set(range(100))


async def test_a_message_that_cannot_be_read_is_acknowledged_and_does_not_come_again(mosquitto: Mosquitto) -> None:
    table = options(mosquitto, **LASTING)
    async with consuming(table) as served:
        await publish(mosquitto, ("t/x", b"nonsense"), ("t/x", b""), ("t/x", b"m v=1i"))
        assert await until(served, 1) == ["m,topic=t/x v=1i"]
    async with consuming(table) as served:
        await publish(mosquitto, ("t/x", b"n v=2i"))
        assert await until(served, 1) == ["n,topic=t/x v=2i"]


async def test_a_broker_that_is_killed_and_comes_again(mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    async with consuming(options(mosquitto, **LASTING, max_reconnect_interval="1s")) as served:
        found: set[int] = set()
        for turn in range(3):
            await publish(mosquitto, *numbered(50 * turn, 50 * turn + 50))
            async with asyncio.timeout(DEADLINE):
                while len(found) < 50 * turn + 50:
                    found |= numbers(served.lines())
                    await asyncio.sleep(0.005)
            if turn < 2:
                await asyncio.to_thread(mosquitto.kill)
                await asyncio.to_thread(mosquitto.start_again)
                async with asyncio.timeout(DEADLINE):
                    while caplog.text.count("connected to tcp://127.0.0.1:") < 2 * turn + 2:
                        await asyncio.sleep(0.01)
                        if "again" in caplog.text and caplog.text.count(" again\n") > turn:
                            break
    assert found == set(range(150))
    assert "is lost: the broker or the network ended it; connecting again" in caplog.text


async def test_what_a_session_sends_again_does_not_pile_up(mosquitto: Mosquitto) -> None:
    """A full queue, and a connection that is lost over and over: the same twenty messages wait, not more and more."""
    table = options(mosquitto, **LASTING, max_reconnect_interval="1s")
    async with consuming(table, limit=1) as served:
        await publish(mosquitto, *numbered(0, 60))
        plugin = served.runner.plugin
        for _ in range(3):
            async with asyncio.timeout(DEADLINE):
                while plugin._consumer.undelivered < 19:
                    await asyncio.sleep(0.005)
            connection = plugin._connection
            connection._client.socket().shutdown(socket.SHUT_RDWR)
            async with asyncio.timeout(DEADLINE):
                while plugin._connection is connection or not plugin._connection.is_subscribed:
                    await asyncio.sleep(0.005)
        assert plugin._consumer.undelivered <= 2 * 20
        found: set[int] = set()
        async with asyncio.timeout(DEADLINE):
            while len(found) < 60:
                found |= numbers(served.lines())
                await asyncio.sleep(0.005)
    assert found == set(range(60))


async def test_two_brokers_and_two_agents(mosquitto: Mosquitto) -> None:
    dead = f"tcp://127.0.0.1:{free_port()}"
    table = options(mosquitto)
    table["servers"] = [dead, mosquitto.url]
    async with consuming(table) as one, consuming(table) as other:
        await publish(mosquitto, *numbered(0, 20), qos=0)
        assert numbers(await until(one, 20)) == numbers(await until(other, 20)) == set(range(20))


CONFIG = """
[agent]
  interval = "1s"
  flush_interval = "1s"
  buffer_strategy = "disk"
  omit_hostname = true
  skip_processors_after_aggregators = true
[[outputs.file]]
  files = ["{folder}/{name}.out"]
[[inputs.mqtt_consumer]]
  servers = ["{url}"]
  topics = ["t/#"]
  username = "mon"
  password = "monpw"
  qos = 1
  persistent_session = true
  client_id = "{name}"
"""


async def test_two_agents_that_are_killed_over_and_over_lose_nothing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Each of 600 messages that the broker took is in what both wrote, though both are killed while they come."""
    agents: dict[str, AgentProcess] = {}

    async def start(name: str) -> None:
        config = tmp_path / f"{name}.conf"
        config.write_text(CONFIG.format(folder=tmp_path, name=name, url=mosquitto.url))
        state = ["--state-directory", str(tmp_path / f"{name}.state")]
        agents[name] = await AgentProcess("--config", str(config), *state).start()

    def written(name: str) -> set[int]:
        path = tmp_path / f"{name}.out"
        return numbers(path.read_text().splitlines()) if path.exists() else set()

    try:
        for name in ("one", "two"):
            await start(name)
            await agents[name].logged("connected to")
        for turn in range(4):
            sending = asyncio.create_task(publish(mosquitto, *numbered(150 * turn, 150 * turn + 150)))
            for name in ("one", "two"):
                await asyncio.sleep(0.05 * turn)
                agents[name].signal(signal.SIGKILL)
                await agents[name].kill()
                await start(name)
            await sending
        with suppress(TimeoutError):  # what is missing then, the comparison says
            async with asyncio.timeout(DEADLINE):
                while min(len(written("one")), len(written("two"))) < 600:
                    await asyncio.sleep(0.1)
        assert written("one") == written("two") == set(range(600))
    finally:
        for agent in agents.values():
            with suppress(ProcessLookupError):
                await agent.kill()
