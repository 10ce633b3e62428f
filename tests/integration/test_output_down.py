"""An output that is down beside one that works, and an input that gathers more than half of a queue: the real agent."""

import asyncio
import re
from collections import Counter
from pathlib import Path

from agent_process import DEADLINE, AgentProcess

TICKS = 4
MANY = 5_000
CONFIG = """
[agent]
  interval = "2s"
  flush_interval = "1s"
  metric_buffer_limit = 6000
[[inputs.exec]]
  commands = ["cat {lines}"]
  data_format = "influx"
[[outputs.file]]
  files = ["{received}"]
[[outputs.influxdb]]
  urls = ["http://127.0.0.1:1"]
"""


async def test_the_healthy_output_gets_every_gather(tmp_path: Path) -> None:
    lines, received = tmp_path / "lines", tmp_path / "received"
    lines.write_text("".join(f"big,i=x{number} n={number}i\n" for number in range(MANY)))
    config = tmp_path / "a.conf"
    config.write_text(CONFIG.format(lines=lines, received=received))
    agent = await AgentProcess("--config", str(config), "--state-directory", str(tmp_path / "state")).start()
    try:
        async with asyncio.timeout(DEADLINE):
            while not received.exists() or received.read_bytes().count(b"\n") < TICKS * MANY:
                await asyncio.sleep(0.1)
        assert await agent.terminate() == 0
    finally:
        await agent.kill()
    found = Counter(re.findall(r" n=(\d+)i", received.read_text()))
    assert len(found) == MANY
    # The last gather may be cut off by the end.
    assert max(found.values()) - min(found.values()) <= 1
    assert "it is dropped" not in agent.log
    assert "Metric buffer overflow" in agent.log
