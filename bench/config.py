"""How long does a configuration of 200 plugins take: from its text to a plan, and to plugins that are made?

The text has inputs, outputs, processors and aggregators, with tags, filters, environment references and sub-tables, about
1,200 lines. It is loaded again and again, as at a reload, and for the first time by a process of its own, where most of the
time goes into importing what the plugins need (aiohttp, psycopg); the interpreter's start is not part of that.
"""

import argparse
import json
import logging
import subprocess
import sys
import time

from _report import Row, print_report, versions

PLUGINS, RUNS = 200, 15
KINDS = (
    """[[inputs.mem]]
  alias = "mem {n}"
  [inputs.mem.tags]
    rack = "$RACK"
""",
    """[[inputs.file]]
  files = ["/var/lib/app/{n}.influx", "/var/lib/app/{n}/*.influx"]
  interval = "30s"
  name_prefix = "app_"
  fieldexclude = ["debug_*", "internal_*"]
  [inputs.file.tagpass]
    region = ["eu-*", "us-*"]
""",
    """[[inputs.exec]]
  commands = ["/usr/local/bin/probe --instance {n}"]
  timeout = "5s"
  data_format = "json"
  json_string_fields = ["state", "mode"]
  tag_keys = ["id"]
  namepass = ["exec*"]
""",
    """[[inputs.mock]]
  metric_name = "mock{n}"
  [[inputs.mock.constant]]
    name = "a"
    value = {n}
  [[inputs.mock.random]]
    name = "b"
    min = 1.0
    max = 6.0
""",
    """[[inputs.postgresql]]
  address = "host=127.0.0.1 port={n} user=telegraf password=${{PASSWORD:-none}} sslmode=disable"
  ignored_databases = ["template0", "template1"]
""",
    """[[processors.override]]
  order = {n}
  namepass = ["app_*"]
  [processors.override.tags]
    pass = "{n}"
""",
    """[[aggregators.minmax]]
  period = "30s"
  namepass = ["mock{n}"]
  drop_original = false
""",
    """[[outputs.influxdb_v2]]
  urls = ["http://127.0.0.1:8086", "http://127.0.0.1:8087"]
  token = "$INFLUX_TOKEN"
  organization = "home"
  bucket = "bucket{n}"
  namedrop = ["internal*"]
  tagexclude = ["secret_*"]
""",
)
ENVIRON = {"INFLUX_TOKEN": "a token that is long enough", "RACK": "r17"}


def configuration(plugins: int) -> str:
    head = '[agent]\n  interval = "10s"\n  metric_batch_size = 1000\n[global_tags]\n  site = "north"\n'
    return head + "".join(KINDS[number % len(KINDS)].format(n=number) for number in range(plugins))


def load(text: str) -> tuple[float, float]:
    """Seconds to the plan, and to the plugins made."""
    from pyagent.config import SourceText, create_plugin, load_plan

    start = time.perf_counter()
    plan = load_plan([SourceText("bench.conf", text)], environ=ENVIRON)
    planned = time.perf_counter()
    log = logging.getLogger("pyagent.bench")
    for plugin in (*plan.inputs, *plan.outputs, *plan.processors, *plan.aggregators):
        create_plugin(plugin, log)
    return planned - start, time.perf_counter() - start


def first_load(plugins: int) -> float:
    command = [sys.executable, __file__, "--first", "--plugins", str(plugins)]
    return float(json.loads(subprocess.check_output(command, stdin=subprocess.DEVNULL)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=PLUGINS, help=f"how many (default {PLUGINS})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs (default {RUNS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    parser.add_argument("--first", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    text = configuration(given.plugins)
    if given.first:
        print(load(text)[1])
        return 0

    firsts = [first_load(given.plugins) for _ in range(given.runs)]
    load(text)
    agains = [load(text) for _ in range(given.runs)]
    label = f"{given.plugins} plugins"
    rows = [
        Row.of(f"{label}: from the text to plugins that are made", "s", [whole for _, whole in agains], limit=0.3),
        Row.of(f"{label}: from the text to the plan", "s", [planned for planned, _ in agains]),
        Row.of(f"{label}: the same for the first time, with the imports", "s", firsts),
    ]
    question = f"How long does a configuration of {given.plugins} plugins, {text.count(chr(10)):,} lines, take?"
    return print_report(question, rows, versions("msgspec", "tomli"), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
