"""What an input runs of others, and where a plugin from outside is from, in the agent's status."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from agent_plans import a_plan, an_input

from pyagent.api import Input, Secret
from pyagent.config import Plan, SourceText, load_plan
from pyagent.runtime.agent import Agent
from pyagent.runtime.origins import MOST
from pyagent.runtime.status import ReloadState, status


class _Runs(Input):
    def gather(self, acc: Any) -> None:
        """Nothing."""


class Many(_Runs):
    def origins(self) -> Sequence[str]:
        return [f"{number}: /usr/bin/x" for number in range(MOST + 7)]


class Secretive(_Runs):
    def origins(self) -> Sequence[str]:
        Secret("a-word-of-mine")
        return ["/bin/a-word-of-mine", "x" * 9999]


class Failing(_Runs):
    def origins(self) -> Sequence[str]:
        raise RuntimeError


async def origins_in_status(plan: Plan) -> list[list[str]]:
    agent = Agent()
    await agent.apply(plan)
    document = status(agent, ReloadState(), "default")
    await agent.stop()
    json.dumps(document)
    return [one["origins"] for one in document["inputs"]]


async def test_origins_are_bounded_and_masked_and_one_that_fails_has_none() -> None:
    plans = [an_input(kind, alias=kind.__name__) for kind in (Many, Secretive, Failing, _Runs)]
    many, secretive, *others = await origins_in_status(a_plan(*plans))
    assert many == [f"{number}: /usr/bin/x" for number in range(MOST)]
    assert secretive == ["/bin/***", "x" * 500]
    assert others == [[], []]


@pytest.mark.parametrize("does", ["raise SystemExit(7)", "return ['/bin/of its own']"])
async def test_of_a_plugin_from_outside_its_file_is_told_and_it_is_not_asked(tmp_path: Path, does: str) -> None:
    (tmp_path / "own.py").write_text(
        "from pyagent.api import Input\nclass Own(Input):\n    def gather(self, acc): pass\n"
        f"    def origins(self): {does}\n"
    )
    text = "[[inputs.own]]\n[[outputs.discard]]\n"
    plan = load_plan([SourceText("a.conf", text)], environ={}, plugin_directories=[tmp_path])
    assert await origins_in_status(plan) == [[f"{tmp_path}/own.py"]]
