"""Runs a case: the real plugin in the real engine, in this process, in a copy of the case's folder."""

import asyncio
import contextlib
import logging
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyagent.api import ConfigError, Input
from pyagent.config import Plan, SourceText, load_plan
from pyagent.lineprotocol import parse
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.schedule import sleep_on
from pyagent.runtime.log import component_logger
from pyagent.runtime.log_lines import TextLines
from pyagent.runtime.run_once import MetricSink, run_once
from pyagent.runtime.settings import RunSettings
from pyagent.testing.cases import ROOTS, Case, Outcome, expected_files, in_run
from pyagent.testing.comparison import expected_metrics
from pyagent.testing.exchange import DEADLINE, ReplayServer, send_messages, send_requests
from pyagent.testing.server_process import Server, free_port

__all__ = ["NeedsRoot", "prepared_case", "run_case"]

_TURNS = 100
_SAFE = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "COVERAGE_PROCESS_START")
"""Variables of this process that stay; a case has no others but its own."""


class CaseClock:
    """The wall clock, or one that stands at the case's time; between two gathers it is set ahead."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self._ahead = 0

    def now(self) -> int:
        return (time.time_ns() if self._at is None else self._at) + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += round(seconds * 1e9)

    async def sleep_until(self, when: int) -> None:
        if self._at is not None:
            await asyncio.Event().wait()  # it stands still
        await sleep_on(self, when)


def run_case(case: Case, folder: Path, server: Server | None = None) -> Outcome:
    """Run a case in `folder`, which must be empty; `server`: the real one that it names, running.

    What the configuration or the plugin has to complain of is in the log of the outcome, not raised. Raises OSError and
    ValueError for a case that cannot be run.
    """
    work = _copied(case, folder)
    texts = {f"${{{name}}}": value for name, value in server.variables().items()} if server else {}
    if server and case.recorded:
        texts |= server.recorded()
    if case.setup:
        return _in_a_namespace(case, work, texts)
    return asyncio.run(_Run(case, work, texts, server).outcome())


@contextlib.asynccontextmanager
async def prepared_case(case: Case, folder: Path) -> AsyncIterator[tuple[Plan | None, Outcome]]:
    """The plan of a case in `folder`, with all that it reads in place. Nothing of it runs; the log is in the outcome."""
    run = _Run(case, _copied(case, folder), {})
    async with run.prepared() as plan:
        yield plan, run.result


def _copied(case: Case, folder: Path) -> Path:
    work = folder.resolve() / "case"
    shutil.copytree(case.folder, work, symlinks=True, copy_function=shutil.copy)  # as files of now
    for path in (work, *filter(Path.is_dir, work.rglob("*"))):
        path.chmod(0o755)  # a recording may be read-only
    for name, text in case.planted.items():
        path = work / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text(text)
            path.chmod(0o755 if name.startswith("bin/") else 0o644)
    for name, target in case.links.items():
        (work / name).unlink()
        (work / name).symlink_to(target)
    return work


class NeedsRoot(Exception):
    """The case mounts something, which only root may."""


def _in_a_namespace(case: Case, work: Path, texts: dict[str, str]) -> Outcome:
    """In a process of its own, behind the setup script of the case. Raises NeedsRoot."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        raise NeedsRoot(f"{case}: its {case.setup} mounts files, which needs root and the program unshare")
    script = work / case.setup
    script.write_bytes(in_run(script.read_bytes(), {"DIR": str(work)}))
    command = ["unshare", "-m", "sh", "-c", 'set -e; . "$0"; exec "$@"', str(script), sys.executable, "-m", __name__]
    given = pickle.dumps((replace(case, setup=""), work, texts))
    done = subprocess.run(command, input=given, capture_output=True, cwd=work)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{case}: {done.stderr.decode(errors='replace')}")
    outcome: Outcome = pickle.loads(done.stdout)  # noqa: S301  # our own
    return outcome


@contextlib.contextmanager
def _program(case: Case, work: Path) -> Iterator[None]:
    """The server that the case brings along."""
    if not case.program:
        yield
        return
    server = subprocess.Popen(  # noqa: S603
        [sys.executable, case.program], cwd=work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout is not None
        if server.stdout.readline().strip() != "ready":
            raise ValueError(f"{case}: {case.program} did not say `ready`")
        yield
    finally:
        server.kill()
        server.communicate()


class _Run:
    def __init__(self, case: Case, work: Path, texts: dict[str, str], server: Server | None = None) -> None:
        self._case = case
        self._server = server
        self._work = work
        self._texts = texts
        self.result = Outcome()
        self._clock = CaseClock(case.time)

    async def outcome(self) -> Outcome:
        async with self.prepared() as plan:
            if plan is not None:
                await self._run(plan)
        for name in expected_files(self._case):
            path = self._work / name
            if path.is_file():
                self.result.files[name] = path.read_bytes()
        return self.result

    @contextlib.asynccontextmanager
    async def prepared(self) -> AsyncIterator[Plan | None]:
        """The plan of the case, with all that it reads in place; None where it cannot be loaded, which is in the log then."""
        case, outcome = self._case, self.result
        replay = ReplayServer(case.exchange, self._work) if case.exchange is not None else None
        async with replay or contextlib.nullcontext():
            variables = dict(replay.variables) if replay is not None else {}
            if case.requests or case.messages or "${LISTEN}" in case.config:
                variables["LISTEN"] = f"127.0.0.1:{free_port()}"
            # Where a server is, its folder is meant.
            texts = {f"${{{name}}}": value for name, value in variables.items()} | self._texts
            outcome.texts = texts if "DIR" in texts else texts | {"DIR": str(self._work)}
            place = case.working_directory or self._work
            with _program(case, self._work), _environment(self._environ(), place), _log(outcome.log):
                yield await self._loaded()
        if replay is not None:
            outcome.problems += replay.problems

    def _environ(self) -> dict[str, str]:
        case, work = self._case, self._work
        planted = {f"HOST_{name.upper()}": str(work / name) for name in ROOTS if (work / name).is_dir()}
        path = os.environ.get("PATH", os.defpath)
        if (work / "bin").is_dir():
            path = f"{work / 'bin'}:{path}"
        own = {name: in_run(value.encode(), self.result.texts).decode() for name, value in case.environ.items()}
        kept = {name: os.environ[name] for name in _SAFE if name in os.environ}
        return kept | planted | {"PATH": path, "HOME": str(work), "LANG": "C.UTF-8", "TZ": "UTC"} | own

    async def _loaded(self) -> Plan | None:
        log = component_logger("agent")
        try:
            plan = await asyncio.to_thread(self._plan)
        except ConfigError as error:
            log.error("%s", error)
            return None
        for text in plan.warnings:
            log.warning("%s", text)
        for text in plan.errors:
            log.error("%s", text)
        return plan

    async def _run(self, plan: Plan) -> None:
        writes = bool(plan.outputs)
        sink = MetricSink(self.result.metrics.extend)
        settings = RunSettings(test=not writes, once=writes)
        try:
            await run_once(plan, settings, sink=sink, clock=self._clock, meanwhile=self._meanwhile)
        except ConfigError as error:
            component_logger("agent").error("%s", error)

    def _plan(self) -> Plan:
        case, text = self._case, in_run(self._case.config.encode("utf-8", "surrogateescape"), self.result.texts)
        config = text.decode("utf-8", "surrogateescape")
        if "[agent]" not in config:
            config += "\n[agent]\nomit_hostname = true\n"  # behind the plugin's, whose lines keep their numbers
        return load_plan(
            [SourceText("telegraf.conf", config)],
            environ=dict(os.environ),
            plugin_directories=case.plugin_directories,
            partial=True,
        )

    async def _meanwhile(self, fanout: Fanout, runners: Sequence[RunningInput]) -> None:
        """What happens between the first gather and the end."""
        case, outcome = self._case, self.result
        for number in range(1, case.gathers):
            then, place = (self._work / name for name in case.then)
            if number == 1 and then.is_dir():
                shutil.copytree(then, place, dirs_exist_ok=True)
            self._clock.advance(case.step)
            await fanout.drained()
            if not case.seconds:
                outcome.metrics.clear()
            await asyncio.gather(*(runner.gather_once() for runner in runners))
        end = time.monotonic() + case.seconds
        while time.monotonic() < end:
            await asyncio.sleep(1.0)
            await asyncio.gather(*(runner.gather_once() for runner in runners))
        if case.input:
            parsed = parse(case.input, self._clock.now())
            outcome.problems += [f"input.influx: {error}" for error in parsed.errors]
            fanout.deliver(parsed.metrics)
        if case.requests:
            address = outcome.texts["${LISTEN}"]
            outcome.problems += await asyncio.to_thread(send_requests, case.requests, address, self._work)
        if case.published and self._server is not None:
            await asyncio.to_thread(self._server.publish, case.published)
            await self._until_all_is_there(runners)
        if case.messages:
            address = str(getattr(runners[0].plugin.options, "service_address", "")) if runners else ""
            if "://" not in address:
                address = f"{getattr(runners[0].plugin.options, 'protocol', 'tcp')}://{address}"
            await asyncio.to_thread(send_messages, case.messages, address, self._work)
            if type(runners[0].plugin).gather is not Input.gather:
                for _ in range(_TURNS):  # the loop takes what has come
                    await asyncio.sleep(0)
                await runners[0].gather_once()
            await self._until_all_is_there(runners)

    async def _until_all_is_there(self, runners: Sequence[RunningInput]) -> None:
        """A listener says nothing to who sends over a socket: wait for as much as is expected, or until it is clear that it
        does not come."""
        wanted = len(expected_metrics(in_run(self._case.expected or b"", self.result.texts)))
        errors = self._case.fails or bool(self._case.errors)
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            for runner in runners:
                runner.flush()
            if len(self.result.metrics) >= wanted and (not errors or self.result.log):
                return
            await asyncio.sleep(0.01)


@contextlib.contextmanager
def _environment(environ: Mapping[str, str], folder: Path) -> Iterator[None]:
    """For a while, other variables and another working directory."""
    before, here = dict(os.environ), Path.cwd()
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _log(lines: list[str]) -> Iterator[None]:
    """Collects what the agent logs from warnings on."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record).split(" ", 1)[1])

    handler, root = Collector(logging.WARNING), logging.getLogger()
    handler.setFormatter(TextLines())
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


if __name__ == "__main__":
    _given: tuple[Case, Path, dict[str, str]] = pickle.loads(sys.stdin.buffer.read())  # noqa: S301  # our own
    sys.stdout.buffer.write(pickle.dumps(asyncio.run(_Run(*_given).outcome())))
