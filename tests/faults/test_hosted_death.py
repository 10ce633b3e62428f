"""A hosted edit that the agent dies of, or hangs at: the next start uses the last text that has run."""

import asyncio
import signal
from pathlib import Path

import pytest
from agent_process import DEADLINE, AgentProcess

from pyagent.sandbox import Sandbox

TEXT = """
[agent]
  interval = "200ms"
[[outputs.file]]
  files = ["stdout"]
"""
DEADLY = {
    "killed": "import os, signal\n        os.kill(os.getpid(), signal.SIGKILL)",
    "ended": "import os\n        os._exit(3)",
    "hangs": "import ctypes, sys\n        sys.stderr.write('hangs now\\n')\n        ctypes.PyDLL(None).sleep(1000)",
    "hangs when it is imported": "",
}
HEAD = "from pyagent.api import Input\n"
PLUGIN = HEAD + "class Deadly(Input):\n    def gather(self, acc):\n        "


@pytest.mark.parametrize("way", DEADLY)
async def test_a_text_that_the_agent_dies_of_is_not_begun_with_again(tmp_path: Path, way: str) -> None:
    code = PLUGIN + DEADLY[way] if DEADLY[way] else HEAD + DEADLY["hangs"].replace("        ", "")
    (tmp_path / "deadly.py").write_text(code)
    async with Sandbox(tmp_path / "server") as server:
        await server.setup(org="home", bucket="b")
        config = await server.add_telegraf("x", TEXT + "[[inputs.mem]]\n")
        arguments = (
            *("--config", f"{server.url}/api/v2/telegrafs/{config}", "--config-url-watch-interval", "100ms"),
            *("--state-directory", str(tmp_path / "state"), "--plugin-directory", str(tmp_path)),
        )
        environ = {"INFLUX_TOKEN": await server.authorize(telegrafs=[config])}

        async def started(points: int = 1) -> AgentProcess:
            agent = await AgentProcess(*arguments, environ=environ).start()
            async with asyncio.timeout(DEADLINE):
                while agent.out.count("mem,") < points:
                    assert agent.process.returncode is None, agent.log
                    await asyncio.sleep(0.01)
            return agent

        agent = await started(2)  # at the second one the agent knows that the first one is written: the text has run
        await server.update_telegraf(config, TEXT + "[[inputs.deadly]]\n")
        if "hangs" in way:
            await agent.logged("hangs now")
            agent.signal(signal.SIGTERM)  # of no use, as it is meant to be
            agent.signal(signal.SIGKILL)
        await agent.wait()

        for _ in range(2):
            agent = await started()
            await agent.logged("the last good one runs until the text changes")
            agent.signal(signal.SIGKILL)
            await agent.wait()
        agent = await started()
        await server.update_telegraf(config, TEXT + "[[inputs.mem]]\n  name_override = 'mended'\n")
        await agent.logged("the configuration is reloaded")
        async with asyncio.timeout(DEADLINE):
            while "mended," not in agent.out:
                await asyncio.sleep(0.01)
        assert await agent.terminate() == 0
