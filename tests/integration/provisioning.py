"""An embedded server in a thread, for commands that block, and `pyagent provision` against it."""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Done

from pyagent.sandbox import Sandbox

__all__ = ["PASSWORD", "Host", "background", "host", "new_server"]

PASSWORD = "correct-horse"


class Background:
    """A sandbox whose loop runs in a thread: one for all tests, made empty for each."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with Sandbox(faults=True) as self.server:
            self._ready.set()
            await self._stop.wait()

    async def _begin_anew(self, is_set_up: bool) -> None:
        documents = self.server.state.documents
        with documents.together():
            for kind, found in documents._kinds.items():
                for key in list(found):
                    documents.delete(kind, key)
        self.server.state.sessions.clear()
        await self.server.clear_faults()
        self.server.org_id = self.server.token = ""
        if is_set_up:
            await self.server.setup(password=PASSWORD)

    def begin_anew(self, *, is_set_up: bool) -> Sandbox:
        asyncio.run_coroutine_threadsafe(self._begin_anew(is_set_up), self._loop).result(30)
        return self.server

    def __enter__(self) -> "Background":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)


class Host:
    """A host with a folder of settings, and its InfluxDB."""

    def __init__(self, server: Sandbox, folder: Path, run: Callable[..., Done]) -> None:
        self.server = server
        self.folder = folder
        self.settings = folder / "etc"
        self.token_file = folder / "operator"
        self.token_file.write_text(f"{server.token}\n")
        self._run = run

    def provision(self, *words: str, token: bool = True, url: bool = True) -> Done:
        """The command, with the operator's token and the server's address unless they are to be left out."""
        return self._run("provision", *self.flags(*words, token=token, url=url), *words)

    def flags(self, *words: str, token: bool = True, url: bool = True) -> list[str]:
        """What goes with the words."""
        flags = ["--settings-directory", str(self.settings), *(() if "--host" in words else ("--host", "web1"))]
        flags += ["--token-file", str(self.token_file)] if token else []
        return [*flags, "--url", self.server.url] if url else flags

    def ram(self, *words: str) -> Done:
        """The usual instance."""
        return self.provision("ram", "--bucket", "monitoring-system", "--input", "mem", *words)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The documents of the server: buckets without its own ones, authorizations without the operator's."""
        found = list(self.server.state.documents.all(kind))
        if kind == "buckets":
            return [one for one in found if one["type"] == "user"]
        if kind == "authorizations":
            return [one for one in found if one["description"] != "admin's Token"]
        return found

    def fault(self, **spec: Any) -> None:
        """An answer that a healthy server does not give."""
        asyncio.run(self.server.fault(**spec))

    @property
    def file(self) -> str:
        return (self.settings / "ram.env").read_text()

    @property
    def variables(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.file.splitlines() if not line.startswith("#"))


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    with Background() as running:
        yield running


@pytest.fixture
def host(tmp_path: Path, pyagent: Callable[..., Done], background: Background, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A server that is set up: organization home, bucket monitoring-system, user admin."""
    _without_environment(monkeypatch, tmp_path)
    return Host(background.begin_anew(is_set_up=True), tmp_path, pyagent)


@pytest.fixture
def new_server(
    tmp_path: Path, pyagent: Callable[..., Done], background: Background, monkeypatch: pytest.MonkeyPatch
) -> Host:
    """A server that nobody has set up."""
    _without_environment(monkeypatch, tmp_path)
    return Host(background.begin_anew(is_set_up=False), tmp_path, pyagent)


def _without_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    # Texts that could not be sent are kept there.
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in (
        "INFLUX_TOKEN",
        "INFLUX_PASSWORD",
        "INFLUX_HOST",
        "INFLUX_URL",
        "PYAGENT_SETTINGS_DIRECTORY",
        "VISUAL",
        "EDITOR",
    ):
        monkeypatch.delenv(name, raising=False)
