"""What does a line of statsd cost over TCP, from the socket to the gather?

500,000 lines of 400 series with Datadog's tags, two thirds counters and one third timings, from another process over loopback;
the CPU time is this process' alone, with the gather at the end.
"""

import argparse
import asyncio
import multiprocessing
import random
import socket
import sys
import time

from _report import Row, print_report, versions
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.statsd import Statsd

LINES, TIMES, ROUNDS = 50_000, 10, 7
TELEGRAF = "Telegraf 1.40: 1.3 µs (taken in another run)"


def text() -> bytes:
    draw = random.Random(3)
    return "".join(
        f"app.requests.{one % 200}:{draw.randrange(100)}|{'c' if one % 3 else 'ms'}|#host:h{one % 10},code:200\n"
        for one in range(LINES)
    ).encode()


def send(port: int, lines: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(TIMES):
            connection.sendall(lines)


async def received(lines: bytes) -> float:
    """µs of CPU for each line."""
    acc = InputAccumulator(Statsd.measurements)
    plugin = make_input(
        Statsd,
        {"protocol": "tcp", "service_address": "127.0.0.1:0", "datadog_extensions": True, "delete_timings": False},
    )
    await plugin.start(acc)
    sender = multiprocessing.get_context("fork").Process(target=send, args=(plugin._server.port, lines))
    sender.start()
    begun = time.process_time()
    await asyncio.to_thread(sender.join)
    await asyncio.sleep(0.2)  # for what is on its way
    await plugin.gather(acc)
    spent = time.process_time() - begun
    await plugin.stop()
    counted = sum(int(metric.fields.get("value", metric.fields.get("count", 0)) > 0) for metric in acc.drain())
    if counted != 400:
        raise SystemExit(f"{counted} series came, not 400")
    return spent / (LINES * TIMES) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds (default {ROUNDS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    lines = text()
    times = [asyncio.run(received(lines)) for _ in range(given.rounds)]
    rows = [Row.of("a line over TCP: CPU", "µs", times, limit=1.3, goal=0.7, beside=TELEGRAF)]
    return print_report("What does a line of statsd cost?", rows, versions(), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
