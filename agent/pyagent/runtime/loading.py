"""From settings to a plan, with the patience that a network asks for."""

import asyncio
import logging
import random

from pyagent.api import ConfigError
from pyagent.config import Plan, SourceError, SourceText, default_sources, expand_sources, load_plan, read_source
from pyagent.pipeline.workers import ThreadWorker
from pyagent.runtime.settings import RunSettings

__all__ = ["fetch_plan", "load_once"]

RETRY_PAUSE = 10.0
"""Seconds between two requests for a URL, as Telegraf waits."""
DEFAULT_ATTEMPTS = 3
FIRST_SERVICE_PAUSE, LONGEST_SERVICE_PAUSE = 1.0, 30.0


async def load_once(settings: RunSettings) -> Plan:
    """Read every source and make the plan, one try. Raises ConfigError."""
    texts = [await read_source(where, environ=settings.environ) for where in _sources(settings)]
    return await _plan(settings, texts)


async def fetch_plan(settings: RunSettings, log: logging.Logger) -> Plan:
    """The same, asking again where a source may answer later, as often as the settings say. Raises ConfigError."""
    texts: list[SourceText] = []
    for where in _sources(settings):
        attempt = 1
        most = settings.url_attempts or DEFAULT_ATTEMPTS
        while True:
            try:
                texts.append(await read_source(where, environ=settings.environ))
                break
            except SourceError as error:
                if not error.retryable or attempt == most:
                    raise
                of = f" of {most}" if most > 0 else ""
                log.error("%s (attempt %d%s, the next in %g s)", error, attempt, of, RETRY_PAUSE)
            attempt += 1
            await asyncio.sleep(RETRY_PAUSE)
    return await _plan(settings, texts)


def service_pause(failures: int) -> float:
    """Seconds until a service asks again after so many failures: growing, and spread over hosts."""
    return min(FIRST_SERVICE_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_SERVICE_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311


def _sources(settings: RunSettings) -> list[str]:
    found = expand_sources(settings.configs, settings.config_directories)
    found = found or default_sources(settings.environ)
    if not found:
        raise ConfigError(
            "cannot start: no configuration; give one with --config FILE_OR_URL or PYAGENT_CONFIG, "
            "for example --config http://localhost:8086/api/v2/telegrafs/ID"
        )
    return found


async def _plan(settings: RunSettings, texts: list[SourceText]) -> Plan:
    # In a thread: plugins from outside are imported here, and an import may hang.
    plans: list[Plan] = []
    worker = ThreadWorker("configuration")
    try:
        await worker.call(
            lambda: plans.append(
                load_plan(
                    texts,
                    environ=settings.environ,
                    plugin_directories=settings.plugin_directories,
                    strict_env=settings.strict_env,
                    testing=settings.test,
                    select=settings.select,
                    input_filter=settings.input_filter,
                    output_filter=settings.output_filter,
                )
            )
        )
    finally:
        worker.abandon()
    return plans[0]
