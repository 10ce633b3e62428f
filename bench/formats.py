"""What does a metric cost that comes from a file, in each format and through stages?

One agent runs with `--once`: it reads a file, parses it, and throws the metrics away (`outputs.discard`), or writes them to
/dev/null. CPU time is that of the whole process, its start included, over the records of the file.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from _common import TELEGRAF
from _report import Row, print_report, versions
from pyagent.cli.demo_processes import program

ROUNDS = 3
DISCARD = "[[outputs.discard]]\n"
STAGES = """[[processors.rename]]
  order = 1
  [[processors.rename.replace]]
    tag = "host"
    dest = "node"
[[processors.regex]]
  order = 2
  [[processors.regex.tags]]
    key = "rack"
    pattern = '^r([0-9]+)$'
    replacement = "rack-${1}"
[[processors.converter]]
  order = 3
  [processors.converter.fields]
    float = ["procs"]
"""
SUMS = """[[aggregators.basicstats]]
  period = "1h"
  grace = "1000000h"
  stats = ["count", "mean", "max"]
"""


@dataclass(frozen=True, slots=True)
class Work:
    what: str
    text: str
    count: int
    options: str
    """Of the input, then whatever stands behind it."""
    goal: float
    telegraf: float
    """µs."""
    output: str = DISCARD


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"runs of each (default {ROUNDS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()
    rows = [
        Row.of(
            work.what,
            "µs",
            [cost(work, program()) for _ in range(given.rounds)],
            goal=work.goal,
            beside=TELEGRAF.format(work.telegraf),
        )
        for work in works()
    ]
    return print_report("What does a metric from a file cost?", rows, versions("msgspec"), as_json=given.json)


def works() -> list[Work]:
    influx = ' data_format = "influx"\n'
    tags = ' tag_keys = ["host", "region"]\n'
    csv = ' csv_header_row_count = 1\n csv_timestamp_column = "time"\n csv_timestamp_format = "unix"\n'
    metrics = lines(200_000)
    to_json = '[[outputs.file]]\n files = ["/dev/null"]\n use_batch_format = true\n data_format = "json"\n'
    return [
        Work("line protocol, a line", lines(500_000), 500_000, influx, 1.2, 3.5),
        Work(
            "CSV, a row of six",
            table(200_000),
            200_000,
            f' data_format = "csv"\n{csv} csv_tag_columns = ["host"]\n',
            2.5,
            4.2,
        ),
        Work("JSON, an object of five values", objects(100_000), 100_000, f' data_format = "json"\n{tags}', 4, 7.5),
        Work(
            "logfmt, a line", logged(100_000), 100_000, ' data_format = "logfmt"\n logfmt_tag_keys = ["host"]\n', 3, 4.8
        ),
        Work("prometheus, a series", page(100_000), 100_000, ' data_format = "prometheus"\n', 2, 5.8),
        Work("line protocol in, JSON out", metrics, 200_000, influx, 5, 10.5, to_json),
        Work("rename, regex and converter", metrics, 200_000, influx + STAGES, 4, 7.3),
        Work("basicstats", metrics, 200_000, influx + SUMS, 4, 6.4),
    ]


def cost(work: Work, command: Sequence[str]) -> float:
    """µs for each record."""
    with tempfile.TemporaryDirectory(prefix="pyagent-formats-") as name:
        folder = Path(name)
        (folder / "data").write_text(work.text)
        (folder / "agent.conf").write_text(
            "[agent]\n omit_hostname = true\n metric_buffer_limit = 2000000\n metric_batch_size = 5000\n"
            f" skip_processors_after_aggregators = true\n{work.output}"
            f'[[inputs.file]]\n files = ["{folder}/data"]\n{work.options}'
        )
        process = subprocess.Popen(
            [*command, "--config", str(folder / "agent.conf"), "--once"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        messages = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or " E! " in messages:
            raise SystemExit(f"pyagent failed at {work.what}:\n{messages}")
    return (usage.ru_utime + usage.ru_stime) / work.count * 1e6


def lines(count: int) -> str:
    draw = random.Random(1)
    return "".join(
        f"cpu,cpu=cpu{i % 8},host=server-{i % 200:02d}.example.com,rack=r{i % 17},region=eu-west-1 "
        f'usage_user={draw.random() * 100:.7f},usage_system={draw.random() * 10:.3f},procs=312i,state="running" '
        f"{1_700_000_000_000_000_000 + i * 1_000_000}\n"
        for i in range(count)
    )


def table(count: int) -> str:
    draw = random.Random(2)
    rows = (f"{1_700_000_000 + i},h{i % 50},eu,{draw.random():.6f},{i},xxxxx\n" for i in range(count))
    return "time,host,region,a,b,c\n" + "".join(rows)


def objects(count: int) -> str:
    draw = random.Random(3)
    return ",".join(
        f'{{"host": "h{i % 50}", "region": "eu", "usage": {{"user": {draw.random():.4f}, "system": {draw.random():.4f}}}, '
        f'"procs": {i}, "temp": {draw.random() * 80:.2f}}}'
        for i in range(count)
    ).join("[]")


def logged(count: int) -> str:
    return "".join(
        f'ts=2024-02-11T10:00:00Z lvl=info msg="request served" host=h{i % 50} status=200 took={i % 100}.25 bytes={i}\n'
        for i in range(count)
    )


def page(count: int) -> str:
    draw = random.Random(4)
    parts: list[str] = []
    for family in range(count // 100):
        parts.append(f"# HELP metric_{family}_total Number of things.\n# TYPE metric_{family}_total counter\n")
        parts += [
            f'metric_{family}_total{{instance="host-{i % 20}",path="/api/v1/item/{i}",code="{200 + i % 5}"}} '
            f"{draw.random() * 1e6:.6f}\n"
            for i in range(100)
        ]
    return "".join(parts)


if __name__ == "__main__":
    sys.exit(main())
