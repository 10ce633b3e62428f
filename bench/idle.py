"""What an agent costs that does its daily work: resident memory, and CPU time over a minute.

One agent after the other gathers every 10 s and writes to an embedded server (`--url`: whatever the hosted configuration
at that URL says, with the token in INFLUX_TOKEN): memory alone, then memory and PostgreSQL. Measuring begins when the first
point is stored and the agent has settled. Memory is read every second (RSS; PSS, where pages that processes share count
in parts), CPU time over each interval of 10 s.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from _processes import cpu_seconds, embedded_influxdb, first_point, memory, running
from _report import Row, print_report, versions
from pyagent.cli.demo_processes import BUCKET, MEM, postgresql_section, program
from pyagent.testing.servers import PostgresServer, ServerMissing

INTERVAL = 10
SETTLE = 12.0
"""Seconds from the first point on: the second gather and write are then over, and what they load is loaded."""
CPU_LIMIT = 0.15
TELEGRAF_MEMORY = "Telegraf 1.40: 157 MiB (taken in another run)"
TELEGRAF_CPU = "Telegraf 1.40: 0.13 % (taken in another run)"


@dataclass(slots=True)
class Cost:
    rss: list[float] = field(default_factory=list)
    """MiB, once a second."""
    pss: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Per cent of one core, over each interval."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="how long to measure each agent (default 60)")
    parser.add_argument("--url", help="measure an agent with this hosted configuration instead")
    parser.add_argument("--telegraf", metavar="PATH", help="measure this Telegraf beside it, the same way")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    rows: list[Row] = []
    with ExitStack() as stack:
        if given.url:
            rows += _compare("the configuration", given)
        else:
            rows += _compare("mem", given, MEM, limit=48, goal=44)
            try:
                server = stack.enter_context(PostgresServer())
            except ServerMissing as error:
                print(f"mem + postgresql is left out: {error}", file=sys.stderr)
            else:
                text = MEM + postgresql_section(server.address)
                # Telegraf's recorded figures are of this configuration.
                beside = (TELEGRAF_MEMORY, TELEGRAF_CPU)
                rows += _compare("mem + postgresql", given, text, limit=60, goal=54, beside=beside)
    used = versions("aiohttp", "uvloop", "msgspec", "psycopg")
    if given.telegraf:
        used["telegraf"] = subprocess.check_output([given.telegraf, "--version"], text=True).split()[1]
    return print_report("What does an agent cost that gathers every 10 s?", rows, used, as_json=given.json)


def _compare(
    what: str,
    given: argparse.Namespace,
    text: str = "",
    *,
    limit: float | None = None,
    goal: float | None = None,
    beside: tuple[str, str] = ("", ""),
) -> list[Row]:
    pss = ""
    if given.telegraf:
        other = _cost([given.telegraf], given, text)
        beside = (f"Telegraf: {median(other.rss):.0f} MiB", f"Telegraf: {median(other.cpu):.3f} %")
        pss = f"Telegraf: {median(other.pss):.0f} MiB"
    own = _cost(program(), given, text)
    return [
        Row.of(f"{what}: resident memory (RSS)", "MiB", own.rss, limit=limit, goal=goal, beside=beside[0]),
        Row.of(f"{what}: its share of it (PSS)", "MiB", own.pss, beside=pss),
        Row.of(f"{what}: CPU", "% of a core", own.cpu, limit=CPU_LIMIT, beside=beside[1]),
    ]


def _cost(command: Sequence[str], given: argparse.Namespace, text: str) -> Cost:
    if given.url:
        token = os.environ.get("INFLUX_TOKEN", "")
        with running([*command, "--config", given.url], {"INFLUX_TOKEN": token}) as process:
            time.sleep(SETTLE)
            return _watch(process, given.seconds)
    # A server of its own, so that the first point is this agent's.
    with embedded_influxdb() as influxdb:
        made = influxdb.create_configuration("idle", BUCKET, text, plugin="mem")
        with running([*command, "--config", made.url], {"INFLUX_TOKEN": made.token}) as process:
            if first_point(influxdb, process) is None:
                raise SystemExit(f"cannot measure {command[0]}: no point came")
            time.sleep(SETTLE)
            return _watch(process, given.seconds)


def _watch(process: subprocess.Popen[bytes], seconds: int) -> Cost:
    cost = Cost()
    before = cpu_seconds(process.pid)
    start = time.monotonic()
    for second in range(1, seconds + 1):
        time.sleep(max(0.0, start + second - time.monotonic()))
        if process.poll() is not None:
            break  # `running` shows why
        now = memory(process.pid)
        cost.rss.append(now.rss)
        cost.pss.append(now.pss)
        if second % INTERVAL == 0 or second == seconds < INTERVAL:
            used = cpu_seconds(process.pid)
            cost.cpu.append((used - before) / min(INTERVAL, seconds) * 100)
            before = used
    if not cost.cpu:
        raise SystemExit("the agent ended by itself")
    return cost


if __name__ == "__main__":
    sys.exit(main())
