"""How fast is the embedded server: points per second written, and queries among many points; InfluxDB beside it.

First what a dashboard asks: HOSTS hosts write FIELDS_OF_HOST fields every EVERY seconds for DAYS days, about a million points
in bodies of 5,000 lines; then 30 days of one field of all hosts are asked for as windows and through map(), and a day of all
fields as it is. Each figure is the time until the whole answer is there; beside it is the CPU time of the server, which other
programs change less, and with `--influxd PATH` what an InfluxDB 2 needs for the same.

Then how it grows.

Bodies of 5,000 lines, each line one point of one of 1,000 series (two tags, FIELDS fields, every 10 s), go over HTTP into a
server in a process of its own, one after the other, until POINTS points are stored. The figure is the server's answer time
per point, for each tenth of the store as it grows. Then the last hour of one series is asked for, RUNS times.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _report import Row, print_report, versions
from pyagent.cli.demo_processes import program

POINTS, FIELDS, RUNS = 10_000_000, 1, 20
BODY, SERIES, STEP = 5_000, 1_000, 10
START = 1_699_999_200
TENTHS = 10
DAYS, HOSTS, EVERY, FIELDS_OF_HOST = 30, 20, 50, 5
DAY = 86_400
BUCKET = "monitoring-system"


class Server:
    """The address and token of a running server, and its process."""

    def __init__(self, url: str, token: str, process: int) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=600)
        self._headers = {"Authorization": f"Token {token}", "Content-Type": "application/vnd.flux"}
        self._process = process

    def post(self, path: str, body: bytes) -> tuple[float, bytes]:
        """Seconds until the whole answer is there, and the answer."""
        start = time.perf_counter()
        self._connection.request("POST", path, body=body, headers=self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - start
        if response.status >= 300:
            raise SystemExit(f"the server refused {path}: {answer.decode(errors='replace')[:300]}")
        return seconds, answer

    def cpu(self) -> float:
        """Seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self._process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """MB that the process has in memory."""
        status = dict(line.split(":\t") for line in Path(f"/proc/{self._process}/status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) * 1024 / 1e6


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def sandbox() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pyagent-bench-") as folder:
        command = [*program(), "sandbox", "--port", "0", "--ready", "--data", str(Path(folder) / "data")]
        with running(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            lines = dict(process.stdout.readline().rstrip().partition("=")[::2] for _ in range(4))
            yield Server(lines["INFLUX_URL"], lines["INFLUX_TOKEN"], process.pid)


@contextmanager
def influxdb(path: str) -> Iterator[Server]:
    """A fresh InfluxDB 2, set up with the sandbox's organisation and bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pyagent-bench-") as folder:
        address = f"127.0.0.1:{port}"
        command = [path, "--reporting-disabled", "--log-level=error", f"--http-bind-address={address}"]
        command += [f"--bolt-path={folder}/bolt", f"--sqlite-path={folder}/sqlite", f"--engine-path={folder}/engine"]
        with running(command, stdout=subprocess.DEVNULL) as process:
            server = Server(f"http://{address}", "bench-token", process.pid)
            asked = {"username": "bench", "password": "bench-password", "token": "bench-token"}
            asked |= {"org": "home", "bucket": BUCKET}
            for _ in range(300):
                try:
                    server.post("/api/v2/setup", json.dumps(asked).encode())
                    break
                except OSError:
                    time.sleep(0.1)
            yield server


def host_bodies() -> Iterator[bytes]:
    lines = []
    for at in range(DAYS * DAY // EVERY):
        for host in range(HOSTS):
            values = ",".join(f"f{field}={(at * 7 + host * 13 + field) % 997 / 8}" for field in range(FIELDS_OF_HOST))
            lines.append(f"cpu,host=h{host},region=eu {values} {START + at * EVERY}000000000")
            if len(lines) == BODY:
                yield "\n".join(lines).encode()
                lines = []
    if lines:
        yield "\n".join(lines).encode()


def dashboard(server: Server) -> dict[str, tuple[float, float]]:
    """What is asked: (seconds, seconds of CPU), or (MB, 0) for the memory afterwards."""
    stop = START + DAYS * DAY
    field = ' and r._field == "f0"'

    def script(first: int, rest: str) -> bytes:
        ranged = f'from(bucket: "{BUCKET}") |> range(start: {first}, stop: {stop})'
        return f'{ranged} |> filter(fn: (r) => r._measurement == "cpu"{rest}'.encode()

    found = {}
    before, seconds = server.cpu(), 0.0
    for some in host_bodies():
        seconds += server.post(f"/api/v2/write?org=home&bucket={BUCKET}", some)[0]
    found["a million points in"] = seconds, server.cpu() - before
    asked = {
        "30 days of one field of 20 hosts by aggregateWindow(every: 1h)": (
            script(START, f"{field}) |> aggregateWindow(every: 1h, fn: mean)"),
            HOSTS * DAYS * 24,
        ),
        "30 days of one field of 20 hosts by map() and mean()": (
            script(START, field + ") |> map(fn: (r) => ({r with _value: r._value * 8.0})) |> mean()"),
            HOSTS,
        ),
        "24 hours of all fields of 20 hosts, as they are": (
            script(stop - DAY, ")"),
            HOSTS * FIELDS_OF_HOST * DAY // EVERY,
        ),
    }
    for what, (query, rows) in asked.items():
        before = server.cpu()
        seconds, answer = server.post("/api/v2/query?org=home", query)
        if answer.count(b"\r\n,_result,") != rows:
            raise SystemExit(f"{what}: other than {rows} rows: {answer[:300]!r}")
        found[what] = seconds, server.cpu() - before
    found["memory afterwards"] = server.memory(), 0.0
    return found


GOALS = (10, 0.4, 1.0, 0.7, 250)


def dashboard_rows(influxd: str | None) -> Iterator[Row]:
    with sandbox() as server:
        ours = dashboard(server)
    peer = {}
    if influxd:
        with influxdb(influxd) as server:
            peer = dashboard(server)
    for (what, (figure, cpu)), goal in zip(ours.items(), GOALS, strict=True):
        beside = [f"{cpu:.2f} s of CPU"] if cpu else []
        beside += [f"InfluxDB {peer[what][0]:.3g}"] if peer else []
        yield Row.of(what, "s" if cpu else "MB", [figure], goal=goal, beside=", ".join(beside))


def body(first: int, fields: int) -> bytes:
    lines = []
    for number in range(first, first + BODY):
        time_of, series = START + number // SERIES * STEP, number % SERIES
        values = ",".join(f"f{field}={number % 997 + field / 8}" for field in range(fields))
        lines.append(f"disk,device=d{series % 10},host=h{series // 10} {values} {time_of}000000000")
    return "\n".join(lines).encode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    points = f"points to store, 0: only what a dashboard asks (default {POINTS})"
    parser.add_argument("--points", type=int, default=POINTS, help=points)
    parser.add_argument("--fields", type=int, default=FIELDS, help=f"fields per point (default {FIELDS})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"queries (default {RUNS})")
    parser.add_argument("--influxd", metavar="PATH", help="an InfluxDB 2 server that is asked for the same")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    rows = list(dashboard_rows(given.influxd))
    if given.points:
        rows += growth_rows(given)
    return print_report("How fast is the embedded server?", rows, versions("aiohttp"), as_json=given.json)


def growth_rows(given: argparse.Namespace) -> list[Row]:
    bodies = max(TENTHS, given.points // BODY)
    per_point = []
    with sandbox() as server:
        for tenth in range(TENTHS):
            numbers = range(tenth * bodies // TENTHS, (tenth + 1) * bodies // TENTHS)
            path = f"/api/v2/write?org=home&bucket={BUCKET}"
            seconds = sum(server.post(path, body(number * BODY, given.fields))[0] for number in numbers)
            per_point.append(seconds / len(numbers) / BODY * 1e6)
            print(f"{(tenth + 1) * 10} % stored, {1e6 / per_point[-1]:.0f} points per second", file=sys.stderr)
        stop = START + bodies * BODY // SERIES * STEP
        script = (
            f'from(bucket: "{BUCKET}") |> range(start: {stop - 3600}, stop: {stop}) |> filter(fn: (r) => '
            'r._measurement == "disk" and r.host == "h42" and r.device == "d7" and r._field == "f0")'
        )
        answers = [server.post("/api/v2/query?org=home", script.encode()) for _ in range(given.runs)]
    wanted = min(3600 // STEP, bodies * BODY // SERIES)
    if answers[0][1].count(b"disk,d7,h42") != wanted:
        raise SystemExit(f"the query gave other than {wanted} rows: {answers[0][1][:300]!r}")
    return [
        Row.of(f"one point written, of {BODY} in a body", "us", per_point, limit=20),
        Row.of(
            f"last hour of one series among {bodies * BODY:,} points",
            "ms",
            [1000 * each for each, _ in answers],
            limit=50,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
