"""kill -9 of the real process at random moments: what it had acknowledged reaches every output and bucket that it must, every
time. In the campaign, servers, logs, reloads and a second agent on the same state directory make trouble at once."""

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from host import Agent, Host
from outputs import EVERYTHING, FILTERS, Sample, Setup

TRIALS = int(os.environ.get("PYAGENT_FAULT_TRIALS", "20"))
SEED = int(os.environ.get("PYAGENT_FAULT_SEED", "7"))
CAMPAIGN = 20
"""Trials on one state directory, before all has to arrive. Number n of them has the seed SEED + n."""
RARE = {"refused", "two agents", "quick reloads", "restored"}
"""What a run must have met to prove something."""
MORE = 5
"""Trials on a state directory when that is all that is missing."""

NAMES = ("red", "green", "blue")
BUCKETS = ("", *(f"b{number}" for number in range(12)))
MODES = ("ok", "ok", "ok", "503", "gone", "slow", "stored, then reset", "413 above 20", "429")
DISK_FAULTS = [
    (("sync",), 0.1, ""),
    (("sync",), 0.0, "EIO"),
    (("sync",), 0.1, "EIO"),
    (("write",), 0.0, "ENOSPC"),
    (("create", "sync_directory"), 0.05, "EIO"),
    (("lock", "open"), 0.1, ""),
]


class Campaign:
    """Trials on one state directory."""

    def __init__(self, host: Host, choice: random.Random) -> None:
        self.host = host
        self.choice = choice
        self.met: Counter[str] = Counter()
        """What the trials had, so that a run that met nothing is seen."""
        self._notes: list[str] = []
        self._over = False
        """The trial is."""
        self._pair = [host.agent(self._setup()), host.agent(self._setup())]

    # What is drawn ----------------------------------------------------------------------------------------------------

    def _setup(self) -> Setup:
        """Any two or three outputs, in any order."""
        choice = self.choice
        writes = [
            self.host.writes(
                name,
                divided=choice.random() < 0.6,
                exclude=choice.random() < 0.5,
                filter=choice.choice(FILTERS) if choice.random() < 0.5 else EVERYTHING,
                limit=choice.choice((200, 1000, 100_000, 100_000)),
                batch=choice.choice((50, 200)),
                timeout=f"{choice.randint(500, 1500)}ms",
            )
            for name in choice.sample(NAMES, choice.choice((2, 3, 3)))
        ]
        return Setup(tuple(writes), staged=choice.random() < 0.2)

    def _plain(self) -> Setup:
        """Of outputs that take lines as they come."""
        return self._setup().changed(divided=False, filter=EVERYTHING, limit=100_000)

    def _samples(self, source: str) -> list[Sample]:
        choice = self.choice
        count = choice.choice((1, 5, 20, 50, 50, 150))
        rows = self.host.oracle.samples(source, count)
        names, tiers = ("load", "disk", "net"), ("gold", "tin")
        return [
            Sample(row.source, row.number, choice.choice(names), choice.choice(BUCKETS), choice.choice(tiers))
            for row in rows
        ]

    # One trial --------------------------------------------------------------------------------------------------------

    async def trial(self, number: int) -> None:
        choice = self.choice
        self._notes = [f"trial {number}"]
        self._over = False
        first, second = self._pair
        if not first.runs:
            await self._start(first)
        if not second.runs and choice.random() < 0.5:
            await self._start(second)
        self._note("two agents" if second.runs else "one agent")
        await self._break_servers()
        seconds = choice.uniform(0.3, 1.2)
        work = [asyncio.create_task(self._feed(f"t{number}f{feeder}")) for feeder in range(3)]
        work += [asyncio.create_task(self._trouble(seconds)) for _ in range(2)]
        await asyncio.sleep(seconds)
        # One that lives on takes over from the other, in the middle of it all.
        await self._kill(first)
        if second.runs and choice.random() < 0.5:
            self._note("the second goes on")
            await asyncio.sleep(choice.uniform(0.2, 0.8))
        else:
            await self._kill(second)
        self._over = True
        await asyncio.gather(*work)
        self.host.disk.mend()
        self._pair = [second, first]

    async def _start(self, agent: Agent) -> None:
        agent.prepare(self._plain() if self.choice.random() < 0.2 else self._setup())
        await agent.start()

    async def _kill(self, agent: Agent) -> None:
        if agent.runs:
            self.met["kills"] += 1
            await agent.kill()

    async def _break_servers(self) -> None:
        for name, receiver in self.host.receivers.items():
            await receiver.revive()
            if (mode := self.choice.choice(MODES)) == "gone":
                await receiver.stop()
            else:
                receiver.mode = mode
            if mode != "ok":
                self._note(f"{name} {mode}")

    async def _feed(self, source: str) -> None:
        while not self._over:
            running = [agent for agent in self._pair if agent.runs]
            if not running:
                return
            answer = await self.choice.choice(running).post(self._samples(source))
            self.met["taken" if answer.taken else "refused" if answer.later else "unknown"] += 1
            if not answer.taken:
                await asyncio.sleep(0.02)

    async def _trouble(self, seconds: float) -> None:
        """One thing after the other, until the trial is over."""
        choice = self.choice
        while True:
            await asyncio.sleep(choice.uniform(0, seconds / 2))
            if self._over:
                return
            agent = choice.choice(self._pair)
            match choice.choice(("disk", "reload", "reload", "reloads", "server")):
                case "disk":
                    calls, delay, error = choice.choice(DISK_FAULTS)
                    name = choice.choice(NAMES)
                    self._note(f"{name}'s log: {'+'.join(calls)} {error or 'slow'}")
                    self.host.disk.breaks(name, *calls, seconds=delay, error=error)
                    await asyncio.sleep(choice.uniform(0.05, 0.5))
                    self.host.disk.mend()
                case "reload":
                    if agent.runs:
                        self._note("reload")
                        await agent.reload(self._setup())
                case "reloads":
                    self._note("quick reloads")
                    for _ in range(choice.randint(2, 5)):
                        if agent.runs:
                            agent.ask_reload(self._setup())
                        await asyncio.sleep(choice.uniform(0, 0.1))
                    await agent.reloaded()
                case "server":
                    receiver = choice.choice(list(self.host.receivers.values()))
                    await receiver.revive()
                    receiver.mode = choice.choice(("ok", "ok", "503", "stored, then reset"))

    def _note(self, text: str) -> None:
        self.met[text] += 1
        self._notes.append(text)
        self.host.oracle.note = "; ".join(dict.fromkeys(self._notes))

    async def end(self) -> None:
        """All faults are over: all that was acknowledged arrives, from the queues of all outputs and buckets."""
        await self._kill(self._pair[0])
        await self._kill(self._pair[1])
        everything = Setup(tuple(self.host.writes(name, divided=True) for name in NAMES))
        await self.host.delivered(everything)


@pytest.mark.timeout(300 + 15 * TRIALS)
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, figures: Callable[[str], None]) -> None:
    kills = acknowledged = due = missing = duplicates = spurious = 0
    met: Counter[str] = Counter()
    start = 0
    # A run that met nothing proves nothing: it goes on until what is rare has come as well.
    while start < TRIALS or not met.keys() >= RARE:
        assert start < TRIALS + 10 * MORE, f"never met: {RARE - met.keys()}"
        host = await Host.with_outputs(tmp_path / f"from {start}", *NAMES)
        campaign = Campaign(host, random.Random(SEED + (start // CAMPAIGN if start < TRIALS else start)))
        stop = min(start + CAMPAIGN, TRIALS) if start < TRIALS else start + MORE
        for trial in range(start, stop):
            await campaign.trial(trial)
        await campaign.end()
        verdict = host.oracle.verdict()
        kills += campaign.met["kills"]
        met += campaign.met
        acknowledged += verdict.acknowledged
        due += verdict.due
        missing += len(verdict.missing)
        duplicates += verdict.duplicates
        spurious += len(verdict.spurious)
        verdict.check()
        met["restored"] += "that were not written before are restored" in host.logs
        met = +met
        start = stop
    figures(
        f"{start} trials, {kills} kills, {acknowledged:,} metrics acknowledged that had to arrive at {due:,} places: "
        f"{missing} missing, {duplicates:,} twice, {spurious} where they do not belong"
    )
    figures(f"  {', '.join(f'{count} {what}' for what, count in sorted(met.items()) if ' ' in what or count > 9)}")
    assert acknowledged > 10 * TRIALS, "so few that nothing was tried"


async def test_without_a_disk_buffer_a_graceful_stop_keeps_what_waits(tmp_path: Path) -> None:
    host = await Host.with_outputs(tmp_path / "host", "red", "green")
    setup = Setup((host.writes("red"), host.writes("green", divided=True)), strategy="memory")
    for receiver in host.receivers.values():
        receiver.mode = "503"
    agent = await host.agent(setup).start()
    for number in range(10):
        assert await agent.feed("a", 50, bucket=f"b{number % 3}")
    assert await agent.terminate() == 0
    assert "they are kept in" in agent.logs
    await host.delivered(setup)
    host.oracle.verdict().check()
    assert "500 metrics that were not written before are restored" in host.logs


async def test_without_a_disk_buffer_an_outage_is_survived_all_the_same(tmp_path: Path) -> None:
    host = await Host.with_outputs(tmp_path / "host", "red")
    setup = Setup((host.writes("red"),), strategy="memory")
    host.receivers["red"].mode = "503"
    agent = await host.agent(setup).start()
    for _ in range(10):
        assert await agent.feed("a", 50)

    # It fails for longer than a flush interval: what waits goes to disk, and what comes.
    def on_disk() -> int:
        size = 0
        for path in host.state.rglob("*.seg"):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
        return size

    before = 0
    for source in ("b", "c"):
        while (now := on_disk()) <= before:
            await asyncio.sleep(0.02)
        before = now
        assert await agent.feed(source, 50)
    while on_disk() <= before:
        await asyncio.sleep(0.02)
    await agent.kill()
    await host.delivered(setup)
    host.oracle.verdict().check()
