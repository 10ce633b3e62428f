"""How long does it take to load a configuration of 200 plugins?

From the text on disk to plugins that are made: 100 inputs with filters, tags and options, 50 outputs and 50 processors, as a
start does it. The modules are imported beforehand: their time is in bench/startup.py.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from _report import Row, print_report, versions
from pyagent.runtime.loading import Loader
from pyagent.runtime.log import component_logger
from pyagent.runtime.settings import RunSettings
from pyagent.runtime.staging import build_plugins

RUNS, PLUGINS = 10, 200


def text(plugins: int) -> str:
    parts = ['[agent]\n  interval = "10s"\n[global_tags]\n  site = "${SITE}"\n']
    for number in range(plugins // 2):
        parts.append(
            f'[[inputs.mem]]\n  alias = "mem{number}"\n  interval = "{number + 1}s"\n  namepass = ["mem", "swap*"]\n'
            f'  fieldexclude = ["x*"]\n  [inputs.mem.tags]\n    rack = "r{number}"\n    host_group = "$GROUP"\n'
            f'  [inputs.mem.tagdrop]\n    cpu = ["cpu{number}", "total"]\n'
        )
    for number in range(plugins // 4):
        parts.append(
            f'[[outputs.influxdb_v2]]\n  urls = ["http://127.0.0.1:{8000 + number}"]\n  token = "$INFLUX_TOKEN"\n'
            f'  organization = "home"\n  bucket = "b{number}"\n  tagexclude = ["x{number}"]\n'
        )
        parts.append(f'[[processors.override]]\n  order = {number}\n  [processors.override.tags]\n    n = "{number}"\n')
    return "".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=PLUGINS, help=f"plugins (default {PLUGINS})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs (default {RUNS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.conf"
        path.write_text(text(given.plugins))
        environ = {**os.environ, "SITE": "north", "GROUP": "web", "INFLUX_TOKEN": "secret"}
        settings = RunSettings(configs=(str(path),), environ=environ, plugin_directories=())
        asyncio.run(load(settings))  # the imports
        times = [asyncio.run(load(settings)) for _ in range(given.runs)]
    rows = [Row.of(f"load a configuration of {given.plugins} plugins", "s", times, limit=0.3)]
    return print_report("How long does a configuration take?", rows, versions("tomli", "msgspec"), as_json=given.json)


async def load(settings: RunSettings) -> float:
    loader = Loader(settings, component_logger("bench"))
    start = time.perf_counter()
    plan = await loader.plan(await loader.read())
    for plans in (plan.inputs, plan.outputs, plan.processors):
        await build_plugins(plans)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
