"""The configurations of docs/fan-in.md: with the rights that the page gives, and no more, metrics go all the way."""

import asyncio
import re
from pathlib import Path

import tomli
from agent_process import AgentProcess
from nats_streams import DEADLINE

from pyagent.testing.servers import NatsServer

_BLOCK = re.compile(r"<!-- used by tests/integration/test_fan_in_page.py -->\n```(\w+)\n(.*?)```", re.DOTALL)


async def test_the_way_of_the_page(root: Path, tmp_path: Path) -> None:
    blocks = _BLOCK.findall((root / "docs/fan-in.md").read_text())
    (_, accounts), (_, host), (_, consumer) = blocks
    server = NatsServer(authorization=accounts)
    await asyncio.to_thread(server.start)
    agents: list[AgentProcess] = []
    try:
        from nats.aio.client import Client

        admin = Client()
        await admin.connect(server.url, user="admin", password="change-1")
        await admin.jetstream().add_stream(name="METRICS", subjects=["metrics.>"])
        changes = {
            r"servers = \[.*\]": f'servers = ["{server.url}"]',
            r"secure = true\n  tls_ca = .*": "",
            r"\[\[inputs.cpu\]\]": "[[inputs.mem]]",
            r"\[\[outputs.influxdb_v2\]\](.|\n)*": f'[[outputs.file]]\n  files = ["{tmp_path}/out"]\n',
            r"\[agent\]": '[agent]\n  interval = "200ms"\n  flush_interval = "200ms"',
        }
        for name, text, password in (("host", host, "change-2"), ("reader", consumer, "change-3")):
            for pattern, put in changes.items():
                text = re.sub(pattern, put, text)
            assert tomli.loads(text)
            config = tmp_path / f"{name}.conf"
            config.write_text(text)
            arguments = ("--config", str(config), "--state-directory", str(tmp_path / name))
            agents.append(await AgentProcess(*arguments, environ={"NATS_PASSWORD": password}).start())
        async with asyncio.timeout(DEADLINE):
            while not (tmp_path / "out").exists() or "mem," not in (tmp_path / "out").read_text():
                assert not any("E! [" in agent.log for agent in agents), [agent.log for agent in agents]
                await asyncio.sleep(0.05)
        async with asyncio.timeout(DEADLINE):
            while (await admin.jetstream().consumer_info("METRICS", "to_influxdb")).ack_floor.stream_seq < 1:
                await asyncio.sleep(0.05)
        await admin.close()
    finally:
        for agent in agents:
            await agent.kill()
        await asyncio.to_thread(server.stop)
    assert "subject=" not in (tmp_path / "out").read_text()
