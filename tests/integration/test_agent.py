"""The main job as a user runs it: the agent's process against the embedded server."""

import argparse
import asyncio
import json
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agent_process import DEADLINE, finished, running

from pyagent.cli.control import ask
from pyagent.sandbox import Sandbox
from pyagent.testing.servers import free_port

AGENT = """
[agent]
  interval = "1s"
  flush_interval = "{flush}"
  hostname = "testhost"
[[outputs.influxdb_v2]]
  urls = ["{url}"]
  token = "$INFLUX_TOKEN"
  organization = "home"
  bucket = "monitoring-system"
"""
MEM = "[[inputs.mem]]\n"
SMALL = """
[[inputs.mock]]
  metric_name = "small"
  [[inputs.mock.constant]]
    name = "n"
    value = 1
"""


@dataclass
class Hosted:
    """A server with a configuration and its scoped token, as InfluxDB's page leaves them."""

    server: Sandbox
    id: str
    token: str

    @property
    def url(self) -> str:
        return f"{self.server.url}/api/v2/telegrafs/{self.id}"

    @property
    def environ(self) -> dict[str, str]:
        return {"INFLUX_TOKEN": self.token}

    async def edit(self, inputs: str, flush: str = "1s") -> None:
        await self.server.update_telegraf(self.id, AGENT.format(url=self.server.url, flush=flush) + inputs)

    async def until(self, condition: Callable[[int], bool], measurement: str = "mem") -> int:
        async with asyncio.timeout(DEADLINE):
            while not condition(count := await self.server.count(measurement)):
                await asyncio.sleep(0.02)
        return count


@pytest.fixture
def unused_port() -> int:
    return free_port()


@pytest.fixture
async def hosted(tmp_path: Path, unused_port: int) -> AsyncIterator[Hosted]:
    # A folder and a port of its own, so that a test can stop the server and start it again.
    async with Sandbox(tmp_path / "server", port=unused_port, faults=True) as server:
        await server.setup(org="home", bucket="monitoring-system")
        config = await server.add_telegraf("ram", AGENT.format(url=server.url, flush="1s") + MEM)
        token = await server.authorize(write=["monitoring-system"], telegrafs=[config])
        yield Hosted(server, config, token)


async def test_mem_arrives_from_the_url_and_the_scoped_token(hosted: Hosted) -> None:
    async with running("--config", hosted.url, environ=hosted.environ) as agent:
        await hosted.until(lambda count: count >= 3)
        assert await agent.terminate() == 0
    rows = await hosted.server.query(
        'from(bucket: "monitoring-system") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "mem") |> last()'
    )
    assert {row["host"] for row in rows} == {"testhost"}
    assert {"used_percent", "total", "available"} <= {row["_field"] for row in rows}
    assert hosted.token not in agent.log
    assert "E!" not in agent.log


async def gathered(runtime: Path, enough: Callable[[int], bool]) -> int:
    """Return the number of metrics that the first input has given, once there are enough."""
    arguments = argparse.Namespace(instance="", socket=str(runtime / "control.sock"))
    async with asyncio.timeout(DEADLINE):
        while True:
            document = await asyncio.to_thread(ask, arguments, "/status")
            if enough(count := int(document["inputs"][0]["metrics"])):
                return count
            await asyncio.sleep(0.05)  # another process's work


async def test_what_is_gathered_before_sigterm_is_written(hosted: Hosted, tmp_path: Path) -> None:
    await hosted.edit(MEM, flush="1h")
    environ = {**hosted.environ, "PYAGENT_RUNTIME_DIRECTORY": str(tmp_path)}
    async with running("--config", hosted.url, "--debug", environ=environ) as agent:
        first = await hosted.until(lambda count: count >= 1)
        count = await gathered(tmp_path, lambda count: count >= first + 2)
        assert await hosted.server.count("mem") == first
        assert await agent.terminate() == 0
    assert await hosted.server.count("mem") >= count


async def test_sigint_ends_it_as_well(hosted: Hosted) -> None:
    async with running("--config", hosted.url, environ=hosted.environ) as agent:
        await hosted.until(lambda count: count >= 1)
        agent.signal(signal.SIGINT)
        assert await agent.wait() == 0


async def test_sighup_follows_an_edit_and_survives_a_broken_one(hosted: Hosted, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "from pyagent.api import Input\nclass Other(Input):\n    def gather(self, acc):\n        acc.add('other', {'n': 1})\n"
    )
    async with running("--config", hosted.url, "--plugin-directory", str(tmp_path), environ=hosted.environ) as agent:
        await hosted.until(lambda count: count >= 1)
        await hosted.edit(MEM + "[[inputs.other]]\n")
        agent.signal(signal.SIGHUP)
        await hosted.until(lambda count: count >= 1, "other")

        await hosted.edit("[[inputs.memm]]\n")
        agent.signal(signal.SIGHUP)
        await agent.logged("memm")
        count = await hosted.server.count("mem")
        await hosted.until(lambda now: now >= count + 2)

        await hosted.edit(MEM)
        agent.signal(signal.SIGHUP)
        await agent.logged("the configuration is reloaded", times=2)
        assert await agent.terminate() == 0


async def test_it_follows_an_edit_by_itself_and_stays_when_that_is_broken(hosted: Hosted) -> None:
    flags = ("--config-url-watch-interval", "200ms")
    async with running("--config", hosted.url, *flags, environ=hosted.environ) as agent:
        await hosted.until(lambda count: count >= 1)
        await hosted.edit('[[inputs.mem]]\n  name_override = "edited"\n')
        await hosted.until(lambda count: count >= 1, "edited")

        await hosted.edit("[[inputs.mem]]\n  name_overide = 'x'\n")
        await agent.logged("name_overide")
        count = await hosted.server.count("edited")
        await hosted.until(lambda now: now >= count + 2, "edited")

        await hosted.server.close()
        await agent.logged("[config] cannot read the configuration")
        await hosted.server.start()
        await hosted.edit("[[inputs.mem]]\n  name_override = 'again'\n")
        await hosted.until(lambda count: count >= 1, "again")
        assert await agent.terminate() == 0
    assert agent.log.count("name_overide") == 1, "a broken edit is told once, not at every look"


async def test_it_starts_from_the_last_good_text_and_follows_when_the_server_is_back(
    hosted: Hosted, tmp_path: Path
) -> None:
    environ = {**hosted.environ, "PYAGENT_STATE_DIRECTORY": str(tmp_path / "state")}
    flags = ("--config", hosted.url, "--config-url-retry-attempts", "1", "--config-url-watch-interval", "0")
    async with running(*flags, environ=environ) as agent:
        await hosted.until(lambda count: count >= 1)
        assert await agent.terminate() == 0
    (kept,) = (tmp_path / "state" / "config").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert hosted.token not in kept.read_text()

    await hosted.server.close()
    async with running(*flags, environ=environ) as agent:
        await agent.logged("ago is used until it answers")
        await agent.logged("[outputs.influxdb_v2] cannot write")
        await hosted.server.start()
        before = await hosted.server.count("mem")
        await hosted.until(lambda count: count >= before + 2)
        await hosted.edit('[[inputs.mem]]\n  name_override = "edited"\n')
        agent.signal(signal.SIGHUP)
        await hosted.until(lambda count: count >= 1, "edited")
        assert await agent.terminate() == 0


async def test_what_waited_for_a_bucket_that_was_corrected_is_named_and_can_be_given_to_the_new_one(
    hosted: Hosted, tmp_path: Path
) -> None:
    config = tmp_path / "agent.conf"
    text = (
        "[agent]\n  interval = '100ms'\n  flush_interval = '100ms'\n[[inputs.mem]]\n[[outputs.influxdb_v2]]\n"
        f"  urls = ['{hosted.server.url}']\n  token = '{hosted.token}'\n  organization = 'home'\n  bucket = "
    )
    config.write_text(f"{text}'misspelt'\n")
    environ = {"PYAGENT_STATE_DIRECTORY": str(tmp_path), "PYAGENT_RUNTIME_DIRECTORY": str(tmp_path)}
    async with running("--config", str(config), environ=environ) as agent:
        await agent.logged("cannot write to bucket 'misspelt'")
        config.write_text(f"{text}'monitoring-system'\n")
        agent.signal(signal.SIGHUP)
        name = "influxdb_v2%3Ahome%3Amisspelt%3A0"
        await agent.logged(f"no output claims the buffer {name} on disk")
        found = re.search(r"`pyagent (buffer adopt [^`]*)`", agent.log)
        assert found is not None
        status, out, log = await finished(*found[1].split())
        assert status == 0, log
        assert "outputs.influxdb_v2" in out
        assert await agent.terminate() == 0
    assert agent.log.count("no output claims") == 1


async def test_a_running_agent_tells_what_it_does(hosted: Hosted, tmp_path: Path) -> None:
    environ = {**hosted.environ, "PYAGENT_RUNTIME_DIRECTORY": str(tmp_path), "PYAGENT_INSTANCE": "ram"}
    flags = ("--socket", str(tmp_path / "control.sock"))
    async with running("--config", hosted.url, environ=environ) as agent:
        await hosted.until(lambda count: count >= 2)
        status, out, log = await finished("status", "ram", *flags)
        assert status == 0, log
        assert "instance ram" in out
        assert "inputs.mem" in out
        _, out, _ = await finished("status", *flags, "--json")
        document = json.loads(out)
        assert document["outputs"][0]["written"] >= 1
        assert document["configuration"]["sources"] == [hosted.url]
        assert hosted.token not in out

        await hosted.server.close()
        await agent.logged("[outputs.influxdb_v2] cannot write")
        status, out, _ = await finished("status", *flags)
        assert status == 2
        assert "problem: outputs.influxdb_v2: cannot write" in out
        await hosted.server.start()
        assert await agent.terminate() == 0
    status, _, log = await finished("status", *flags)
    assert status == 1
    assert "cannot ask the agent" in log


async def test_the_control_socket_flushes_and_reloads(hosted: Hosted, tmp_path: Path) -> None:
    async def post(target: str) -> object:
        arguments = argparse.Namespace(instance="", socket=str(tmp_path / "control.sock"))
        return await asyncio.to_thread(ask, arguments, target, method="POST")

    await hosted.edit(MEM, flush="1h")
    environ = {**hosted.environ, "PYAGENT_RUNTIME_DIRECTORY": str(tmp_path)}
    async with running("--config", hosted.url, environ=environ) as agent:
        written = await hosted.until(lambda count: count >= 1)
        while await hosted.server.count("mem") == written:  # whether one waits is not to be seen from here
            assert await post("/flush") == {"begun": True}
            await asyncio.sleep(0.05)
        await hosted.edit('[[inputs.mem]]\n  name_override = "edited"\n', flush="1h")
        assert await post("/reload") == {"begun": True}
        await hosted.until(lambda count: count >= 1, "edited")
        assert await agent.terminate() == 0


async def test_a_reload_that_fails_says_so(tmp_path: Path) -> None:
    """What the unit's ExecReload runs: systemctl fails where it does."""
    config = tmp_path / "telegraf.conf"
    good = "[[outputs.discard]]\n[[inputs.mem]]\n"
    config.write_text(good)
    command = ("reload", "--socket", f"{tmp_path}/control.sock")
    async with running("--config", str(config), "--runtime-directory", str(tmp_path)) as agent:
        await agent.logged("outputs: discard")
        assert await finished(*command) == (0, "the configuration is reloaded\n", "")
        config.write_text(f"{good}[[inputs.memm]]\n")
        for _ in range(2):
            status, out, err = await finished(*command)
            assert (status, out) == (2, "")
            assert err.startswith(
                f"E! cannot reload the configuration: {config}:3: inputs.memm: undefined but requested"
            )
            assert err.endswith("; the configuration before it goes on\n")
        config.write_text(f"{good}[[inputs.mem]]\n")
        assert await finished(*command, "--json") == (0, '{\n  "reloaded": true\n}\n', "")
        assert await agent.terminate() == 0
    assert (await finished(*command))[0] == 1


async def test_a_reload_of_a_service_that_has_no_configuration_yet_fails(tmp_path: Path) -> None:
    manager = ServiceManager(tmp_path / "notify")
    config = tmp_path / "telegraf.conf"
    environ = {"NOTIFY_SOCKET": str(manager.path), "TELEGRAF_CONFIG": str(config), "RUNTIME_DIRECTORY": str(tmp_path)}
    command = ("reload", "--socket", f"{tmp_path}/control.sock")
    async with running(environ=environ) as agent:
        await manager.until("STATUS=waiting for the configuration")
        status, _, err = await finished(*command)
        assert status == 2
        assert f"waiting for the configuration: cannot read the configuration {config}: No such file" in err
        config.write_text("[[outputs.discard]]\n[[inputs.mem]]\n")
        assert await finished(*command) == (0, "the configuration is reloaded\n", "")
        assert await agent.terminate() == 0
    manager.close()


async def test_what_is_refused_is_kept_and_goes_out_when_it_is_retried(hosted: Hosted, tmp_path: Path) -> None:
    def asked(*words: str) -> Awaitable[tuple[int, str, str]]:
        return finished("quarantine", *words, "--socket", str(tmp_path / "run" / "control.sock"))

    async def entries() -> list[dict[str, Any]]:
        _, out, _ = await asked("list", "--json")
        return list(json.loads(out)["entries"])

    (tmp_path / "run").mkdir()
    environ = hosted.environ | {"PYAGENT_RUNTIME_DIRECTORY": str(tmp_path / "run")}
    environ |= {"PYAGENT_STATE_DIRECTORY": str(tmp_path / "state")}
    # Refused while something else is taken: a receiver that takes nothing at all says nothing of single metrics.
    await hosted.edit(MEM + SMALL)
    await hosted.server.fault(kind="too-large", bytes=200)
    async with running("--config", hosted.url, environ=environ) as agent:
        await agent.logged(f"`pyagent quarantine list --socket {tmp_path}/run/control.sock` shows them")
        first = (await entries())[0]
        assert "413" in first["reason"]
        assert first["first"].startswith("mem,host=testhost ")
        await agent.kill()
    assert await hosted.server.count("mem") == 0
    await hosted.server.clear_faults()

    async with running("--config", hosted.url, environ=environ) as agent:
        await hosted.until(lambda count: count >= 1)
        kept = await entries()
        assert kept[0] == first
        status, out, log = await asked("retry", "all")
        assert (status, log) == (0, "")
        assert out.startswith(f"{sum(one['count'] for one in kept)} metric")
        time = int(first["first"].split()[-1])
        flux = f"""from(bucket: "monitoring-system") |> range(start: time(v: {time}), stop: time(v: {time + 1}))"""
        async with asyncio.timeout(DEADLINE):
            while not await hosted.server.query(flux):
                await asyncio.sleep(0.05)
        assert await entries() == []
        assert await agent.terminate() == 0


EVIL = {
    "raises": "def gather(self, acc):\n        acc.add('raises', {'n': 1})\n        raise ValueError('on purpose')",
    "exits": "def gather(self, acc):\n        raise SystemExit(7)",
    "hangs": "def gather(self, acc):\n        acc.add('hangs', {'n': 1})\n        import time\n        time.sleep(1e6)",
    "hangs_async": "async def gather(self, acc):\n        import asyncio\n        await asyncio.sleep(1e6)",
    "blocks_async": "async def gather(self, acc):\n        import time\n        time.sleep(1e6)",
    "spins": "def gather(self, acc):\n        while True: pass",
    "nonsense": "def gather(self, acc):\n        acc.add(5, 'x')\n        acc.add('nonsense', {'a': object(), 'b': 1})\n        return 3",
    "floods": "def gather(self, acc):\n        while True: acc.add('floods', {'n': 1})",
    "setup_raises": "def setup(self):\n        raise RuntimeError('setup fails')",
    "no_gather": "pass",
}


async def test_plugins_of_every_kind_of_evil_harm_nobody_else(hosted: Hosted, tmp_path: Path) -> None:
    for name, body in EVIL.items():
        (tmp_path / f"{name}.py").write_text(f"from pyagent.api import Input\n\nclass Evil(Input):\n    {body}\n")
    (tmp_path / "does_not_import.py").write_text("import no_such_module_at_all\n")
    (tmp_path / "not_python.py").write_text("class Broken(:\n")
    (tmp_path / "empty.py").write_text("")
    names = [*EVIL, "does_not_import", "not_python", "empty"]
    await hosted.edit(MEM + "".join(f"[[inputs.{name}]]\n" for name in names))
    async with running("--config", hosted.url, "--plugin-directory", str(tmp_path), environ=hosted.environ) as agent:
        await hosted.until(lambda count: count >= 4)
        for measurement in ("raises", "hangs", "nonsense"):
            await hosted.until(lambda count: count >= 1, measurement)
        assert await agent.terminate() == 0
    for name in ("raises", "exits", "nonsense", "setup_raises", "no_gather", "does_not_import", "not_python", "empty"):
        assert name in agent.log, f"nothing was said about {name}"
    assert "Traceback" not in agent.log


async def test_a_dead_postgresql_is_one_line_and_mem_goes_on(hosted: Hosted, unused_port: int) -> None:
    await hosted.edit(
        MEM + f'[[inputs.postgresql]]\n  address = "host=127.0.0.1 port={unused_port} user=x password=s3cr3t"\n'
    )
    async with running("--config", hosted.url, environ=hosted.environ) as agent:
        await hosted.until(lambda count: count >= 4)
        assert await agent.terminate() == 0
    assert agent.log.count("[inputs.postgresql]") == 1
    assert "s3cr3t" not in agent.log


@pytest.mark.parametrize("bar", ["a file", "below a file", "a link to nowhere"])
async def test_folders_that_cannot_be_used_are_one_line_each(tmp_path: Path, bar: str) -> None:
    folder = tmp_path / "folder"
    folder.symlink_to(tmp_path / "gone") if bar == "a link to nowhere" else folder.touch()
    folder = folder / "below" if bar == "below a file" else folder
    config = tmp_path / "telegraf.conf"
    config.write_text('[agent]\nflush_interval = "1s"\n[[outputs.file]]\n  files = ["stdout"]\n[[inputs.mem]]\n')
    folders = ("--state-directory", str(folder), "--runtime-directory", str(folder))
    async with running("--config", str(config), *folders) as agent:
        async with asyncio.timeout(DEADLINE):
            while "mem,host=" not in agent.out:  # another process's output
                await asyncio.sleep(0.01)
        assert await agent.terminate() == 0
    assert "Traceback" not in agent.log
    assert "BUG" not in agent.log
    assert "asyncio" not in agent.log
    assert agent.log.count("cannot use the state directory") == 1
    assert agent.log.count("cannot open the control socket") == 1


async def test_nothing_is_imported_that_the_configuration_does_not_name(tmp_path: Path) -> None:
    probe = "import sys\nfrom pyagent.api import Input\nclass Probe(Input):\n    def gather(self, acc):\n        acc.add('probe', {m.split('.')[0]: True for m in sys.modules})\n"
    (tmp_path / "probe.py").write_text(probe)
    config = tmp_path / "agent.conf"
    config.write_text(AGENT.format(url="http://127.0.0.1:1", flush="1s") + MEM + "[[inputs.probe]]\n")
    status, out, _ = await finished("--config", str(config), "--plugin-directory", str(tmp_path), "--test")
    assert status == 0
    assert "aiohttp=true" in out
    for module in ("psycopg", "psutil", "influxdb_client", "lark", "sqlite3", "pytest"):
        assert f"{module}=true" not in out


async def test_a_dead_server_loses_nothing_that_the_buffer_holds(hosted: Hosted, tmp_path: Path) -> None:
    environ = {**hosted.environ, "PYAGENT_RUNTIME_DIRECTORY": str(tmp_path)}
    async with running("--config", hosted.url, environ=environ) as agent:
        await hosted.until(lambda count: count >= 1)
        await hosted.server.close()
        await agent.logged("[outputs.influxdb_v2] cannot write")
        failed_at = await gathered(tmp_path, lambda count: count >= 2)
        count = await gathered(tmp_path, lambda count: count >= failed_at + 2)
        await hosted.server.start()
        await agent.logged("works again")
        assert await agent.terminate() == 0
        assert await hosted.server.count("mem") >= count
    assert agent.log.count("E! [outputs.influxdb_v2]") == 1


# A service waits -------------------------------------------------------------------------------------------------------


class ServiceManager:
    """systemd's end of the notification socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    async def until(self, text: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while not any(text in message for message in self.told):
                self.told.append((await asyncio.get_running_loop().sock_recv(self._socket, 4096)).decode())

    def close(self) -> None:
        self._socket.close()


async def test_a_service_waits_for_influxdb_and_needs_no_hand(tmp_path: Path, unused_port: int) -> None:
    manager = ServiceManager(tmp_path / "notify")
    data = tmp_path / "data"
    # A first life of the server makes the configuration; then it is down, as after a reboot.
    async with Sandbox(data, port=unused_port) as server:
        await server.setup(org="home", bucket="monitoring-system")
        config = await server.add_telegraf("ram", AGENT.format(url=server.url, flush="1s") + MEM)
        token = await server.authorize(write=["monitoring-system"], telegrafs=[config])
        url = f"{server.url}/api/v2/telegrafs/{config}"
    environ = {"INFLUX_TOKEN": token, "NOTIFY_SOCKET": str(manager.path), "TELEGRAF_CONFIG": url}
    async with running(environ=environ) as agent:
        await manager.until("STATUS=waiting for the configuration")
        assert "READY=1" in manager.told[0]
        async with Sandbox(data, port=unused_port) as server:
            await manager.until("STATUS=gathering mem; writing influxdb_v2")
            async with asyncio.timeout(DEADLINE):
                while not await server.count("mem"):
                    await asyncio.sleep(0.02)
            agent.signal(signal.SIGHUP)
            await manager.until("RELOADING=1")
            assert await agent.terminate() == 0
            await manager.until("STOPPING=1")
    manager.close()
    assert agent.log.count("waiting for it") == 1
