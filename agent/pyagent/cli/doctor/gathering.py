"""Whether the plugins of a configuration can be made, each input gathers, and what filters let through."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pyagent.api import Input, Metric, Output, PyagentError
from pyagent.api.units import counted
from pyagent.cli.doctor.findings import Report, parted
from pyagent.cli.terminal import some_of, span
from pyagent.config import FilterOptions, InputPlan, OutputPlan, Plan, PluginPlan
from pyagent.pipeline.failures import reason_of
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.outputs.encoder import EncodedParts, OutputEncoder
from pyagent.pipeline.schedule import SystemClock
from pyagent.runtime.build import build_plugins, build_stages
from pyagent.runtime.origins import origins_of

__all__ = ["YEAR_2000", "Gathered", "MadeOutput", "local_time", "look_at_inputs", "look_at_stages", "make_outputs"]

PATIENCE = 15.0
"""Seconds for one gather."""
YEAR_2000 = 946_684_800
MOST_AHEAD = 60.0
"""Seconds that a metric's time may be ahead: it is rounded, and clocks differ by some."""
_FEW_ORIGINS = 5
_QUIET = logging.getLogger("pyagent.doctor")


@dataclass(slots=True)
class Gathered:
    """What reached an output of one gather of each input."""

    metrics: int = 0
    size: int = 0
    """Bytes of line protocol."""
    oldest: int = 0
    """ns since the epoch, since the year 2000; 0: none."""
    whose: str = ""
    """The input of the oldest metric."""


@dataclass(frozen=True, slots=True)
class MadeOutput:
    plan: OutputPlan
    plugin: Output[Any]
    encoder: OutputEncoder
    gathered: Gathered = field(default_factory=Gathered)


class _Catcher(Fanout):
    """Keeps what comes out of the processors."""

    relayable = False

    def __init__(self) -> None:
        super().__init__()
        self.metrics: list[Metric] = []

    def emit(self, metrics: list[Metric]) -> None:
        self.metrics += metrics

    async def deliver_pinned(self, metrics: list[Metric]) -> None:
        self.deliver(metrics)


async def make_outputs(report: Report, plan: Plan) -> list[MadeOutput]:
    """The outputs that can be made; connects to nothing."""
    made = []
    for output in plan.outputs:
        plugin = await _make(report, output)
        if plugin is not None:
            plugin = cast("Output[Any]", plugin)
            encoder = OutputEncoder(output, plugin.queue_format(), plugin.partition(), log=_QUIET)
            made.append(MadeOutput(output, plugin, encoder))
    return made


async def look_at_inputs(report: Report, plan: Plan, outputs: Sequence[MadeOutput]) -> None:
    """Gather each input once, one after the other, and count what reaches each output."""
    for one in plan.inputs:
        report.about = f"{one.label} ({one.location})"
        if one.name == "internal" and not one.is_external:
            report.skipped("gather", "it tells of the running agent, and gathers nothing outside of it")
            continue
        report.busy(f"gathering {one.label}")
        plugin = await _make(report, one)
        if plugin is None:
            continue
        if one.plugin.start is not Input.start:
            await _look_before_start(report, one, cast("Input[Any]", plugin))
            continue
        await _gather(report, plan, one, cast("Input[Any]", plugin), outputs)


async def _look_before_start(report: Report, one: InputPlan, plugin: Input[Any]) -> None:
    """What can be said of one that listens, follows files or has a program run."""
    _tell_origins(report, one, plugin)
    obstacles: Sequence[str] = ()
    if not one.is_external:
        with contextlib.suppress(Exception):
            obstacles = await asyncio.wait_for(asyncio.to_thread(plugin.obstacles), PATIENCE)
    with contextlib.suppress(Exception):
        await plugin.stop()
    for obstacle in obstacles:
        tell = report.failed if obstacle.startswith("cannot ") else report.warning
        tell("start", *parted(reason_of(PyagentError(obstacle))))
    if not obstacles:
        report.skipped("gather", "it is not started here: the running agent has its port, file or program")


async def look_at_stages(report: Report, plan: Plan) -> None:
    """Whether processors and aggregators can be made: without one of them the agent does not start."""
    for one in (*plan.processors, *plan.aggregators):
        report.about = f"{one.label} ({one.location})"
        await _make(report, one)


def _tell_origins(report: Report, one: InputPlan, plugin: Input[Any]) -> None:
    if origins := origins_of(one, plugin):
        report.note("origin", f"it runs what others wrote: {some_of(origins, most=_FEW_ORIGINS)}")


async def _make(report: Report, plan: PluginPlan) -> Any:
    """The plugin; None, with a finding, where it cannot be made."""
    heard = _Heard()
    logging.getLogger("pyagent").addHandler(heard)
    try:
        built = await build_plugins([plan])
    except Exception as error:
        report.about = plan.label
        report.failed("plugin", *parted(reason_of(error)))
        return None
    finally:
        logging.getLogger("pyagent").removeHandler(heard)
    if not built:
        report.about = plan.label
        report.failed("plugin", *parted("; ".join(heard.errors) or "it cannot be made"))
        return None
    return built[0][1]


async def _gather(
    report: Report, plan: Plan, one: InputPlan, plugin: Input[Any], outputs: Sequence[MadeOutput]
) -> None:
    fanout, clock = _Catcher(), SystemClock()
    with contextlib.suppress(Exception):
        fanout.replace(await build_stages(plan, fanout, clock))
    runner = RunningInput(one, plugin, global_tags=plan.global_tags, sink=fanout, clock=clock, log=_QUIET)
    began = time.monotonic()
    gather = asyncio.create_task(runner.gather_once())
    await asyncio.wait([gather], timeout=PATIENCE)
    took = time.monotonic() - began
    hangs = not gather.done()
    await runner.stop(0.1 if hangs else 1.0)
    await fanout.drained()
    _tell_origins(report, one, plugin)
    if hangs:
        gather.cancel()
        report.failed(
            "gather", f"the gather did not end within {PATIENCE:g} s", "look at what it asks; `timeout` bounds many"
        )
        return
    if runner.failures.current:
        report.failed("gather", *parted(runner.failures.current))
        return
    if dropped := sum(runner.acc.dropped.values()):
        reasons = ", ".join(runner.acc.dropped)
        report.warning(
            "gather", f"{counted(dropped, 'metric or field', 'metrics or fields')} cannot be used: {reasons}"
        )
    if not runner.gathered:
        filters = "its filters (namepass, tagpass, fieldinclude, metricpass ...), and " * (
            one.filters != FilterOptions()
        )
        report.warning(
            "gather",
            f"it gathers nothing ({took * 1000:.0f} ms)",
            f"look at {filters}whether this host has what it measures; remove the input where it has not",
        )
        return
    if not fanout.metrics:
        report.warning(
            "filters",
            f"it gathers {_count(runner.gathered)}, and its own filters keep all of them out",
            f"look at the filters of {one.locate(None)}, and at the processors",
        )
        return
    report.ok("gather", f"{_count(runner.gathered)} in {took * 1000:.0f} ms")
    _look_at_times(report, fanout.metrics)
    for output in outputs:
        encoded = output.encoder(list(fanout.metrics))
        _add(output.gathered, encoded, one.label)
        if not encoded.count:
            report.warning(
                "filters",
                f"none of its metrics reaches {output.plan.label}: its filters keep {encoded.filtered} out",
                f"look at the filters of {output.plan.locate(None)}",
            )
        elif encoded.filtered:
            report.note(
                "filters", f"{encoded.count} of them reach {output.plan.label}, its filters keep {encoded.filtered} out"
            )


def _look_at_times(report: Report, metrics: Sequence[Metric]) -> None:
    """Whether the times that an input gives are such as somebody looks for."""
    ahead = max(metric.time for metric in metrics) / 1e9 - time.time()
    past = sorted({metric.name for metric in metrics if metric.time / 1e9 < YEAR_2000})
    if past:
        report.warning(
            "times",
            f"{some_of(past, most=5)}: times of 1970: seconds or milliseconds are taken for nanoseconds",
            "give the unit of the times, such as json_time_format = 'unix'",
        )
    if ahead > MOST_AHEAD:
        report.warning(
            "times",
            f"times up to {span(ahead)} in the future, which no page shows{local_time(ahead)}",
            "convert times to UTC, such as with json_timezone or csv_timezone",
        )


def local_time(ahead: float) -> str:
    """Whether a point that is so many seconds ahead was written in local time, in words."""
    hours = round(ahead / 3600)
    return f": local time was written as UTC ({hours} h)" if hours and abs(ahead - 3600 * hours) < 120 else ""


def _add(gathered: Gathered, encoded: EncodedParts, label: str) -> None:
    gathered.metrics += encoded.count
    for _, lines in encoded.parts:
        gathered.size += len(lines.data)
        if lines.oldest / 1e9 >= YEAR_2000 and (not gathered.oldest or lines.oldest < gathered.oldest):
            gathered.oldest, gathered.whose = lines.oldest, label


def _count(metrics: int) -> str:
    return "one metric" if metrics == 1 else f"{metrics:,} metrics"


class _Heard(logging.Handler):
    """What is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.errors.append(record.getMessage())
