"""The Debian package on a bare Debian that has nothing but Python: installed, provisioned, started, upgraded, removed, purged."""

import asyncio
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from container import Container, booting

from pyagent.sandbox import Sandbox

pytestmark = [pytest.mark.system, pytest.mark.timeout(1500)]


class Bare(Container):
    """A Debian without the agent, and the package in its root folder."""

    def __init__(self, release: int, package: Path) -> None:
        super().__init__(release)
        self._package = package

    def install(self) -> None:
        shutil.copy(self._package, self.root / "root" / "pyagent.deb")


@pytest.fixture(scope="module")
def release() -> int:
    """The host's own: a package is built for the Debian that builds it."""
    known = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    if known.get("ID") != "debian" or known.get("VERSION_ID") not in ("12", "13"):
        pytest.skip("a package is built for the Debian that builds it, and this host is not Debian 12 or 13")
    return int(known["VERSION_ID"])


@pytest.fixture(scope="module")
def package(root: Path, release: int, unavailable: Callable[[str], None]) -> Path:
    if shutil.which("dpkg-deb") is None:
        unavailable("dpkg-deb is missing; apt install dpkg-dev")
    built = subprocess.run([root / "scripts" / "build-deb"], capture_output=True, text=True, timeout=1200)
    assert built.returncode == 0, built.stdout + built.stderr
    return root / built.stdout.strip().splitlines()[-1].partition("Built ")[2].partition(":")[0]


@pytest.fixture(scope="module")
def host(release: int, package: Path, unavailable: Callable[[str], None]) -> Iterator[Container]:
    yield from booting(lambda: Bare(release, package), unavailable)


async def _until(host: Container, server: Sandbox, more_than: int) -> int:
    async with asyncio.timeout(90):
        while (count := await server.count("mem")) <= more_than:
            await asyncio.sleep(0.1)
    return count


def test_it_is_small(package: Path) -> None:
    size = subprocess.run(["dpkg-deb", "-f", package, "Installed-Size"], capture_output=True, text=True, check=True)
    assert int(size.stdout) <= 40_000, "KiB"


async def test_three_commands_and_an_upgrade_and_nothing_is_left_at_the_end(host: Container, package: Path) -> None:
    async with Sandbox() as server:
        await server.setup(org="home", bucket="metrics")
        assert "pyagent" not in await host("sh", "-c", "command -v pyagent", check=False)
        await host("dpkg", "-i", "/root/pyagent.deb")
        assert await host("pyagent", "--version") == "pyagent 0.1.0"
        assert "inactive" in await host("systemctl", "is-active", "pyagent@ram", check=False)
        host.write("/root/token", server.token)
        await host(
            *("pyagent", "provision", "ram", "--url", server.url, "--org", "home", "--bucket", "metrics"),
            *("--input", "mem", "--token-file", "/root/token", "--start"),
        )
        count = await _until(host, server, 0)
        assert await host("stat", "-c", "%a %U", "/etc/pyagent/ram.env") == "600 root"
        doctor = await host("pyagent", "doctor", "ram")
        assert "All is well." in doctor
        before = await host("systemctl", "show", "pyagent@ram", "--value", "--property=MainPID")
        await host("dpkg", "-i", "/root/pyagent.deb")
        after = await host("systemctl", "show", "pyagent@ram", "--value", "--property=MainPID")
        assert before != after != "0", "an upgrade restarts what runs"
        await _until(host, server, count + 1)
        await host("dpkg", "-r", "pyagent")
        assert "inactive" in await host("systemctl", "is-active", "pyagent@ram", check=False)
        assert await host("ls", "/etc/pyagent") != ""
        await host("dpkg", "-P", "pyagent")
        found = await host(
            "sh", "-c", "find / -xdev -name '*pyagent*' ! -path '/root/*' ! -path '/proc/*' ! -path '/var/log/*'"
        )
        assert found == ""
        assert "pyagent" not in await host("getent", "passwd")
