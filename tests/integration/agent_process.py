"""The real agent as a process of its own, for tests."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Self

DEADLINE = 150.0
"""Seconds until a wait in a test is a failure; far beyond what any of them takes."""


class AgentProcess:
    """`python -m pyagent ARGUMENTS` with an environment of its own."""

    started: ClassVar[list["AgentProcess"]] = []
    """All of them; a test that fails leaves none behind (see faults/conftest.py)."""

    def __init__(
        self, *arguments: str, environ: Mapping[str, str] | None = None, program: Sequence[str] = ("-m", "pyagent")
    ) -> None:
        """`program`: what Python runs instead."""
        self._arguments = (*program, *arguments)
        self._environ = environ or {}
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self.out = ""
        self.log = ""

    async def start(self) -> Self:
        kept = ("PATH", "HOME", "LANG", "PYAGENT_NATIVE")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._arguments,
            env=environ | self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.started.append(self)
        self._readers = [asyncio.create_task(self._read_out()), asyncio.create_task(self._read_log())]
        return self

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def wait(self) -> int:
        """Its exit status; it must end by itself."""
        status = await asyncio.wait_for(self.process.wait(), DEADLINE)
        await asyncio.gather(*self._readers)
        return status

    async def terminate(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.wait()

    async def logged(self, text: str, times: int = 1) -> None:
        """Return when the log holds `text` so many times."""
        async with asyncio.timeout(DEADLINE):
            while self.log.count(text) < times:  # another process's output
                assert self.process.returncode is None, f"the agent ended before {text!r}:\n{self.log}"
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await asyncio.gather(*self._readers)

    async def _read_out(self) -> None:
        assert self.process.stdout is not None
        while block := await self.process.stdout.read(65536):
            self.out += block.decode()

    async def _read_log(self) -> None:
        assert self.process.stderr is not None
        while block := await self.process.stderr.read(65536):
            self.log += block.decode()


@asynccontextmanager
async def running(*arguments: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[AgentProcess]:
    agent = AgentProcess(*arguments, environ=environ)
    await agent.start()
    try:
        yield agent
    finally:
        await agent.kill()


async def finished(*arguments: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run it to its end: exit status, standard output, log."""
    async with running(*arguments, environ=environ) as agent:
        return await agent.wait(), agent.out, agent.log
