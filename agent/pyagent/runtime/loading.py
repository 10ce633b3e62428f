"""From settings to a plan, with the patience that a network asks for."""

import asyncio
import logging
import random
from datetime import timedelta

from pyagent.api import ConfigError
from pyagent.api.foreign import describe
from pyagent.config import (
    Plan,
    SourceError,
    SourceText,
    default_sources,
    expand_sources,
    is_url,
    load_plan,
    mask_url,
    read_source,
    settings_place,
)
from pyagent.kit.once import Once
from pyagent.pipeline.executors import ThreadExecutor, result_of
from pyagent.runtime.cache import ConfigCache
from pyagent.runtime.log import to_journal
from pyagent.runtime.settings import RunSettings
from pyagent.runtime.trial import Trials

__all__ = ["Loader", "service_pause"]

RETRY_PAUSE = 10.0
"""Seconds between two requests for a URL, as Telegraf waits."""
DEFAULT_ATTEMPTS = 3
FIRST_SERVICE_PAUSE, LONGEST_SERVICE_PAUSE = 1.0, 30.0

Texts = tuple[SourceText, ...]


class Loader:
    """Reads the sources, remembers what runs, and keeps the last good text of each URL: the last one that has run.

    A text that the agent died of while it was new is read as the last good one, until it changes or `forgive` is called.
    """

    def __init__(self, settings: RunSettings, log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        # A single gather tries nothing out, and is to use what is asked for.
        single = settings.test or settings.once
        self._cache = ConfigCache(settings.state_directory)
        self._trials = Trials(None if single else settings.state_directory)
        self._once = Once()
        self.running: Texts = ()
        """The texts of the plan that runs."""
        self.refused: Texts = ()
        """The last ones that did not load or start."""
        self.from_cache = False
        """Some of what runs came from the cache, because its source did not answer."""
        self.held_back = ""
        """Which text is not used because the agent died of it, and what is used; empty where there is none."""
        self._unproven: dict[str, str] = {}
        """Hosted texts that run and have not run for long, by URL."""

    @property
    def watches(self) -> bool:
        """There is a URL among the sources that may change."""
        return any(is_url(text.where) for text in self.running)

    async def read(self) -> Texts:
        """The sources' present texts, one try. Raises ConfigError."""
        self.held_back = ""
        return tuple([await self._ask(where) for where in self.sources()])

    async def read_patiently(self) -> Texts:
        """The same, asking a URL again as often as the settings say; then what the cache has. Raises ConfigError."""
        self.held_back = ""
        texts = []
        most = self._settings.url_attempts or DEFAULT_ATTEMPTS
        for where in self.sources():
            attempt = 1
            while True:
                try:
                    texts.append(await self._ask(where))
                    break
                except SourceError as error:
                    if not error.retryable or (error.lasting and self._somebody_waits) or attempt == most:
                        texts.append(self._cached(where, error))
                        break
                    of = f" of {most}" if most > 0 else ""
                    self._log.error("%s (attempt %d%s, the next in %g s)", error, attempt, of, RETRY_PAUSE)
                attempt += 1
                await asyncio.sleep(RETRY_PAUSE)
        return tuple(texts)

    @property
    def _somebody_waits(self) -> bool:
        """Who sees the answer at once, and may mend what is wrong. Not a service, nor one who has asked for so many tries."""
        settings = self._settings
        return settings.test or settings.once or (settings.url_attempts is None and not to_journal())

    async def read_or_recall(self) -> Texts:
        """One try, then what the cache has. Raises ConfigError."""
        self.held_back = ""
        texts = []
        for where in self.sources():
            try:
                texts.append(await self._ask(where))
            except SourceError as error:
                texts.append(self._cached(where, error))
        return tuple(texts)

    async def plan(self, texts: Texts, *, partial: bool = False) -> Plan:
        """`partial`: the texts need neither an input nor an output. Raises ConfigError."""
        settings = self._settings
        # In a thread: external plugins are imported here, and an import may hang.
        executor = ThreadExecutor("configuration")
        try:
            return await result_of(
                executor,
                lambda: load_plan(
                    texts,
                    environ=settings.environ,
                    plugin_directories=settings.plugin_directories,
                    strict_env=settings.strict_env,
                    old_env=settings.old_env,
                    testing=settings.test,
                    partial=partial,
                    select=settings.select,
                    input_filter=settings.input_filter,
                    output_filter=settings.output_filter,
                ),
            )
        except ConfigError:
            raise
        except Exception as error:
            self._log.debug("traceback of that failure", exc_info=error)
            raise ConfigError(f"BUG: cannot load the configuration: {describe(error)}; please report this") from None
        finally:
            executor.abandon()

    def attempt(self, texts: Texts) -> None:
        """These are about to be loaded: whatever they do is their doing."""
        self._trials.set(self._unproven | self._new(texts))

    def abandon(self) -> None:
        """What was attempted last did not load or start; what ran before goes on."""
        self._trials.set(self._unproven)

    def accept(self, texts: Texts, *, from_cache: bool = False) -> None:
        """These run now."""
        if not from_cache:
            self.from_cache = False
        if texts != self.running:
            self._unproven = self._new(texts)
        self.running, self.refused = texts, ()
        self._trials.set(self._unproven)
        for url, text in self._hosted(texts).items():
            if url not in self._unproven and not from_cache:
                self._cache.save(url, text)  # it is as good as it was, and younger

    @property
    def unproven(self) -> bool:
        """What runs has a hosted text that has not run for long: see `prove`."""
        return bool(self._unproven)

    def prove(self) -> None:
        """What runs has run for long enough: it is good."""
        for url, text in self._unproven.items():
            self._cache.save(url, text)
        self._trials.passed(self._unproven)
        self._unproven = {}

    def close(self, over: bool) -> None:
        """The agent has ended as it should; `over`: its first cycle was over."""
        if over:
            self.prove()
        self._unproven = {}
        self._trials.set({})

    def forgive(self) -> None:
        """Somebody asks for it: texts that the agent died of are tried again."""
        self._trials.forgive()

    def _new(self, texts: Texts) -> dict[str, str]:
        """The hosted ones that are not known to be good, by URL."""
        found = {}
        for url, text in self._hosted(texts).items():
            good = self._cache.load(url)
            if good is None or good.text != text:
                found[url] = text
        return found

    @staticmethod
    def _hosted(texts: Texts) -> dict[str, str]:
        return {text.url or text.where: text.text for text in texts if is_url(text.where)}

    async def _ask(self, where: str) -> SourceText:
        """A source's text; of a URL the last good one where the agent has died of the present one. Raises SourceError."""
        source = await read_source(where, environ=self._settings.environ)
        url = source.url or source.where
        if not is_url(source.where) or not self._trials.is_deadly(url, source.text):
            return source
        good = self._cache.load(url)
        if good is None or good.text == source.text:
            self._tell_once(
                f"{source.where}: the agent ended without a word while it first ran this text; it is tried again, as no "
                "other has run before"
            )
            return source
        self.held_back = (
            f"{source.where}: the agent ended without a word while it first ran this text; the last good one runs until the "
            "text changes or a reload is asked for"
        )
        self._tell_once(self.held_back)
        return SourceText(source.where, good.text, source.url)

    def _tell_once(self, problem: str) -> None:
        if self._once(problem):
            self._log.error("%s", problem)

    def _cached(self, where: str, error: SourceError) -> SourceText:
        """What the cache has in place of a source that does not answer; raises `error` where it has nothing."""
        cached = self._cache.load(where) if error.unanswered else None
        if cached is None:
            raise error
        self.from_cache = True
        age = timedelta(seconds=round(cached.age))
        self._log.warning("%s; the text of %s ago is used until it answers", error, age)
        return SourceText(mask_url(where), cached.text, where if is_url(where) else "")

    def sources(self) -> list[str]:
        """Files and URLs, in order. Raises ConfigError where there is none."""
        warnings: list[str] = []
        found = expand_sources(self._settings.configs, self._settings.config_directories, warnings)
        found = found or default_sources(self._settings.environ, warnings=warnings)
        for warning in warnings:
            if self._once(warning):
                self._log.warning("%s", warning)
        if not found and (where := settings_place(self._settings.environ)):
            raise ConfigError(f"cannot start: no configuration; set TELEGRAF_CONFIG to its URL or file{where}")
        if not found:
            raise ConfigError(
                "cannot start: no configuration; give one with --config FILE_OR_URL or PYAGENT_CONFIG, "
                "for example --config http://localhost:8086/api/v2/telegrafs/ID"
            )
        return found


def service_pause(failures: int) -> float:
    """Seconds until a service asks again after so many failures: growing, and spread over hosts."""
    return min(FIRST_SERVICE_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_SERVICE_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311
