"""Two hundred reloads of the agent's process under load: nothing is lost, and the process is as small as after the first few."""

import asyncio
import itertools
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from agent_process import DEADLINE, AgentProcess, running

from pyagent.sandbox import Sandbox
from pyagent.testing.servers import free_port

RELOADS, WARM_UP = 200, 40
MEMORY_ROOM = 4.0
"""MiB that may come and go without meaning anything; a plugin's objects that stay would be more after so many reloads."""
SERIES = 10_000
"""More than any core remembers: their caches, which grow by some MiB in Python, are full before memory is compared."""
BUCKETS = ("one", "two")
NUMBERED = """
import itertools, os
from pyagent.api import Input

numbers = itertools.count()

class Numbered(Input):
    {def_} gather(self, acc):
        number = next(numbers)
        acc.add("{name}", {{"v": number}}, {{"n": str(number)}})
        with open(os.environ["GIVEN"] + "/{name}", "a") as file:
            file.write(f"{{number}}\\n")
"""
CONFIGURATION = """
[agent]
  interval = "10ms"
  flush_interval = "200ms"
  metric_buffer_limit = 100000
  hostname = "testhost"
[[outputs.influxdb_v2]]
  urls = ["{url}"]
  token = "{token}"
  organization = "home"
  bucket = "{bucket}"
  timeout = "{timeout}"
[[inputs.influxdb_v2_listener]]
  service_address = "127.0.0.1:{port}"
  {limit}
[[inputs.threaded]]
"""


@dataclass
class Load:
    """A sender that counts, and sends again what was not taken."""

    url: str
    given: list[int] = field(default_factory=list)

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session:
            for number in itertools.count():
                line = f"fed,n={number} v={number}i {1_700_000_000_000_000_000 + number}"
                while not await self._sent(session, line):
                    await asyncio.sleep(0.01)
                self.given.append(number)

    async def _sent(self, session: aiohttp.ClientSession, line: str) -> bool:
        try:
            async with session.post(self.url, data=line) as answer:
                return answer.status == 204
        except aiohttp.ClientError:
            return False


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    descriptors: int
    threads: int
    memory: float
    """MiB."""

    @classmethod
    def by(cls, pid: int) -> "Held":
        status = Path(f"/proc/{pid}/status").read_text()
        number = {name: int(value) for name, value in re.findall(r"^(Threads|VmRSS):\s+(\d+)", status, re.MULTILINE)}
        return cls(len(os.listdir(f"/proc/{pid}/fd")), number["Threads"], number["VmRSS"] / 1024)


async def fill_caches(url: str) -> None:
    lines = "".join(f"filling,n={number} v=1i 1700000000000000000\n" for number in range(SERIES))
    async with aiohttp.ClientSession() as session, session.post(url, data=lines) as answer:
        assert answer.status == 204


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        await sandbox.setup(org="home", bucket=BUCKETS[0])
        await sandbox.add_bucket(BUCKETS[1])
        yield sandbox


def changes() -> Iterator[dict[str, str]]:
    """Texts that differ, each from the one before: in an output's bucket or time-out, in the listener, in an input that
    comes and goes."""
    for number in itertools.count():
        yield {
            "bucket": BUCKETS[number // 7 % 2],
            "timeout": f"{5 + number % 2}s" if number % 3 else "7s",
            "limit": "" if number // 5 % 2 else 'max_body_size = "1MiB"',
            "more": "[[inputs.looped]]\n" if number % 2 else "[[inputs.mem]]\n",
        }


async def settled(agent: AgentProcess) -> Held:
    """What the process holds when what it replaced has ended: when nothing has changed for a while."""
    held, same = Held.by(agent.process.pid), 0
    async with asyncio.timeout(DEADLINE):
        while same < 10:
            await asyncio.sleep(0.1)
            now = Held.by(agent.process.pid)
            same = same + 1 if (now.descriptors, now.threads) == (held.descriptors, held.threads) else 0
            held = now
    return held


async def test_two_hundred_reloads_under_load(server: Sandbox, tmp_path: Path) -> None:
    plugins, given, port = tmp_path / "plugins", tmp_path / "given", free_port()
    plugins.mkdir()
    given.mkdir()
    for name, def_ in (("threaded", "def"), ("looped", "async def")):
        (plugins / f"{name}.py").write_text(NUMBERED.format(name=name, def_=def_))
    config = tmp_path / "agent.conf"
    fixed = {"url": server.url, "token": server.token, "port": port}

    def write(change: dict[str, str]) -> None:
        config.write_text(CONFIGURATION.format(**fixed, **change) + change["more"])

    texts = changes()
    write(next(texts))
    async with running(
        "--config", str(config), "--plugin-directory", str(plugins), environ={"GIVEN": str(given)}
    ) as agent:
        await agent.logged("listening on")
        load = Load(f"http://127.0.0.1:{port}/api/v2/write?org=home&bucket=any")
        await fill_caches(load.url)
        sender = asyncio.create_task(load.run())

        async def reload(until: int) -> None:
            for number in range(agent.log.count("is reloaded") + 1, until + 1):
                write(next(texts))
                agent.signal(signal.SIGHUP)
                await agent.logged("the configuration is reloaded", times=number)
                await asyncio.sleep(0.03)  # a few gathers

        await reload(WARM_UP)
        before = await settled(agent)
        await reload(WARM_UP + RELOADS)
        after = await settled(agent)
        sender.cancel()
        await asyncio.wait([sender])
        assert await agent.terminate() == 0

    assert (after.descriptors, after.threads) == (before.descriptors, before.threads)
    assert after.memory < before.memory + MEMORY_ROOM
    assert "Traceback" not in agent.log
    assert "E!" not in agent.log
    wanted = {"fed": load.given} | {path.name: list(map(int, path.read_text().split())) for path in given.iterdir()}
    assert len(wanted) == 3
    assert min(map(len, wanted.values())) > RELOADS / 2
    for measurement, numbers in wanted.items():
        stored: set[int] = set()
        for bucket in BUCKETS:
            flux = (
                f'from(bucket: "{bucket}") |> range(start: 0) |> filter(fn: (r) => r._measurement == "{measurement}")'
            )
            stored |= {int(str(row["n"])) for row in await server.query(f'{flux} |> keep(columns: ["n"])')}
        missing = set(numbers) - stored
        assert not missing, f"{measurement}: {len(missing)} of {len(numbers)} are missing, {sorted(missing)[:5]}"
