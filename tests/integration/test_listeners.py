"""An agent as a server: what writes to InfluxDB writes to it, and what it acknowledged arrives."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from agent_process import DEADLINE, AgentProcess, running
from influxdb_client import InfluxDBClient, Point, WriteOptions
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from pyagent.kit.http_client import HttpClient
from pyagent.sandbox import Sandbox
from pyagent.testing.servers import free_port

CONFIG = """
[agent]
  flush_interval = "1s"
  omit_hostname = true
  metric_batch_size = 100
  metric_buffer_limit = {limit}
[[outputs.influxdb_v2]]
  urls = ["{url}"]
  token = "$INFLUX_TOKEN"
  organization = "home"
  bucket = "metrics"
[[inputs.influxdb_v2_listener]]
  interval = "1s"
  service_address = "{address}"
  token = "writers-token"
"""


@dataclass
class Relay:
    """A server, and the configuration of an agent that listens and writes to it."""

    server: Sandbox
    config: Path
    environ: dict[str, str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def arguments(self) -> tuple[str, str]:
        return "--config", str(self.config)

    def write_config(self, limit: int = 10_000, further: str = "") -> None:
        address = f"127.0.0.1:{self.port}"
        self.config.write_text(CONFIG.format(url=self.server.url, limit=limit, address=address) + further)

    async def listens(self, agent: AgentProcess, times: int = 1) -> None:
        await agent.logged("listening on", times)

    async def holds(self, measurement: str, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while await self.server.count(measurement) < count:
                await asyncio.sleep(0.02)
        assert await self.server.count(measurement) == count


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    async with Sandbox(tmp_path / "server", port=free_port()) as server:
        await server.setup(org="home", bucket="metrics")
        token = await server.authorize(write=["metrics"])
        made = Relay(server, tmp_path / "agent.conf", {"INFLUX_TOKEN": token}, free_port())
        made.write_config()
        yield made


def points(measurement: str, count: int) -> list[Point]:
    return [Point(measurement).tag("n", str(n)).field("value", n).time(1_795_478_400 * 10**9 + n) for n in range(count)]


async def test_influxdb_client_blocking(relay: Relay) -> None:
    async with running(*relay.arguments, environ=relay.environ) as agent:
        await relay.listens(agent)

        def work() -> None:
            with InfluxDBClient(relay.url, token="writers-token", org="home", enable_gzip=True) as client:
                assert client.ping()
                assert client.ready().status == "ready"
                assert client.version()
                client.write_api(write_options=SYNCHRONOUS).write("metrics", record=points("m", 250))
                with pytest.raises(ApiException) as refused:
                    client.write_api(write_options=SYNCHRONOUS).write("metrics", record="m value=1 1\nbad line")
                assert refused.value.status == 400
                assert "line 2" in refused.value.body
            with InfluxDBClient(relay.url, token="another", org="home") as stranger:
                with pytest.raises(ApiException) as refused:
                    stranger.write_api(write_options=SYNCHRONOUS).write("metrics", record="m value=1 1")
                assert refused.value.status == 401

        await asyncio.to_thread(work)
        await relay.holds("m", 250)
        assert await agent.terminate() == 0
    assert "writers-token" not in agent.log
    assert "E!" not in agent.log


async def test_influxdb_client_batching(relay: Relay) -> None:
    async with running(*relay.arguments, environ=relay.environ) as agent:
        await relay.listens(agent)

        def work() -> None:
            with (
                InfluxDBClient(relay.url, token="writers-token", org="home") as client,
                client.write_api(write_options=WriteOptions(batch_size=70, flush_interval=200)) as writer,
            ):
                for point in points("m", 500):
                    writer.write("metrics", record=point)

        await asyncio.to_thread(work)
        await relay.holds("m", 500)
        assert await agent.terminate() == 0


async def test_influxdb_client_async(relay: Relay) -> None:
    async with running(*relay.arguments, environ=relay.environ) as agent:
        await relay.listens(agent)
        async with InfluxDBClientAsync(relay.url, token="writers-token", org="home", enable_gzip=True) as client:
            assert await client.ping()
            assert await client.write_api().write("metrics", record=points("m", 100))
        await relay.holds("m", 100)
        assert await agent.terminate() == 0


async def test_what_was_acknowledged_arrives_though_the_server_was_down(relay: Relay) -> None:
    """A sender that honours 429 loses nothing, with a buffer far smaller than what it sends."""
    relay.write_config(limit=200)
    await relay.server.close()
    client = HttpClient(timeout=DEADLINE)
    async with running(*relay.arguments, environ=relay.environ) as agent:
        await relay.listens(agent)
        refusals = 0

        async def send(first: int) -> None:
            nonlocal refusals
            body = "".join(f"m,n={n} value={n}i {n}\n" for n in range(first, first + 50)).encode()
            while True:
                answer = await client.request(
                    "POST",
                    f"{relay.url}/api/v2/write?bucket=x&precision=s",
                    headers={"Authorization": "Token writers-token"},
                    body=body,
                )
                if answer.status == 204:
                    return
                assert answer.status == 429
                refusals += 1
                await asyncio.sleep(0.1)

        sending = [asyncio.create_task(send(1_795_478_400 + 50 * index)) for index in range(20)]
        async with asyncio.timeout(DEADLINE):
            while not refusals:
                await asyncio.sleep(0.02)
        assert sum(task.done() for task in sending) == 4
        await relay.server.start()
        await asyncio.gather(*sending)
        await relay.holds("m", 1000)
        assert await agent.terminate() == 0
    await client.close()
    assert "overflow" not in agent.log


async def test_a_port_in_use_is_one_error_and_is_tried_again(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", relay.port)):
        agent = AgentProcess(*relay.arguments, environ=relay.environ)
        await agent.start()
        await agent.logged("Address already in use")
    await relay.listens(agent)
    assert await agent.terminate() == 0
    assert agent.log.count("Address already in use") == 1
    assert "Traceback" not in agent.log
    assert f"cannot listen on 127.0.0.1:{relay.port}: " in agent.log


async def test_a_reload_that_changes_the_listener_keeps_the_port(relay: Relay) -> None:
    client = HttpClient(timeout=DEADLINE)
    async with running(*relay.arguments, environ=relay.environ) as agent:
        await relay.listens(agent)
        relay.write_config(further='  bucket_tag = "bucket"\n')
        agent.signal(signal.SIGHUP)
        await relay.listens(agent, times=2)
        token = {"Authorization": "Token writers-token"}
        answer = await client.request(
            "POST", f"{relay.url}/api/v2/write?bucket=mine", headers=token, body=b"m value=1i"
        )
        assert answer.status == 204
        await relay.holds("m", 1)
        assert await agent.terminate() == 0
    await client.close()
    rows = await relay.server.query('from(bucket: "metrics") |> range(start: -1h) |> last()')
    assert {row["bucket"] for row in rows} == {"mine"}
    assert "E!" not in agent.log


async def test_the_other_listeners_beside_it(relay: Relay, tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "listener.sock"
    relay.write_config(
        further=f'[[inputs.influxdb_listener]]\n  service_address = "127.0.0.1:{port}"\n  database_tag = "db"\n'
        f'[[inputs.http_listener_v2]]\n  service_address = "unix://{path}"\n  data_format = "influx"\n'
    )
    client = HttpClient(timeout=DEADLINE)
    async with running(*relay.arguments, environ=relay.environ) as agent:
        await relay.listens(agent, times=3)
        answer = await client.request(
            "POST", f"http://127.0.0.1:{port}/write?db=d", body=b"v1 value=1i\nbad\nv1,n=2 value=2i"
        )
        assert answer.status == 400
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(
            b"POST /telegraf HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 11\r\n\r\nv2 value=1i"
        )
        assert (await reader.read()).startswith(b"HTTP/1.1 204")
        writer.close()
        await relay.holds("v1", 2)
        await relay.holds("v2", 1)
        assert await agent.terminate() == 0
    await client.close()
    assert not path.exists()
