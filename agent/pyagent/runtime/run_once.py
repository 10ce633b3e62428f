"""`--test` and `--once`: one gather of every input (reference: telegraf 4.6)."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from pyagent.api import ConfigError, Input, LineOptions, Metric, Output
from pyagent.api.units import counted
from pyagent.config import InputPlan, OutputPlan, Plan, PluginPlan
from pyagent.lineprotocol import encode
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.pipeline.schedule import Clock, SystemClock
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.pipeline.traits import InputTraits, OutputTraits
from pyagent.runtime.agent import FLUSH_GRACE, GRACE
from pyagent.runtime.build import Built, LeftOut, build_plugins, build_stages
from pyagent.runtime.log import component_logger
from pyagent.runtime.settings import RunSettings

__all__ = ["MetricSink", "patiently", "run_once"]

T = TypeVar("T")
Meanwhile = Callable[[Fanout, Sequence[RunningInput]], Awaitable[None]]

GATHER_DEADLINE = 30.0
"""Seconds after which a gather is given up; the others' metrics are not withheld for it."""
TELL_AFTER = 5.0
"""Seconds after which a run says what it waits for."""
_TEST_FORMAT = LineOptions(sort_fields=True, uint_support=True)


class MetricSink(Fanout):
    """The end of the way for --test: `consume` gets the metrics in place of the outputs."""

    relayable = False

    def __init__(self, consume: Callable[[list[Metric]], None]) -> None:
        super().__init__()
        self._consume = consume

    def emit(self, metrics: list[Metric]) -> None:
        self._consume(metrics)

    async def deliver_pinned(self, metrics: list[Metric]) -> None:
        self.deliver(metrics)


async def run_once(
    plan: Plan,
    settings: RunSettings,
    *,
    sink: MetricSink | None = None,
    clock: Clock | None = None,
    meanwhile: Meanwhile | None = None,
) -> int:
    """Gather once; print (--test) or write (--once). Returns the exit status: 1 if --once left something unwritten.

    A failing input is logged and does not change the status, as with Telegraf, but for --strict-exit.

    `sink`: where the metrics of --test go in place of standard output. `clock`: for the times of what is gathered.
    `meanwhile`: called between the gather and the end, in place of waiting for `settings.test_wait` seconds.
    """
    testing = settings.test and not settings.once
    if testing and sink is None and sys.__stdout__ is None:
        raise ConfigError("cannot print metrics: standard output is closed; open it, or use --once")
    left_out = LeftOut(plan)
    clock = clock or SystemClock()
    meanwhile = meanwhile or (lambda *_: asyncio.sleep(settings.test_wait))
    built_outputs = await _built(plan.outputs, left_out)
    if testing:
        printer = _Printer()
        failed = await _gather(plan, sink or MetricSink(printer), left_out, clock, meanwhile)
        if printer.failed is not None:
            raise printer.failed
        return 1 if failed and settings.strict_exit else 0
    outputs = [
        RunningOutput(
            cast("OutputPlan", one.plan),
            cast("Output[Any]", one.plugin),
            log=one.log,
            traits=cast("OutputTraits | None", one.traits),
        )
        for one in built_outputs
    ]
    failed = await _gather(plan, Fanout(outputs), left_out, clock, meanwhile)
    names = ", ".join(output.plan.label for output in outputs)
    await patiently(asyncio.gather(*(output.stop(FLUSH_GRACE) for output in outputs)), f"the last write of {names}")
    unsent = sum(output.queued for output in outputs)
    if unsent:
        component_logger("agent").error("output plugins unable to send %s", counted(unsent, "metric"))
    return 1 if unsent or (failed and settings.strict_exit) else 0


async def patiently(work: Awaitable[T], what: str) -> T:
    """Wait for `work`, and say what is waited for where that takes a while."""
    task = asyncio.ensure_future(work)
    if not (await asyncio.wait([task], timeout=TELL_AFTER))[0]:
        component_logger("agent").info("waiting for %s", what)
    return await task


async def _built(plans: Sequence[PluginPlan], left_out: LeftOut) -> list[Built]:
    return await patiently(build_plugins(plans, left_out), f"the setup of {', '.join(one.label for one in plans)}")


async def _gather(plan: Plan, fanout: Fanout, left_out: LeftOut, clock: Clock, meanwhile: Meanwhile) -> bool:
    """Whether an input failed: in its gather or its start, by not ending, or by not being there at all."""
    stages = (*plan.processors, *plan.aggregators)
    setup = f"the setup of {', '.join(one.label for one in stages)}"
    fanout.replace(await patiently(build_stages(plan, fanout, clock, left_out), setup))
    pushing = [asyncio.create_task(aggregator.run()) for aggregator in fanout.stages.aggregators]
    runners = [
        RunningInput(
            cast("InputPlan", one.plan),
            cast("Input[Any]", one.plugin),
            global_tags=plan.global_tags,
            sink=fanout,
            clock=clock,
            log=one.log,
            traits=cast("InputTraits | None", one.traits),
        )
        for one in await _built(plan.inputs, left_out)
    ]
    left_out.tell(component_logger("agent"))
    gathers = {asyncio.create_task(runner.gather_once()): runner.plan.label for runner in runners}
    hanging: set[asyncio.Task[None]] = set()
    if gathers:
        _, hanging = await asyncio.wait(gathers, timeout=TELL_AFTER)
    if hanging:
        names = ", ".join(label for task, label in gathers.items() if task in hanging)
        component_logger("agent").info("waiting for %s, %g s at the most", names, GATHER_DEADLINE)
        _, hanging = await asyncio.wait(hanging, timeout=GATHER_DEADLINE - TELL_AFTER)
    await meanwhile(fanout, runners)
    await asyncio.gather(*(runner.stop(GRACE) for runner in runners))
    for task in pushing:
        task.cancel()
    if (finishing := fanout.replace(ProcessorChain())) is not None:
        await finishing
    return bool(left_out) or bool(hanging) or any(runner.failures.total for runner in runners)


class _Printer:
    """Prints metrics to standard output."""

    def __init__(self) -> None:
        self.failed: OSError | None = None
        """Why nothing can be printed any more: the reader has gone, the disk is full."""

    def __call__(self, metrics: list[Metric]) -> None:
        if self.failed is not None:
            return
        encoded = encode(metrics, _TEST_FORMAT)
        start = 0
        assert sys.__stdout__ is not None, "looked at before"
        out = sys.__stdout__.buffer
        try:
            for end in encoded.ends:
                out.write(b"> " + encoded.data[start:end])
                start = end
            out.flush()
        except OSError as error:
            self.failed = error
            return
        for metric, reason in encoded.rejected:
            component_logger("agent").error("cannot encode a metric of %r: %s", metric.name[:100], reason)
