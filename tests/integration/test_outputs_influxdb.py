"""outputs.influxdb against an InfluxDB 1."""

import json
import time
import urllib.parse
import urllib.request
from typing import Any

import pytest

from pyagent.api import Metric, PartialWrite, Reject, Retry
from pyagent.testing.outputs import MemoryBatch, make_batch, make_output, write
from pyagent.testing.servers import InfluxDB1 as Server
from pyagent_plugins.outputs.influxdb import InfluxDB1


def query(server: Server, text: str, database: str = "") -> list[list[Any]]:
    body = urllib.parse.urlencode({"q": text, "db": database}).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{server.url}/query", body, timeout=30) as answer:
        [result] = json.load(answer)["results"]
    return result["series"][0]["values"] if "series" in result else []


def count(server: Server, database: str) -> int:
    rows = query(server, "SELECT count(*) FROM m", database)
    return int(rows[0][1]) if rows else 0


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_the_database_is_made(encoding: str, influxd_1: Server) -> None:
    name = f'made "{encoding}"'
    output = make_output(InfluxDB1, {"urls": [influxd_1.url], "database": name, "content_encoding": encoding})
    now = time.time_ns()
    metrics = [Metric("m", {"host": "a b,c=d"}, {"s": f'x "{n}"\n\\'}, now + n) for n in range(100)]
    await write(output, make_batch(output, metrics))
    assert count(influxd_1, name) == 100
    query(influxd_1, f'DROP DATABASE "{name.replace(chr(34), chr(92) + chr(34))}"')
    await write(output, make_batch(output, metrics[:5]))
    await output.close()
    assert count(influxd_1, name) == 5


async def test_one_bad_point_does_not_cost_the_batch(influxd_1: Server) -> None:
    output = make_output(InfluxDB1, {"urls": [influxd_1.url], "database": "conflicts"})
    now = time.time_ns()
    await write(output, MemoryBatch([f"m v=1i {now}"]))
    with pytest.raises(PartialWrite) as conflict:
        await write(output, MemoryBatch([f"m v=2i {now + 1}", f"m v=2.5 {now + 2}", f"m v=3i {now + 3}"]))
    with pytest.raises(PartialWrite) as unread:
        await write(output, MemoryBatch([f"m v=4i {now + 4}", "broken", f"m v=5i {now + 5}"]))
    with pytest.raises(Reject) as all_bad:
        await write(output, MemoryBatch(["broken", "m v="]))
    await output.close()
    assert (conflict.value.rejected, conflict.value.suspects) == (1, (1,))
    assert (unread.value.rejected, unread.value.suspects) == (1, (1,))
    assert (type(all_bad.value), all_bad.value.indices) == (Reject, (0, 1))
    assert count(influxd_1, "conflicts") == 5


async def test_points_beyond_the_retention_policy(influxd_1: Server) -> None:
    options = {"urls": [influxd_1.url], "database": "kept", "retention_policy": "hour"}
    output = make_output(InfluxDB1, options)
    now = time.time_ns()
    batch = MemoryBatch([f"m v=1i {now - 10**14}", f"m v=2i {now}", f"m v=3i {now - 10**13}"])
    with pytest.raises(Retry, match="make the retention policy"):
        await write(output, batch)
    query(influxd_1, "CREATE RETENTION POLICY hour ON kept DURATION 1h REPLICATION 1 DEFAULT")
    with pytest.raises(PartialWrite) as caught:
        await write(output, batch)
    await output.close()
    assert (caught.value.rejected, caught.value.suspects) == (2, (0, 2))
    assert count(influxd_1, "kept") == 1
