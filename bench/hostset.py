"""What does one gather of the host inputs cost: cpu, disk, diskio, kernel, mem, net, processes, swap and system?

One agent gathers all nine every second and throws the metrics away (`outputs.discard`). CPU time is that of the whole process,
everything between two gathers included, over each five of them; memory is read with it. `--each` measures every input by itself
as well, inside this process: CPU time of one gather without an agent, when code and data are near.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _processes import cpu_seconds, memory, running
from _report import Row, print_report, versions
from pyagent.api import Input
from pyagent.cli.demo_processes import program
from pyagent.config.registry import Registry
from pyagent.testing import gather, make_input

NAMES = ("cpu", "disk", "diskio", "kernel", "mem", "net", "processes", "swap", "system")
SETTLE = 4.0
"""Seconds: the first gathers load what they need."""
TURN = 5
"""Gathers of one figure."""
ROUNDS, GATHERS = 7, 20
"""Figures of an input by itself, and gathers of each."""
TELEGRAF = ("Telegraf 1.40: 9.5 ms (taken in another run)", "Telegraf 1.40: 191 MiB (taken in another run)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30, help="how long to measure an agent (default 30)")
    parser.add_argument("--each", action="store_true", help="measure every input by itself as well")
    parser.add_argument("--telegraf", metavar="PATH", help="measure this Telegraf beside it, the same way")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    used = versions("uvloop", "msgspec")
    beside = TELEGRAF
    if given.telegraf:
        used["telegraf"] = subprocess.check_output([given.telegraf, "--version"], text=True).split()[1]
        other_cpu, other_rss = _agent([given.telegraf], given.seconds)
        beside = (f"Telegraf: {min(other_cpu):.1f} ms at best", f"Telegraf: {max(other_rss):.0f} MiB")
    cpu, rss = _agent(program(), given.seconds)
    rows = [
        Row.of("nine host inputs, one gather: CPU", "ms", cpu, limit=9.5, goal=5, beside=beside[0]),
        Row.of("nine host inputs: resident memory", "MiB", rss, limit=52, goal=48, beside=beside[1]),
    ]
    if given.each:
        rows += [Row.of(f"{name} alone, one gather", "ms", asyncio.run(_input(name))) for name in NAMES]
    return print_report("What does one gather of the host inputs cost?", rows, used, as_json=given.json)


def _agent(command: Sequence[str], seconds: int) -> tuple[list[float], list[float]]:
    """CPU time of a gather in ms, and MiB that are resident."""
    text = '[agent]\n  interval = "1s"\n  flush_interval = "1s"\n  skip_processors_after_aggregators = true\n'
    text += "[[outputs.discard]]\n" + "".join(f"[[inputs.{name}]]\n" for name in NAMES)
    cpu: list[float] = []
    rss: list[float] = []
    with tempfile.TemporaryDirectory(prefix="pyagent-bench-") as folder:
        path = Path(folder) / "host.conf"
        path.write_text(text)
        with running([*command, "--config", str(path)], {}) as process:
            time.sleep(SETTLE)
            for _ in range(max(seconds // TURN, 1)):
                before, start = cpu_seconds(process.pid), time.monotonic()
                time.sleep(TURN)
                cpu.append((cpu_seconds(process.pid) - before) / (time.monotonic() - start) * 1000)
                rss.append(memory(process.pid).rss)
    return cpu, rss


async def _input(name: str) -> list[float]:
    kind = Registry().find("inputs", name).plugin
    assert issubclass(kind, Input)
    plugin = make_input(kind)
    times: list[float] = []
    try:
        await gather(plugin)
        for _ in range(ROUNDS):
            before = time.process_time()
            for _ in range(GATHERS):
                await gather(plugin)
            times.append((time.process_time() - before) / GATHERS * 1000)
    finally:
        await plugin.stop()
    return times


if __name__ == "__main__":
    sys.exit(main())
