"""The real process: told to end in each of its states, short of file descriptors, and with plugins that do their worst."""

import asyncio
import os
import re
import signal
import socket
import time
from itertools import pairwise
from pathlib import Path

import pytest
from agent_process import DEADLINE, AgentProcess
from host import Host
from outputs import Setup

STATES = ["ok", "503", "slow", "gone", "half a status line"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("strategy", ["memory", "disk"])
async def test_told_to_end_it_ends_and_what_it_acknowledged_arrives(tmp_path: Path, state: str, strategy: str) -> None:
    host = await Host.with_outputs(tmp_path / "host", "red")
    setup = Setup((host.writes("red"),), strategy)
    receiver = host.receivers["red"]
    if state == "gone":
        await receiver.stop()
    else:
        receiver.mode = state
    agent = await host.agent(setup).start()
    for number in range(5):
        assert await agent.feed(f"s{number}", 50)
    await agent.balanced()
    began = time.monotonic()
    assert await agent.terminate() == 0
    assert time.monotonic() - began < 40, "the last flush has 15 s, and so has each of what follows"
    await host.delivered(setup)
    host.oracle.verdict().check()


async def test_told_to_end_while_it_waits_for_its_configuration(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes connections and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api/v2/telegrafs/0000000000000001"
        agent = AgentProcess("--config", url, "--state-directory", str(tmp_path))
        await agent.start()
        connection, _ = await asyncio.to_thread(silent.accept)
        with connection:
            assert await agent.terminate() == 0
        assert "Traceback" not in agent.log


async def test_short_of_file_descriptors_it_goes_on_afterwards(tmp_path: Path) -> None:
    host = await Host.with_outputs(tmp_path / "host", "red")
    agent = await host.agent(Setup((host.writes("red"),))).start()
    process = agent.process.process
    import resource

    used = len(os.listdir(f"/proc/{process.pid}/fd"))
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 16, used + 16))
    crowd = []
    for _ in range(60):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", agent.port))
        crowd.append(connection)
    refused = asyncio.create_task(agent.feed("crowded", 10))
    await asyncio.wait([refused], timeout=2)
    assert agent.runs
    for connection in crowd:
        connection.close()
    await refused
    deadline = time.monotonic() + 60
    while not await agent.feed("after", 50):
        assert time.monotonic() < deadline, agent.logs[-3000:]
        await asyncio.sleep(0.1)
    await host.oracle.arrived()
    assert await agent.terminate() == 0
    host.oracle.verdict().check()


WORST = {
    "million": "def gather(self, acc):\n        for n in range(1_000_000):\n            acc.add('million', {'n': n})",
    "leaks": """async def gather(self, acc):
        import asyncio
        self.kept = getattr(self, 'kept', []) + [asyncio.create_task(asyncio.sleep(1e6)) for _ in range(100)]
        acc.add('leaks', {'n': len(self.kept)})""",
    "exits": "def gather(self, acc):\n        import sys\n        sys.exit(3)",
    "huge": "def gather(self, acc):\n        acc.add('huge', {'text': 'x' * 20_000_000})",
    "prints": "def gather(self, acc):\n        print('x' * 1_000_000)\n        acc.add('prints', {'n': 1})",
    "blocks": "async def gather(self, acc):\n        import time\n        time.sleep(1e6)",
}


@pytest.mark.alone(reason="whether it gathers on time, beside a plugin that wants a whole core")
async def test_plugins_that_do_their_worst_take_nothing_with_them(tmp_path: Path) -> None:
    for name, gather in WORST.items():
        head = "from pyagent.api import Input\n\n\nclass Worst(Input):\n"
        (tmp_path / f"{name}.py").write_text(f"{head}    {gather}\n")
    output = tmp_path / "metrics.out"
    config = tmp_path / "agent.conf"
    config.write_text(
        '[agent]\n  interval = "1s"\n  flush_interval = "1s"\n'
        f'[[outputs.file]]\n  files = ["{output}"]\n'
        "[[inputs.mem]]\n" + "".join(f"[[inputs.{name}]]\n" for name in WORST)
    )
    agent = AgentProcess(
        "--config", str(config), "--plugin-directory", str(tmp_path), "--state-directory", str(tmp_path)
    )
    await agent.start()

    def times(measurement: str) -> int:
        text = output.read_text(errors="replace") if output.exists() else ""
        return len(set(re.findall(rf"^{measurement}[, ].* (\d+)$", text, re.MULTILINE)))

    async with asyncio.timeout(DEADLINE):
        while not all(times(name) >= 2 for name in ("leaks", "prints")) or times("mem") < 6:
            assert agent.process.returncode is None, agent.log[-2000:]
            await asyncio.sleep(0.1)
    seconds = sorted(int(stamp) // 10**9 for stamp in set(re.findall(r"^mem[, ].* (\d+)$", output.read_text(), re.M)))
    assert max(after - before for before, after in pairwise(seconds)) <= 3, "gathered on time"
    began = time.monotonic()
    agent.signal(signal.SIGTERM)
    assert await agent.wait() == 0
    assert time.monotonic() - began < 40
