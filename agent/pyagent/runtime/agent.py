"""A running plan: its inputs, its outputs, and the change from one plan to the next."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from pyagent.api import ConfigError, Input, Output, Plugin
from pyagent.config import InputPlan, OutputPlan, Plan, PluginPlan, create_plugin
from pyagent.pipeline.delivery import Keeping, OutputRunner
from pyagent.pipeline.failures import one_line
from pyagent.pipeline.gather import InputRunner
from pyagent.pipeline.route import Route
from pyagent.pipeline.schedule import Clock, SystemClock
from pyagent.pipeline.stages import AggregatorRunner, Stages
from pyagent.pipeline.supervision import supervise
from pyagent.pipeline.workers import ThreadWorker
from pyagent.runtime.log import component_logger, plugin_logger
from pyagent.runtime.staging import build_stages, same_stages

__all__ = ["GRACE", "Agent", "build_plugins"]

GRACE = 3.0
"""Seconds for a gather under way at a stop or reload, before it is given up."""
FLUSH_GRACE = 15.0
"""Seconds for the last flush of an output; more than its own time-out usually is."""
SETUP_DEADLINE = 10.0
"""Seconds for the setup of a plugin from outside."""

PlanT = TypeVar("PlanT", bound=PluginPlan)
RunnerT = TypeVar("RunnerT", InputRunner, OutputRunner)
Runner = InputRunner | OutputRunner | AggregatorRunner
Built = list[tuple[PluginPlan, Plugin[Any], logging.Logger]]


async def build_plugins(plans: Sequence[PluginPlan]) -> Built:
    """Make the plugins. Raises ConfigError for one of the engine's own; one from outside is left out, with an error."""
    built: Built = []
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


class Agent:
    """Runs a plan until `stop`. Everything here is called on the main loop."""

    def __init__(self, *, clock: Clock | None = None, keeping: Keeping | None = None) -> None:
        self.plan: Plan | None = None
        self._keeping = keeping or Keeping()
        self.inputs: list[InputRunner] = []
        self.route = Route()
        self._clock = clock or SystemClock()
        self._log = component_logger("agent")
        self._tasks: dict[Runner, asyncio.Task[None]] = {}
        self._leaving: list[OutputRunner] = []
        """Outputs that are being ended, and may still use their queues on disk."""
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def outputs(self) -> tuple[OutputRunner, ...]:
        return self.route.outputs

    async def apply(self, plan: Plan) -> None:
        """Run `plan` in place of the one that runs: unchanged plugins go on with schedule, connections and queues, others
        are replaced. Raises ConfigError, and then nothing has changed."""
        kept_inputs, new_inputs = _match(plan.inputs, self.inputs, comparable=self._same_tags(plan))
        kept_outputs, new_outputs = _match(plan.outputs, self.route.outputs)
        same = same_stages(plan, self.plan)
        stages = self.route.stages if same else build_stages(plan, self.route, self._clock)
        inputs = await build_plugins(new_inputs)
        outputs = await build_plugins(new_outputs)
        if not kept_inputs and not inputs:
            raise ConfigError("no input can be started; correct the plugins named above")

        for output_plan in plan.outputs:
            if output_plan.on_disk and not (output_plan.buffer_directory or self._keeping.settings.directory):
                raise ConfigError(
                    f"{output_plan.location}: cannot keep the buffer of {output_plan.label} on disk: there is no state "
                    "directory; give --state-directory, or buffer_directory in [agent]"
                )

        # From here on nothing fails. New outputs take over first, so that nothing gathered finds none.
        old_outputs = [runner for runner in self.route.outputs if runner not in kept_outputs]
        self._leaving += old_outputs
        leaving = {runner.plan.queue_id for runner in self._leaving}
        started = [
            OutputRunner(
                cast("OutputPlan", p),
                cast("Output[Any]", plugin),
                log=log,
                keeping=self._keeping,
                inherits=cast("OutputPlan", p).queue_id in leaving,
            )
            for p, plugin, log in outputs
        ]
        self.route.outputs = (*kept_outputs, *started)
        for runner in old_outputs:
            self._in_background(self._retire(runner, _successor(runner, started)))
        if not same:
            self._replace_stages(stages)
        for input_runner in [runner for runner in self.inputs if runner not in kept_inputs]:
            self.inputs.remove(input_runner)
            self._in_background(self._stop_input(input_runner))
        for runner in started:
            self._start(runner, runner.run, plugin_logger(runner.plan))
        for p, plugin, log in inputs:
            self._input(cast("InputPlan", p), cast("Input[Any]", plugin), log, plan.global_tags)
        self.plan = plan

    async def stop(self) -> None:
        """Stop gathering, write what there is, close. Takes at most about GRACE + FLUSH_GRACE seconds."""
        await asyncio.gather(*(self._stop_input(runner) for runner in self.inputs))
        self.inputs.clear()
        self._replace_stages(Stages())
        await asyncio.gather(*(self._retire(runner, None) for runner in self.route.outputs))
        self.route.outputs = ()
        if self._farewells:
            await asyncio.wait(self._farewells, timeout=FLUSH_GRACE)

    async def requeue(self, output: str, partition: str | None, lines: Sequence[bytes]) -> None:
        """Queue lines for the output of this identity. Raises LookupError where none runs, Full where there is no room."""
        runner = next((runner for runner in self.outputs if runner.plan.queue_id == output), None)
        if runner is None:
            raise LookupError(f"no output {output} runs")
        await runner.requeue(lines, partition)

    def flush(self) -> None:
        """Write what every output has, now."""
        self.route.flush_soon()

    # One plugin -------------------------------------------------------------------------------------------------------

    def _input(self, plan: InputPlan, plugin: Input[Any], log: logging.Logger, global_tags: Mapping[str, str]) -> None:
        runner = InputRunner(
            plan,
            plugin,
            global_tags=global_tags,
            route=self.route,
            clock=self._clock,
            log=log,
        )
        self.inputs.append(runner)
        self._start(runner, runner.run, log)

    def _start(self, runner: Runner, run: Callable[[], Awaitable[None]], log: logging.Logger) -> None:
        self._tasks[runner] = asyncio.create_task(supervise(run, log), name=runner.plan.label)

    def _replace_stages(self, stages: Stages) -> None:
        """What the aggregators before have summed up is handed on; it is not lost for a change."""
        for aggregator in self.route.stages.aggregators:
            self._tasks.pop(aggregator).cancel()
            aggregator.push()
        self.route.stages = stages
        for aggregator in stages.aggregators:
            self._start(aggregator, aggregator.run, plugin_logger(aggregator.plan))

    async def _stop_input(self, runner: InputRunner) -> None:
        await _cancel(self._tasks.pop(runner))
        await runner.stop(GRACE)

    async def _retire(self, runner: OutputRunner, successor: OutputRunner | None) -> None:
        """End an output; what it had not written goes to its successor, or is written now."""
        task = self._tasks.pop(runner)
        runner.end()
        await asyncio.wait([task], timeout=FLUSH_GRACE)
        # Cancelled in the middle of a write, its batch goes back to the queue: perhaps twice there, never lost.
        await _cancel(task)
        if successor is not None:
            try:
                await asyncio.wait_for(runner.quiet(), FLUSH_GRACE)
                successor.adopt(runner)
            except TimeoutError:
                successor.begin()
        await runner.stop(FLUSH_GRACE)
        if runner in self._leaving:
            self._leaving.remove(runner)
        leaving = {other.plan.queue_id for other in self._leaving}
        for output in self.route.outputs:
            if output.plan.queue_id not in leaving:
                output.begin()

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    def _same_tags(self, plan: Plan) -> bool:
        return self.plan is not None and dict(self.plan.global_tags) == dict(plan.global_tags)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _match(
    plans: Sequence[PlanT], running: Iterable[RunnerT], *, comparable: bool = True
) -> tuple[list[RunnerT], tuple[PlanT, ...]]:
    """The runners whose plan stands unchanged in `plans` (wherever it stands), and the plans that have none."""
    free = list(running) if comparable else []
    kept, new = [], []
    for plan in plans:
        runner = next((r for r in free if _anywhere(r.plan) == _anywhere(plan)), None)
        if runner is None:
            new.append(plan)
        else:
            free.remove(runner)
            kept.append(runner)
    return kept, tuple(new)


def _anywhere(plan: PluginPlan) -> PluginPlan:
    return dataclasses.replace(plan, location="", option_locations={})


def _successor(runner: OutputRunner, candidates: list[OutputRunner]) -> OutputRunner | None:
    """The new output that writes to the same place in the same format: what is queued is as good there."""
    for candidate in candidates:
        if candidate.plan.queue_id == runner.plan.queue_id and candidate.form.line_options == runner.form.line_options:
            return candidate
    return None
