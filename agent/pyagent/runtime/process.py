"""The life of the process: signals, the first configuration, reloads, the end."""

import asyncio
import errno
import os
import random
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from pyagent import __version__
from pyagent.api import ConfigError
from pyagent.api.asking import how_to_ask, is_asked_with
from pyagent.api.files import make_private_directory
from pyagent.api.foreign import wait_for_ends
from pyagent.api.units import counted
from pyagent.buffer import BufferSettings
from pyagent.buffer.quarantine import Quarantine
from pyagent.config import Plan, PluginPlan
from pyagent.hooks import provide_statistics
from pyagent.kit.connections import limit_connections
from pyagent.kit.once import Once
from pyagent.kit.positions import keep_positions_in
from pyagent.lineprotocol import implementation
from pyagent.pipeline.executors import ThreadExecutor
from pyagent.pipeline.failures import FailureLog, reason_of
from pyagent.pipeline.outputs.running_output import BufferResources
from pyagent.pipeline.supervision import supervise
from pyagent.reading import limit_files
from pyagent.runtime.agent import Agent
from pyagent.runtime.control import ControlServer
from pyagent.runtime.descriptors import raise_limit
from pyagent.runtime.health import health
from pyagent.runtime.health_server import HealthServer
from pyagent.runtime.liveness import Liveness, Pulse
from pyagent.runtime.loading import Loader, Texts, service_pause
from pyagent.runtime.log import apply_settings, component_logger, configure_logging
from pyagent.runtime.notify import Notifier
from pyagent.runtime.orphan_buffers import StoredBuffers, owner_in_words
from pyagent.runtime.pidfile import pid_file
from pyagent.runtime.reloading import ReloadRequests
from pyagent.runtime.routes import agent_routes, buffer_routes, quarantine_routes
from pyagent.runtime.settings import RunSettings
from pyagent.runtime.status import Document, ReloadState, status
from pyagent.runtime.stdout import own_stdout
from pyagent.runtime.summary import Summary
from pyagent.runtime.trial import cycle_is_over, has_run
from pyagent.runtime.watch import watch_configuration

__all__ = ["run"]

LONGEST_END = 180.0
"""Seconds in which a stop asks systemd for more time."""
LONGEST_FREEING = 1.0
"""Seconds for what plugins do as they are freed, before the process ends under it."""
_DESCRIPTORS_OF_A_PARTITION = 8
"""Its log has four; as many are left to all else."""
PULSE = 10.0
"""Seconds between two looks at how things are."""


def run(settings: RunSettings) -> int:
    """Run the agent, or one gather; returns the exit status: 0, or 1 with one error line in the log."""
    configure_logging(debug=settings.debug, quiet=settings.quiet)
    raise_limit()
    limit_connections(settings.max_connections)
    limit_files(settings.max_file_size)
    with own_stdout(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        with pid_file(settings.pidfile):
            status = runner.run(_Process(settings).run())
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed at the start
            stream.flush()
        wait_for_ends(LONGEST_FREEING)
        if threading.active_count() > 1:
            # A plugin's thread hangs. What there was to deliver is delivered: nothing may hold up the end.
            os._exit(status)
    return status


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _Process:
    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._log = component_logger("agent")
        self._notifier = Notifier()
        self._quarantine = _quarantine(settings)
        buffer_resources = _buffer_resources(settings, self._quarantine)
        self._agent = Agent(
            buffer_resources=buffer_resources,
            gather_timeout=settings.gather_timeout,
            acknowledge=settings.acknowledge,
            states=settings.state_directory / "processors" if settings.state_directory else None,
        )
        self._liveness = Liveness(self._agent)
        self._summary = Summary()
        watchdog = self._notifier.watchdog
        self._pulse = Pulse(min(PULSE, watchdog / 3) if watchdog else PULSE, self._beat)
        self._health: HealthServer | None = None
        self._logged_status = ""
        self._logged_dead: list[str] = []
        self._logged_warnings: tuple[str, ...] = ()
        self._ending = False
        self._ending_since = 0.0
        self._buffers = StoredBuffers(self._agent, buffer_resources)
        self._loader = Loader(settings, self._log)
        self._reload_state = ReloadState()
        self._watch_failures = FailureLog(component_logger("config"))
        self._polls_failed = 0
        self._once_orphan = Once()
        self._agent.handover.on_done = self._log_orphans
        self._trial: asyncio.Task[None] | None = None
        """Waits until a hosted text has run."""
        self._stop = asyncio.Event()
        self._reload = ReloadRequests()

    async def run(self) -> int:
        # Before anything that takes time: an early SIGHUP must not kill, an early SIGTERM must end cleanly.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.ask)
        loop.add_signal_handler(signal.SIGUSR1, self._agent.flush)

        core = "the native core" if implementation == "native" else "the core in Python (the native one is not built)"
        self._log.info("pyagent %s, line protocol by %s", __version__, core)
        control = self._control_server()
        if settings_health := self._settings.health:
            self._health = HealthServer(settings_health, self._document, component_logger("health"))
        work = asyncio.create_task(self._work(control))
        stop = asyncio.create_task(self._stop.wait())
        # From the beginning: an edit that is made while we load must not be missed.
        log = component_logger("config")
        pulse = asyncio.create_task(supervise(self._pulse.run, self._log))
        watch = asyncio.create_task(supervise(lambda: watch_configuration(self._settings, self._reload.ask, log), log))
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        watch.cancel()
        await asyncio.wait([watch])
        self._ending, self._ending_since = True, time.monotonic()
        if not work.done():
            self._log.info("stopping")
            self._notifier.stopping()
            work.cancel()
            await asyncio.wait([work])
        over = self._end_trial()
        await self._agent.stop()
        self._loader.close(over)
        if self._quarantine is not None:
            self._quarantine.close()
        pulse.cancel()
        for server in (control, self._health):
            if server is not None:
                await server.close()
        try:
            return work.result()
        except asyncio.CancelledError:
            return 0
        except ConfigError as error:
            self._log.error("%s", reason_of(error))
            return 1

    def _document(self) -> Document:
        kept = {"quarantine": self._quarantine.figures()} if self._quarantine is not None else {}
        return status(self._agent, self._reload_state, self._settings.instance, loop_lag=self._pulse.lag) | kept

    def _control_server(self) -> ControlServer | None:
        provide_statistics(self._document)
        directory = self._settings.runtime_directory
        if directory is None:
            return None
        socket = directory / "control.sock"
        of_the_unit = str(directory) == f"/run/pyagent/{self._settings.instance}"
        is_asked_with(
            f"--instance {self._settings.instance}"
            if of_the_unit
            else f"--socket {shlex.quote(str(socket.absolute()))}"
        )
        routes = agent_routes(
            flush=self._agent.flush, reload=self._reload.ask, reloaded=self._reload.ask_and_wait
        ) | buffer_routes(self._buffers)
        if self._quarantine is not None:
            routes |= quarantine_routes(self._quarantine, self._agent.requeue)
        return ControlServer(socket, self._document, component_logger("control"), routes)

    async def _work(self, control: ControlServer | None) -> int:
        settings = self._settings
        if settings.test or settings.once:
            from pyagent.runtime.run_once import patiently, run_once

            texts = await patiently(self._loader.read_patiently(), "the configuration's text")
            plan = await patiently(self._loader.plan(texts), "the plugins of the configuration to be imported")
            apply_settings(plan.agent, debug=settings.debug, quiet=settings.quiet)
            self._announce(plan)
            return await run_once(plan, settings)
        for server in (control, self._health):
            if server is not None:
                await server.start()
        self._check_state_directory()
        keep_positions_in(settings.state_directory / "positions" if settings.state_directory else None)
        await self._start()
        while True:
            if await self._reload_wanted():
                self._log.info("reloading the configuration")
                await self._reload_configuration()
            else:
                await self._poll()

    def _check_state_directory(self) -> None:
        """The agent runs without one, too; but nothing outlasts it."""
        directory = self._settings.state_directory
        if directory is None:
            return
        try:
            make_private_directory(directory)
            if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            reason = "it is no folder" if isinstance(error, FileExistsError) else error.strerror or error
            self._log.warning(
                "cannot use the state directory %s: %s; neither the configuration nor what is not written outlasts a restart",
                directory,
                reason,
            )

    # The first configuration ------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        if self._notifier.wanted and self._settings.url_attempts is None:
            await self._start_as_service()
        else:
            texts = await self._loader.read_patiently()
            await self._apply(texts)

    async def _start_as_service(self) -> None:
        """Ready at once and never giving up: InfluxDB may come up after us, on this very host."""
        failures = 0
        told = ""
        while True:
            try:
                await self._apply(await self._loader.read_or_recall())
                self._reload.done()
                return
            except ConfigError as error:
                failures += 1
                reason = reason_of(error)
            self._reload_state.waiting = reason
            told_status = f"waiting for the configuration: {reason}"
            self._reload.done(told_status)
            if reason != told:
                told = reason
                self._log.error("%s; waiting for it, asking again", reason)
            self._notifier.ready(told_status) if failures == 1 else self._notifier.status(told_status)
            await self._reload_wanted(service_pause(failures))

    # Changes ----------------------------------------------------------------------------------------------------------

    async def _reload_wanted(self, seconds: float | None = None) -> bool:
        """Wait for SIGHUP, at most until the next poll is due (or so many seconds); False where it did not come."""
        try:
            async with asyncio.timeout(self._until_poll() if seconds is None else seconds):
                await self._reload.wait()
        except TimeoutError:
            return False
        return True

    def _until_poll(self) -> float | None:
        """Seconds until the URLs are asked again; None: never."""
        interval = self._settings.watch_interval
        if not self._loader.watches or (interval <= 0 and not self._loader.from_cache):
            return None
        if self._loader.from_cache:
            return service_pause(self._polls_failed + 1)
        return interval * random.uniform(0.9, 1.1)  # noqa: S311  # spreads load

    async def _poll(self) -> None:
        """Ask the sources whether anything changed. What cannot be read changes nothing."""
        try:
            texts = await self._loader.read()
        except ConfigError as error:
            self._polls_failed += 1
            self._watch_failures.failed(reason_of(error))
            return
        self._polls_failed = 0
        self._watch_failures.succeeded()
        if texts == self._loader.running:
            self._loader.accept(texts)
        elif texts != self._loader.refused:
            self._log.info("the configuration has changed")
            await self._reload_configuration(texts)

    async def _reload_configuration(self, texts: Texts = ()) -> None:
        self._notifier.reloading()
        try:
            if not texts:
                self._loader.forgive()
                texts = await self._loader.read()
            await self._apply(texts)
        except ConfigError as error:
            self._loader.refused = texts
            self._reload_state.refused(reason_of(error))
            self._log.error("%s; the configuration before it goes on", reason_of(error))
            self._notifier.ready(f"{self._status(self._agent.plan)}; last reload failed: {reason_of(error)}")
            self._reload.done(f"{reason_of(error)}; the configuration before it goes on")
        else:
            self._log.info("the configuration is reloaded")
            self._reload.done()

    async def _apply(self, texts: Texts) -> None:
        """Raises ConfigError, and then nothing has changed."""
        if self._end_trial():
            self._loader.prove()
        self._loader.attempt(texts)
        try:
            await self._load_and_start(texts)
        except ConfigError:
            self._loader.abandon()
            raise
        finally:
            if self._loader.unproven:
                self._trial = asyncio.create_task(self._try_out())

    async def _try_out(self) -> None:
        await has_run(self._agent)
        self._loader.prove()

    def _end_trial(self) -> bool:
        """Something takes the place of what runs, or it is ended; returns whether it has run, if not for long."""
        if self._trial is None:
            return False
        self._trial.cancel()
        self._trial = None
        return self._loader.unproven and cycle_is_over(self._agent)

    async def _load_and_start(self, texts: Texts) -> None:
        plan = await self._loader.plan(texts)
        before = self._agent.plan
        levels = {"debug": self._settings.debug, "quiet": self._settings.quiet}
        apply_settings(plan.agent, **levels)
        self._announce(plan)
        try:
            await self._agent.apply(plan)
        except ConfigError:
            if before is not None:
                apply_settings(before.agent, **levels)
            raise
        self._loader.accept(texts, from_cache=self._loader.from_cache and not self._loader.running)
        self._reload_state.accepted(from_cache=self._loader.from_cache, held_back=self._loader.held_back)
        self._log_orphans()
        self._notifier.ready(self._status(plan))

    def _log_orphans(self) -> None:
        """Queues on disk that no output claims are kept; somebody has to say whose they are."""
        if self._ending or self._agent.handover.ending:
            return  # they are asked for again when the last one has left
        for buffer in self._buffers.orphans():
            if self._once_orphan(buffer.name):
                to = self._agent.outputs[0].plan.label if len(self._agent.outputs) == 1 else "OUTPUT"
                adopt = how_to_ask(f"buffer adopt {shlex.quote(buffer.name)} --to {to}")
                remedy = (
                    f"{how_to_ask('buffer list')} shows it, {adopt} gives it to an output"
                    if adopt
                    else "`pyagent buffer adopt` gives it to another, asked of an agent that has a --runtime-directory"
                )
                self._log.warning(
                    "no output claims the buffer %s on disk: %s of metrics wait for %s, which the configuration does not have; "
                    "they are kept until it has it again; %s",
                    buffer.name,
                    counted(buffer.bytes, "byte"),
                    owner_in_words(buffer.output, buffer.partition),
                    remedy,
                )

    def _beat(self) -> None:
        """Every few seconds: feed the watchdog, where all goes on, and keep the status line current."""
        if not self._notifier.wanted:
            return
        if self._ending:
            # Everything that ends has its grace; where it does not end by then, systemd may see to it.
            if time.monotonic() - self._ending_since < LONGEST_END:
                self._notifier.more_time(2 * PULSE + self._notifier.watchdog)
                self._notifier.alive()
            return
        dead = self._liveness.problems()
        if not dead:
            self._notifier.alive()
        elif dead != self._logged_dead:
            self._log.error("%s; systemd's watchdog is not fed", "; ".join(dead))
        self._logged_dead = dead
        if self._agent.plan is not None:
            document = self._document()
            line = self._summary.line({**document, "problems": dead + health(document)})
            if line != self._logged_status:
                self._logged_status = line
                self._notifier.status(line)

    # What is told -----------------------------------------------------------------------------------------------------

    def _announce(self, plan: Plan) -> None:
        for warning in plan.warnings:
            if warning not in self._logged_warnings:
                self._log.warning("%s", warning)
        self._logged_warnings = plan.warnings
        for error in plan.errors:
            self._log.error("%s", error)
        self._log.info("configuration: %s", ", ".join(plan.sources))
        for kind in ("inputs", "aggregators", "processors", "outputs"):
            plugins: Sequence[PluginPlan] = getattr(plan, kind)
            if plugins or kind in ("inputs", "outputs"):
                self._log.info("%s: %s", kind, _names(plugins))
            if self._settings.print_plugin_sources:
                from pyagent.config.effective import plugin_sources

                sys.stderr.write(plugin_sources(plugins))
        tags = " ".join(f"{key}={value}" for key, value in plan.global_tags.items())
        self._log.info("tags: %s", tags or "none")

    @staticmethod
    def _status(plan: Plan | None) -> str:
        return f"gathering {_names(plan.inputs)}; writing {_names(plan.outputs)}" if plan else "starting"


def _quarantine(settings: RunSettings) -> Quarantine | None:
    """None for a single gather: the folder may be another process's, and nobody could ask this one."""
    if settings.test or settings.once:
        return None
    directory = settings.state_directory / "quarantine" if settings.state_directory else None
    return Quarantine(directory, log=component_logger("quarantine"))


def _buffer_resources(settings: RunSettings, quarantine: Quarantine | None) -> BufferResources:
    buffers = BufferSettings(
        directory=settings.state_directory / "buffer" if settings.state_directory else None,
        max_bytes=settings.buffer_max_size,
        drop_newest=settings.when_full == "drop_newest",
        newest_first=settings.drain_order == "newest",
        max_partitions=max(min(settings.buffer_max_partitions, raise_limit() // _DESCRIPTORS_OF_A_PARTITION), 1),
    )
    return BufferResources(buffers, ThreadExecutor("disk"), quarantine)


def _names(plans: Sequence[PluginPlan]) -> str:
    return ", ".join(plan.label.partition(".")[2] for plan in plans) or "none"
