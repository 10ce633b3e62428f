"""What does an agent cost that stands between writers and a server?

Lines come by HTTP in bodies of 5,000 (`influxdb_v2_listener`) and leave by HTTP, compressed by gzip, in batches of 5,000
(`influxdb_v2`). Each line is a series of its own: 4 tags, 8 fields (4 floats of full precision, 3 integers, 1 string) and a
time, about 255 bytes. The receiver only counts, and knows each line, so that what is lost is seen. Once with room for all lines
in the buffer, and once at the default metric_buffer_limit (10,000): then the writers are held up, and refused by 429, which
they honour.

CPU time is counted from the first byte sent to the last line received; memory is the most that was ever resident. vmagent
(Debian: victoria-metrics) gets the same lines; it makes of each number field a sample and writes those.
"""

import argparse
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

from _relaying import Agent, Receiver, receiver, relaying, send, vmagent
from _report import Row, print_report, versions
from pyagent.cli.demo_processes import program
from pyagent.testing.servers import free_port

LINES, RUNS = 1_000_000, 3
TELEGRAF = ("Telegraf 1.40: 10.2 s (taken in another run)", "Telegraf 1.40: 1,400 MiB (taken in another run)")
TELEGRAF_LOST = "Telegraf 1.40 with a buffer of 200,000: 525,000 (taken in another run)"


@dataclass(slots=True)
class Cost:
    cpu: float
    peak: float
    lost: int
    seconds: float
    refusals: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=LINES, help=f"lines to relay (default {LINES:,})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each (default {RUNS})")
    parser.add_argument("--telegraf", metavar="PATH", help="measure this Telegraf beside it, the same way")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    used = versions("aiohttp", "uvloop", "isal")
    if given.telegraf:
        used["telegraf"] = subprocess.check_output([given.telegraf, "--version"], text=True).split()[1]
    peer = shutil.which("vmagent")
    if peer is None:
        print("vmagent is left out: apt install victoria-metrics", file=sys.stderr)

    rows: list[Row] = []
    for what, limit in (("a buffer for all", given.lines), ("the default buffer", None)):
        runs = [_relay(program(), given.lines, limit) for _ in range(given.runs)]
        cpu, memory, lost = *TELEGRAF, TELEGRAF_LOST
        if given.telegraf:
            others = [_relay([given.telegraf], given.lines, limit) for _ in range(given.runs)]
            middle = sorted(others, key=lambda cost: cost.cpu)[len(others) // 2]
            cpu, memory, lost = (
                f"Telegraf: {middle.cpu:.1f} s",
                f"Telegraf: {middle.peak:.0f} MiB",
                f"Telegraf: {middle.lost:,}",
            )
        if peer and limit:
            costs = sorted(_relay_by_vmagent(peer, given.lines) for _ in range(given.runs))
            cpu += f", vmagent: {costs[len(costs) // 2][0]:.1f} s"
            memory += f", vmagent: {costs[len(costs) // 2][1]:.0f} MiB"
        full = given.lines == LINES
        label = f"relay {given.lines:,} lines, {what}"
        rows += [
            Row.of(f"{label}: CPU", "s", [run.cpu for run in runs], goal=2.5 if full else None, beside=cpu),
            Row.of(f"{label}: peak memory", "MiB", [run.peak for run in runs], goal=200, beside=memory),
            Row.of(f"{label}: lost", "lines", [run.lost for run in runs], limit=0, beside=lost),
            Row.of(f"{label}: time", "s", [run.seconds for run in runs]),
            Row.of(f"{label}: refused by 429", "bodies", [run.refusals for run in runs]),
        ]
    return print_report("What does it cost to relay?", rows, used, as_json=given.json)


def _relay(command: list[str], lines: int, limit: int | None) -> Cost:
    with receiver(free_port()) as target, relaying(command, target.port, limit=limit) as agent:
        return _cost(agent, target, lines)


def _cost(agent: Agent, target: Receiver, lines: int) -> Cost:
    before, start = agent.cpu, time.monotonic()
    sent = send(agent.url, lines)
    arrived = target.wait(lines)
    seconds = time.monotonic() - start
    return Cost(agent.cpu - before, agent.memory("VmHWM"), lines - arrived, seconds, sent.refusals)


def _relay_by_vmagent(peer: str, lines: int) -> tuple[float, float]:
    with receiver(free_port()) as target, vmagent(peer, target.port) as agent:
        before = agent.cpu
        send(agent.url, lines)
        target.wait_quiet()
        return agent.cpu - before, agent.memory("VmHWM")


if __name__ == "__main__":
    sys.exit(main())
