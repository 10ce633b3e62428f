"""The Debian packages on a bare Debian that has nothing but Python: installed, provisioned, started, upgraded, removed, purged.

One for each release that is tested, built by that release's Python. What is typed is what the README says.
"""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from building import debian_package
from container import DEMONSTRATION, PYTHONS, Container, booting
from page_blocks import Block

from pyagent.sandbox import Sandbox
from pyagent.testing.servers import ServerMissing

pytestmark = [pytest.mark.system, pytest.mark.timeout(1500)]


class Bare(Container):
    """A Debian without the agent, and the package in its root folder."""

    def __init__(self, release: int, package: Path) -> None:
        super().__init__(release)
        self._package = package

    def install(self) -> None:
        shutil.copy(self._package, self.root / "root")


@pytest.fixture(scope="module", params=PYTHONS)
def release(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Future[Path]]]:
    """Of each release; both are built at once, as each build keeps one core busy for most of its time."""
    folder = tmp_path_factory.mktemp("packages")
    with ThreadPoolExecutor() as pool:
        yield {release: pool.submit(debian_package, release, folder) for release in PYTHONS}


@pytest.fixture(scope="module")
def package(release: int, packages: dict[int, Future[Path]], unavailable: Callable[[str], None]) -> Path:
    if shutil.which("dpkg-deb") is None:
        unavailable("dpkg-deb is missing; apt install dpkg-dev")
    try:
        return packages[release].result()
    except ServerMissing as error:
        unavailable(str(error))
        raise


@pytest.fixture(scope="module")
def host(release: int, package: Path, unavailable: Callable[[str], None]) -> Iterator[Container]:
    yield from booting(lambda: Bare(release, package), unavailable)


def of_package(package: Path, name: str) -> str:
    """One field of the package's control file."""
    done = subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commands_of(readme: Path, server: Sandbox) -> list[str]:
    """The commands that the README gives for the package, for root, with this server in place of `HOST:8086`."""
    [text] = [block.text for block in Block.of(readme) if block.text.startswith("sudo dpkg -i ")]
    typed = text.replace("http://HOST:8086", server.url).replace("\\\n", "").replace("sudo ", "")
    return [line.strip() for line in typed.splitlines()]


async def _until(host: Container, server: Sandbox, more_than: int) -> int:
    async with asyncio.timeout(90):
        while (count := await server.count("mem")) <= more_than:
            await asyncio.sleep(0.1)
    return count


def test_it_is_small_and_for_one_python(package: Path, release: int) -> None:
    assert int(of_package(package, "Installed-Size")) <= 40_000, "KiB"
    minor = int(PYTHONS[release].partition(".")[2])
    needs = of_package(package, "Depends").split(", ")
    assert [f"python3 (>= 3.{minor}~)", f"python3 (<< 3.{minor + 1}~)"] == needs[:2]
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout
    tags = set(re.findall(r"\.(cpython-\d+)-", listed))
    assert tags == {f"cpython-3{minor}"}
    # OpenSSL is Debian's, which Debian mends.
    assert re.search(r"libcrypto-\S+ -> \.\./\.\./\S+/libcrypto\.so\.3\n", listed)
    assert {"index.html", "app.js", "style.css", "uplot.js"} <= set(re.findall(r"/sandbox/pages/static/(\S+)", listed))
    # Without a compiler `make deb` makes one that has the core in Python alone.
    assert shutil.which("c++") is None or f"native/_core.cpython-3{minor}-" in listed


@pytest.mark.parametrize("release", [max(PYTHONS)], indirect=True)  # one script makes both
def test_lintian_finds_no_fault(package: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is missing; apt install lintian")
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", package]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


async def test_three_commands_and_an_upgrade_and_nothing_is_left_at_the_end(
    host: Container, package: Path, root: Path
) -> None:
    async with Sandbox() as server:
        await server.setup(org="home", bucket="monitoring-system")
        assert "pyagent" not in await host("sh", "-c", "command -v pyagent", check=False)
        install, provision, start = commands_of(root / "README.md", server)

        await host("sh", "-ec", f"cd; {install}")
        assert await host("pyagent", "--version") == "pyagent 0.1.0"
        assert "inactive" in await host("systemctl", "is-active", "pyagent@ram", check=False)
        # What the command would ask for, where there is a terminal.
        await host("env", f"INFLUX_TOKEN={server.token}", *shlex.split(provision))
        assert await host("stat", "-c", "%a %U", "/etc/pyagent/ram.env") == "600 root"
        assert await server.count("mem") == 0
        await host(*shlex.split(start))
        count = await _until(host, server, 0)

        shown = json.loads(await host("sh", "-c", DEMONSTRATION))
        assert shown["points"]["mem"] > 0, "what few commands import is there, too"
        doctor = await host("pyagent", "doctor", "ram")
        assert "All is well." in doctor
        before = await host("systemctl", "show", "pyagent@ram", "--value", "--property=MainPID")
        await host("dpkg", "-i", f"/root/{package.name}")
        after = "0"
        for _ in range(
            30
        ):  # systemd 252 may not make a control group that it has just removed: it tries again after RestartSec
            after = await host("systemctl", "show", "pyagent@ram", "--value", "--property=MainPID")
            if after != "0":
                break
            await asyncio.sleep(1)
        log = await host("journalctl", "-o", "short-monotonic", "--no-pager", "-n", "40")
        assert before != after != "0", f"an upgrade restarts what runs: {log}"
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
