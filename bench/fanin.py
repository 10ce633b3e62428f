"""What does the way through a stream of JetStream cost, and what do more consuming agents give?

Lines of 4 tags and 8 fields (about 255 bytes, each a series of its own) come to a writing agent by HTTP, which keeps them
on disk (`buffer_strategy = "disk"`) and publishes them (`outputs.nats`): in batches of 1,000, or a message for each
line. Then consuming agents that share one durable consumer (`inputs.nats_consumer`, on disk as well) read them from the
stream and write them to a receiver that only counts, over HTTP. CPU time is each agent's own, from the first line to the last;
the time that it takes is that of all together on this machine, the servers and the receiver included.

The stream is kept by one nats-server, or with --cluster by three, with three replicas.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _processes import cpu_seconds, running
from _relaying import Receiver, _answers, _until, receiver, send
from _report import Row, print_report, versions
from pyagent.cli.demo_processes import program
from pyagent.testing.servers import NatsCluster, NatsServer, free_port

LINES, RUNS = 200_000, 3
_AGENT = """
[agent]
  flush_interval = "1s"
  omit_hostname = true
  buffer_strategy = "disk"
  metric_buffer_limit = 10000000
  skip_processors_after_aggregators = true
"""
_WRITER = """
[[inputs.influxdb_v2_listener]]
  service_address = "127.0.0.1:{port}"
[[outputs.nats]]
  servers = {servers}
  username = "mon"
  password = "monpw"
  subject = "lines"
  use_batch_format = {batches}
  [outputs.nats.jetstream]
    name = "LINES"
    num_replicas = {replicas}
    async_publish = true
    async_ack_timeout = "30s"
"""
_CONSUMER = """
[[inputs.nats_consumer]]
  servers = {servers}
  username = "mon"
  password = "monpw"
  subjects = []
  jetstream_subjects = ["lines"]
  max_undelivered_messages = {most}
[[outputs.influxdb_v2]]
  urls = ["http://127.0.0.1:{target}"]
  token = "bench"
  organization = "bench"
  bucket = "bench"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=LINES, help=f"lines (default {LINES:,})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each (default {RUNS})")
    parser.add_argument(
        "--consumers", type=int, nargs="+", default=[1, 2], metavar="N", help="agents (default 1 and 2)"
    )
    parser.add_argument("--cluster", action="store_true", help="three servers, three replicas")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()
    rows: list[Row] = []
    kept = "three replicas" if given.cluster else "one server"
    for batches, what in ((True, "messages of 1,000 lines"), (False, "a message for each line")):
        writes: list[tuple[float, float]] = []
        reads: dict[int, list[tuple[float, float]]] = {count: [] for count in given.consumers}
        for _ in range(given.runs):
            with _stream(given.cluster) as servers:
                writes.append(_write(servers, given.lines, batches, 3 if given.cluster else 1))
                for count in given.consumers:
                    reads[count].append(_read(servers, given.lines, batches, count))
                    asyncio.run(_rewind(servers))
        label = f"{what}, {kept}"
        rows += [
            Row.of(f"{label}: writing agent, CPU of a line", "µs", [1e6 * cpu / given.lines for cpu, _ in writes]),
            Row.of(f"{label}: writing agent, lines", "/s", [given.lines / seconds for _, seconds in writes]),
        ]
        for count, found in reads.items():
            agents = f"{count} consuming agent{'s' * (count > 1)}"
            rows += [
                Row.of(f"{label}: {agents}, CPU of a line", "µs", [1e6 * cpu / given.lines for cpu, _ in found]),
                Row.of(f"{label}: {agents}, lines", "/s", [given.lines / seconds for _, seconds in found]),
            ]
    return print_report("What does a stream between cost?", rows, versions("nats-py", "uvloop"), as_json=given.json)


@contextmanager
def _stream(cluster: bool) -> Iterator[list[str]]:
    if cluster:
        with NatsCluster() as nodes:
            yield nodes.urls
    else:
        with NatsServer() as server:
            yield [server.url]


@contextmanager
def _agent(text: str, **values: object) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="pyagent-bench-") as folder:
        config = Path(folder, "agent.conf")
        config.write_text(_AGENT + text.format(**values))
        command = [*program(), "--config", str(config), "--state-directory", f"{folder}/state"]
        with running(command, {}) as process:
            if port := values.get("port"):
                _until(lambda: _answers(f"http://127.0.0.1:{port}/ping"), process, "the agent does not listen")
            yield process.pid


def _write(servers: Sequence[str], lines: int, batches: bool, replicas: int) -> tuple[float, float]:
    """CPU seconds of the agent, and seconds until the stream has all."""
    port = free_port()
    values = {"servers": list(servers), "batches": str(batches).lower(), "replicas": replicas, "port": port}
    with _agent(_WRITER, **values) as pid:
        before, start = cpu_seconds(pid), time.monotonic()
        send(f"http://127.0.0.1:{port}/api/v2/write?bucket=bench&org=bench", lines)
        asyncio.run(_until_stored(servers, lines))
        return cpu_seconds(pid) - before, time.monotonic() - start


def _read(servers: Sequence[str], lines: int, batches: bool, count: int) -> tuple[float, float]:
    """CPU seconds of all the agents, and seconds until the receiver has all."""
    with ExitStack() as stack:
        target: Receiver = stack.enter_context(receiver(free_port()))
        start = time.monotonic()
        values = {"servers": list(servers), "target": target.port, "most": 50 if batches else 10_000}
        pids = [stack.enter_context(_agent(_CONSUMER, **values)) for _ in range(count)]
        before = 0.0
        while not (arrived := target.counts()["distinct"]):  # what it takes to start an agent is another question
            before, start = sum(map(cpu_seconds, pids)), time.monotonic()
            time.sleep(0.005)
        if (arrived := target.wait(lines)) != lines:
            raise SystemExit(f"{lines - arrived} of {lines} lines did not arrive")
        return sum(map(cpu_seconds, pids)) - before, time.monotonic() - start


async def _until_stored(servers: Sequence[str], lines: int) -> None:
    from nats.aio.client import Client

    client = Client()
    await client.connect(list(servers), user="mon", password="monpw")
    try:
        jetstream = client.jetstream()
        found, last = 0, 0
        while found < lines:
            state = (await jetstream.stream_info("LINES")).state
            for number in range(last + 1, state.last_seq + 1) if lines // 100 > state.messages else ():
                found += ((await jetstream.get_msg("LINES", number)).data or b"").count(b"\n")
                last = number
            found = max(found, state.messages)
            await asyncio.sleep(0.01)
    finally:
        await client.close()


async def _rewind(servers: Sequence[str]) -> None:
    """The next ones read it all once more."""
    from nats.aio.client import Client

    client = Client()
    await client.connect(list(servers), user="mon", password="monpw")
    await client.jetstream().delete_consumer("LINES", "telegraf_consumers")
    await client.close()


if __name__ == "__main__":
    sys.exit(main())
