"""What does it cost to encode a metric as line protocol?

A metric has 4 tags and 8 fields: 4 floats of full precision, 3 integers, 1 string. 1,000 metrics of 1,000 series are encoded by
one call, on one core; peers that encode one at a time are called once for each. Then MANY metrics, each of a series never
seen before, go through the encoder, and the resident memory that the process gained is told.
"""

import argparse
import random
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import ModuleType

from _common import COUNT, TELEGRAF, measure, metrics, optional
from _report import Row, print_report, versions
from pyagent import lineprotocol
from pyagent.api import Metric
from pyagent.lineprotocol import encoder as reference

ROUNDS, MANY = 25, 500_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of all subjects (default {ROUNDS})")
    parser.add_argument("--many", type=int, default=MANY, help=f"metrics of new series, for memory (default {MANY})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    known, used, missing = metrics(), [], []
    fresh: list[Metric] = []
    numbers = count(COUNT)

    def renew() -> None:
        fresh[:] = [
            Metric(one.name, {**one.tags, "host": f"server{next(numbers):07d}"}, one.fields, one.time) for one in known
        ]

    subjects: dict[str, Callable[[], object]] = {}
    native = lineprotocol.implementation == "native"
    if native:
        subjects["native, series seen before"] = lambda: lineprotocol.encode(known)
        subjects["native, new series"] = lambda: lineprotocol.encode(fresh)
    else:
        missing.append("the native core")
    subjects["reference in Python"] = lambda: reference.encode(known)
    for name, module, make in (
        ("questdb", "questdb.ingress", _questdb),
        ("influxdb-client", "influxdb_client", _influxdb_client),
    ):
        if found := optional(module):
            subjects[name] = make(found, known)
            used.append(name)
        else:
            missing.append(name)

    times = measure(subjects, given.rounds, COUNT, {"native, new series": renew})
    goals = {"native, series seen before": 0.30, "native, new series": 0.40}
    if "influxdb-client" in times:
        goals["reference in Python"] = sorted(times["influxdb-client"])[given.rounds // 2] / 2
    beside = {"native, series seen before": TELEGRAF.format("1.19")}
    rows = [
        Row.of(f"encode a metric: {name}", "µs", values, goal=goals.get(name), beside=beside.get(name, ""))
        for name, values in times.items()
    ]
    if given.many:
        gained = _memory_gained(given.many)
        rows.append(Row.of(f"memory gained by encoding {given.many:,} new series", "MiB", [gained], goal=16))
    if missing:
        print(f"not measured, because not installed: {', '.join(missing)}", file=sys.stderr)
    return print_report("What does it cost to encode a metric?", rows, versions(*used), as_json=given.json)


def _influxdb_client(module: ModuleType, batch: list[Metric]) -> Callable[[], object]:
    def run() -> str:
        lines = []
        for metric in batch:
            point = module.Point(metric.name).time(metric.time)
            for key, value in metric.tags.items():
                point.tag(key, value)
            for key, value in metric.fields.items():
                point.field(key, value)
            lines.append(point.to_line_protocol())
        return "\n".join(lines)

    return run


def _questdb(module: ModuleType, batch: list[Metric]) -> Callable[[], object]:
    def run() -> bytes:
        buffer = module.Buffer(protocol_version=1)
        for metric in batch:
            at = module.TimestampNanos(metric.time)
            buffer.row(metric.name, symbols=metric.tags, columns=metric.fields, at=at)
        return bytes(buffer)

    return run


def _memory_gained(many: int) -> float:
    draw = random.Random(2)

    def work(total: int) -> None:
        for first in range(0, total, 500):
            start = draw.randrange(10**9) * 1000
            lineprotocol.encode(
                [
                    Metric("m", {"id": str(number), "host": "h"}, {"f": 1.5, f"g{number % 50}": number}, number)
                    for number in range(start + first, start + first + 500)
                    for _ in range(2)  # the second time it is worth keeping
                ]
            )

    work(40_000)
    before = _resident()
    work(many // 2)
    return max(0.0, _resident() - before)


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


if __name__ == "__main__":
    sys.exit(main())
