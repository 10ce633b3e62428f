"""What does a backlog cost, and getting rid of it?

The server is down while lines come by HTTP (`influxdb_v2_listener`) into a buffer that has room for all. When all are in
it, the resident memory is read; then the server comes up, and the CPU time until its last line is there is counted. Each
line is a series of its own: 4 tags, 8 fields and a time, about 255 bytes.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass

from _relaying import receiver, relaying, send
from _report import Row, print_report, versions
from pyagent.cli.demo_processes import program
from pyagent.testing.servers import free_port

LINES, RUNS = 1_000_000, 3
SETTLE = 3.0
TELEGRAF = "Telegraf 1.40: 1,520 MiB (taken in another run)"


@dataclass(slots=True)
class Cost:
    resident: float
    peak: float
    filling: float
    draining: float
    seconds: float
    lost: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=LINES, help=f"metrics to hold (default {LINES:,})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs (default {RUNS})")
    parser.add_argument("--telegraf", metavar="PATH", help="measure this Telegraf beside it, the same way")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    used = versions("aiohttp", "uvloop", "isal")
    memory, drained = TELEGRAF, ""
    if given.telegraf:
        used["telegraf"] = subprocess.check_output([given.telegraf, "--version"], text=True).split()[1]
        others = sorted(
            (_hold([given.telegraf], given.lines) for _ in range(given.runs)), key=lambda cost: cost.resident
        )
        middle = others[len(others) // 2]
        memory, drained = f"Telegraf: {middle.resident:.0f} MiB", f"Telegraf: {middle.draining:.1f} s"
    runs = [_hold(program(), given.lines) for _ in range(given.runs)]
    label = f"backlog of {given.lines:,}"
    rows = [
        Row.of(f"{label}: resident memory", "MiB", [run.resident for run in runs], goal=150, beside=memory),
        Row.of(f"{label}: peak memory", "MiB", [run.peak for run in runs]),
        Row.of(f"{label}: CPU to take it", "s", [run.filling for run in runs]),
        Row.of(f"{label}: CPU to drain it", "s", [run.draining for run in runs], beside=drained),
        Row.of(f"{label}: time to drain it", "s", [run.seconds for run in runs]),
        Row.of(f"{label}: lost", "metrics", [run.lost for run in runs], limit=0),
    ]
    return print_report("What does a backlog cost?", rows, used, as_json=given.json)


def _hold(command: list[str], lines: int) -> Cost:
    port = free_port()
    with relaying(command, port, limit=lines) as agent:
        empty = agent.cpu
        send(agent.url, lines)
        filled = agent.cpu
        time.sleep(SETTLE)
        resident, peak, before = agent.memory("VmRSS"), agent.memory("VmHWM"), agent.cpu
        with receiver(port) as target:
            # It asks again when its pause is over.
            while not target.counts()["distinct"]:
                time.sleep(0.01)
            start = time.monotonic()
            arrived = target.wait(lines)
            seconds = time.monotonic() - start
            draining = agent.cpu - before
    return Cost(resident, peak, filled - empty, draining, seconds, lines - arrived)


if __name__ == "__main__":
    sys.exit(main())
