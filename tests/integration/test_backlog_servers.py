"""Real receivers read a backlog's body: several gzip members one after the other, as the buffer keeps them."""

import asyncio
import json
import urllib.parse
import urllib.request

from pyagent.api import Metric
from pyagent.buffer import MemoryQueue
from pyagent.lineprotocol import encode
from pyagent.sandbox import Sandbox
from pyagent.testing.servers import InfluxDB1, VictoriaMetrics

HOUR = 1_700_000_000


def backlog_body(count: int) -> bytes:
    """`count` metrics that waited in parts, sealed and loose, and were not taken at the first attempt."""
    queue = MemoryQueue(count, batch_size=100)
    for first in range(0, count, 10):
        metrics = [Metric("backlog", {}, {"n": n}, (HOUR + n) * 10**9) for n in range(first, first + 10)]
        queue.enqueue(encode(metrics))
    batch = queue.next_batch(150)
    assert batch is not None
    batch.payload("gzip")
    queue.complete(batch, [batch])
    whole = queue.next_batch(count)
    assert whole is not None
    assert whole.count == count
    body = whole.payload("gzip")
    assert body.count(b"\x1f\x8b\x08") >= 3
    return body


def post(url: str, body: bytes, **headers: str) -> int:
    request = urllib.request.Request(url, body, {"Content-Encoding": "gzip", **headers}, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        status: int = answer.status
        return status


def test_influxdb_1(influxd_1: InfluxDB1) -> None:
    assert post(f"{influxd_1.url}/write?db=test", backlog_body(1000)) == 204
    query = urllib.parse.urlencode({"db": "test", "q": "SELECT count(n) FROM backlog"})
    with urllib.request.urlopen(f"{influxd_1.url}/query?{query}", timeout=20) as answer:
        assert json.load(answer)["results"][0]["series"][0]["values"][0][1] == 1000


def test_victoria_metrics(victoria_metrics: VictoriaMetrics) -> None:
    assert post(f"{victoria_metrics.url}/api/v2/write", backlog_body(1000)) == 204
    urllib.request.urlopen(f"{victoria_metrics.url}/internal/force_flush", timeout=20).close()
    matching = urllib.parse.urlencode({"match[]": "backlog_n", "start": HOUR - 1, "end": HOUR + 2000})
    with urllib.request.urlopen(f"{victoria_metrics.url}/api/v1/export?{matching}", timeout=20) as answer:
        assert sorted(json.loads(answer.read())["values"]) == list(range(1000))


async def test_the_embedded_server() -> None:
    async with Sandbox() as server:
        await server.setup()
        url = f"{server.url}/api/v2/write?org=home&bucket=monitoring-system"
        assert await asyncio.to_thread(post, url, backlog_body(1000), Authorization=f"Token {server.token}") == 204
        assert await server.count("backlog") == 1000
