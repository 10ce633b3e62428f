"""The stages of a plan, made ready to run."""

import logging
from typing import Any, cast

from pyagent.api import Aggregator, Processor
from pyagent.config import AggregatorPlan, Plan, PluginPlan, ProcessorPlan, create_plugin
from pyagent.pipeline.route import Route
from pyagent.pipeline.schedule import Clock
from pyagent.pipeline.stages import AggregatorRunner, ProcessorStage, Stages
from pyagent.runtime.log import plugin_logger

__all__ = ["build_stages", "same_stages"]


def build_stages(plan: Plan, route: Route, clock: Clock) -> Stages:
    """Processors exist twice, before and after the aggregators, each with a state of its own; the settings
    `skip_processors_before_aggregators` and `skip_processors_after_aggregators` leave one pass out. Raises ConfigError."""
    before = [] if plan.agent.skip_processors_before_aggregators else _processors(plan)
    after = _processors(plan) if plan.aggregators and not plan.agent.skip_processors_after_aggregators else []
    aggregators = []
    for aggregator in plan.aggregators:
        plugin, log = _made(aggregator)
        runner = AggregatorRunner(
            aggregator, cast("Aggregator[Any]", plugin), deliver=route.deliver_aggregated, clock=clock, log=log
        )
        aggregators.append(runner)
    return Stages(before, aggregators, after)


def _processors(plan: Plan) -> list[ProcessorStage]:
    stages = []
    for processor in plan.processors:
        plugin, log = _made(processor)
        stages.append(ProcessorStage(processor, cast("Processor[Any]", plugin), log=log))
    return stages


def _made(plan: ProcessorPlan | AggregatorPlan) -> tuple[Any, logging.Logger]:
    log = plugin_logger(plan)
    return create_plugin(plan, log), log


def same_stages(plan: Plan, other: Plan | None) -> bool:
    """Whether the stages of one plan may go on under the other."""
    return other is not None and _key(plan) == _key(other)


def _key(plan: Plan) -> object:
    plugins: list[PluginPlan] = [*plan.processors, *plan.aggregators]
    agent = plan.agent
    skips = (agent.skip_processors_before_aggregators, bool(agent.skip_processors_after_aggregators))
    return skips, [(plugin.label, plugin.identity) for plugin in plugins]
