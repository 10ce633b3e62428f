"""What does it cost a program to write points, and what does it lose when the server is away and the program then ends?

`pyagent.client` beside influxdb-client's batching writer, each in a process of its own, to a receiver that only counts. A point
is a dict of 3 fields and one of 2 tags, made anew each time, of one of 1,000 series, with a time of its own; the first point,
which imports what delivers, is not counted. The time of the processor is beside the time of the clock, as the latter is also
that of whatever else runs. Runs alternate. Then the receiver is away, points come all the time, the receiver comes back, and
the program ends at once, by the end of its script; its points are counted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from _common import optional
from _report import Row, print_report, versions
from pyagent.testing.servers import free_port

POINTS, RUNS, AWAY = 500_000, 5, 60.0
FIGURES = {
    "write": "a write()",
    "cpu": "a write(), processor time",
    "all": "a write() and its delivery",
    "all_cpu": "a write() and its delivery, processor time",
}
RATE = 1000
"""Points a second while the receiver is away."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=POINTS, help=f"points of a run (default {POINTS:,})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs (default {RUNS})")
    parser.add_argument(
        "--away", type=float, default=AWAY, help=f"seconds that the receiver is away (default {AWAY:g})"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    parser.add_argument("--as", dest="subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    parser.add_argument("--to", help=argparse.SUPPRESS)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    parser.add_argument("--slowly", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.subject:
        SUBJECTS[given.subject](given)
        return 0

    peer = optional("influxdb_client") is not None
    if not peer:
        print("not measured, because not installed: influxdb-client", file=sys.stderr)
    subjects = [name for name in SUBJECTS if peer or name != "influxdb-client"]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in subjects}
    for _ in range(given.runs):
        for name in subjects:
            runs[name].append(_fast(name, given.points if name != "influxdb-client" else max(given.points // 10, 1)))
    slow = {figure: median(run[figure] for run in runs["influxdb-client"]) for figure in FIGURES} if peer else {}
    rows = []
    for name, found in runs.items():
        for figure, what in FIGURES.items():
            theirs = slow.get(figure) if name != "influxdb-client" else None
            values = [run[figure] for run in found]
            rows.append(
                Row.of(
                    f"{name}: {what}",
                    "µs",
                    values,
                    limit=theirs / 10 if theirs and name == "pyagent.client" else None,
                    beside=f"influxdb-client: {theirs:.2f} µs, {theirs / median(values):.1f} times" if theirs else "",
                )
            )
        rows += [
            Row.of(f"{name}: peak memory gained", "MiB", [run["memory"] for run in found]),
            Row.of(f"{name}: lost of {found[0]['points']:,.0f}", "points", [run["lost"] for run in found], limit=0),
        ]
    if given.away > 0:
        for name in subjects:
            lost = _away(name, given.away)
            limits = None if name == "influxdb-client" else 0
            rows.append(Row.of(f"{name}: lost of {given.away:g} s without receiver", "points", [lost], limit=limits))
    used = versions("influxdb-client") if peer else versions()
    return print_report("What does it cost to write a point, and what is lost?", rows, used, as_json=given.json)


def _fast(name: str, points: int) -> dict[str, float]:
    with _sink(free_port(), "--lines") as url, tempfile.TemporaryDirectory() as directory:
        done = _program(name, url, directory, "--points", str(points)).communicate()[0]
        found: dict[str, float] = json.loads(done)
        found["lost"] = points - _counted(url, "lines")
        found["points"] = points
        return found


def _away(name: str, seconds: float) -> int:
    """The program ends when the receiver has just come back."""
    port = free_port()
    points = int(seconds * RATE)
    with tempfile.TemporaryDirectory() as directory:
        url = f"http://127.0.0.1:{port}"
        program = _program(name, url, directory, "--slowly", "--points", str(points))
        assert program.stdout is not None
        program.stdout.readline()  # it has written all that it has to write
        with _sink(port):
            assert program.stdin is not None
            program.stdin.close()
            program.wait()
            return points - _counted(url, "distinct")


def _program(name: str, url: str, directory: str, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, __file__, "--as", name, "--to", url, "--directory", directory, *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@contextmanager
def _sink(port: int, *words: str) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("_sink.py")), str(port), *words])
    try:
        while _counts(url) is None:
            time.sleep(0.02)
        yield url
    finally:
        process.kill()
        process.wait()


def _counts(url: str) -> dict[str, int] | None:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/counts") as answer:
            found: dict[str, int] = json.load(answer)
            return found
    except OSError:
        return None


def _counted(url: str, what: str) -> int:
    found = _counts(url)
    return found[what] if found else 0


# The programs -----------------------------------------------------------------------------------------------------------


def _pyagent(given: argparse.Namespace, **options: Any) -> None:
    from pyagent.client import Writer

    writer = Writer(given.to, "token", "org", "bucket", close_timeout=30, **options)
    _write(given, lambda fields, tags, time: writer.write("weather", fields, tags, time), writer.flush)


def _pyagent_disk(given: argparse.Namespace) -> None:
    _pyagent(given, buffer_directory=given.directory)


def _influxdb_client(given: argparse.Namespace) -> None:
    from influxdb_client import InfluxDBClient, WriteOptions

    client = InfluxDBClient(given.to, "token", org="org", enable_gzip=True)
    api = client.write_api(write_options=WriteOptions(batch_size=5000))

    def write(fields: dict[str, Any], tags: dict[str, Any], when: int) -> None:
        record = {"measurement": "weather", "tags": tags, "fields": fields, "time": when}
        api.write("bucket", record=record)

    _write(given, write, api.close)
    if given.slowly:
        api.close()  # without it, it loses all that waits


def _write(given: argparse.Namespace, write: Any, finish: Any) -> None:
    count = given.points
    before = _peak()
    write({"temperature": 0.0}, {"room": "r"}, time.time_ns())
    hosts = [f"server{n:07d}" for n in range(count if given.slowly else 1000)]  # a line that comes twice counts once
    series = len(hosts)
    begin, first = time.time_ns(), time.perf_counter()
    thread, process = time.thread_time(), time.process_time()
    for n in range(count):
        write(
            {"temperature": n / 7, "humidity": n % 100, "ok": True}, {"host": hosts[n % series], "room": "r"}, begin + n
        )
        if given.slowly and n % 50 == 49:
            time.sleep(max(first + n / RATE - time.perf_counter(), 0))
    written, cpu = time.perf_counter(), time.thread_time() - thread
    if given.slowly:
        print("written", flush=True)
        sys.stdin.read()
        return
    finish()
    done, all_cpu = time.perf_counter(), time.process_time() - process
    print(
        json.dumps(
            {
                "write": 1e6 * (written - first) / count,
                "cpu": 1e6 * cpu / count,
                "all": 1e6 * (done - first) / count,
                "all_cpu": 1e6 * all_cpu / count,
                "memory": (_peak() - before) / 1024,
            }
        )
    )


def _peak() -> int:
    """KiB. Not as getrusage tells it, which counts the parent's before the program was started."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


SUBJECTS = {
    "pyagent.client": _pyagent,
    "pyagent.client with a buffer directory": _pyagent_disk,
    "influxdb-client": _influxdb_client,
}

if __name__ == "__main__":
    os.environ.pop("HTTP_PROXY", None)
    sys.exit(main())
