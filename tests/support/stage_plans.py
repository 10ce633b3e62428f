"""Processors and aggregators with their plans, and the end of their way."""

from typing import Any

from plans import LOG, SECOND, START

from pyagent.api import Aggregator, Duration, Metric, NoOptions, Processor
from pyagent.config import AggregatorPlan, ProcessorPlan
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.stages.aggregators import RunningAggregator
from pyagent.pipeline.stages.processors import RunningProcessor
from pyagent.testing.virtual import VirtualClock
from pyagent_plugins.processors.override import Override, OverrideOptions


def processor(plugin: Processor[Any], **settings: Any) -> RunningProcessor:
    defaults: dict[str, Any] = {
        "kind": "processors",
        "name": "p",
        "options": NoOptions(),
        "location": "x:1",
        "identity": "",
    }
    return RunningProcessor(ProcessorPlan(plugin=type(plugin), **defaults | settings), plugin, log=LOG)


def aggregator(plugin: Aggregator[Any], fanout: Fanout, clock: VirtualClock, **settings: Any) -> RunningAggregator:
    defaults: dict[str, Any] = {
        "kind": "aggregators",
        "name": "a",
        "options": NoOptions(),
        "location": "x:1",
        "identity": "",
        "period": Duration("30s"),
        "delay": Duration("100ms"),
        "precision": Duration("1s"),
    }
    plan = AggregatorPlan(plugin=type(plugin), **defaults | settings)
    return RunningAggregator(plan, plugin, deliver=fanout.deliver_aggregated, clock=clock, log=LOG)


def suffix(text: str) -> Override:
    return Override(OverrideOptions(name_suffix=text), LOG)


def metric(name: str = "m", value: float = 1.0, seconds: float = 0.0, **tags: str) -> Metric:
    return Metric(name, tags, {"v": value}, START + round(seconds * SECOND))


class Sink(Fanout):
    """A fanout whose end keeps what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics: list[Metric] = []

    def emit(self, metrics: list[Metric]) -> None:
        self.metrics += metrics
