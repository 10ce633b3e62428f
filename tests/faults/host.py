"""A state directory with the agents that use it, the outputs' receivers, a disk that can be made to fail, and an oracle."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from agent_process import DEADLINE, AgentProcess
from oracle import Answer, InForce, Oracle
from outputs import Sample, Setup, Writes
from receiver import Receiver

from pyagent.testing.servers import free_port

LAUNCHER = str(Path(__file__).parent / "faulty_agent.py")
_DELIVERY_SECONDS = 120.0
"""Far beyond what it takes to deliver all that a test has posted."""


class Disk:
    """What the agents meet at calls to the disk (`buffer.files.Files`) for queues whose folder begins with `queue`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mend()

    def mend(self) -> None:
        self._write([])

    def breaks(self, queue: str, *calls: str, seconds: float = 0.0, error: str = "") -> None:
        """Each of `calls` takes so many seconds more, then fails with `error`, an errno's name, where there is one."""
        self._write(
            [*self._rules, *({"call": call, "queue": queue, "seconds": seconds, "error": error} for call in calls)]
        )

    def _write(self, rules: list[dict[str, Any]]) -> None:
        self._rules = rules
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(rules))
        new.replace(self.path)


class Host:
    """`receivers` by the names of outputs; one that is given more than one output's name serves them all."""

    made: ClassVar[list["Host"]] = []
    """All of them; a test that fails leaves none open (see conftest.py)."""

    def __init__(self, folder: Path, receivers: dict[str, Receiver]) -> None:
        self.made.append(self)
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.receivers = receivers
        self.oracle = Oracle(receivers)
        self.state = folder / "state"
        self.disk = Disk(folder / "disk.json")
        self.agents: list[Agent] = []

    @classmethod
    async def with_outputs(cls, folder: Path, *names: str) -> "Host":
        """Each with a receiver of its own, which works."""
        return cls(folder, {name: await Receiver().start() for name in names})

    def writes(self, name: str, **options: Any) -> Writes:
        return Writes(name, self.receivers[name].url, **options)

    def agent(self, setup: Setup, **options: Any) -> "Agent":
        agent = Agent(self, setup, **options)
        self.agents.append(agent)
        return agent

    @property
    def logs(self) -> str:
        return "".join(agent.logs for agent in self.agents)

    async def repaired(self) -> None:
        """All receivers and the disk work."""
        self.disk.mend()
        for receiver in self.receivers.values():
            await receiver.revive()

    async def delivered(self, setup: Setup) -> None:
        """Start an agent on what is there, with everything in order; all of it arrives, and then nothing is left."""
        await self.repaired()
        agent = await self.agent(setup).start()
        deadline, idle = time.monotonic() + _DELIVERY_SECONDS, 0
        # Where nothing waits any more, what is missing will not come.
        while self.oracle.outstanding() and idle < 40 and time.monotonic() < deadline:
            idle = 0 if any(output["queued"] for output in (await agent.status())["outputs"]) else idle + 1
            await asyncio.sleep(0.05)
        await agent.balanced()
        assert await agent.terminate() == 0
        assert "Traceback" not in self.logs, self.logs[self.logs.index("Traceback") - 500 :][:6000]

    async def close(self) -> None:
        for receiver in self.receivers.values():
            await receiver.stop()


class Agent:
    """A real process with a port and a control socket of its own, which can be killed and started again."""

    def __init__(self, host: Host, setup: Setup, *, environ: dict[str, str] | None = None) -> None:
        self.host = host
        self.setup = setup
        self.in_force = InForce()
        self.port = free_port()
        self._environ = {"FAULTY_DISK": str(host.disk.path), **(environ or {})}
        self._logs = ""
        self._version = 0
        self._process: AgentProcess | None = None
        self._folder = host.folder / f"agent{len(host.agents)}"
        self._folder.mkdir()
        self._write()

    @property
    def process(self) -> AgentProcess:
        assert self._process is not None
        return self._process

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.process.returncode is None

    @property
    def logs(self) -> str:
        """Of all its lives."""
        return self._logs + (self._process.log if self._process is not None else "")

    def _write(self) -> None:
        self._version += 1
        new = self._folder / "agent.new"
        new.write_text(self.setup.toml(self.port, f"v{self._version}"))
        new.replace(self._folder / "agent.conf")

    # Its life ---------------------------------------------------------------------------------------------------------

    async def start(self, *arguments: str) -> "Agent":
        """Return when it listens."""
        self._logs = self.logs
        self.in_force.may_be(self.setup)
        folders = ("--state-directory", str(self.host.state), "--runtime-directory", str(self._folder))
        config = ("--config", str(self._folder / "agent.conf"))
        self._process = AgentProcess(*config, *folders, *arguments, environ=self._environ, program=[LAUNCHER])
        await self._process.start()
        async with asyncio.timeout(DEADLINE):
            while not await _listens(self.port):
                assert self.runs, self._process.log
                await asyncio.sleep(0.01)
        return self

    def prepare(self, setup: Setup) -> None:
        """Another configuration for the next start."""
        self.setup = setup
        self._write()

    def ask_reload(self, setup: Setup) -> None:
        """SIGHUP with another configuration; from now on it may be that one."""
        self.setup = setup
        self.in_force.may_be(setup)
        self._write()
        if self.runs:
            self.process.process.send_signal(1)

    async def reloaded(self) -> None:
        """Return when the last configuration is the one that runs, or it does not run any more."""
        async with asyncio.timeout(DEADLINE):
            while self.runs:
                document = await self.status()
                if any(one["alias"] == f"v{self._version}" for one in document.get("inputs", ())):
                    self.in_force.has_become(self.setup)
                    return
                await asyncio.sleep(0.01)

    async def reload(self, setup: Setup) -> None:
        self.ask_reload(setup)
        await self.reloaded()

    async def kill(self) -> None:
        await self.process.kill()
        self.in_force.has_ended()

    async def terminate(self) -> int:
        status = await self.process.terminate()
        self.in_force.has_ended()
        return status

    # What it is given, and what it says -------------------------------------------------------------------------------

    async def post(self, samples: Sequence[Sample]) -> Answer:
        return await self.host.oracle.post(self.port, self.in_force, samples)

    async def feed(self, source: str, count: int, **tags: Any) -> bool:
        """Post so many metrics; True where it has acknowledged them."""
        return (await self.post(self.host.oracle.samples(source, count, **tags))).taken

    async def status(self) -> dict[str, Any]:
        """Empty where it does not answer."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._folder / "control.sock")
        except OSError:
            return {}
        try:
            writer.write(b"GET /status HTTP/1.1\r\n\r\n")
            answer = await reader.read()
        except OSError:
            return {}
        finally:
            writer.transport.abort()
        document: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2] or "{}")
        return document

    async def balanced(self) -> None:
        """Every metric is accounted for, at a moment when nothing is on its way from one sum to the next."""
        async with asyncio.timeout(30):
            while problems := unbalanced(await self.status()):
                assert problems
                await asyncio.sleep(0.05)


def unbalanced(document: dict[str, Any]) -> list[str]:
    """Outputs of a status document whose sums do not add up: every metric ends as written, refused, dropped, damaged or
    queued."""
    found = []
    for output in document["outputs"]:
        came = output["added"] + output["restored"]
        went = sum(output[name] for name in ("written", "rejected", "dropped", "damaged", "queued"))
        if came != went:
            found.append(f"{output['name']}: {came} came in, {went} are accounted for")
    return found


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
