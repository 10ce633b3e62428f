"""outputs.nats against nats-server: what a stream is made like, and that it stores once what is sent again."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from agent_process import AgentProcess
from nats_streams import DEADLINE, Gate, client, stored

from pyagent.api import Metric, NotConnected, PartialWrite, PyagentError, Reject, Retry
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent.testing.servers import NatsServer, free_port
from pyagent_plugins.outputs.nats import NATS

LOGIN = {"username": "mon", "password": "monpw"}


def output(server: Any, **table: Any) -> NATS:
    return make_output(NATS, {"servers": [server.url], **LOGIN, **table})


def metrics(count: int, text: str = "x") -> list[Metric]:
    return [Metric("m", {"host": "a"}, {"n": n, "text": text}, n) for n in range(count)]


async def publish(server: Any, made: list[Metric], **table: Any) -> None:
    plugin = output(server, **table)
    try:
        await plugin.connect()
        await write(plugin, make_batch(plugin, made))
    finally:
        await plugin.close()


async def test_core_subjects_get_each_metric_or_each_batch(nats_server: NatsServer) -> None:
    async with client(nats_server) as connection:
        found = await connection.subscribe("t.>")
        await connection.flush()
        await publish(nats_server, metrics(3), subject='t.{{ .Tag "host" }}.{{ .Name }}')
        await publish(nats_server, metrics(3), subject="t.batch", use_batch_format=True, data_format="json")
        messages = [await found.next_msg(DEADLINE) for _ in range(4)]
    assert [one.subject for one in messages] == ["t.a.m"] * 3 + ["t.batch"]
    assert messages[1].data == b'm,host=a n=1i,text="x" 1\n'
    assert messages[3].data.count(b'"n":') == 3


async def test_a_stream_is_made_and_what_others_have_given_it_stays(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await publish(nats_server, metrics(2), subject="a.b", jetstream={"name": "S", "max_age": "1h", "max_msgs": 100})
    assert "the stream 'S' is made" in caplog.text
    async with client(nats_server) as connection:
        jetstream = connection.jetstream()
        config = (await jetstream.stream_info("S")).config
        assert (config.subjects, config.max_age, config.max_msgs) == (["a.b"], 3600, 100)
        await jetstream.update_stream(config.evolve(description="ours", max_bytes=1 << 20))
        await publish(nats_server, metrics(2), subject="a.c", jetstream={"name": "S", "max_msgs": 200})
        config = (await jetstream.stream_info("S")).config
        assert (config.subjects, config.max_age, config.max_msgs) == (["a.b", "a.c"], 3600, 200)
        assert (config.description, config.max_bytes) == ("ours", 1 << 20)
    caplog.clear()
    await publish(nats_server, metrics(2), subject="a.c", jetstream={"name": "S", "max_msgs": 200})
    assert "the stream 'S' is as it should be" in caplog.text
    assert len(await stored(nats_server, "S")) == 6


async def test_all_that_telegrafs_sample_sets_for_a_stream_is_taken(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    whole = {
        "name": "WHOLE",
        "subjects": ["telegraf", "more.>"],
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs_per_subject": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msg_size": -1,
        "storage": "file",
        "discard": "old",
        "num_replicas": 1,
        "duplicate_window": 120000000000,
        "sealed": False,
        "deny_delete": False,
        "deny_purge": False,
        "allow_rollup_hdrs": False,
        "allow_direct": True,
        "mirror_direct": False,
    }
    for said in ("is made", "is as it should be"):
        await publish(nats_server, metrics(1), jetstream=whole)
        assert f"the stream 'WHOLE' {said}" in caplog.text
    async with client(nats_server) as connection:
        config = (await connection.jetstream().stream_info("WHOLE")).config
    assert (config.duplicate_window, config.allow_direct) == (120, True)
    assert len(await stored(nats_server, "WHOLE")) == 2


async def test_what_goes_wrong_is_said_and_the_batch_is_kept(nats_server: NatsServer) -> None:
    existing = {"disable_stream_creation": True}
    none = {"name": "NONE", **existing}
    for server, table, message in (
        (nats_server, {"password": "wrong"}, "(?i)cannot connect to .*authorization violation"),
        (nats_server, {"secure": True}, "the server does not offer TLS"),
        (nats_server, {"jetstream": none}, "cannot write to the stream 'NONE': stream not found; make it"),
        (nats_server, {"jetstream": {"name": "S", "num_replicas": 3}}, "cannot make the stream 'S': replicas > 1 not"),
        (nats_server, {"nkey_seed": __file__}, "the Python library 'nkeys' is missing"),
    ):
        with pytest.raises(PyagentError, match=message):
            await publish(server, metrics(1), **table)
    await publish(nats_server, [], jetstream={"name": "FULL", "max_msgs": 2, "discard": "new"})
    with pytest.raises(Retry, match="cannot write to the stream 'FULL': maximum messages exceeded"):
        await publish(nats_server, metrics(3), jetstream={"name": "FULL"})
    with pytest.raises(PyagentError, match="cannot make the stream 'OTHER': subjects overlap with an existing stream"):
        await publish(nats_server, metrics(1), jetstream={"name": "OTHER"})
    async with client(nats_server) as connection:
        await connection.jetstream().add_stream(name="ELSE", subjects=["else.>"])
    with pytest.raises(Retry, match="expected stream does not match"):
        await publish(nats_server, metrics(1), subject="else.a", jetstream={"name": "FULL", **existing})


async def test_what_is_too_large_costs_no_others(nats_server: NatsServer) -> None:
    large = [*metrics(2), Metric("m", {}, {"n": 7, "text": "x" * 2_000_000}, 7)]
    with pytest.raises(PartialWrite, match="is larger than the server takes") as partial:
        await publish(nats_server, large, jetstream={"name": "S", "async_publish": True})
    assert partial.value.suspects == (2,)
    limits = {"name": "SMALL", "max_msg_size": 200}
    middle = [*metrics(2), Metric("m", {}, {"n": 7, "text": "x" * 1000}, 7)]
    with pytest.raises(PartialWrite, match="it is larger than the stream takes") as partial:
        await publish(nats_server, middle, subject="small", jetstream=limits)
    assert partial.value.suspects == (2,)
    with pytest.raises(Reject) as rejected:
        await publish(nats_server, large[2:], subject="small", jetstream=limits)
    assert rejected.value.indices == (0,)
    # A document is divided until its messages fit.
    await publish(
        nats_server, metrics(400, "y" * 10_000), subject="all", use_batch_format=True, jetstream={"name": "ALL"}
    )
    messages = await stored(nats_server, "ALL")
    assert len(messages) > 3
    assert sum(one.data.count(b"\n") for one in messages) == 400


@pytest.mark.parametrize("batches", [False, True])
async def test_what_was_stored_without_an_answer_is_sent_again_and_stored_once(
    nats_server: NatsServer, batches: bool
) -> None:
    async with Gate(nats_server.port) as gate:
        stream = {"name": "S", "async_publish": True, "async_ack_timeout": "200ms"}
        plugin = output(gate, use_batch_format=batches, jetstream=stream)
        await plugin.connect()
        first = make_batch(plugin, metrics(50))
        gate.open = False
        with pytest.raises(Retry, match="were not acknowledged within"):
            await write(plugin, first)
        gate.cut()
        with pytest.raises(NotConnected):
            await write(plugin, first)
        gate.open = True
        await plugin.connect()
        await write(plugin, make_batch(plugin, metrics(60)))  # more has come in meanwhile
        await write(plugin, first)  # gathered once more
        await plugin.close()
    messages = await stored(nats_server, "S")
    counts = Counter(number for one in messages for number in re.findall(rb"n=(\d+)i", one.data))
    assert sorted(counts.values()) == [1] * 10 + [2] * 50


CONFIG = """
[agent]
  flush_interval = "100ms"
  flush_jitter = "0s"
  buffer_strategy = "disk"
  omit_hostname = true
  skip_processors_after_aggregators = true
[[inputs.influxdb_v2_listener]]
  service_address = "127.0.0.1:{port}"
[[outputs.nats]]
  servers = ["{url}"]
  username = "mon"
  password = "monpw"
  use_batch_format = {batches}
  [outputs.nats.jetstream]
    name = "S"
    async_publish = true
"""


@pytest.mark.parametrize("batches", ["false", "true"])
async def test_after_kill_9_too_and_equal_metrics_that_came_twice_are_stored_twice(
    nats_server: NatsServer, tmp_path: Path, batches: str
) -> None:
    port = free_port()
    body = "".join(f"m n={n}i {n + 1}\n" for n in range(30)).encode()

    async def post() -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                head = f"POST /api/v2/write?bucket=b HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n")
                writer.close()
                assert b" 204 " in answer
                return

    async def until_stored(count: int) -> list[Any]:
        async with asyncio.timeout(DEADLINE):
            while True:
                messages = await stored(nats_server, "S")
                if sum(one.data.count(b"\n") for one in messages) >= count:
                    return messages
                await asyncio.sleep(0.05)

    async with Gate(nats_server.port) as gate:
        config = tmp_path / "agent.conf"
        config.write_text(CONFIG.format(port=port, url=gate.url, batches=batches))
        arguments = ("--config", str(config), "--state-directory", str(tmp_path / "state"))
        agent = await AgentProcess(*arguments).start()
        try:
            await post()
            await until_stored(30)
            await agent.logged("first batch of 30 metrics")
            gate.open = False
            await post()
            messages = await until_stored(60)  # the agent does not know it
            await agent.kill()
            gate.open = True
            agent = await AgentProcess(*arguments).start()
            await agent.logged("30 metrics that were not written before are restored")
            await agent.logged("first batch of 30 metrics")
            again = await stored(nats_server, "S")
        finally:
            await agent.kill()
    assert [one.seq for one in again] == [one.seq for one in messages]
    counts = Counter(number for one in again for number in re.findall(rb"n=(\d+)i", one.data))
    assert set(counts.values()) == {2}
    assert len({one.headers["Nats-Msg-Id"] for one in again}) == len(again)
