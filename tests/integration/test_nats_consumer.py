"""inputs.nats_consumer against nats-server: what a stream keeps is acknowledged when it is held, and not before."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tomli
from agent_process import AgentProcess
from consumed import numbers, until
from nats_streams import client
from serving import DEADLINE, Served, serving

from pyagent.api import ConfigError, Metric, NotConnected, PyagentError
from pyagent.testing import make_input
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent.testing.servers import NatsCluster, NatsServer, free_port
from pyagent_plugins.inputs.nats_consumer import NATSConsumer
from pyagent_plugins.outputs.nats import NATS

LOGIN = {"username": "mon", "password": "monpw"}


@asynccontextmanager
async def consuming(table: dict[str, Any], **more: Any) -> AsyncIterator[Served]:
    async with serving(NATSConsumer, table, listens=False, **more) as served:
        yield served


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


@pytest.mark.parametrize("table", [{"subjects": ["js.>"]}, {"jetstream_subjects": ["js.>"]}])
async def test_a_subject_that_is_not_utf8_costs_no_other(nats_server: NatsServer, table: dict[str, Any]) -> None:
    await stream(nats_server)
    async with consuming({"servers": [nats_server.url], **LOGIN, **table}) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", nats_server.port)
        writer.write(b'CONNECT {"verbose":false,"user":"mon","pass":"monpw"}\r\n')
        for subject, line in ((b"js.a", b"m v=1i 1"), (b"js.\xff", b"m v=2i 2"), (b"js.a", b"m v=3i 3")):
            writer.write(b"PUB %s %d\r\n%s\r\n" % (subject, len(line), line))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        found = await until(served, 3)
    assert sorted(line.encode("utf-8", "surrogateescape") for line in found) == [
        b"m,subject=js.a v=1i",
        b"m,subject=js.a v=3i",
        b"m,subject=js.\xff v=2i",
    ]


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


async def test_a_consumer_whose_queue_is_full_leaves_the_rest_to_the_others(nats_server: NatsServer) -> None:
    await stream(nats_server)
    table = stream_table(nats_server, max_undelivered_messages=7)
    async with consuming(table, limit=5) as stalled:
        await publish(nats_server, 0, 20)
        consumer = stalled.runner.plugin._consumer
        async with asyncio.timeout(DEADLINE):
            while consumer.has_room:
                await asyncio.sleep(0.005)
        async with consuming(table) as other:
            await publish(nats_server, 20, 100)
            # All but what the first one holds, and not after ack_wait.
            await until(other, 100 - 5 - 7)


async def test_a_consumer_that_pushes_as_telegraf_makes_it_is_used_as_it_is(nats_server: NatsServer) -> None:
    from nats.js.api import ConsumerConfig

    await stream(nats_server)
    async with client(nats_server) as connection:
        config = ConsumerConfig(
            durable_name="telegraf_consumers",
            deliver_group="telegraf_consumers",
            deliver_subject="deliver.here",
            filter_subject="js.n",
            ack_policy="explicit",
        )
        await connection.jetstream().add_consumer("S1", config)
        async with consuming(stream_table(nats_server)) as one, consuming(stream_table(nats_server)) as two:
            await publish(nats_server, 0, 100)
            async with asyncio.timeout(DEADLINE):
                while len(one.output.queue) + len(two.output.queue) < 100:
                    await asyncio.sleep(0.005)
            assert len(one.output.queue)
            assert len(two.output.queue)
        info = await connection.jetstream().consumer_info("S1", "telegraf_consumers")
        assert info.num_ack_pending == 0
        plugin = make_input(NATSConsumer, {**stream_table(nats_server), "jetstream_subjects": ["js.other"]})
        with pytest.raises(PyagentError, match=r"reads 'js.n', not 'js.other'; use another queue_group"):
            await plugin.start(None)  # type: ignore[arg-type]


async def test_a_consumer_that_is_removed_is_made_again(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    await stream(nats_server)
    async with consuming(stream_table(nats_server)) as served:
        await publish(nats_server, 0, 5)
        await until(served, 5)
        async with client(nats_server) as connection:
            await connection.jetstream().delete_consumer("S1", "telegraf_consumers")
        async with asyncio.timeout(DEADLINE):
            while "of the stream 'S1' is gone" not in caplog.text:
                await asyncio.sleep(0.01)
        served.lines()
        await until(served, 5)  # from the beginning: who removes it wants that


async def test_over_a_cluster_whose_nodes_die_in_turn(nats_cluster: NatsCluster) -> None:
    nodes = nats_cluster.nodes
    async with client(*nodes) as connection:
        await connection.jetstream().add_stream(name="S1", subjects=["js.>"], num_replicas=3)
    login = {"servers": nats_cluster.urls, **LOGIN}
    output = make_output(NATS, {**login, "subject": "js.n", "jetstream": {"name": "S1", "async_publish": True}})
    found: set[int] = set()

    def leader() -> NatsServer:
        name = nats_cluster.wait_for_leader()
        return next(node for node in nodes if node.node == name)

    async with consuming({**login, "jetstream_subjects": ["js.n"]}) as served:
        ports = {node.port: node for node in nodes}
        victims: list[Callable[[], NatsServer]] = [
            lambda: ports[served.runner.plugin._client.connected_url.port],
            leader,
            lambda: ports[output._client.connected_url.port],  # type: ignore[union-attr]
        ]
        for turn in range(4):
            victim = await asyncio.to_thread(victims[turn - 1]) if turn else None
            if victim is not None:
                await asyncio.to_thread(victim.kill)
            await write_patiently(
                output, [Metric("m", {"n": str(n)}, {"v": 1}, n) for n in range(50 * turn, 50 * turn + 50)]
            )
            async with asyncio.timeout(4 * DEADLINE):
                while len(found) < 50 * turn + 50:
                    found |= numbers(served.lines())
                    await asyncio.sleep(0.01)
            if victim is not None:
                await asyncio.to_thread(victim.start_again)
    await output.close()
    assert found == set(range(200))


async def write_patiently(output: NATS, metrics: list[Metric]) -> None:
    """As the engine does it: again, and where it must be over a new connection."""
    batch = make_batch(output, metrics)
    connected = output._client is not None
    async with asyncio.timeout(4 * DEADLINE):
        while True:
            try:
                if not connected:
                    await output.connect()
                    connected = True
                return await write(output, batch)
            except NotConnected:
                connected = False
            except PyagentError:
                pass
            await asyncio.sleep(0.1)


async def test_over_tls_the_server_is_checked_and_may_check_the_client(certificates: Path) -> None:
    server = NatsServer(certificates)
    await asyncio.to_thread(server.start)
    try:
        table = {"servers": [server.url], **LOGIN, "secure": True}
        trusting = {"tls_ca": str(certificates / "ca.pem")}
        for wrong, message in (
            ({}, "certificate verify failed"),
            ({"tls_ca": str(certificates / "another-ca.pem")}, "certificate verify failed"),
            ({**trusting, "tls_server_name": "else.example"}, "Hostname mismatch"),
        ):
            plugin = make_input(NATSConsumer, {**table, **wrong})
            with pytest.raises(PyagentError, match=message):
                await plugin.start(None)  # type: ignore[arg-type]
            with pytest.raises(PyagentError, match=message):
                await make_output(NATS, {**table, **wrong}).connect()
        for right in (trusting, {**trusting, "tls_server_name": "influx.example"}, {"insecure_skip_verify": True}):
            output = make_output(NATS, {**table, **right})
            async with consuming({**table, **right, "subjects": ["telegraf"]}) as served:
                await write_patiently(output, [Metric("m", {}, {"v": 1}, 1)])
                await until(served, 1)
            await output.close()
    finally:
        await asyncio.to_thread(server.stop)


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
