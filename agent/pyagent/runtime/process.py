"""The life of the process: signals, the first configuration, reloads, the end."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from pyagent.api import ConfigError
from pyagent.config import Plan, PluginPlan
from pyagent.pipeline.failures import one_line
from pyagent.runtime.agent import Agent
from pyagent.runtime.loading import fetch_plan, load_once, service_pause
from pyagent.runtime.log import apply_settings, component_logger, configure_logging
from pyagent.runtime.notify import Notifier
from pyagent.runtime.once import run_once
from pyagent.runtime.settings import RunSettings

__all__ = ["run"]


def run(settings: RunSettings) -> int:
    """Run the agent, or one gather; returns the exit status: 0, or 1 with one error line in the log."""
    configure_logging(debug=settings.debug, quiet=settings.quiet)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        status = runner.run(_Process(settings).run())
        sys.stdout.flush()
        sys.stderr.flush()
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
        self._agent = Agent()
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()

    async def run(self) -> int:
        # Before anything that takes time: an early SIGHUP must not kill, an early SIGTERM must end cleanly.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        loop.add_signal_handler(signal.SIGUSR1, self._agent.flush)

        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not work.done():
            self._log.info("stopping")
            self._notifier.stopping()
            work.cancel()
            await asyncio.wait([work])
        await self._agent.stop()
        try:
            return work.result()
        except asyncio.CancelledError:
            return 0
        except ConfigError as error:
            self._log.error("%s", one_line(error))
            return 1

    async def _work(self) -> int:
        settings = self._settings
        if settings.test or settings.once:
            plan = await fetch_plan(settings, self._log)
            self._announce(plan)
            return await run_once(plan, settings)
        await self._start()
        while True:
            await self._reload.wait()
            self._reload.clear()
            await self._reload_configuration()

    # The first configuration ------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        if self._notifier.wanted and self._settings.url_attempts is None:
            await self._start_as_service()
            return
        plan = await fetch_plan(self._settings, self._log)
        await self._apply(plan)

    async def _start_as_service(self) -> None:
        """Ready at once and never giving up: InfluxDB may come up after us, on this very host."""
        failures = 0
        told = ""
        while True:
            try:
                plan = await load_once(self._settings)
                await self._apply(plan)
                return
            except ConfigError as error:
                failures += 1
                reason = one_line(error)
            status = f"waiting for the configuration: {reason}"
            if reason != told:
                told = reason
                self._log.error("%s; waiting for it, asking again", reason)
            self._notifier.ready(status) if failures == 1 else self._notifier.status(status)
            with contextlib.suppress(TimeoutError):
                # A reload asks at once.
                async with asyncio.timeout(service_pause(failures)):
                    await self._reload.wait()
            self._reload.clear()

    async def _apply(self, plan: Plan) -> None:
        apply_settings(plan.agent, debug=self._settings.debug, quiet=self._settings.quiet)
        self._announce(plan)
        await self._agent.apply(plan)
        self._notifier.ready(self._status(plan))

    async def _reload_configuration(self) -> None:
        self._log.info("reloading the configuration")
        self._notifier.reloading()
        try:
            plan = await load_once(self._settings)
            await self._apply(plan)
        except ConfigError as error:
            self._log.error("%s; the configuration before it goes on", one_line(error))
            self._notifier.ready(f"{self._status(self._agent.plan)}; last reload failed: {one_line(error)}")
        else:
            self._log.info("the configuration is reloaded")

    # What is told -----------------------------------------------------------------------------------------------------

    def _announce(self, plan: Plan) -> None:
        for warning in plan.warnings:
            self._log.warning("%s", warning)
        for broken in plan.broken:
            self._log.error("%s; it is left out", broken.reason)
        self._log.info("configuration: %s", ", ".join(plan.sources))
        self._log.info("inputs: %s", _names(plan.inputs))
        self._log.info("outputs: %s", _names(plan.outputs))
        tags = " ".join(f"{key}={value}" for key, value in plan.global_tags.items())
        self._log.info("tags: %s", tags or "none")

    @staticmethod
    def _status(plan: Plan | None) -> str:
        return f"gathering {_names(plan.inputs)}; writing {_names(plan.outputs)}" if plan else "starting"


def _names(plans: Sequence[PluginPlan]) -> str:
    return ", ".join(plan.label.partition(".")[2] for plan in plans) or "none"
