"""What processors remember from one run of the agent to the next."""

import asyncio
import logging
import stat
import time
from pathlib import Path

import pytest

from pyagent.api import Metric, Processor, Uint
from pyagent.config import SourceText, load_plan
from pyagent.runtime.agent import Agent
from pyagent.testing import make_processor, process
from pyagent_plugins.processors.dedup import Dedup

TEXT = """
[[inputs.mock]]
  interval = "1h"
[[outputs.discard]]
[[processors.dedup]]
  dedup_interval = "1h"
"""
NOW = time.time_ns()
ODD = Metric(
    "m\udcff", {"a": "ä", "b": "\udc80"}, {"u": Uint(2**64 - 1), "i": -(2**63), "s": "x\udcff", "b": True}, NOW
)
PLAIN = Metric("m", {}, {"v": 1.5, "w": 0.1}, NOW)


def run(folder: Path | None, metrics: list[Metric], text: str = TEXT) -> list[list[Metric]]:
    """What the dedup before the aggregators, and the one behind them, let through in one run of the agent."""

    async def main() -> list[list[Metric]]:
        agent = Agent(states=folder)
        await agent.apply(load_plan([SourceText("a.conf", text)], environ={}))
        stages = agent.fanout.stages
        passed = [stage(list(metrics)) for stage in (*stages.before, *stages.after)]
        await agent.stop()
        return passed

    return asyncio.run(main())


def test_it_outlasts_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "processors"
    assert run(folder, [ODD, PLAIN]) == [[ODD, PLAIN]]
    assert run(folder, [ODD, PLAIN]) == [[]]
    changed = Metric("m", {}, {"v": 1.5, "w": 0.2}, NOW)
    assert run(folder, [ODD, changed]) == [[changed]]
    assert run(folder, [ODD, changed]) == [[]]
    [file] = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_table_begins_anew_and_the_old_state_goes(tmp_path: Path) -> None:
    run(tmp_path, [PLAIN])
    [before] = tmp_path.iterdir()
    assert run(tmp_path, [PLAIN], TEXT.replace("1h", "2h")) == [[PLAIN]]
    [after] = tmp_path.iterdir()
    assert before != after


def test_both_of_a_processor_have_their_own(tmp_path: Path) -> None:
    text = TEXT + "[[aggregators.final]]\n"
    assert run(tmp_path, [PLAIN], text) == [[PLAIN], [PLAIN]]
    assert run(tmp_path, [PLAIN], text) == [[], []]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("state", [b"", b"{", b'[["m"]]', b"[1]", b"\xff"])
def test_a_state_that_is_damaged_costs_nothing(state: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    run(tmp_path, [PLAIN])
    [file] = tmp_path.iterdir()
    file.write_bytes(state)
    assert run(tmp_path, [PLAIN]) == [[PLAIN]]
    assert "cannot read what processors.dedup remembered" in caplog.text
    assert run(tmp_path, [PLAIN]) == [[]]


def test_without_a_state_directory_nothing_is_kept() -> None:
    assert run(None, [PLAIN]) == [[PLAIN]]
    assert run(None, [PLAIN]) == [[PLAIN]]


def test_what_cannot_be_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    assert run(tmp_path / "file" / "processors", [PLAIN]) == [[PLAIN]]
    assert "cannot keep what processors.dedup remembers" in caplog.text


def test_what_has_expired_is_not_kept() -> None:
    def let_through(processor: Processor, metric: Metric) -> bool:
        return bool(process(processor, [metric]))

    old, new = Metric("old", {}, {"v": 1}, NOW - 7_200_000_000_000), Metric("new", {}, {"v": 1}, NOW)
    first = make_processor(Dedup, {"dedup_interval": "1h"})
    process(first, [old, new])
    state = first.save_state()
    assert b'"new"' in state
    assert b'"old"' not in state
    second = make_processor(Dedup, {"dedup_interval": "1h"})
    second.load_state(state)
    assert not let_through(second, new)
