"""outputs.influxdb_v2 against servers: the sandbox (with real line protocol of the encoder), VictoriaMetrics, InfluxDB 1."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agent_process import DEADLINE, running

from pyagent.api import Metric, Reject, Retry
from pyagent.lineprotocol import encode
from pyagent.sandbox import Sandbox
from pyagent.testing.outputs import MemoryBatch, make_output, write
from pyagent.testing.servers import InfluxDB1, VictoriaMetrics
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB


def encoded(output: InfluxDB, *metrics: Metric) -> MemoryBatch:
    lines = encode(list(metrics), output.line_options())
    assert lines.count == len(metrics)
    return MemoryBatch(lines.data.removesuffix(b"\n").split(b"\n"), lines.oldest, lines.newest)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        await server.setup(org="home", bucket="monitoring-system")
        yield server


def to_sandbox(server: Sandbox, **options: Any) -> InfluxDB:
    table = {"urls": [server.url], "token": server.token, "organization": "home", "bucket": "monitoring-system"}
    return make_output(InfluxDB, table | options)


class TestSandbox:
    @pytest.mark.parametrize("encoding", ["gzip", "identity"])
    async def test_metrics_arrive(self, encoding: str, sandbox: Sandbox) -> None:
        output = to_sandbox(sandbox, content_encoding=encoding)
        now = time.time_ns()
        metrics = [Metric("mem", {"host": "a b,c=d"}, {"used": n, "note": 'x "y"\n'}, now + n) for n in range(100)]
        await write(output, encoded(output, *metrics))
        await output.close()
        assert await sandbox.count("mem") == 100
        rows = await sandbox.query(
            'from(bucket: "monitoring-system") |> range(start: -1h) |> filter(fn: (r) => r._field == "used") |> last()'
        )
        assert [(row["_value"], row["host"]) for row in rows] == [(99, "a b,c=d")]

    async def test_a_token_of_its_own_is_enough(self, sandbox: Sandbox) -> None:
        output = to_sandbox(sandbox, token=await sandbox.authorize(write=["monitoring-system"]))
        await write(output, encoded(output, Metric("mem", {}, {"used": 1}, time.time_ns())))
        await output.close()
        assert await sandbox.count("mem") == 1

    @pytest.mark.parametrize(
        ("options", "advice"),
        [
            ({"token": "wrong-token"}, "401 unauthorized: unauthorized access; correct `token`"),
            ({"bucket": "nowhere"}, "make the bucket or correct `bucket`"),
            ({"organization": "nobody"}, "correct `organization` ('nobody')"),
            ({"organization": ""}, "correct `organization`"),
        ],
    )
    async def test_what_only_a_person_can_mend(self, options: dict[str, str], advice: str, sandbox: Sandbox) -> None:
        output = to_sandbox(sandbox, **options)
        with pytest.raises(Retry) as caught:
            await write(output, MemoryBatch([f"mem used=1i {time.time_ns()}"]))
        await output.close()
        assert advice in str(caught.value)
        assert caught.value.needs_operator

    async def test_a_token_that_may_not_write(self, sandbox: Sandbox) -> None:
        output = to_sandbox(sandbox, token=await sandbox.authorize(read=["monitoring-system"]))
        with pytest.raises(Retry, match=r"403 forbidden: .*; give a `token` that may write") as caught:
            await write(output, MemoryBatch([f"mem used=1i {time.time_ns()}"]))
        await output.close()
        assert caught.value.needs_operator

    async def test_a_bucket_made_later_takes_the_batch(self, sandbox: Sandbox) -> None:
        output = to_sandbox(sandbox, bucket="later")
        batch = MemoryBatch([f"mem used=1i {time.time_ns()}"])
        with pytest.raises(Retry):
            await write(output, batch)
        await sandbox.add_bucket("later")
        await write(output, batch)
        await output.close()
        assert await sandbox.count("mem", bucket="later") == 1

    async def test_bad_lines_are_named_and_nothing_is_stored(self, sandbox: Sandbox) -> None:
        output = to_sandbox(sandbox)
        now = time.time_ns()
        batch = MemoryBatch([f"mem used=1i {now}", "broken", f"mem used=2i {now + 1}", "mem used=", 'mem s="abc 1'])
        with pytest.raises(Reject) as caught:
            await write(output, batch)
        assert caught.value.indices == (1, 3, 4)
        assert await sandbox.count("mem") == 0
        await output.close()

    async def test_a_type_conflict_keeps_the_rest(self, sandbox: Sandbox) -> None:
        output = to_sandbox(sandbox)
        now = time.time_ns()
        await write(output, MemoryBatch([f"mem used=1.5 {now}"]))
        with pytest.raises(Reject) as caught:
            await write(output, MemoryBatch([f"mem used=2.5 {now + 1}", f"mem used=7i {now + 2}"]))
        await output.close()
        assert (caught.value.suspects, caught.value.rejected) == ((1,), 1)
        assert await sandbox.count("mem") == 2

    async def test_a_point_older_than_the_retention_is_suspected(self, sandbox: Sandbox) -> None:
        await sandbox.add_bucket("hour", retention=3600)
        output = to_sandbox(sandbox, bucket="hour")
        now = time.time_ns()
        with pytest.raises(Reject) as caught:
            await write(output, MemoryBatch([f"mem used=1i {now}", f"mem used=2i {now - 10**15}", "mem used=3i"]))
        await output.close()
        assert (caught.value.suspects, caught.value.rejected) == ((1,), 1)
        assert await sandbox.count("mem", bucket="hour") == 2

    async def test_the_agent_writes_each_metric_into_the_bucket_that_its_tag_names(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        for name in ("one", "two"):
            await sandbox.add_bucket(name)
        (tmp_path / "metrics").write_text(
            "m,to=one n=1i\nm,to=two,x=y n=2i\nm,to=two n=3i\nm n=4i\nm,to=nowhere n=5i\n"
        )
        (tmp_path / "agent.conf").write_text(f"""
            [agent]
              interval = "100ms"
              flush_interval = "100ms"
              omit_hostname = true
            [[inputs.file]]
              files = ["{tmp_path}/metrics"]
              data_format = "influx"
            [[outputs.influxdb_v2]]
              urls = ["{sandbox.url}"]
              token = "{sandbox.token}"
              organization = "home"
              bucket = "monitoring-system"
              bucket_tag = "to"
              exclude_bucket_tag = true
              concurrent_writes = 2
              rate_limit = "1MB"
              rate_limit_period = "1s"
            """)
        async with running("--config", str(tmp_path / "agent.conf")) as agent:
            await agent.logged("or the tag 'to' of the metrics")
            async with asyncio.timeout(DEADLINE):
                for bucket in ("one", "two", "monitoring-system"):  # one that is missing holds up no other
                    while not await sandbox.count("m", bucket=bucket):
                        await asyncio.sleep(0.05)
            await sandbox.add_bucket("nowhere")
            assert await agent.terminate() == 0
        rows = {
            bucket: {(row["_value"], row.get("x"), row.get("to")) for row in await sandbox.query(query)}
            for bucket in ("one", "two", "monitoring-system", "nowhere")
            if (query := f'from(bucket: "{bucket}") |> range(start: -1h) |> last()')
        }
        assert rows == {
            "one": {(1, None, None)},
            "two": {(2, "y", None), (3, None, None)},
            "monitoring-system": {(4, None, None)},
            "nowhere": {(5, None, None)},
        }


class TestVictoriaMetrics:
    @pytest.mark.parametrize("encoding", ["gzip", "identity"])
    async def test_metrics_arrive(self, encoding: str, victoria_metrics: VictoriaMetrics) -> None:
        table = {"urls": [victoria_metrics.url], "bucket": "b", "organization": "o", "content_encoding": encoding}
        output = make_output(InfluxDB, table)
        now = (time.time_ns() // 10**9 - 60) * 10**9
        metrics = [Metric(f"out_{encoding}", {"host": "a b"}, {"v": n + 0.5}, now + n * 10**9) for n in range(5)]
        await write(output, encoded(output, *metrics))
        await output.close()
        (series,) = victoria_metrics.export(f'{{__name__="out_{encoding}_v"}}')
        assert series["metric"]["host"] == "a b"
        assert series["values"] == [0.5, 1.5, 2.5, 3.5, 4.5]

    async def test_a_text_of_two_lines_is_refused_and_never_kept(self, victoria_metrics: VictoriaMetrics) -> None:
        """It splits at the newline. Some versions then refuse the body, some drop that metric without a word."""
        output = make_output(InfluxDB, {"urls": [victoria_metrics.url], "bucket": "b"})
        refused = None
        try:
            await write(output, encoded(output, Metric("two_lines", {}, {"note": "a\nb"}, time.time_ns())))
        except Reject as caught:
            refused = caught
        await output.close()
        assert refused is None or refused.indices is None

    async def test_a_wrong_path_keeps_the_batch(self, victoria_metrics: VictoriaMetrics) -> None:
        output = make_output(InfluxDB, {"urls": [victoria_metrics.url + "/nowhere"], "bucket": "b"})
        with pytest.raises(Retry, match=r"400 .*; correct the path in `urls`") as caught:
            await write(output, MemoryBatch(["m v=1 1"]))
        await output.close()
        assert caught.value.needs_operator


async def test_influxdb_1_without_the_path_of_2_keeps_the_batch(influxd_1: InfluxDB1) -> None:
    output = make_output(InfluxDB, {"urls": [influxd_1.url], "bucket": "test"})
    with pytest.raises(Retry, match=r"404 .*if it is no InfluxDB 2, correct `urls`") as caught:
        await write(output, MemoryBatch(["m v=1 1"]))
    await output.close()
    assert caught.value.needs_operator


async def test_failover_from_a_server_that_is_down(victoria_metrics: VictoriaMetrics) -> None:
    urls = ["http://127.0.0.1:1", victoria_metrics.url]
    output = make_output(InfluxDB, {"urls": urls, "bucket": "b"})
    now = (time.time_ns() // 10**9 - 60) * 10**9
    for n in range(4):
        await write(output, encoded(output, Metric("failover", {}, {"v": n}, now + n * 10**9)))
    await output.close()
    (series,) = victoria_metrics.export('{__name__="failover_v"}')
    assert series["values"] == [0, 1, 2, 3]
