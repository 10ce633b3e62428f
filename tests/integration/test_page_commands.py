"""The commands that the pages show, run as a reader types them: a page is one session, in a folder of its own, with an embedded server."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import pyagent
from page_blocks import Block, differs, pages, session, wrapped
from provisioning import Host, background, host, new_server

from pyagent.influxdb.management import Management
from pyagent.testing.servers import free_port

__all__ = ["background", "host", "new_server", "pyagent"]  # fixtures

ROOT = Path(__file__).parents[2]
DEADLINE = 150.0
SHOWN = [page for page in pages(ROOT) if session(page, host=False)]


class Reader:
    """Types what a page shows, with this server and these ports in place of the page's."""

    def __init__(self, folder: Path, host: Host) -> None:
        self._state = folder / ".session"
        self._state.mkdir()
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self._token = host.server.token
        self._words = {
            "http://HOST:8086": host.server.url,
            "http://localhost:8086": host.server.url,
            "INFLUX_TOKEN=...": f"INFLUX_TOKEN={host.server.token}",
            "LISTENER_TOKEN=...": "LISTENER_TOKEN=of-the-listener",
            "/sys/class/thermal/thermal_zone0/temp": f"{folder}/temp",
        }
        self._ports: dict[str, str] = {}
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "PYAGENT_NATIVE") if name in os.environ}
        self._environ = kept | {
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PROJECT": str(ROOT),
        }

    def typed(self, text: str) -> str:
        def port(match: re.Match[str]) -> str:
            return f"127.0.0.1:{self._ports.setdefault(match[1], str(free_port()))}"

        text = re.sub(r"127\.0\.0\.1:(\d+)", port, text)
        for shown, here in self._words.items():
            text = text.replace(shown, here)
        text = text.replace("gunicorn ", f"gunicorn --bind 127.0.0.1:{self._ports.get('8000')} --no-control-socket ")
        return text.replace("pyagent sandbox ", f"pyagent sandbox --port {self._ports.get('8086')} ")

    def run(self, block: Block) -> str:
        """What the block prints; one in the background: nothing, when it answers."""
        how = block.how()
        until = how["until"] and self.typed(how["until"]) if how else None
        text = self.typed(block.text)
        if block.language == "python":
            text = f"python - <<'END OF BLOCK'\ntoken = {self._token!r}\n{text}END OF BLOCK\n"
        command = ["bash", "-c", wrapped(text, str(self._state))]
        if how and how["terminal"]:
            command = ["script", "-qefc", f"stty cols 120; {shlex.join(command)}", "/dev/null"]
        printed = self._folder / ".printed"
        with printed.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        if until:
            self._wait(until, process)
        else:
            process.wait(DEADLINE)
            assert process.returncode == 0, f"{block.place}: {printed.read_text()}"
        return printed.read_text()

    @staticmethod
    def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            assert process.poll() is None, "it has ended"
            try:
                urllib.request.urlopen(url, timeout=10).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{url} does not answer")

    def leave(self) -> None:
        for process in self._started:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(30)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue


@pytest.fixture
def reader(tmp_path: Path, host: Host) -> Iterator[Reader]:
    """At a server that has the buckets monitoring-system and archive."""
    with Management(host.server.url, token=host.server.token) as influxdb:
        influxdb.create_bucket(influxdb.organizations()[0], "archive", 0)
    made = Reader(tmp_path, host)
    yield made
    made.leave()


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_what_it_says(page: Path, reader: Reader) -> None:
    printed = ""
    for block in session(page, host=False):
        if block.comment == "output":
            missing = differs(reader.typed(block.text), printed)
            assert missing is None, f"{block.place}: {missing!r} is not in\n{printed}"
        else:
            printed = reader.run(block)


def test_a_block_that_fails_is_named(tmp_path: Path, reader: Reader) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- run -->\n```sh\nexport A=1; cd /\n```\n\n<!-- run -->\n```sh\ntest $A$PWD = 1/\nfalse\n```\n")
    first, second = session(page, host=False)
    reader.run(first)
    with pytest.raises(AssertionError, match=r"page.md:8"):
        reader.run(second)
