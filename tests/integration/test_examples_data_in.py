"""The examples of docs/data-in.md: a script, a client at the agent's listener, an input; and the page shows them as they are."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from agent_process import DEADLINE, running

from pyagent.config.registry import Registry
from pyagent.sandbox import Sandbox
from pyagent.testing import assert_declared, lines, run_input
from pyagent.testing.servers import free_port

FOLDER = Path(__file__).parents[2] / "docs/examples/data-in"
BUCKET = "rooms"


@pytest.fixture
def sensor(tmp_path: Path) -> Path:
    file = tmp_path / "temp"
    file.write_text("21500\n")
    return file


def environment(server: Sandbox, **more: str) -> dict[str, str]:
    influxdb = {"INFLUX_HOST": server.url, "INFLUX_TOKEN": server.token, "INFLUX_ORG": "home", "INFLUX_BUCKET": BUCKET}
    return {**{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}, **influxdb, **more}


async def script(
    name: str, sensor: Path, environ: dict[str, str], room: str = "office"
) -> subprocess.CompletedProcess[str]:
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(FOLDER / name), str(sensor), room]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=DEADLINE)

    return await asyncio.to_thread(run)


async def stored(server: Sandbox) -> list[tuple[str, float]]:
    """Room and temperature of all points, each once."""
    rows = await server.query(
        f'from(bucket: "{BUCKET}") |> range(start: 0) |> filter(fn: (r) => r._field == "celsius")'
    )
    return sorted({(row["room"], row["_value"]) for row in rows})


def test_the_page_shows_the_examples_verbatim(root: Path) -> None:
    page = (root / "docs/data-in.md").read_text()
    shown = re.findall(r"(?ms)^```(?:python|toml)\n(.*?)^```$", page)
    names = ("room_writer.py", "agent.conf", "room_client.py", "plugins.d/room.py")
    assert shown == [(FOLDER / name).read_text() for name in names]


async def test_the_script_writes(sensor: Path) -> None:
    async with Sandbox() as server:
        await server.setup(bucket=BUCKET)
        done = await script("room_writer.py", sensor, environment(server), "a b, c=ü")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert await stored(server) == [("a b, c=ü", 21.5)]


async def test_the_script_fails_where_nothing_is_delivered(sensor: Path) -> None:
    async with Sandbox() as server:
        await server.setup(bucket=BUCKET)
        done = await script("room_writer.py", sensor, environment(server, INFLUX_TOKEN="wrong"))
        assert done.returncode == 1
        assert await stored(server) == []


async def test_a_client_hands_its_points_to_the_agent_which_gathers_as_well(sensor: Path, tmp_path: Path) -> None:
    port = free_port()
    text = (FOLDER / "agent.conf").read_text()
    for old, new in (("127.0.0.1:8186", f"127.0.0.1:{port}"), ("/sys/class/thermal/thermal_zone0/temp", str(sensor))):
        assert old in text
        text = text.replace(old, new)
    config = tmp_path / "agent.conf"
    config.write_text(text)
    async with Sandbox() as server:
        await server.setup(bucket=BUCKET)
        environ = environment(server, LISTENER=f"http://127.0.0.1:{port}", LISTENER_TOKEN="of-the-listener")
        plugins = ("--plugin-directory", str(FOLDER / "plugins.d"))
        async with running("--config", str(config), *plugins, environ=environ) as agent:
            await agent.logged(f"127.0.0.1:{port}")
            done = await script("room_client.py", sensor, environ, "kitchen")
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            assert await agent.terminate() == 0
        assert await stored(server) == [("kitchen", 21.5), ("office", 21.5)]


def test_the_input(sensor: Path) -> None:
    room = Registry([FOLDER / "plugins.d"]).find("inputs", "room").plugin
    metrics = run_input(room, {"sensor": str(sensor), "room": "office"})  # type: ignore[arg-type]
    assert_declared(room, metrics)  # type: ignore[arg-type]
    assert lines(metrics) == ["room,room=office celsius=21.5"]
    sensor.write_text("nonsense")
    with pytest.raises(ValueError, match="nonsense"):
        run_input(room, {"sensor": str(sensor), "room": "office"})  # type: ignore[arg-type]
