"""What does one gather of a page with 10,000 series cost, from the request to the bytes in an output's queue?

100 counters of 100 series each, three labels: 740 kB of Prometheus' text format. Another process serves the page over HTTP
on loopback; the CPU time is this process' alone: the request, the page, the metrics, the tag of the URL, the encoding.
"""

import argparse
import asyncio
import logging
import multiprocessing
import socket
import sys
import time
from typing import Any

from _report import Row, print_report, versions
from pyagent.api import Duration, Input, NoOptions, Output
from pyagent.config import InputPlan, OutputPlan
from pyagent.kit import exposition
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.pipeline.modifiers import Modifiers
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.testing import make_input
from pyagent_plugins.inputs.prometheus import Prometheus

FAMILIES, SERIES, ROUNDS = 100, 100, 25
TELEGRAF = "Telegraf 1.40: 64 ms (taken in another run)"
LOG = logging.getLogger("bench")
LOG.disabled = True


class Nowhere(Output[NoOptions]):
    async def write(self, batch: object) -> None:
        pass


def page() -> bytes:
    lines = []
    for family in range(FAMILIES):
        name = f"app_metric_{family}_total"
        lines.append(f"# HELP {name} Requests that were answered\n# TYPE {name} counter\n")
        lines += [
            f'{name}{{method="get",code="{200 + one % 5}",path="/api/v1/item/{one}"}} {one * 1.5 + family}\n'
            for one in range(SERIES)
        ]
    return "".join(lines).encode()


def serve(listening: socket.socket, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
    while True:
        connection, _ = listening.accept()
        while connection.recv(65536):
            connection.sendall(head.encode() + body)


async def gathers(port: int, version: int, rounds: int) -> list[float]:
    """ms of CPU for each."""
    plan: dict[str, Any] = {"name": "bench", "options": NoOptions(), "location": "bench", "identity": "bench"}
    second = Duration("1s")
    source = InputPlan(kind="inputs", plugin=Input, interval=second, precision=second, **plan)
    output = RunningOutput(
        OutputPlan(
            kind="outputs", plugin=Nowhere, flush_interval=second, queue_id="b", metric_buffer_limit=20_000, **plan
        ),
        Nowhere(NoOptions(), LOG),
        log=LOG,
    )
    fanout, modifiers = Fanout([output]), Modifiers(source, {"host": "here"}, log=LOG)
    acc = InputAccumulator(Prometheus.measurements)
    plugin = make_input(Prometheus, {"urls": [f"http://127.0.0.1:{port}/metrics"], "metric_version": version})
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        await plugin.gather(acc)
        fanout.deliver(*modifiers.without_tags(acc.drain(), 10**9))
        times.append((time.process_time() - begun) * 1e3)
        if len(output.queue) != FAMILIES * SERIES:
            raise SystemExit(f"{len(output.queue)} metrics are in the queue")
        output.queue.evict(FAMILIES * SERIES)
    await plugin.stop()
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"gathers (default {ROUNDS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    body = page()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = multiprocessing.get_context("fork").Process(target=serve, args=(listening, body), daemon=True)
        server.start()
        try:
            port = listening.getsockname()[1]
            times = {version: asyncio.run(gathers(port, version, given.rounds)) for version in (1, 2)}
        finally:
            server.kill()
            server.join()
    alone = []
    for _ in range(given.rounds):
        begun = time.process_time()
        exposition.read(body, 1, 1)
        alone.append((time.process_time() - begun) * 1e3)
    rows = [
        Row.of("metric_version = 1: CPU", "ms", times[1], limit=64, goal=30, beside=TELEGRAF),
        Row.of("metric_version = 2: CPU", "ms", times[2], limit=64, goal=30),
        Row.of(f"of that, reading the page ({exposition.implementation})", "ms", alone),
    ]
    return print_report("What does a page of 10,000 series cost?", rows, versions("aiohttp"), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
