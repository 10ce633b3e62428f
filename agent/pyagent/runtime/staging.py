"""The stages of a plan, made ready to run."""

import logging
from collections.abc import Sequence
from typing import Any, cast

from pyagent.api import Aggregator, Processor
from pyagent.config import AggregatorPlan, Plan, ProcessorPlan, create_plugin
from pyagent.pipeline.route import Route
from pyagent.pipeline.schedule import Clock
from pyagent.pipeline.stages import AggregatorRunner, ProcessorStage, Stages
from pyagent.runtime.difference import match
from pyagent.runtime.log import plugin_logger

__all__ = ["build_stages"]


def build_stages(plan: Plan, route: Route, clock: Clock) -> Stages:
    """The stages to put in place of the route's; unchanged ones are taken over, with what they remember. Raises ConfigError.

    Processors exist twice, before and after the aggregators, each with a state of its own; the settings
    `skip_processors_before_aggregators` and `skip_processors_after_aggregators` leave one pass out.
    """
    running, agent = route.stages, plan.agent
    before = [] if agent.skip_processors_before_aggregators else _processors(plan, running.before)
    twice = plan.aggregators and not agent.skip_processors_after_aggregators
    after = _processors(plan, running.after) if twice else []
    aggregators = []
    for aggregator, runner in match(plan.aggregators, running.aggregators):
        if runner is None:
            plugin, log = _made(aggregator)
            runner = AggregatorRunner(
                aggregator, cast("Aggregator[Any]", plugin), deliver=route.deliver_aggregated, clock=clock, log=log
            )
        aggregators.append(runner)
    return Stages(before, aggregators, after)


def _processors(plan: Plan, running: Sequence[ProcessorStage]) -> list[ProcessorStage]:
    stages = []
    for processor, stage in match(plan.processors, running):
        if stage is None:
            plugin, log = _made(processor)
            stage = ProcessorStage(processor, cast("Processor[Any]", plugin), log=log)
        stages.append(stage)
    return stages


def _made(plan: ProcessorPlan | AggregatorPlan) -> tuple[Any, logging.Logger]:
    log = plugin_logger(plan)
    return create_plugin(plan, log), log
