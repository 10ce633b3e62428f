"""What the pages say to type on a host: the tutorial from its first command to its last, then the other pages, in a Debian under systemd."""

import asyncio
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from container import PYTHONS, Container, booting, copy_project, wheels
from page_blocks import Block, differs, pages, session, wrapped
from real_servers import running

from pyagent.testing.servers import PostgresServer, free_port

pytestmark = [pytest.mark.system, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
RELEASE = 13
DEADLINE = 600.0
PASSWORD = "correct-horse"
TUTORIAL = "getting-started"
# The tutorial first: the others say what to do on the host that it leaves.
SHOWN = sorted(
    (page for page in pages(ROOT) if session(page, host=True)), key=lambda page: (page.stem != TUTORIAL, page.stem)
)

# root needs neither: sudo is here for those who are not, and psql is not installed.
SUDO = """#!/bin/sh
while :; do case $1 in -u) shift 2 ;; --preserve-env=*) shift ;; *) break ;; esac; done
exec "$@"
"""
PSQL = """#!/opt/pyagent/bin/python
import sys
import psycopg
with psycopg.connect("{address}", autocommit=True) as connection:
    connection.execute(sys.argv[sys.argv.index("-c") + 1])
"""


class Empty(Container):
    """A Debian with a checkout of the project in root's home, and the packages that the installation would fetch."""

    def install(self) -> None:
        copy_project(self.root / "root" / "pyagent")
        packages = wheels(PYTHONS[self.release])
        subprocess.run(["cp", "-a", "--reflink=auto", packages, self.root / "root" / "wheels"], check=True, timeout=300)


class Reader:
    """Types what a page shows, as root, with other ports and the token and ID that the page of the server would give."""

    def __init__(self, host: Container, postgresql: PostgresServer) -> None:
        self._host = host
        self._port = free_port()
        self._address = f"host=127.0.0.1 port={postgresql.port} user=monitor"
        self._given: dict[str, str] = {}
        host.write("/usr/local/bin/sudo", SUDO, 0o755)
        host.write("/usr/local/bin/psql", PSQL.replace("{address}", postgresql.address), 0o755)

    async def _typed(self, text: str) -> str:
        text = re.sub(r"(localhost|127\.0\.0\.1|HOST):8086", rf"127.0.0.1:{self._port}", text)
        text = text.replace("pyagent sandbox ", f"pyagent sandbox --port {self._port} ")
        text = text.replace("host=localhost user=monitor", self._address)
        if ("telegrafs/ID" in text or "INFLUX_TOKEN=..." in text) and not self._given:
            self._given = await self._as_the_page_does()
        for shown, here in self._given.items():
            text = text.replace(shown, here)
        return text

    async def _as_the_page_does(self) -> dict[str, str]:
        """A configuration, and a token that may write its bucket and read it."""
        asked = ["--url", f"http://127.0.0.1:{self._port}", "--user", "admin", "--bucket", "monitoring-system"]
        await self._host("env", f"INFLUX_PASSWORD={PASSWORD}", "pyagent", "provision", "ram", *asked, "--input", "mem")
        settings = (self._host.root / "etc/pyagent/ram.env").read_text()
        (self._host.root / "etc/pyagent/ram.env").unlink()
        found = dict(re.findall(r'^(\w+)="?([^"\n]+)"?$', settings, re.MULTILINE))
        return {
            "INFLUX_TOKEN=...": f"INFLUX_TOKEN={found['INFLUX_TOKEN']}",
            "telegrafs/ID": f"telegrafs/{found['TELEGRAF_CONFIG'].rpartition('/')[2]}",
        }

    async def run(self, block: Block) -> str:
        """What the block prints; one in the background: nothing, when it answers."""
        how = block.how()
        text = wrapped(await self._typed(block.text), "/root/.session")
        self._host.write("/root/.block", text, 0o700)
        # In place of the network, and of a person who types a password and looks at a text.
        stands_in = [
            "PIP_NO_INDEX=1",
            "PIP_FIND_LINKS=/root/wheels",
            f"INFLUX_PASSWORD={PASSWORD}",
            "EDITOR=true",
            "LANG=C.UTF-8",
        ]
        command = ["env", "-C", "/root", "HOME=/root", *stands_in, "bash"]
        if how and how["until"]:
            await self._host(*command, "-c", "cp .block .behind; setsid bash .behind </dev/null >.log 2>&1 &")
            await asyncio.to_thread(_wait, await self._typed(how["until"]))
            return ""
        return await self._host(*command, ".block", timeout=DEADLINE)

    async def shown(self, block: Block) -> str:
        """An output, as it is here."""
        return await self._typed(block.text)

    def begin(self) -> None:
        """A page."""
        state = self._host.root / "root/.session"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()


def _wait(url: str) -> None:
    for _ in range(int(DEADLINE)):
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(1)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(scope="module")
def host(unavailable: Callable[[str], None]) -> Iterator[Container]:
    yield from booting(lambda: Empty(RELEASE), unavailable)


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[PostgresServer]:
    """Of this file alone: a page makes a role there."""
    yield from running(PostgresServer)


@pytest.fixture(scope="module")
def reader(host: Container, own_postgresql: PostgresServer) -> Reader:
    return Reader(host, own_postgresql)


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.stem)
async def test_a_host_does_what_the_page_says(page: Path, reader: Reader) -> None:
    reader.begin()
    printed = ""
    for block in session(page, host=True):
        if block.comment == "output":
            missing = differs(await reader.shown(block), printed)
            assert missing is None, f"{block.place}: {missing!r} is not in\n{printed}"
        else:
            printed = await reader.run(block)
