"""inputs.execd with programs that end, that are signalled, and that write too much, too little, or in pieces."""

import asyncio
import logging
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import DEADLINE, Served, serving

from pyagent.api import ConfigError, PyagentError
from pyagent.testing import make_input
from pyagent_plugins.inputs import execd
from pyagent_plugins.inputs.execd import Execd


@asynccontextmanager
async def running(script: str, **options: Any) -> AsyncIterator[Served]:
    """A shell script."""
    async with serving(Execd, {"command": ["sh", "-c", script], **options}, listens=False) as served:
        yield served


async def collected(served: Served, wanted: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(DEADLINE):
        while len(found) < wanted:
            found += [re.sub(r" [0-9]{19}$", "", line) for line in served.lines()]
            await asyncio.sleep(0.01)
    return found


async def test_lines_and_texts_of_several_lines_that_come_in_pieces() -> None:
    script = "printf 'm v='; sleep 0.05; printf '1i\\nm t=\"a\\n'; sleep 0.05; printf 'b\",u=\"c\"\\nm v=2i\\n'; cat"
    async with running(script) as served:
        assert await collected(served, 4) == ["m v=1i", 'm t="a', 'b",u="c"', "m v=2i"]


async def test_a_program_that_ends_is_started_again() -> None:
    async with running("echo 'm v=1i'", restart_delay="0s") as served:
        assert (await collected(served, 3))[:3] == ["m v=1i"] * 3


async def test_stop_on_error(caplog: pytest.LogCaptureFixture) -> None:
    async with running("printf 'm v=1i\\nm v=12'; exit 3", restart_delay="0s", stop_on_error=True) as served:
        assert await collected(served, 1) == ["m v=1i"]
        async with asyncio.timeout(DEADLINE):
            while "it is not started again" not in caplog.text:
                await asyncio.sleep(0.01)
        assert served.lines() == []
    assert "ends within a line, which is left out: 'm v=12'" in caplog.text


async def test_a_last_line_needs_no_end_where_the_program_meant_to_end() -> None:
    async with running("printf 'm v=12'", restart_delay="1h") as served:
        assert await collected(served, 1) == ["m v=12"]


@pytest.mark.parametrize("name", ["HUP", "USR1"])
async def test_signals(name: str, request: pytest.FixtureRequest) -> None:
    """The first one comes before the program has said what it does then, and does not end it."""
    # What nohup has these tests ignore, a shell that they start could not catch.
    before = signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(getattr(signal, f"SIG{name}"), before))
    script = f"sleep 0.05; trap \"echo 'm v=1i'\" {name}; while :; do sleep 0.01; done"
    async with running(script, signal=f"SIG{name}") as served:
        await served.runner.gather_once()
        assert await collected(served, 1) == ["m v=1i"]
        await served.runner.gather_once()
        assert await collected(served, 1) == ["m v=1i"]


async def test_a_signal_that_would_end_it_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execd, "_READY", 0.0)
    async with running("exec cat", signal="SIGUSR1") as served:
        assert isinstance(served.runner.plugin, Execd)
        with pytest.raises(PyagentError, match="SIGUSR1 would end it"):
            await served.runner.plugin.gather(served.runner.acc)
        assert served.runner.plugin._program.running


async def test_a_line_that_is_too_long_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    script = "import sys; print('m s=\"' + 'x' * 3_000_000 + '\"'); print('m v=1i', flush=True); sys.stdin.read()"
    async with serving(Execd, {"command": [sys.executable, "-c", script]}, listens=False) as served:
        assert await collected(served, 1) == ["m v=1i"]
    assert "a line has more than 1048576 bytes" in caplog.text


async def test_a_quote_too_many_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 0.05)
    async with running("echo 'm s=\"x'; echo 'm v=1i'; cat") as served:
        assert await collected(served, 1) == ["m v=1i"]


async def test_a_program_that_comes_later(tmp_path: Path) -> None:
    plugin = make_input(Execd, {"command": [str(tmp_path / "later")]}, logging.getLogger("pyagent.test"))
    assert plugin.obstacles() == [
        f"cannot run '{tmp_path}/later': there is no such program; install it, or correct `command`"
    ]
    with pytest.raises(PyagentError, match="there is no such program"):
        await plugin.start(None)  # type: ignore[arg-type]  # it does not come to that
    with pytest.raises(PyagentError, match="there is no such program"):  # nor at the next interval
        await plugin.gather(None)  # type: ignore[arg-type,misc]
    (tmp_path / "later").write_text("#!/bin/sh\necho 'm v=1i'\ncat\n")
    (tmp_path / "later").chmod(0o755)
    assert plugin.obstacles() == []
    async with serving(Execd, {"command": [str(tmp_path / "later")]}, listens=False) as served:
        assert await collected(served, 1) == ["m v=1i"]
    await plugin.stop()


def test_no_program() -> None:
    with pytest.raises(ConfigError, match="none is named"):
        make_input(Execd, {})
