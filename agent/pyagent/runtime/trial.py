"""Hosted texts that are being tried: what has not yet run is not kept as good, and what the agent died of is not begun with.

Which texts are tried is on disk before anything of them is used, so that a start after a death knows them.
"""

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyagent.api.files import make_private_directory

if TYPE_CHECKING:
    from pyagent.pipeline.inputs.running_input import RunningInput
    from pyagent.runtime.agent import Agent

__all__ = ["Trials", "cycle_is_over", "has_run"]

LEAST, MOST = 10.0, 60.0
"""Seconds after which a text has run: the least where its first cycle is over, the most where a plugin takes its time."""


async def has_run(agent: "Agent") -> None:
    """Return when what the agent began with just now has run, and the main loop has come round in all this time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (ran := loop.time() - began) < MOST and (ran < LEAST or not cycle_is_over(agent)):  # noqa: ASYNC110
        await asyncio.sleep(1.0)  # there is no event for all of it


def cycle_is_over(agent: "Agent") -> bool:
    """Every input has gathered once, or begun to listen, and every output has tried to write what it was given."""
    return all(map(_has_gathered, agent.inputs)) and all(
        sender.write_seconds or not len(sender.queue)
        for output in agent.outputs
        for sender in output.partitions.values()
    )


def _has_gathered(runner: "RunningInput") -> bool:
    return bool(runner.last_duration or runner.failures.total) or runner.listens


class Trials:
    """The texts that are tried, by URL: in `directory`/config/trial.json. Without a directory there are none.

    Neither reading nor writing raises: where the disk fails, there is only less to know at the next start.
    """

    def __init__(self, directory: Path | None) -> None:
        self._path = directory / "config" / "trial.json" if directory else None
        self._deadly: dict[str, str] = self._left_behind()
        self._tried: dict[str, str] = {}

    def is_deadly(self, url: str, text: str) -> bool:
        """Whether the agent has ended without a word while it tried this text."""
        return self._deadly.get(_digest(url)) == _digest(text)

    def forgive(self) -> None:
        """What was deadly is tried again."""
        self._deadly = {}

    def set(self, texts: Mapping[str, str]) -> None:
        """These texts are tried from now on, by URL, and no others."""
        tried = {_digest(url): _digest(text) for url, text in texts.items()}
        if tried != self._tried:
            self._tried = tried
            self._write()

    def passed(self, texts: Mapping[str, str]) -> None:
        """These have run."""
        before = len(self._deadly)
        for url in texts:
            self._deadly.pop(_digest(url), None)
        if self._tried or len(self._deadly) != before:
            self._tried = {}
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        texts = self._deadly | self._tried
        temporary = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            if not texts:
                self._path.unlink(missing_ok=True)
                return
            make_private_directory(self._path.parent)
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                json.dump({"boot": _boot(), "process": os.getpid(), "began": _began(os.getpid()), "texts": texts}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)

    def _left_behind(self) -> dict[str, str]:
        try:
            kept: dict[str, Any] = json.loads(self._path.read_text("ascii")) if self._path else {}
            # A host that lost its power has not died of a text; and another agent may be at it right now.
            lives = kept["process"] != os.getpid() and kept["began"] == _began(kept["process"])
            if kept["boot"] != _boot() or lives:
                return {}
            return {str(url): str(text) for url, text in kept["texts"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _boot() -> str:
    """Another one after each start of the host."""
    return _read("/proc/sys/kernel/random/boot_id")


def _began(process: int) -> str:
    """When a process began, in ticks since the host's start; "gone" where there is none."""
    # The name before it, in brackets, may hold anything.
    return (_read(f"/proc/{process}/stat").rpartition(")")[2].split() or ["gone"] * 20)[19]


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError:
        return ""
