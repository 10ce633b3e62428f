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
from agent_process import AgentProcess
from receiver import Receiver
from test_kill import Setting

STATES = ["ok", "503", "slow", "gone", "half a status line"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("strategy", ["memory", "disk"])
async def test_told_to_end_it_ends_and_what_it_acknowledged_arrives(tmp_path: Path, state: str, strategy: str) -> None:
    receiver = await Receiver().start()
    port = receiver.port
    setting = Setting(tmp_path, receiver, strategy)
    if state == "gone":
        await receiver.stop()
    else:
        receiver.mode = state
    agent = await setting.start()
    for number in range(5):
        assert await setting.oracle.feed(setting.port, f"s{number}", 50)
    await setting.balanced()
    began = time.monotonic()
    assert await agent.terminate() == 0
    assert time.monotonic() - began < 40, "the last flush has 15 s, and so has each of what follows"
    assert "Traceback" not in agent.log
    if state == "gone":
        await receiver.start(port)
    receiver.mode = "ok"
    agent = await setting.start()
    await setting.oracle.arrived()
    assert await agent.terminate() == 0
    setting.oracle.verdict().check()
    await receiver.stop()


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
    receiver = await Receiver().start()
    setting = Setting(tmp_path, receiver)
    agent = await setting.start()
    import resource

    used = len(os.listdir(f"/proc/{agent.process.pid}/fd"))
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (used + 16, used + 16))
    crowd = []
    for _ in range(60):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", setting.port))
        crowd.append(connection)
    refused = asyncio.create_task(setting.oracle.feed(setting.port, "crowded", 10))
    await asyncio.wait([refused], timeout=2)
    assert agent.process.returncode is None
    for connection in crowd:
        connection.close()
    await refused
    deadline = time.monotonic() + 60
    while not await setting.oracle.feed(setting.port, "after", 50):
        assert time.monotonic() < deadline, agent.log[-3000:]
        await asyncio.sleep(0.1)
    await setting.oracle.arrived()
    assert await agent.terminate() == 0
    setting.oracle.verdict().check()
    await receiver.stop()


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

    async with asyncio.timeout(60):
        while not all(times(name) >= 2 for name in ("leaks", "prints")) or times("mem") < 6:
            assert agent.process.returncode is None, agent.log[-2000:]
            await asyncio.sleep(0.1)
    seconds = sorted(int(stamp) // 10**9 for stamp in set(re.findall(r"^mem[, ].* (\d+)$", output.read_text(), re.M)))
    assert max(after - before for before, after in pairwise(seconds)) <= 3, "gathered on time"
    began = time.monotonic()
    agent.signal(signal.SIGTERM)
    assert await agent.wait() == 0
    assert time.monotonic() - began < 40
