"""How long until it runs: `pyagent --version`, and from an agent's start to its first point stored.

The command is run RUNS times, a bare Python beside it each time. The agents, POINTS of them, start one after the other with
the configuration of InfluxDB's page for Memory, each against an embedded server of its own; "stored" is when a query sees
the point (asked every 10 ms). Starts are spread over the ten seconds of an interval, because an agent that starts just before
a tick waits for that tick.
"""

import argparse
import subprocess
import sys
import time

from _processes import embedded_influxdb, first_point, running
from _report import Row, print_report, versions
from pyagent.cli.demo_processes import BUCKET, MEM, program

RUNS, POINTS = 30, 5
INTERVAL = 10.0
TELEGRAF = "Telegraf 10 to 20 s (taken in another run)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of --version (default {RUNS})")
    parser.add_argument("--points", type=int, default=POINTS, help=f"starts of an agent (default {POINTS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    version, bare = [], []
    for _ in range(given.runs):
        bare.append(_milliseconds([sys.executable, "-c", "pass"]))
        version.append(_milliseconds([*program(), "--version"]))
    rows = [
        Row.of("pyagent --version", "ms", version, limit=60),
        Row.of("python -c pass, for comparison", "ms", bare),
    ]
    if given.points:
        points = [_first_point(INTERVAL * index / given.points) for index in range(given.points)]
        rows.append(Row.of("agent's start to first point stored", "s", points, limit=1, beside=TELEGRAF))
    return print_report("How long until it runs?", rows, versions("aiohttp", "uvloop"), as_json=given.json)


def _milliseconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - start) * 1000


def _first_point(phase: float) -> float:
    """Seconds; the agent starts `phase` seconds after a multiple of the interval."""
    with embedded_influxdb() as influxdb:
        made = influxdb.create_configuration("ram", BUCKET, MEM, plugin="mem")
        time.sleep((phase - time.time()) % INTERVAL)
        with running([*program(), "--config", made.url], {"INFLUX_TOKEN": made.token}) as process:
            seconds = first_point(influxdb, process)
    if seconds is None:
        raise SystemExit("cannot measure the first point: none came")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
