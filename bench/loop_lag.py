"""How long does an input hold up the loop that all else of the agent runs on?

All inputs of this host gather at once every second, as the engine runs them: those that are `async` on the loop, the others in
a thread each. A heartbeat on the loop says how late it comes, over each second; it is late for any reason, also as a thread has
the interpreter or as the machine has other work. Beside it, the longest that one input kept the loop at a stretch: the work of
the loop's thread in it, whatever else the machine does. Inputs that cannot be set up here are left out, and named.
"""

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from statistics import median
from typing import Any

from _report import Row, print_report, versions
from pyagent.api import ConfigError, Input
from pyagent.config import Plan, SourceText, create_plugin, load_plan
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.schedule import SystemClock
from pyagent.pipeline.turns import Turns

NAMES = (
    "apcupsd",
    "bcache",
    "bond",
    "cgroup",
    "chrony",
    "conntrack",
    "cpu",
    "disk",
    "diskio",
    "dns_query",
    "http_response",
    "hugepages",
    "interrupts",
    "kernel",
    "kernel_vmstat",
    "linux_cpu",
    "linux_sysctl_fs",
    "lustre2",
    "mdstat",
    "mem",
    "net",
    "net_response",
    "netstat",
    "nfsclient",
    "nstat",
    "ntpq",
    "ping",
    "processes",
    "procstat",
    "sensors",
    "slab",
    "smart",
    "socketstat",
    "swap",
    "synproxy",
    "system",
    "temp",
    "timex",
    "upsd",
    "wireless",
    "zfs",
)
OPTIONS = {
    "cgroup": 'paths = ["/sys/fs/cgroup/*"]',
    "conntrack": 'collect = ["all", "percpu"]',
    "cpu": "core_tags = true",
    "dns_query": 'servers = ["127.0.0.1"]\n  timeout = "100ms"',
    "http_response": 'urls = ["http://127.0.0.1:1"]',
    "kernel": 'collect = ["psi"]',
    "linux_cpu": 'metrics = ["cpufreq"]',
    "net_response": 'protocol = "tcp"\n  address = "127.0.0.1:1"',
    "ping": 'urls = ["127.0.0.1"]\n  method = "native"\n  count = 1',
    "procstat": 'pattern = "."\n  pid_finder = "native"',
}
BEAT = 0.001
SETTLE = 3
"""Seconds: the first gathers load what they need."""
LIMIT = 5.0
SHOWN = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="how long to measure (default 20)")
    parser.add_argument("--processes", type=int, default=300, help="so many more processes on this host (default 300)")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()
    logging.disable()
    more = [subprocess.Popen(["sleep", "600"]) for _ in range(given.processes)]
    try:
        idle = asyncio.run(_idle(given.seconds))
        lags, steps, left_out = asyncio.run(_measured(given.seconds))
    finally:
        for process in more:
            process.kill()
            process.wait()
    if left_out:
        print(f"left out, as they cannot be set up here: {', '.join(left_out)}", file=sys.stderr)
    longest = sorted(steps, key=lambda name: -median(steps[name]))[:SHOWN]
    rows = [
        Row.of("the heartbeat of a loop without inputs: late by, at the most", "ms", idle),
        Row.of(
            f"the heartbeat of the loop, {len(NAMES) - len(left_out)} inputs: late by, at the most",
            "ms",
            lags,
        ),
        *(Row.of(f"{name}: on the loop at a stretch, CPU", "ms", steps[name], limit=LIMIT) for name in longest),
    ]
    used = versions("uvloop", "msgspec")
    return print_report("How long does an input hold up the loop?", rows, used, as_json=given.json)


async def _measured(seconds: int) -> tuple[list[float], dict[str, list[float]], list[str]]:
    """The lag of each second, and of each input that runs on the loop the longest step of each gather, ms."""
    clock, steps, left_out = SystemClock(), dict[str, list[float]](), list[str]()
    runners = []
    turns = Turns()
    for name in NAMES:
        plan = await asyncio.to_thread(_plan, name)
        log = logging.getLogger(name)
        try:
            plugin = create_plugin(plan.inputs[0], log)
        except ConfigError:
            left_out.append(name)
            continue
        assert isinstance(plugin, Input)
        _watch(plugin, name, steps)
        sink = Fanout([])
        runners.append(
            RunningInput(plan.inputs[0], plugin, global_tags={}, sink=sink, clock=clock, log=log, turns=turns)
        )
    tasks = [asyncio.create_task(runner.run()) for runner in runners]
    await asyncio.sleep(SETTLE)
    for values in steps.values():
        values.clear()
    lags = [await _lag() for _ in range(seconds)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(runner.stop(1.0) for runner in runners))
    return lags, {name: values for name, values in steps.items() if values}, left_out


async def _idle(seconds: int) -> list[float]:
    return [await _lag() for _ in range(seconds)]


async def _lag() -> float:
    """How late a heartbeat of this second came, at the most, ms."""
    longest, end = 0.0, time.perf_counter() + 1.0
    while (start := time.perf_counter()) < end:
        await asyncio.sleep(BEAT)
        longest = max(longest, time.perf_counter() - start - BEAT)
    return longest * 1000


def _plan(name: str) -> Plan:
    text = f'[agent]\n  interval = "1s"\n[[inputs.{name}]]\n  {OPTIONS.get(name, "")}\n'
    return load_plan([SourceText("bench", text)], environ=dict(os.environ), partial=True)


def _watch(plugin: Input[Any], name: str, steps: dict[str, list[float]]) -> None:
    if not asyncio.iscoroutinefunction(type(plugin).gather):
        return
    gather: Callable[[Any], Any] = plugin.gather
    plugin.gather = lambda acc: _Stepped(gather(acc), steps.setdefault(name, []))  # type: ignore[method-assign]


class _Stepped:
    """A coroutine whose longest step is noted when it ends."""

    def __init__(self, coroutine: Any, longest: list[float]) -> None:
        self._coroutine = coroutine
        self._longest = longest

    def __await__(self) -> Generator[Any, Any, None]:
        longest, thrown = 0.0, None
        try:
            while True:
                start = time.thread_time()
                try:
                    future = self._coroutine.throw(thrown) if thrown else self._coroutine.send(None)
                except StopIteration:
                    return
                finally:
                    longest = max(longest, time.thread_time() - start)
                thrown = None
                try:
                    yield future
                except BaseException as error:
                    thrown = error
        finally:
            self._longest.append(longest * 1000)


if __name__ == "__main__":
    sys.exit(main())
