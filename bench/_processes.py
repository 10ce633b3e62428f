"""For benchmarks of whole processes: agents between a server and PostgreSQL, and what they cost."""

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyagent.cli.demo_processes import BUCKET, ORG, EmbeddedInfluxDB
from pyagent.influxdb import InfluxDB

TICKS = os.sysconf("SC_CLK_TCK")
FIRST_POINT_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB."""

    rss: float
    pss: float


def memory(pid: int) -> Memory:
    """What is resident now; PSS counts a page that N processes share as 1/N."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        sizes[name.rstrip(":")] = int(value) / 1024
    return Memory(sizes["Rss"], sizes["Pss"])


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used: to the nanosecond where the kernel keeps it, else to a tick."""
    try:
        tasks = [path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
        if any(int(each) for each in tasks):
            return sum(map(int, tasks)) / 1e9
    except (OSError, ValueError, IndexError):
        pass
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def embedded_influxdb() -> Iterator[InfluxDB]:
    """An embedded server that is set up, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="pyagent-bench-") as folder:
        server = EmbeddedInfluxDB(Path(folder))
        try:
            with InfluxDB(server.url) as influxdb:
                influxdb.setup(org=ORG, bucket=BUCKET, username="admin", password=secrets.token_urlsafe(24))
                yield influxdb
        finally:
            server.stop()


@contextmanager
def running(command: Sequence[str], settings: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process with `settings` added to the environment; its last words are shown if it has ended by itself."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("INFLUX_", "TELEGRAF_"))}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**inherited, **settings}
        )
        try:
            yield process
            if process.poll() is not None:
                log.seek(0)
                raise SystemExit(f"{command[0]} ended by itself:\n{log.read().decode(errors='replace')[-2000:]}")
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def first_point(influxdb: InfluxDB, process: subprocess.Popen[bytes]) -> float | None:
    """Seconds from now until a point is stored, None where none comes; looked for every 10 ms."""
    start = time.monotonic()
    flux = f'from(bucket: "{BUCKET}") |> range(start: -1h, stop: 1m) |> last()'
    while time.monotonic() - start < FIRST_POINT_TIMEOUT and process.poll() is None:
        if influxdb.has_rows(flux):
            return time.monotonic() - start
        time.sleep(0.01)
    return None
