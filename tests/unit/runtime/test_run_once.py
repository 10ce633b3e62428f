"""`--test` and `--once` say what they wait for."""

import asyncio
import dataclasses
import threading
from typing import Any, ClassVar

import pytest

from pyagent.api import Accumulator, Batch, Duration, Input, Metric, NoOptions, Output
from pyagent.config import AgentSettings, InputPlan, OutputPlan, Plan
from pyagent.runtime import run_once as once
from pyagent.runtime.settings import RunSettings


class Slow(Input):
    where: ClassVar[str] = ""
    release: ClassVar[threading.Event]

    def wait(self, where: str) -> None:
        if where == Slow.where:
            Slow.release.wait(60)

    def setup(self) -> None:
        self.wait("setup")

    def gather(self, acc: Accumulator) -> None:
        self.wait("gather")
        acc.add("m", {"v": 1})


class SlowOutput(Output):
    def write(self, batch: Batch) -> None:
        if Slow.where == "write":
            Slow.release.wait(60)


COMMON: dict[str, Any] = {"options": NoOptions(), "location": "a.conf:1", "identity": "", "origin": "file"}
PLAN = Plan(
    agent=AgentSettings(),
    global_tags={},
    inputs=(
        InputPlan(
            kind="inputs", name="slow", plugin=Slow, interval=Duration("10s"), precision=Duration("1s"), **COMMON
        ),
    ),
    outputs=(
        OutputPlan(
            kind="outputs", name="slow", plugin=SlowOutput, flush_interval=Duration("10s"), queue_id="x", **COMMON
        ),
    ),
)


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("setup", "waiting for the setup of inputs.slow"),
        ("gather", "waiting for inputs.slow, 30 s at the most"),
        ("write", "waiting for the last write of outputs.slow"),
    ],
)
async def test_after_a_while_it_is_told(
    where: str, wanted: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pyagent")
    monkeypatch.setattr(once, "TELL_AFTER", 0.05)
    Slow.where, Slow.release = where, threading.Event()
    run = asyncio.create_task(once.run_once(PLAN, RunSettings(once=True)))
    try:
        async with asyncio.timeout(30):
            while wanted not in caplog.messages:
                await asyncio.sleep(0.005)
    finally:
        Slow.release.set()
    assert await run == 0
    assert once.TELL_AFTER < once.GATHER_DEADLINE


class Comparing(Input):
    compares = True

    def setup(self) -> None:
        self.gathers = 0

    def gather(self, acc: Accumulator) -> None:
        self.gathers += 1
        acc.add("m", {"gather": self.gathers})


async def test_an_input_that_compares_is_gathered_twice_and_the_second_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.pipeline.inputs.running_input.COMPARED_AFTER", 0.0)
    [given] = PLAN.inputs
    plan = dataclasses.replace(PLAN, inputs=(dataclasses.replace(given, plugin=Comparing),), outputs=())
    metrics: list[Metric] = []
    assert await once.run_once(plan, RunSettings(test=True), sink=once.MetricSink(metrics.extend)) == 0
    assert [metric.fields for metric in metrics] == [{"gather": 2}]
