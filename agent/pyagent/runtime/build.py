"""Plugins and stages of a plan, made ready to run."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

from pyagent.api import Aggregator, ConfigError, Plugin, Processor
from pyagent.api.foreign import let_go
from pyagent.config import AggregatorPlan, BrokenPlugin, Plan, PluginPlan, ProcessorPlan, create_plugin
from pyagent.pipeline.executors import ThreadExecutor, result_of
from pyagent.pipeline.failures import as_own_error, reason_of
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.schedule import Clock
from pyagent.pipeline.stages.aggregators import RunningAggregator
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.pipeline.stages.processors import RunningProcessor
from pyagent.pipeline.traits import ProcessorTraits, Traits, plugin_files, traits_of
from pyagent.runtime.log import plugin_logger
from pyagent.runtime.plan_diff import Running, match

__all__ = ["Broken", "Built", "LeftOut", "build_plugins", "build_stages"]

RunningT = TypeVar("RunningT", bound=Running)
StageT = TypeVar("StageT", RunningProcessor, RunningAggregator)
StagePlanT = TypeVar("StagePlanT", ProcessorPlan, AggregatorPlan)

SETUP_DEADLINE = 10.0
"""Seconds for the setup of an external plugin."""


class Built(NamedTuple):
    plan: PluginPlan
    plugin: Plugin[Any]
    log: logging.Logger
    traits: Traits | None
    """Of an external one, asked where its setup runs."""


class Broken(NamedTuple):
    """An external one that cannot be used."""

    label: str
    reason: str
    """A whole message, with the place in the configuration."""
    kept: bool
    """The one that ran in its place before goes on."""


def _take(free: list[RunningT], label: str, location: str) -> RunningT | None:
    """Take the one of this name out, if there are several the one of this place."""
    named = [one for one in free if one.plan.label == label]
    found = next((one for one in named if one.plan.location == location), next(iter(named), None))
    if found is not None:
        free.remove(found)
    return found


class LeftOut:
    """Those that cannot be used: of the plan, and what `build_plugins` adds."""

    def __init__(self, plan: Plan) -> None:
        self.plugins: list[BrokenPlugin] = list(plan.broken)
        self.made: list[Built] = []
        """Those that can be used and have external code."""
        self._kept: set[int] = set()
        """Indices of those in whose place something runs."""

    def __bool__(self) -> bool:
        return bool(self.plugins)

    def add(self, plan: PluginPlan, reason: str, before: int = 0) -> None:
        self.plugins.append(
            BrokenPlugin(
                kind=plan.kind, name=plan.name, alias=plan.alias, location=plan.location, reason=reason, before=before
            )
        )

    def let_go(self) -> None:
        """Nothing of the plan is used after all."""
        for one in self.made:
            let_go(one.plugin, one.plan.label)
        self.made.clear()

    def predecessors(self, running: Iterable[RunningT], taken: Iterable[PluginPlan]) -> dict[int, RunningT]:
        """For each of `plugins` what ran in its place before, by index. `taken`: plans that run, new or unchanged; what they
        replace is in nobody else's place."""
        free = list(running)
        for plan in taken:
            _take(free, plan.label, plan.location)
        found: dict[int, RunningT] = {}
        for index, broken in enumerate(self.plugins):
            if (one := _take(free, broken.label, broken.location)) is not None:
                found[index] = one
                self._kept.add(index)
        return found

    def outcome(self) -> tuple[Broken, ...]:
        """Each once: a processor is made twice."""
        found = {
            (one.label, one.location): Broken(one.label, one.reason, index in self._kept)
            for index, one in enumerate(self.plugins)
        }
        return tuple(found.values())

    def reasons(self, kind: str) -> str:
        return "; ".join(one.reason for one in self.plugins if one.kind == kind)

    def tell(self, log: logging.Logger) -> None:
        for one in self.outcome():
            log.error("%s; %s", one.reason, "the one before it goes on" if one.kept else "it is left out")


async def build_plugins(
    plans: Sequence[PluginPlan], left_out: LeftOut | None = None, *, before: int = 0
) -> list[Built]:
    """Make the plugins. Raises ConfigError for one of the engine's own; an external one is left out, and is in `left_out`
    then, or logged where that is None."""
    built: list[Built] = []
    for plan in plans:
        log = plugin_logger(plan)
        if not plan.is_external:
            built.append(Built(plan, create_plugin(plan, log), log, None))
            if left_out is not None and plan.has_foreign_code:
                left_out.made.append(built[-1])
            continue
        try:
            built.append(await _create_external(plan, log))
            if left_out is not None:
                left_out.made.append(built[-1])
            continue
        except TimeoutError:
            reason = f"{plan.location}: {plan.label}: its setup did not end within {SETUP_DEADLINE:g} s"
        except ConfigError as error:
            reason = reason_of(error)
        except Exception as error:
            reason = f"{plan.location}: {plan.label}: cannot be made: {reason_of(error)}"
        if left_out is None:
            log.error("%s; it is left out", reason)
        else:
            left_out.add(plan, reason, before)
    return built


async def _create_external(plan: PluginPlan, log: logging.Logger) -> Built:
    """In a thread of its own and not for ever: the setup is anybody's code, and so is all that the engine asks."""

    def make() -> Built:
        plugin = create_plugin(plan, log)
        return Built(plan, plugin, log, traits_of(plan, plugin))

    executor = ThreadExecutor(f"{plan.label} setup", partial(as_own_error, files=plugin_files(plan)))
    try:
        return await asyncio.wait_for(result_of(executor, make), SETUP_DEADLINE)
    finally:
        executor.abandon()


async def build_stages(plan: Plan, fanout: Fanout, clock: Clock, left_out: LeftOut | None = None) -> ProcessorChain:
    """The stages to put in place of the fanout's; unchanged ones are taken over, with what they remember, and so are those in
    whose place there is nothing that works. Raises ConfigError.

    Processors exist twice, before and after the aggregators, each with a state of its own; the settings
    `skip_processors_before_aggregators` and `skip_processors_after_aggregators` leave one pass out.
    """
    running, agent = fanout.stages, plan.agent
    left_out = LeftOut(plan) if left_out is None else left_out
    build = partial(_processors, plan, left_out=left_out)
    before = [] if agent.skip_processors_before_aggregators else await build(running.before)
    twice = plan.aggregators and not agent.skip_processors_after_aggregators
    after = await build(running.after) if twice else []
    make = partial(_aggregator, fanout, clock)
    return ProcessorChain(before, await _stages(plan.aggregators, running.aggregators, left_out, make), after)


async def _processors(plan: Plan, running: Sequence[RunningProcessor], left_out: LeftOut) -> list[RunningProcessor]:
    return await _stages(plan.processors, running, left_out, _processor)


async def _stages(
    plans: Sequence[StagePlanT],
    running: Sequence[StageT],
    left_out: LeftOut,
    make: Callable[[Built], StageT],
) -> list[StageT]:
    """A stage for each plan, in their order, and for each that is left out what ran in its place."""
    places: list[tuple[int, StageT]] = []
    first = len(left_out.plugins)
    for index, (plan, stage) in enumerate(match(plans, running)):
        if stage is None:
            for one in await build_plugins([plan], left_out, before=index):
                places.append((2 * index, make(one)))
        else:
            places.append((2 * index, stage))
    predecessors = left_out.predecessors(running, [stage.plan for _, stage in places])
    for number, stage in predecessors.items():
        # Of those that are not imported the plan has none: they are before the next one that it has.
        before = left_out.plugins[number].before
        places.append((2 * before if number >= first else 2 * before - 1, stage))
    return [stage for _, stage in sorted(places, key=lambda place: place[0])]


def _processor(built: Built) -> RunningProcessor:
    plan, plugin, log = cast("ProcessorPlan", built.plan), cast("Processor[Any]", built.plugin), built.log
    if plan.isolation == "inline" and not plan.is_async:
        return RunningProcessor(plan, plugin, log=log)
    from pyagent.pipeline.stages.isolated import IsolatedProcessor

    return IsolatedProcessor(plan, plugin, log=log, traits=cast("ProcessorTraits | None", built.traits))


def _aggregator(fanout: Fanout, clock: Clock, built: Built) -> RunningAggregator:
    plan, plugin, log = cast("AggregatorPlan", built.plan), cast("Aggregator[Any]", built.plugin), built.log
    if plan.isolation == "inline":
        return RunningAggregator(plan, plugin, deliver=fanout.deliver_aggregated, clock=clock, log=log)
    from pyagent.pipeline.stages.isolated import IsolatedAggregator

    return IsolatedAggregator(plan, plugin, deliver=fanout.deliver_aggregated, clock=clock, log=log)
