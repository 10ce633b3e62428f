"""Hosted texts that are new: good only when they have run, and held back where the agent died of them."""

import asyncio
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pyagent.config import SourceText
from pyagent.runtime import loading, trial
from pyagent.runtime.agent import Agent
from pyagent.runtime.loading import Loader
from pyagent.runtime.settings import RunSettings
from pyagent.runtime.trial import has_run
from pyagent.testing.virtual import run_virtual

URL = "http://influx.example/api/v2/telegrafs/1"
LOG = logging.getLogger("pyagent.test")


class Host:
    """A state directory, and what the URL answers; `agent` is what a new process has."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.hosted = "good"

        async def read_source(where: str, **_: Any) -> SourceText:
            return SourceText(where, self.hosted)

        monkeypatch.setattr(loading, "read_source", read_source)

    def agent(self, **settings: Any) -> Loader:
        return Loader(RunSettings(configs=(URL,), state_directory=self.folder, **settings), LOG)

    @property
    def good(self) -> str:
        """What a start without an answer would use."""
        cached = self.agent()._cache.load(URL)
        return cached.text if cached else ""

    def run(self, loader: Loader) -> str:
        """Read, load and start: returns the text that runs."""
        texts = asyncio.run(loader.read_or_recall())
        loader.attempt(texts)
        loader.accept(texts)
        return texts[0].text

    def died(self) -> None:
        """The process that has written is gone."""
        file = self.folder / "config" / "trial.json"
        if file.exists():
            file.write_text(json.dumps(json.loads(file.read_text()) | {"process": 2**22 + 1}))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path, monkeypatch)
    agent = host.agent()
    assert host.run(agent) == "good"
    assert host.good == "", "it has not run yet"
    agent.prove()
    assert host.good == "good"
    return host


def test_a_text_that_the_agent_died_of_is_held_back_until_it_changes(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.hosted = "deadly"
    assert host.run(host.agent()) == "deadly"
    assert host.good == "good"
    for _ in range(2):  # also at the start after the next one
        host.died()
        again = host.agent()
        assert host.run(again) == "good"
        assert again.held_back.startswith(f"{URL}: the agent ended without a word while it first ran this text")
        assert caplog.messages == [again.held_back]
        caplog.clear()
        assert asyncio.run(again.read())[0].text == "good"
        assert caplog.messages == [], "told once"
    host.hosted = "mended"
    assert host.run(again) == "mended"
    assert again.held_back == ""
    again.prove()
    assert host.good == "mended"
    host.died()
    assert host.run(host.agent()) == "mended"


@pytest.mark.parametrize("how", ["asked for", "another boot", "another agent", "ended", "did not load", "once"])
def test_it_is_tried_again_where_the_agent_has_not_died_of_it(
    host: Host, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.hosted = "new"
    agent = host.agent()
    assert host.run(agent) == "new"
    if how != "another agent":
        host.died()
    if how == "another boot":
        monkeypatch.setattr(trial, "_boot", lambda: "another")
    if how == "another agent":
        monkeypatch.setattr(trial.os, "getpid", lambda: 1)
    if how == "ended":
        agent.close(over=False)
    if how == "did not load":
        agent._unproven = {}
        agent.abandon()
    again = host.agent(once=how == "once")
    if how == "asked for":
        assert asyncio.run(again.read())[0].text == "good"
        again.forgive()
    assert asyncio.run(again.read())[0].text == "new"
    assert host.good == "good"


def test_one_that_ended_as_it_should_after_its_first_cycle_is_good(host: Host) -> None:
    host.hosted = "new"
    agent = host.agent()
    host.run(agent)
    agent.close(over=True)
    assert host.good == "new"
    assert not (host.folder / "config" / "trial.json").exists()


def test_where_no_other_text_has_run_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(tmp_path, monkeypatch)
    host.run(host.agent())
    host.died()
    assert host.run(host.agent()) == "good"
    assert "no other has run before" in caplog.text


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"process": "x"}', '{"texts": 5}'])
def test_damage_is_the_same_as_nothing(host: Host, damage: str) -> None:
    host.hosted = "new"
    host.run(host.agent())
    (host.folder / "config" / "trial.json").write_text(damage)
    assert host.run(host.agent()) == "new"


def test_without_a_folder_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Host(tmp_path, monkeypatch)
    loader = Loader(RunSettings(configs=(URL,)), LOG)
    for _ in range(2):
        texts = asyncio.run(loader.read())
        loader.attempt(texts)
        loader.accept(texts)
        loader.prove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("gathered", "written", "seconds"),
    [(0.1, 0.1, trial.LEAST), (0.0, 0.1, trial.MOST), (0.1, 0.0, trial.MOST)],
)
def test_a_text_has_run_after_its_first_cycle_and_some_seconds(gathered: float, written: float, seconds: float) -> None:
    runner = SimpleNamespace(last_duration=gathered, failures=SimpleNamespace(total=0), listens=False)
    sender = SimpleNamespace(write_seconds=written, queue=[1])
    agent = SimpleNamespace(inputs=[runner], outputs=[SimpleNamespace(partitions={None: sender})])

    async def main() -> float:
        await has_run(cast("Agent", agent))
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(seconds)
