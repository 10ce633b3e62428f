"""outputs.execd with programs that end and that do not read."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from pyagent.api import ConfigError, Metric, NotConnected, PyagentError, Retry
from pyagent.testing.outputs import make_batch, make_output
from pyagent_plugins.outputs import execd
from pyagent_plugins.outputs.execd import Execd

HANG = 30.0


def output(script: str, restart_delay: str = "0s") -> Execd:
    return make_output(Execd, {"command": ["sh", "-c", script], "restart_delay": restart_delay})


async def test_a_program_that_does_not_read_has_nothing_lost_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execd, "_PATIENCE", 0.05)
    gate, out = tmp_path / "gate", tmp_path / "out"
    plugin = output(f"until test -e {gate}; do sleep 0.01; done; cat >{out}")
    batch = make_batch(plugin, [Metric("m", {}, {"text": "x" * 1000, "n": number}, number) for number in range(500)])
    await plugin.connect()
    with pytest.raises(Retry, match="it does not read its standard input"):
        await plugin.write(batch)
    gate.touch()
    async with asyncio.timeout(HANG):
        while True:
            try:
                await plugin.write(batch)
                break
            except Retry:
                await asyncio.sleep(0.01)
    await plugin.close()
    assert out.read_bytes() == batch.payload()


async def test_a_program_that_ends_is_given_the_batch_again() -> None:
    plugin = output("read line")
    batch = make_batch(plugin, [Metric("m", {}, {"text": "x" * 1000, "n": number}, number) for number in range(2000)])
    await plugin.connect()
    with pytest.raises(NotConnected, match="it has ended before it has read all"):
        await plugin.write(batch)
    await plugin.close()


async def test_one_that_is_not_running_is_not_connected() -> None:
    plugin = output("exit 1", restart_delay="1h")
    with contextlib.suppress(PyagentError):  # it may have ended by then
        await plugin.connect()
    async with asyncio.timeout(HANG):
        while plugin._program.running:
            await asyncio.sleep(0.01)
    with pytest.raises(PyagentError, match="it does not run"):
        await plugin.connect()
    with pytest.raises(NotConnected):
        await plugin.write(make_batch(plugin, [Metric("m", {}, {"v": 1}, 1)]))
    await plugin.close()


async def test_what_it_says_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    plugin = output("echo hello; echo 'W! careful' >&2; cat >/dev/null")
    await plugin.connect()
    async with asyncio.timeout(HANG):
        while not {"hello", "careful"} <= {record.getMessage() for record in caplog.records}:
            await asyncio.sleep(0.01)
    await plugin.close()


def test_no_such_program() -> None:
    with pytest.raises(ConfigError, match="there is no such program"):
        make_output(Execd, {"command": ["/no/such/program"]})
