"""How fast does a CSV get into a server, and what does that cost?

`pyagent write` reads a file of annotated CSV: a measurement, two tags, four fields (two floats, an integer, a string) and a
time in RFC 3339, about 85 bytes a row; and one without annotations, whose columns it has to find out first. The receiver only
counts, and knows each row. Memory is the most that was ever resident, once over a short file and once over a long one.
`influx write dryrun`, which only converts, is measured beside it where its path is given.
"""

import sys

if __name__ == "csv":
    # Another benchmark wants the library of that name, and Python looks into this folder first.
    import importlib.util
    import sysconfig

    specification = importlib.util.spec_from_file_location("csv", f"{sysconfig.get_path('stdlib')}/csv.py")
    assert specification is not None
    assert specification.loader is not None
    sys.modules["csv"] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(sys.modules["csv"])
else:
    sys.path.append(sys.path.pop(0))
    from _relaying import receiver
    from _report import Row, print_report, versions
    from pyagent.cli.demo_processes import program
    from pyagent.testing.servers import free_port

import argparse
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROWS, LONG, RUNS = 1_000_000, 10_000_000, 3
ANNOTATIONS = "#datatype measurement,tag,tag,double,double,long,string,dateTime:RFC3339\n"
HEADER = "name,host,region,usage,idle,procs,state,time\n"


@dataclass(slots=True)
class Run:
    seconds: float
    cpu: float
    peak: float
    """MiB."""
    lost: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of the shorter file (default {ROWS:,})")
    parser.add_argument("--long", type=int, default=LONG, help=f"rows of the longer one (default {LONG:,})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of the shorter one (default {RUNS})")
    parser.add_argument("--influx", metavar="PATH", help="measure this influx's dry run beside it")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    used = versions("aiohttp", "isal")
    with tempfile.TemporaryDirectory(prefix="pyagent-csv-") as folder:
        path = Path(folder) / "rows.csv"
        make(path, given.rows, annotated=True)
        short = [write(path, given.rows) for _ in range(given.runs)]
        dry = [converted([*program(), "write", "dryrun", str(path)], given.rows) for _ in range(given.runs)]
        beside = ""
        if given.influx:
            used["influx"] = subprocess.check_output([given.influx, "version"], text=True).split()[2]
            command = [given.influx, "write", "dryrun", "--bucket", "b", "--format", "csv", "--file", str(path)]
            times = sorted(converted(command, given.rows) for _ in range(given.runs))
            beside = f"influx write dryrun: {times[len(times) // 2]:.2f} µs"
        make(path, given.rows, annotated=False)
        plain = [
            write(path, given.rows, "--tag", "host", "--tag", "region", "--measurement", "cpu")
            for _ in range(given.runs)
        ]
        make(path, given.long, annotated=True)
        long = write(path, given.long)

    def micro(runs: list[Run]) -> list[float]:
        return [run.seconds / given.rows * 1e6 for run in runs]

    rows = [
        Row.of("write a row: time (200,000 a second are 5 µs)", "µs", micro(short), limit=5.0, goal=2.5),
        Row.of("write a row without annotations: time", "µs", micro(plain)),
        Row.of("convert a row (dryrun): time", "µs", dry, beside=beside),
        Row.of("write a row: CPU", "µs", [run.cpu / given.rows * 1e6 for run in short]),
        Row.of(f"write {given.rows:,} rows: peak memory", "MiB", [run.peak for run in short]),
        Row.of(f"write {given.long:,} rows: peak memory", "MiB", [long.peak], limit=max(run.peak for run in short) + 8),
        Row.of("rows that did not arrive", "rows", [run.lost for run in (*short, *plain, long)], limit=0),
    ]
    return print_report("How fast does a CSV get into a server?", rows, used, as_json=given.json)


def make(path: Path, count: int, *, annotated: bool) -> None:
    with path.open("w") as file:
        file.write(ANNOTATIONS + HEADER if annotated else HEADER)
        for first in range(0, count, 10_000):
            second = f"2024-01-01T{first // 10_000 // 3600 % 24:02}:{first // 10_000 // 60 % 60:02}:{first // 10_000 % 60:02}"
            file.write(
                "".join(
                    f"cpu,server{number:07d},eu-west-1,{number % 1000 / 10},{number % 977 / 7:.6f},{number},running ok,"
                    f"{second}.{number % 10_000:06d}Z\n"
                    for number in range(first, min(first + 10_000, count))
                )
            )


def write(path: Path, count: int, *words: str) -> Run:
    with receiver(free_port()) as target:
        environ = os.environ | {
            "INFLUX_HOST": f"http://127.0.0.1:{target.port}",
            "INFLUX_TOKEN": "none",
            "HOME": str(path.parent),
        }
        command = [*program(), "write", "--quiet", "--bucket", "b", "--org", "o", *words, str(path)]
        start = time.monotonic()
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"pyagent write ended with status {process.returncode}")
        lost = count - target.wait(count)
        return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, lost)


def converted(command: list[str], count: int) -> float:
    """µs for each row."""
    start = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return (time.monotonic() - start) / count * 1e6


if __name__ == "__main__":
    sys.exit(main())
