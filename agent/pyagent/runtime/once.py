"""`--test` and `--once`: one gather of every input (reference: telegraf 4.6)."""

import asyncio
import sys
from typing import Any, cast

from pyagent.api import Input, LineOptions, Metric, Output
from pyagent.api.units import counted
from pyagent.config import InputPlan, OutputPlan, Plan
from pyagent.lineprotocol import encode
from pyagent.pipeline.delivery import OutputRunner
from pyagent.pipeline.gather import InputRunner
from pyagent.pipeline.route import Route
from pyagent.pipeline.schedule import SystemClock
from pyagent.pipeline.stages import Stages
from pyagent.runtime.agent import FLUSH_GRACE, GRACE
from pyagent.runtime.log import component_logger
from pyagent.runtime.settings import RunSettings
from pyagent.runtime.staging import build_plugins, build_stages

__all__ = ["run_once"]

GATHER_DEADLINE = 30.0
"""Seconds after which a gather is given up; the others' metrics are not withheld for it."""
_TEST_FORMAT = LineOptions(sort_fields=True, uint_support=True)


async def run_once(plan: Plan, settings: RunSettings) -> int:
    """Gather once; print (--test) or write (--once). Returns the exit status: 1 if --once left something unwritten.

    A failing input is logged and does not change the status, as with Telegraf, but for --strict-exit.
    """
    built_outputs = await build_plugins(plan.outputs)
    if settings.test and not settings.once:
        failed = await _gather(plan, settings, _Printer())
        return 1 if failed and settings.strict_exit else 0
    outputs = [
        OutputRunner(cast("OutputPlan", p), cast("Output[Any]", plugin), log=log) for p, plugin, log in built_outputs
    ]
    failed = await _gather(plan, settings, Route(outputs))
    await asyncio.gather(*(output.stop(FLUSH_GRACE) for output in outputs))
    unsent = sum(output.queued for output in outputs)
    if unsent:
        component_logger("agent").error("output plugins unable to send %s", counted(unsent, "metric"))
    return 1 if unsent or (failed and settings.strict_exit) else 0


async def _gather(plan: Plan, settings: RunSettings, route: Route) -> bool:
    """Whether an input failed: in its gather or its start, by not ending, or by not being there at all."""
    route.replace(await build_stages(plan, route, SystemClock()))
    pushing = [asyncio.create_task(aggregator.run()) for aggregator in route.stages.aggregators]
    runners = [
        InputRunner(
            cast("InputPlan", p),
            cast("Input[Any]", plugin),
            global_tags=plan.global_tags,
            route=route,
            clock=SystemClock(),
            log=log,
        )
        for p, plugin, log in await build_plugins(plan.inputs)
    ]
    gathers = [asyncio.create_task(runner.gather_once()) for runner in runners]
    hanging: set[asyncio.Task[None]] = set()
    if gathers:
        _, hanging = await asyncio.wait(gathers, timeout=GATHER_DEADLINE)
    if settings.test_wait:
        await asyncio.sleep(settings.test_wait)
    await asyncio.gather(*(runner.stop(GRACE) for runner in runners))
    for task in pushing:
        task.cancel()
    if (finishing := route.replace(Stages())) is not None:
        await finishing
    missing = bool(plan.broken) or len(runners) < len(plan.inputs)
    return missing or bool(hanging) or any(runner.failures.total for runner in runners)


class _Printer(Route):
    """Prints what comes in, instead of queueing it."""

    plain = False

    def _queue(self, metrics: list[Metric]) -> None:
        encoded = encode(metrics, _TEST_FORMAT)
        start = 0
        out = sys.stdout.buffer
        for end in encoded.ends:
            out.write(b"> " + encoded.data[start:end])
            start = end
        out.flush()
        for metric, reason in encoded.rejected:
            component_logger("agent").error("cannot encode a metric of %r: %s", metric.name, reason)

    async def admit(self, metrics: list[Metric]) -> None:
        self.deliver(metrics)
