"""How long does a reload take, and what do the plugins notice that did not change?

An agent with 50 inputs gathered every 100 ms is given a changed text again and again: each time one input and one output are
replaced. Measured are the time from the text to the new plan running, and for the inputs that stayed how late the latest
gather was and how many ticks they skipped; beside it the same without reloads, which is what the machine does by itself.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from _report import Row, print_report, versions
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.runtime.agent import Agent
from pyagent.runtime.loading import Loader
from pyagent.runtime.log import component_logger
from pyagent.runtime.settings import RunSettings

RELOADS, INPUTS, INTERVAL, PAUSE = 30, 50, 0.1, 0.3


def text(number: int) -> str:
    parts = [f'[agent]\n  interval = "{INTERVAL}s"\n  omit_hostname = true\n']
    parts += [f'[[inputs.mem]]\n  alias = "mem{index}"\n' for index in range(INPUTS - 1)]
    parts.append(f'[[inputs.mem]]\n  alias = "changing"\n  [inputs.mem.tags]\n    n = "{number}"\n')
    parts.append(
        f'[[outputs.discard]]\n[[outputs.discard]]\n  alias = "changing"\n  metric_batch_size = {number + 1}\n'
    )
    return "".join(parts)


class Watched:
    """When an input gathered, loop time."""

    def __init__(self, runner: RunningInput) -> None:
        self.times: list[float] = []
        tick = runner._tick

        def watched() -> None:
            self.times.append(time.monotonic())
            tick()

        runner._tick = watched  # type: ignore[method-assign]

    @property
    def gaps(self) -> list[float]:
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


class Notice:
    """What unchanged inputs notice."""

    def __init__(self, watched: list[Watched]) -> None:
        gaps = [gap for one in watched for gap in one.gaps]
        self.late = max(gaps) - INTERVAL
        self.skipped = sum(max(round(gap / INTERVAL) - 1, 0) for gap in gaps)


async def measure(reloads: int, *, changing: bool) -> tuple[list[float], Notice]:
    """Seconds of each reload, and what the inputs that stayed noticed of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.conf"
        settings = RunSettings(configs=(str(path),), environ=dict(os.environ), plugin_directories=())
        agent, took = Agent(), []
        watched: list[Watched] = []
        for number in range(reloads + 1):
            if changing or not number:
                path.write_text(text(number))
                loader = Loader(settings, component_logger("bench"))
                start = time.perf_counter()
                await agent.apply(await loader.plan(await loader.read()))
                took.append(time.perf_counter() - start)
            if not watched:
                watched = [Watched(runner) for runner in agent.inputs if runner.plan.alias != "changing"]
            await asyncio.sleep(PAUSE)
        await agent.stop()
    return took[1:], Notice(watched)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reloads", type=int, default=RELOADS, help=f"reloads (default {RELOADS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()
    took, notice = asyncio.run(measure(given.reloads, changing=True))
    _, alone = asyncio.run(measure(given.reloads, changing=False))
    beside = f"without reloads {{}} (of {(INPUTS - 1) * round(given.reloads * PAUSE / INTERVAL)} gathers)"
    rows = [
        Row.of("reload: from a changed text to the new plan running", "ms", [1000 * seconds for seconds in took]),
        Row.of(
            "reload: an unchanged input is late by",
            "ms",
            [1000 * notice.late],
            goal=1000 * INTERVAL,
            beside=beside.format(f"{1000 * alone.late:.0f} ms"),
        ),
        Row.of("reload: ticks skipped", "", [notice.skipped], goal=0, beside=beside.format(alone.skipped)),
    ]
    return print_report("What does a reload cost?", rows, versions("uvloop"), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
