"""How long until it runs: `pyagent --version`, and from an agent's start to its first point stored.

The command is run RUNS times, a bare Python beside it each time. The agents, POINTS of them, start one after the other with
the configuration of InfluxDB's page for Memory, each against an embedded server of its own; "stored" is when a query sees
the point (asked every 10 ms). Starts are spread over the ten seconds of an interval, because an agent that starts just before
a tick waits for that tick.

A start beside MORE plugins on disk that no configuration names is compared with one without them: CPU time of
`pyagent --test`, and the resident memory of an agent.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _processes import embedded_influxdb, first_point, memory, running
from _report import Row, print_report, versions
from pyagent.cli.demo_processes import BUCKET, MEM, program

RUNS, POINTS = 30, 5
MORE = 100
SETTLE = 3.0
INTERVAL = 10.0
TELEGRAF = "Telegraf 10 to 20 s (taken in another run)"


_PLUGIN = '''
from pyagent.api import Accumulator, Input


class More(Input):
    """Nobody configures it."""

    def gather(self, acc: Accumulator) -> None:
        acc.add("more", {"value": 1})
'''


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
    rows += _with_more_on_disk(given.runs)
    if given.points:
        points = [_first_point(INTERVAL * index / given.points) for index in range(given.points)]
        rows.append(Row.of("agent's start to first point stored", "s", points, limit=1, beside=TELEGRAF))
    return print_report("How long until it runs?", rows, versions("aiohttp", "uvloop"), as_json=given.json)


def _milliseconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - start) * 1000


def _with_more_on_disk(runs: int) -> list[Row]:
    """What MORE plugins cost that nobody asks for: differences to the same start without them."""
    milliseconds, mebibytes = [], []
    with tempfile.TemporaryDirectory(prefix="pyagent-bench-") as folder:
        configuration, none, more = (Path(folder, name) for name in ("mem.conf", "none", "more"))
        configuration.write_text(f"{MEM}[[outputs.discard]]\n")
        none.mkdir()
        more.mkdir()
        for number in range(MORE):
            (more / f"more{number}.py").write_text(_PLUGIN)
        command = [*program(), "--config", str(configuration), "--quiet"]
        for _ in range(runs):
            without, beside = (_cpu_of_a_test(command, plugins) for plugins in (none, more))
            milliseconds.append((beside - without) * 1000)
        for _ in range(max(1, runs // 10)):
            mebibytes.append(_memory_of_an_agent(command, more) - _memory_of_an_agent(command, none))
    return [
        Row.of(f"{MORE} plugins more on disk: CPU time of a start", "ms", milliseconds, goal=1),
        Row.of(f"{MORE} plugins more on disk: resident memory", "MiB", mebibytes, goal=1),
    ]


def _cpu_of_a_test(command: list[str], plugins: Path) -> float:
    """Seconds."""
    environment = {**os.environ, "PYAGENT_PLUGIN_DIRECTORY": str(plugins)}
    process = subprocess.Popen(
        [*command, "--test"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"cannot measure a start: status {process.returncode}")
    return used.ru_utime + used.ru_stime


def _memory_of_an_agent(command: list[str], plugins: Path) -> float:
    """MiB, once it has settled."""
    with running(command, {"PYAGENT_PLUGIN_DIRECTORY": str(plugins)}) as process:
        time.sleep(SETTLE)
        return memory(process.pid).rss


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
