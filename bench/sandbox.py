"""How fast is the embedded server: points per second written, and a query among many points.

Bodies of 5,000 lines, each line one point of one of 1,000 series (two tags, FIELDS fields, every 10 s), go over HTTP into a
server in a process of its own, one after the other, until POINTS points are stored. The figure is the server's answer time
per point, for each tenth of the store as it grows. Then the last hour of one series is asked for, RUNS times.
"""

import argparse
import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from _report import Row, print_report, versions
from pyagent.cli.demo_processes import program

POINTS, FIELDS, RUNS = 10_000_000, 1, 20
BODY, SERIES, STEP = 5_000, 1_000, 10
START = 1_700_000_000
TENTHS = 10


class Server:
    """The address and token of a running sandbox."""

    def __init__(self, lines: dict[str, str]) -> None:
        address = urlsplit(lines["INFLUX_URL"])
        assert address.hostname is not None
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=600)
        self._headers = {"Authorization": f"Token {lines['INFLUX_TOKEN']}", "Content-Type": "application/vnd.flux"}

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


@contextmanager
def sandbox() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pyagent-bench-") as folder:
        command = [*program(), "sandbox", "--port", "0", "--ready", "--data", str(Path(folder) / "data")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            lines = dict(process.stdout.readline().rstrip().partition("=")[::2] for _ in range(4))
            yield Server(lines)
        finally:
            process.terminate()
            process.wait(60)


def body(first: int, fields: int) -> bytes:
    lines = []
    for number in range(first, first + BODY):
        time_of, series = START + number // SERIES * STEP, number % SERIES
        values = ",".join(f"f{field}={number % 997 + field / 8}" for field in range(fields))
        lines.append(f"disk,device=d{series % 10},host=h{series // 10} {values} {time_of}000000000")
    return "\n".join(lines).encode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=POINTS, help=f"points to store (default {POINTS})")
    parser.add_argument("--fields", type=int, default=FIELDS, help=f"fields per point (default {FIELDS})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"queries (default {RUNS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    bodies = max(TENTHS, given.points // BODY)
    per_point = []
    with sandbox() as server:
        for tenth in range(TENTHS):
            numbers = range(tenth * bodies // TENTHS, (tenth + 1) * bodies // TENTHS)
            path = "/api/v2/write?org=home&bucket=monitoring-system"
            seconds = sum(server.post(path, body(number * BODY, given.fields))[0] for number in numbers)
            per_point.append(seconds / len(numbers) / BODY * 1e6)
            print(f"{(tenth + 1) * 10} % stored, {1e6 / per_point[-1]:.0f} points per second", file=sys.stderr)
        stop = START + bodies * BODY // SERIES * STEP
        script = (
            f'from(bucket: "monitoring-system") |> range(start: {stop - 3600}, stop: {stop}) |> filter(fn: (r) => '
            'r._measurement == "disk" and r.host == "h42" and r.device == "d7" and r._field == "f0")'
        )
        answers = [server.post("/api/v2/query?org=home", script.encode()) for _ in range(given.runs)]
    wanted = min(3600 // STEP, bodies * BODY // SERIES)
    if answers[0][1].count(b"disk,d7,h42") != wanted:
        raise SystemExit(f"the query gave other than {wanted} rows: {answers[0][1][:300]!r}")
    rows = [
        Row.of(f"one point written, of {BODY} in a body", "us", per_point, limit=20),
        Row.of(
            f"last hour of one series among {bodies * BODY:,} points",
            "ms",
            [1000 * each for each, _ in answers],
            limit=50,
        ),
    ]
    return print_report("How fast is the embedded server?", rows, versions("aiohttp"), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
