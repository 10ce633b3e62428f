"""Plugins and stages of a plan, made ready to run."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

from pyagent.api import Aggregator, Plugin, Processor
from pyagent.config import AggregatorPlan, Plan, PluginPlan, ProcessorPlan, create_plugin
from pyagent.pipeline.failures import one_line
from pyagent.pipeline.route import Route
from pyagent.pipeline.schedule import Clock
from pyagent.pipeline.stages import AggregatorRunner, ProcessorStage, Stages
from pyagent.pipeline.workers import ThreadWorker
from pyagent.runtime.difference import match
from pyagent.runtime.log import plugin_logger

__all__ = ["Built", "build_plugins", "build_stages"]

SETUP_DEADLINE = 10.0
"""Seconds for the setup of a plugin from outside."""

Built = tuple[PluginPlan, Plugin[Any], logging.Logger]


async def build_plugins(plans: Sequence[PluginPlan]) -> list[Built]:
    """Make the plugins. Raises ConfigError for one of the engine's own; one from outside is left out, with an error."""
    built: list[Built] = []
    for plan in plans:
        log = plugin_logger(plan)
        if plan.origin == "builtin":
            built.append((plan, create_plugin(plan, log), log))
            continue
        try:
            built.append((plan, await _create_outsider(plan, log), log))
        except TimeoutError:
            log.error("%s: its setup did not end within %g s; it is left out", plan.location, SETUP_DEADLINE)
        except Exception as error:
            log.error("%s; it is left out", one_line(error))
    return built


async def _create_outsider(plan: PluginPlan, log: logging.Logger) -> Plugin[Any]:
    """In a thread of its own and not for ever: the setup is anybody's code."""
    made: list[Plugin[Any]] = []
    worker = ThreadWorker(f"{plan.label} setup")
    try:
        await asyncio.wait_for(worker.call(lambda: made.append(create_plugin(plan, log))), SETUP_DEADLINE)
    finally:
        worker.abandon()
    return made[0]


async def build_stages(plan: Plan, route: Route, clock: Clock) -> Stages:
    """The stages to put in place of the route's; unchanged ones are taken over, with what they remember. Raises ConfigError.

    Processors exist twice, before and after the aggregators, each with a state of its own; the settings
    `skip_processors_before_aggregators` and `skip_processors_after_aggregators` leave one pass out.
    """
    running, agent = route.stages, plan.agent
    before = [] if agent.skip_processors_before_aggregators else await _processors(plan, running.before)
    twice = plan.aggregators and not agent.skip_processors_after_aggregators
    after = await _processors(plan, running.after) if twice else []
    aggregators = []
    for aggregator, runner in match(plan.aggregators, running.aggregators):
        if runner is not None:
            aggregators.append(runner)
            continue
        for _, plugin, log in await build_plugins([aggregator]):
            aggregators.append(_aggregator(aggregator, cast("Aggregator[Any]", plugin), route, clock, log))
    return Stages(before, aggregators, after)


async def _processors(plan: Plan, running: Sequence[ProcessorStage]) -> list[ProcessorStage]:
    stages = []
    for processor, stage in match(plan.processors, running):
        if stage is not None:
            stages.append(stage)
            continue
        for _, plugin, log in await build_plugins([processor]):
            stages.append(_processor(processor, cast("Processor[Any]", plugin), log))
    return stages


def _processor(plan: ProcessorPlan, plugin: Processor[Any], log: logging.Logger) -> ProcessorStage:
    if plan.origin == "builtin":
        return ProcessorStage(plan, plugin, log=log)
    from pyagent.pipeline.outside import OutsideProcessor

    return OutsideProcessor(plan, plugin, log=log)


def _aggregator(
    plan: AggregatorPlan, plugin: Aggregator[Any], route: Route, clock: Clock, log: logging.Logger
) -> AggregatorRunner:
    if plan.origin == "builtin":
        return AggregatorRunner(plan, plugin, deliver=route.deliver_aggregated, clock=clock, log=log)
    from pyagent.pipeline.outside import OutsideAggregator

    return OutsideAggregator(plan, plugin, deliver=route.deliver_aggregated, clock=clock, log=log)
