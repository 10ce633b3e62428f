"""For benchmarks of the relay: a sender, an agent between, and a receiver that counts, each a process of its own."""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from _common import metrics
from _processes import cpu_seconds, running
from pyagent.kit.http_client import HttpClient
from pyagent.lineprotocol import encode
from pyagent.testing.servers import free_port

BODY = 5_000
"""Lines of one request."""
SENDERS = 2
START_TIMEOUT = 60.0
QUIET = 3.0
"""Seconds without a new line at the receiver, after which no more is expected."""

CONFIG = """
[agent]
  interval = "10s"
  flush_interval = "1s"
  omit_hostname = true
  metric_batch_size = {batch}
  {limit}
[[inputs.influxdb_v2_listener]]
  service_address = "127.0.0.1:{port}"
[[outputs.influxdb_v2]]
  urls = ["http://127.0.0.1:{target}"]
  token = "bench"
  organization = "bench"
  bucket = "bench"
"""


def bodies(count: int) -> Iterator[bytes]:
    """`count` lines of as many series, BODY at a time: 4 tags, 8 fields, a time."""
    lines = encode(metrics(min(BODY, count))).data.splitlines()
    rests = [re.fullmatch(rb"cpu_load,host=server\d{7}(.*) \d+", line)[1] for line in lines]
    for first in range(0, count, BODY):
        yield b"".join(
            b"cpu_load,host=server%07d%s %d\n" % (number, rest, 1_700_000_000_000_000_000 + number)
            for number, rest in zip(range(first, min(first + BODY, count)), rests, strict=False)
        )


@dataclass(slots=True)
class Sent:
    lines: int = 0
    refusals: int = 0
    """Answers 429 and 503."""
    seconds: float = 0.0


def send(url: str, count: int) -> Sent:
    """Send `count` lines by SENDERS connections at a time; a body that is refused is sent again when the answer says."""
    return asyncio.run(_send(url, count))


async def _send(url: str, count: int) -> Sent:
    sent, waiting = Sent(), bodies(count)
    start = time.monotonic()

    async def work() -> None:
        client = HttpClient(timeout=60)
        for body in waiting:
            while (answer := await client.request("POST", url, body=body)).status in (429, 503):
                sent.refusals += 1
                await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
            if answer.status != 204:
                raise SystemExit(f"the agent answered {answer.status}: {answer.text[:500]}")
            sent.lines += body.count(b"\n")
        await client.close()

    await asyncio.gather(*(work() for _ in range(SENDERS)))
    sent.seconds = time.monotonic() - start
    return sent


class Receiver:
    def __init__(self, port: int) -> None:
        self.port = port

    def counts(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/counts", timeout=10) as answer:
            result: dict[str, int] = json.load(answer)
        return result

    def wait(self, lines: int) -> int:
        """Return when so many distinct lines came, or no more come; how many came."""
        return self._wait("distinct", lines)

    def wait_quiet(self) -> int:
        """Return when nothing more comes; how many bytes came."""
        return self._wait("bytes", sys.maxsize)

    def _wait(self, what: str, wanted: int) -> int:
        count, changed = -1, time.monotonic()
        while count < wanted and time.monotonic() - changed < QUIET:
            if (now := self.counts()[what]) != count:
                count, changed = now, time.monotonic()
            time.sleep(0.02)
        return count


@contextmanager
def receiver(port: int) -> Iterator[Receiver]:
    with running([sys.executable, str(Path(__file__).with_name("_sink.py")), str(port)], {}) as process:
        _until(lambda: _answers(f"http://127.0.0.1:{port}/counts"), process, "the receiver does not answer")
        yield Receiver(port)


@dataclass(slots=True)
class Agent:
    process: subprocess.Popen[bytes]
    url: str

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def cpu(self) -> float:
        """Seconds used so far."""
        return cpu_seconds(self.pid)

    def memory(self, what: str) -> float:
        """MiB: `VmRSS`, what is resident now; `VmHWM`, the most that ever was."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(what + ":"))


@contextmanager
def relaying(command: Sequence[str], target: int, *, limit: int | None, batch: int = BODY) -> Iterator[Agent]:
    """An agent, ours or Telegraf, that takes lines and writes them to the port `target`; `limit`: metric_buffer_limit."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pyagent-bench-") as folder:
        config = Path(folder, "agent.conf")
        setting = f"metric_buffer_limit = {limit}" if limit else ""
        config.write_text(CONFIG.format(port=port, target=target, limit=setting, batch=batch))
        with running([*command, "--config", str(config)], {}) as process:
            _until(lambda: _answers(f"http://127.0.0.1:{port}/ping"), process, "the agent does not listen")
            yield Agent(process, f"http://127.0.0.1:{port}/api/v2/write?bucket=bench&org=bench")


@contextmanager
def vmagent(program: str, target: int) -> Iterator[Agent]:
    """vmagent, which makes of each number field a sample and of each tag a label, and writes them compressed."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pyagent-bench-") as folder:
        command = [
            program,
            f"-httpListenAddr=127.0.0.1:{port}",
            f"-remoteWrite.url=http://127.0.0.1:{target}/api/v1/write",
            f"-remoteWrite.tmpDataPath={folder}",
            "-loggerLevel=ERROR",
        ]
        with running(command, {}) as process:
            _until(lambda: _answers(f"http://127.0.0.1:{port}/health"), process, "vmagent does not listen")
            yield Agent(process, f"http://127.0.0.1:{port}/api/v2/write")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes], complaint: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not condition():
        if process.poll() is not None:
            raise SystemExit(f"{complaint}: it ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise SystemExit(complaint)
        time.sleep(0.02)
