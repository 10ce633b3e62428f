"""Changes of the configuration's files and directories. What counts is how they look; the kernel only says when to look."""

import asyncio
import contextlib
import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pyagent.api import ConfigError
from pyagent.config import default_sources, expand_sources, is_url
from pyagent.kit.libraries import how_to_install
from pyagent.runtime.settings import RunSettings

__all__ = ["FileWatch", "watch_configuration"]

SETTLE = 0.05
"""Seconds without a change before one counts: an editor's write takes more than one step."""
GONE = 1.0
"""The same where a file is missing: it is probably about to be replaced."""
_LOOK = 1.0
"""Seconds between two looks where the kernel says nothing: some file systems never do."""

_Look = dict[str, tuple[int, ...] | None]


async def watch_configuration(settings: RunSettings, changed: Callable[[], object], log: logging.Logger) -> None:
    """Call `changed` after each change of the files and directories that the settings name. Runs until it is cancelled;
    returns at once where the settings want no watch."""
    if not settings.watch_files:
        return
    watch = FileWatch(
        lambda: expand_sources(settings.configs, settings.config_directories) or default_sources(settings.environ),
        interval=settings.watch_files_interval,
        debounce=settings.watch_debounce,
    )
    if settings.watch_files == "notify" and not watch.notify(settings.config_directories):
        log.warning(
            "cannot ask the kernel for changes of files: the Python library watchfiles is missing; they are looked at "
            "every %g s; install it with: %s",
            settings.watch_files_interval,
            how_to_install("watchfiles"),
        )
    log.info("watching %s", ", ".join(watch.files) or "what may come")
    try:
        while True:
            for path in await watch.wait_for_change():
                log.info("%s has changed", path)
            changed()
    finally:
        watch.close()


class FileWatch:
    """Files that `sources` names, at each look anew (URLs are left out).

    `interval`: seconds between two looks; `debounce`: seconds without a further change before a change counts.
    """

    def __init__(self, sources: Callable[[], Sequence[str]], *, interval: float = 0.25, debounce: float = 0.0) -> None:
        self._sources = sources
        self._interval = interval
        self._debounce = max(debounce, SETTLE)
        self._seen = self._look()
        self._kernel: _Kernel | None = None

    @property
    def files(self) -> list[str]:
        """Those that were there at the last look."""
        return sorted(self._seen)

    def notify(self, directories: Iterable[str] = ()) -> bool:
        """Look when the kernel tells of a change, below `directories` too. False where the library for it is missing."""
        try:
            watchfiles = importlib.import_module("watchfiles")
        except ImportError:
            return False
        self._kernel = _Kernel(watchfiles, lambda: _folders(self._seen, directories))
        return True

    async def wait_for_change(self) -> list[str]:
        """Return when a file has come, gone or changed since the last call (the first: since the start): those files."""
        while True:
            if self._kernel is None:
                await asyncio.sleep(self._interval)
            else:
                await self._kernel.event()
            found = await self._settled()
            changed = [path for path in found | self._seen if found.get(path) != self._seen.get(path)]
            self._seen = found
            if changed:
                return sorted(changed)

    def close(self) -> None:
        if self._kernel is not None:
            self._kernel.close()

    async def _settled(self) -> _Look:
        """How the files look when nothing has changed for a while."""
        found = self._look()
        before = self._seen
        while found != before:
            gone = any(found.get(path) is None for path in self._seen)
            await asyncio.sleep(max(self._debounce, GONE) if gone else self._debounce)
            before, found = found, self._look()
        return found

    def _look(self) -> _Look:
        try:
            return {path: _identity(path) for path in self._sources() if not is_url(path)}
        except ConfigError:
            return {}  # a directory that cannot be read


def _identity(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev


def _folders(files: Iterable[str], directories: Iterable[str]) -> set[str]:
    """Where something has to happen when one of the files changes. Not the files themselves: editors replace them."""
    found = {str(place.parent) for file in files for place in (Path(file).absolute(), Path(file).resolve())}
    for directory in directories:
        found |= {folder for folder, _, _ in os.walk(directory)}
    return {folder for folder in found if os.path.isdir(folder)}


class _Kernel:
    """Tells of changes in folders, by watchfiles in a thread."""

    def __init__(self, watchfiles: Any, folders: Callable[[], set[str]]) -> None:
        self._watch: Callable[..., Iterable[object]] = watchfiles.watch
        self._wanted = folders
        self._watched: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    async def event(self) -> None:
        """Return when something may have changed, and after a second anyway."""
        wanted = self._wanted()
        if wanted != self._watched or self._thread is None or not self._thread.is_alive():
            self.close()
            self._watched, self._stop = wanted, threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(wanted, self._stop), name="pyagent-watch", daemon=True
            )
            self._thread.start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), _LOOK)
        self._event.clear()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_LOOK)

    def _run(self, folders: set[str], stop: threading.Event) -> None:
        # What the library raises (a folder that has just gone, no inotify watches left) costs one second, not the watch;
        # a loop that is closed wants to know no more.
        with contextlib.suppress(OSError, RuntimeError):
            for _ in self._watch(*folders, watch_filter=None, recursive=False, debounce=50, step=10, stop_event=stop):
                self._loop.call_soon_threadsafe(self._event.set)
