"""Agents on hosts write to a stream of three replicas, others share one durable consumer of it and write to InfluxDB. A node, a
consuming agent, the database and a host's agent are killed in turn, while the hosts go on: nothing that was acknowledged is
missing in the end, and nothing is stored twice."""

import asyncio
import csv
import os
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from agent_process import DEADLINE, AgentProcess
from nats_streams import Gate, client
from oracle import post
from receiver import Key, key_of, line

from pyagent.kit.http_client import HttpClient
from pyagent.testing.servers import NatsCluster, NatsServer, free_port

ROUNDS = 12 if os.environ.get("PYAGENT_LONG_FAULTS") == "1" else 1
SEED = int(os.environ.get("PYAGENT_FAULT_SEED", "7"))
TOKEN = "token of the fan-in"
_AGENT = """
[agent]
  interval = "1s"
  flush_interval = "200ms"
  flush_jitter = "0s"
  buffer_strategy = "disk"
  metric_buffer_limit = 1000000
  omit_hostname = true
  skip_processors_after_aggregators = true
"""
_HOST = (
    _AGENT
    + """
[[inputs.influxdb_v2_listener]]
  service_address = "127.0.0.1:{port}"
[[outputs.nats]]
  servers = {servers}
  username = "mon"
  password = "monpw"
  subject = "metrics.{name}"
  use_batch_format = {batches}
  [outputs.nats.jetstream]
    name = "METRICS"
    subjects = ["metrics.>"]
    num_replicas = 3
    async_publish = true
    async_ack_timeout = "2s"
"""
)
_CONSUMER = (
    _AGENT
    + """
[[inputs.nats_consumer]]
  servers = {servers}
  username = "mon"
  password = "monpw"
  subjects = []
  jetstream_subjects = ["metrics.>"]
  queue_group = "to_influxdb"
  max_undelivered_messages = 200
[[outputs.influxdb_v2]]
  urls = ["{database}"]
  token = "{token}"
  organization = "home"
  bucket = "metrics"
  timeout = "2s"
"""
)


class Killable:
    """A process of its own that is killed and started again with the same arguments."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: AgentProcess | None = None
        self.logs = ""

    async def start(self) -> None:
        self._process = await AgentProcess(*self._arguments).start()

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.kill()
            self.logs += process.log


class FanIn:
    """`issued` and `acknowledged` hold the metrics that were sent to a host's listener, and those that it took (204)."""

    def __init__(self, folder: Path, cluster: NatsCluster, gates: Sequence[Gate]) -> None:
        """`gates`: the way of the host h0 to the cluster."""
        self.cluster = cluster
        self.gates = gates
        self.database_port = free_port()
        self.database = Killable("sandbox", "--port", str(self.database_port), "--data", str(folder / "influx"))
        servers = _listed(cluster.urls)
        self.ports = {f"h{number}": free_port() for number in range(3)}
        self.hosts = {
            name: self._agent(
                folder,
                name,
                _HOST.format(
                    name=name,
                    port=port,
                    servers=_listed([gate.url for gate in gates]) if name == "h0" else servers,
                    batches=str(name != "h0").lower(),
                ),
            )
            for name, port in self.ports.items()
        }
        self.consumers = [
            self._agent(folder, f"c{number}", _CONSUMER.format(servers=servers, database=self.url, token=TOKEN))
            for number in range(3)
        ]
        self.issued: set[Key] = set()
        self.acknowledged: set[Key] = set()
        self._next = Counter[str]()
        self._over = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.database_port}"

    def _agent(self, folder: Path, name: str, text: str) -> Killable:
        config = folder / f"{name}.conf"
        config.write_text(text)
        return Killable("--config", str(config), "--state-directory", str(folder / name))

    async def start(self) -> None:
        from nats.js.api import AckPolicy, ConsumerConfig

        await self.start_database()
        body = f'{{"username":"u","password":"password","org":"home","bucket":"metrics","token":"{TOKEN}"}}'
        assert (await self._ask("/api/v2/setup", body.encode())).status == 201
        async with client(*self.cluster.nodes) as connection:
            jetstream = connection.jetstream()
            await jetstream.add_stream(name="METRICS", subjects=["metrics.>"], num_replicas=3)
            # As the agents would make it, but for ack_wait: half a minute, which a test has no time for.
            config = ConsumerConfig(
                durable_name="to_influxdb", ack_policy=AckPolicy.EXPLICIT, ack_wait=3, max_ack_pending=20_000
            )
            await jetstream.add_consumer("METRICS", config)
        for agent in (*self.hosts.values(), *self.consumers):
            await agent.start()

    async def start_database(self) -> None:
        await self.database.start()
        async with asyncio.timeout(DEADLINE):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.database_port)
                    writer.transport.abort()
                    return
                await asyncio.sleep(0.05)

    async def _ask(self, path: str, body: bytes, **headers: str) -> Any:
        http = HttpClient(timeout=DEADLINE, max_body=1 << 30)
        try:
            named = {name.replace("_", "-"): text for name, text in headers.items()}
            return await http.request("POST", f"{self.url}{path}", body=body, headers=named)
        finally:
            await http.close()

    async def feed(self, host: str) -> None:
        """Send on and on; what is not taken is not sent again: it was not acknowledged."""
        while not self._over:
            first = self._next[host]
            self._next[host] += 20
            keys = [(host, number) for number in range(first, first + 20)]
            self.issued.update(keys)
            now = time.time_ns()
            body = "".join(line(host, number, now + number) for _, number in keys)
            answer = await post(self.ports[host], body.encode())
            if answer.taken:
                self.acknowledged.update(keys)
            await asyncio.sleep(0.02 if answer.taken else 0.1)

    def end_feeding(self) -> None:
        self._over = True

    async def stored(self) -> Counter[Key]:
        """What the database has: how many points of each metric, those alone that are as they were sent."""
        query = 'from(bucket: "metrics") |> range(start: 0) |> drop(columns: ["subject", "_start", "_stop", "_measurement"]) |> group()'
        pivot = ' |> pivot(rowKey: ["_time", "source"], columnKey: ["_field"], valueColumn: "_value")'
        headers = {"Authorization": f"Token {TOKEN}", "Content_Type": "application/vnd.flux", "Accept": "text/csv"}
        answer = await self._ask("/api/v2/query?org=home", (query + pivot).encode(), **headers)
        assert answer.status == 200, answer.body[:500]
        rows = csv.DictReader(answer.body.decode().splitlines())
        found: Counter[Key] = Counter()
        for row in rows:
            if row.get("number"):
                key = key_of(f"load,source={row['source']} number={row['number']}i,check={row['check']}i 1".encode())
                found[key or ("damaged", 0)] += 1
        return found

    async def arrived(self) -> Counter[Key]:
        """The same, when all that was acknowledged is there, or nothing more comes for long."""
        found, since = Counter[Key](), time.monotonic()
        while self.acknowledged - found.keys() and time.monotonic() - since < 60:
            await asyncio.sleep(0.5)
            before, found = len(found), await self.stored()
            if len(found) > before:
                since = time.monotonic()
        return found

    async def streamed(self, host: str) -> Counter[bytes]:
        """How often each number of a host is in the stream."""
        found: Counter[bytes] = Counter()
        async with client(*self.cluster.nodes) as connection:
            subscription = await connection.jetstream().pull_subscribe(f"metrics.{host}", stream="METRICS")
            left = (await subscription.consumer_info()).num_pending
            while left:
                messages = await subscription.fetch(min(left, 500), timeout=DEADLINE)
                left -= len(messages)
                for message in messages:
                    found.update(re.findall(rb"number=(\d+)i", message.data))
                    await message.ack()
        return found


def _listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(repr(text) for text in texts)}]"


async def killed_and_started(agent: Killable, seconds: float) -> None:
    await agent.kill()
    await asyncio.sleep(seconds)
    await agent.start()


@pytest.mark.timeout(300 + 120 * ROUNDS)
async def test_what_hosts_acknowledged_reaches_the_database_once(
    nats_cluster: NatsCluster, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    async with AsyncExitStack() as stack:
        gates = [await stack.enter_async_context(Gate(node.port)) for node in nats_cluster.nodes]
        await faults_in_turn(FanIn(tmp_path, nats_cluster, gates), figures)


async def faults_in_turn(fan_in: FanIn, figures: Callable[[str], None]) -> None:
    choice, nats_cluster = random.Random(SEED), fan_in.cluster
    await fan_in.start()
    feeding = [asyncio.create_task(fan_in.feed(host)) for host in fan_in.hosts]
    kills: Counter[str] = Counter()

    async def node(victim: NatsServer, seconds: float) -> None:
        await asyncio.to_thread(victim.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(victim.start_again)

    async def leader(seconds: float) -> None:
        name = await asyncio.to_thread(nats_cluster.wait_for_leader)
        await node(next(one for one in nats_cluster.nodes if one.node == name), seconds)

    async def database(seconds: float) -> None:
        await fan_in.database.kill()
        await asyncio.sleep(seconds)
        await fan_in.start_database()

    async def host(seconds: float) -> None:
        number = kills["host"] % 3
        if number == 0:
            # What it sends is stored, and it is not told: it sends that again, also after it was killed.
            for gate in fan_in.gates:
                gate.open = False
            await asyncio.sleep(2.5)
        agent = fan_in.hosts[f"h{number}"]
        await agent.kill()
        for gate in fan_in.gates:
            gate.open = True
        await asyncio.sleep(seconds)
        await agent.start()

    faults: dict[str, Callable[[float], Awaitable[None]]] = {
        "node": leader,
        "consumer": lambda seconds: killed_and_started(choice.choice(fan_in.consumers), seconds),
        "database": database,
        "host": host,
    }
    try:
        for _ in range(ROUNDS):
            for name in choice.sample(list(faults), len(faults)):
                await asyncio.sleep(choice.uniform(0.5, 1.5))
                await faults[name](choice.uniform(0.5, 2.0))
                kills[name] += 1
        await asyncio.sleep(1)
    finally:
        fan_in.end_feeding()
        await asyncio.gather(*feeding, return_exceptions=True)
    found = await fan_in.arrived()
    in_stream = await fan_in.streamed("h0")
    for process in (*fan_in.hosts.values(), *fan_in.consumers, fan_in.database):
        await process.kill()
        assert "Traceback" not in process.logs, process.logs[-3000:]
    missing = fan_in.acknowledged - found.keys()
    figures(
        f"fan-in: {len(fan_in.acknowledged):,} metrics acknowledged by 3 hosts, "
        f"{', '.join(f'{count} kills of a {name}' for name, count in kills.items())}: {len(missing)} missing, "
        f"{sum(found.values()) - len(found)} stored twice"
    )
    assert not missing, sorted(missing)[:10]
    assert not found.keys() - fan_in.issued
    assert set(found.values()) == {1}
    # The stream, too, holds a metric once that has a message of its own.
    assert set(in_stream.values()) == {1}
    assert len(fan_in.acknowledged) > 500, "so few that nothing was tried"
