"""outputs.socket_writer against inputs.socket_listener of an agent: with TLS and compressed, and over a listener that is killed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agent_process import DEADLINE, running

from pyagent.api import Metric, NotConnected, PyagentError
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent.testing.servers import free_port
from pyagent_plugins.outputs.socket_writer import SocketWriter


def metrics(first: int, last: int) -> list[Metric]:
    return [Metric("m", {"t": "a b"}, {"n": number}, number) for number in range(first, last)]


def configured(folder: Path, address: str, **more: Any) -> tuple[Path, Path]:
    """A configuration of a listener, and the file that it writes."""
    options = "".join(f'  {name} = "{value}"\n' for name, value in more.items())
    config, out = folder / "listener.conf", folder / "out"
    config.write_text(
        '[agent]\n  flush_interval = "1s"\n  omit_hostname = true\n'
        f'[[inputs.socket_listener]]\n  service_address = "{address}"\n{options}'
        f'[[outputs.file]]\n  files = ["{out}"]\n'
    )
    return config, out


def lines(out: Path) -> list[str]:
    return sorted(out.read_text().splitlines()) if out.exists() else []


async def written(out: Path, count: int) -> list[str]:
    async with asyncio.timeout(DEADLINE):
        while len(found := lines(out)) < count:
            await asyncio.sleep(0.05)
    return found


@pytest.mark.parametrize("kind", ["tcp", "tls", "gzip", "udp", "unix", "unixgram"])
async def test_all_comes(kind: str, certificates: Path, tmp_path: Path) -> None:
    scheme = kind if kind in ("udp", "unix", "unixgram") else "tcp"
    address = f"{scheme}://{tmp_path}/s" if scheme.startswith("unix") else f"{scheme}://127.0.0.1:{free_port()}"
    here, there = dict[str, str](), dict[str, str]()
    if kind == "tls":
        there = {"tls_cert": str(certificates / "server.pem"), "tls_key": str(certificates / "key.pem")}
        here = {"tls_ca": str(certificates / "ca.pem")}
    elif kind == "gzip":
        here = there = {"content_encoding": "gzip"}
    config, out = configured(tmp_path, address, **there)
    environ = {"PYAGENT_STATE_DIRECTORY": str(tmp_path / "state")}
    async with running("--config", str(config), environ=environ) as agent:
        await agent.logged("listening on")
        output = make_output(SocketWriter, {"address": address, **here})
        await output.connect()
        count = 30 if kind == "udp" else 300  # of more some may find no room
        for start in range(0, count, 10):
            await write(output, make_batch(output, metrics(start, start + 10)))
        await output.close()
        found = await written(out, count)
        assert await agent.terminate() == 0
    assert found == sorted(f"m,t=a\\ b n={number}i {number}" for number in range(count))


async def test_a_listener_that_is_killed_gets_what_comes_later(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    config, out = configured(tmp_path, address)
    environ = {"PYAGENT_STATE_DIRECTORY": str(tmp_path / "state")}
    output = make_output(SocketWriter, {"address": address})
    async with running("--config", str(config), environ=environ) as agent:
        await agent.logged("listening on")
        await output.connect()
        await write(output, make_batch(output, metrics(0, 100)))
        await written(out, 100)
    batch = make_batch(output, metrics(100, 200))
    with pytest.raises(NotConnected):
        await write(output, batch)
    with pytest.raises(PyagentError, match=r"cannot connect to .*is it running"):
        await output.connect()
    async with running("--config", str(config), environ=environ) as agent:
        await agent.logged("listening on")
        await output.connect()
        await write(output, batch)
        found = await written(out, 200)
        await output.close()
        assert await agent.terminate() == 0
    assert found == sorted(f"m,t=a\\ b n={number}i {number}" for number in range(200))
