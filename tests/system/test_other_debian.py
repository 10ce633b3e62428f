"""The other Debian that is tested: the agent is installed, runs as a service and shows itself there too.

The two differ in Python, systemd and all libraries; the whole of test_systemd.py runs on one of them.
"""

import json
from collections.abc import Callable, Iterator

import pytest
from container import DEMONSTRATION, Container, booting
from test_systemd import RAM, hosting

RELEASE = 12

pytestmark = [pytest.mark.system, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def host(unavailable: Callable[[str], None]) -> Iterator[Container]:
    yield from booting(lambda: Container(RELEASE), unavailable)


async def test_the_service(host: Container) -> None:
    async with hosting(host) as make:
        ram = await make("ram", RAM)
        host.write("/etc/telegraf/telegraf-ram.env", f"export INFLUX_TOKEN={ram.token}\ntelegraf --config {ram.url}\n")
        await host("systemctl", "enable", "--now", ram.unit)
        before = await ram.points("mem")
        pid = await ram.show("MainPID")

        await ram.server.update_telegraf(ram.config, RAM.format(url=ram.server.url) + '  name_override = "memory"\n')
        await host("systemctl", "reload", ram.unit)
        reloaded = await ram.points("memory")
        assert await ram.show("MainPID") == pid
        assert await ram.server.count("mem") >= before

        await host.reboot()
        await ram.points("memory", more_than=reloaded)
        await host("systemctl", "stop", ram.unit)
        assert [await ram.show(name) for name in ("Result", "ExecMainStatus", "NRestarts")] == ["success", "0", "0"]
        assert ram.token not in await host("journalctl", "--no-pager")


async def test_the_demonstration(host: Container) -> None:
    """It starts servers and agents of its own, and everything ends with it."""
    shown = json.loads(await host("sh", "-c", DEMONSTRATION))
    assert shown["points"]["mem"] > 0


async def test_uninstall(host: Container) -> None:
    await host("make", "-C", "/root/pyagent", "uninstall")
    assert "not found" in await host("sh", "-c", "pyagent --version", check=False)
