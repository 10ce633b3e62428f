"""Small plans and plugins for pipeline tests."""

import logging
from typing import Any

from pyagent.api import Batch, Duration, Input, Metric, NoOptions, Output
from pyagent.config import InputPlan, OutputPlan
from pyagent.lineprotocol import DefaultTags, Encoded, add_tags, encode
from pyagent.pipeline.fanout import Fanout

SECOND = 1_000_000_000
START = 1_795_478_400 * SECOND + 3 * SECOND  # 2026-11-24T00:00:03Z
LOG = logging.getLogger("pyagent.test")


class Collected(Fanout):
    """Keeps the metrics that come in."""

    relayable = False

    def __init__(self) -> None:
        super().__init__()
        self.metrics: list[Metric] = []
        self.flushes = 0

    def deliver(self, metrics: list[Metric], tags: DefaultTags = ()) -> None:
        add_tags(metrics, tags)
        self.metrics += metrics

    async def deliver_pinned(self, metrics: list[Metric]) -> None:
        self.deliver(metrics)

    def flush_soon(self) -> None:
        self.flushes += 1


def input_plan(plugin: type[Input[Any]], **settings: Any) -> InputPlan:
    defaults: dict[str, Any] = {
        "kind": "inputs",
        "name": "test",
        "options": NoOptions(),
        "location": "test.conf:1",
        "identity": "test",
        "interval": Duration("10s"),
        "precision": Duration("1s"),
    }
    return InputPlan(plugin=plugin, **defaults | settings)


def output_plan(plugin: type[Output[Any]], **settings: Any) -> OutputPlan:
    defaults: dict[str, Any] = {
        "kind": "outputs",
        "name": "test",
        "options": NoOptions(),
        "location": "test.conf:2",
        "identity": "test",
        "flush_interval": Duration("10s"),
        "queue_id": "test",
    }
    return OutputPlan(plugin=plugin, **defaults | settings)


def numbered(first: int, count: int, name: str = "m") -> Encoded:
    """Metrics that can be told apart."""
    return encode([Metric(name, {}, {"n": number}, START) for number in range(first, first + count)])


def numbers(batch: Batch) -> list[int]:
    return [int(line.split(b"n=")[1].split(b"i")[0]) for line in batch.payload().splitlines()]
