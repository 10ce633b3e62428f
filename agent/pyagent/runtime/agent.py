"""A running plan: its inputs, its outputs, and the change from one plan to the next."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from pyagent.api import ConfigError, Input, Output
from pyagent.config import InputPlan, OutputPlan, Plan, PluginPlan
from pyagent.pipeline.fanout import Acknowledge, Fanout
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.outputs.running_output import BufferResources, RunningOutput
from pyagent.pipeline.schedule import Clock, SystemClock
from pyagent.pipeline.stages.aggregators import RunningAggregator
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.pipeline.supervision import cancel, supervise
from pyagent.pipeline.traits import InputTraits, OutputTraits
from pyagent.pipeline.turns import Turns
from pyagent.runtime.build import Broken, Built, LeftOut, build_plugins, build_stages
from pyagent.runtime.log import component_logger, plugin_logger
from pyagent.runtime.plan_diff import match
from pyagent.runtime.queue_handover import QueueHandover
from pyagent.runtime.stage_states import load_states, save_states

__all__ = ["FLUSH_GRACE", "GRACE", "Agent"]

GRACE = 3.0
"""Seconds for a gather under way at a stop or reload, before it is given up, unless another is given."""
FLUSH_GRACE = 15.0
"""Seconds for the last flush of an output; more than its own time-out usually is."""

RunnerT = TypeVar("RunnerT", RunningInput, RunningOutput)
Runner = RunningInput | RunningOutput | RunningAggregator


class Agent:
    """Runs a plan until `stop`. Everything here is called on the main loop."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        buffer_resources: BufferResources | None = None,
        gather_timeout: float = 0.0,
        acknowledge: Acknowledge | None = None,
        grace: float = GRACE,
        flush_grace: float = FLUSH_GRACE,
        states: Path | None = None,
    ) -> None:
        """`grace`: seconds for a gather under way at a stop or reload. `flush_grace`: seconds for the last flush of an
        output. `states`: folder for what processors remember from one run to the next."""
        self._states = states
        self._grace = grace
        self._flush_grace = flush_grace
        self.plan: Plan | None = None
        self._buffer_resources = buffer_resources or BufferResources()
        self._gather_timeout = gather_timeout
        self._turns = Turns()
        self.inputs: list[RunningInput] = []
        self.broken: tuple[Broken, ...] = ()
        """Plugins of the plan that cannot be used."""
        self.fanout = Fanout(acknowledge=acknowledge)
        self.clock = clock or SystemClock()
        self._log = component_logger("agent")
        self._tasks: dict[Runner, asyncio.Task[None]] = {}
        self.handover = QueueHandover(lambda: self.fanout.outputs, flush_grace)
        self._shutdown_tasks: set[asyncio.Task[None]] = set()
        """Of what was replaced and has not yet ended."""
        self._ending: dict[asyncio.Task[None], str] = {}
        """Service inputs, and of which plugin: one that takes the place of another begins where that one has ended."""

    @property
    def outputs(self) -> tuple[RunningOutput, ...]:
        return self.fanout.outputs

    async def apply(self, plan: Plan) -> None:
        """Run `plan` in place of the one that runs: unchanged plugins go on with schedule, connections and queues, others
        are replaced. Raises ConfigError, and then nothing has changed."""
        left_out = LeftOut(plan)
        try:
            await self._apply(plan, left_out)
        except BaseException:
            left_out.let_go()
            raise

    async def _apply(self, plan: Plan, left_out: LeftOut) -> None:
        same_tags = self.plan is not None and dict(self.plan.global_tags) == dict(plan.global_tags)
        matched_inputs = match(plan.inputs, self.inputs if same_tags else ())
        matched_outputs = match(plan.outputs, self.fanout.outputs)
        self._check_disk(plan)
        stages = await build_stages(plan, self.fanout, self.clock, left_out)
        if self.plan is None:
            load_states(stages, self._states, self._log)
        built_inputs = await build_plugins([p for p, runner in matched_inputs if runner is None], left_out)
        built_outputs = await build_plugins([p for p, runner in matched_outputs if runner is None], left_out)
        # From here on nothing waits: what runs is what it was when the last one was asked.
        kept_inputs = _kept_running(matched_inputs, self.inputs, [one.plan for one in built_inputs], left_out)
        kept_outputs = _kept_running(
            matched_outputs, self.fanout.outputs, [one.plan for one in built_outputs], left_out
        )
        if not kept_inputs and not built_inputs:
            raise ConfigError(f"no input can be started: {left_out.reasons('inputs')}")
        if not kept_outputs and not built_outputs and left_out.reasons("outputs"):
            raise ConfigError(f"no output can be started: {left_out.reasons('outputs')}")

        # From here on nothing fails.
        old_outputs = [runner for runner in self.fanout.outputs if runner not in kept_outputs]
        for runner in old_outputs:
            self.handover.leave(runner)
        inputs = [self._input(plan.global_tags, built) for built in built_inputs]
        outputs = [self._output(built) for built in built_outputs]
        # New outputs take over first, so that nothing gathered finds none.
        self.fanout.outputs = (*kept_outputs, *outputs)
        self._end_outputs(old_outputs)
        self._replace_stages(stages)
        for input_runner in [runner for runner in self.inputs if runner not in kept_inputs]:
            self.inputs.remove(input_runner)
            end = self._in_background(input_runner.plan.label, self._stop_input(input_runner))
            if input_runner.starts:
                self._ending[end] = input_runner.plan.name
                end.add_done_callback(self._ending.pop)
        self.inputs += inputs
        for runner in outputs:
            self._start(runner, runner.run, plugin_logger(runner.plan))
        for input_runner in inputs:
            # Also those of earlier reloads: what takes the place of one that never began is not to begin beside the one before.
            ends = [end for end, name in self._ending.items() if name == input_runner.plan.name]
            run = partial(_run_after, ends, input_runner.run)
            self._start(input_runner, run, plugin_logger(input_runner.plan))
        self.plan = plan
        left_out.tell(self._log)
        self.broken = left_out.outcome()

    async def stop(self) -> None:
        """Stop gathering, write what there is, close. Everything has its grace, so that it comes to an end."""
        for input_runner in self.inputs:
            self._in_background(input_runner.plan.label, self._stop_input(input_runner))
        self.inputs.clear()
        # Inputs still hand on what they gathered, and outputs that were replaced what they have not written.
        await self._settle(self._flush_grace)
        stages = self.fanout.stages
        finishing = self._replace_stages(ProcessorChain())
        while finishing is not None and not finishing.done():
            await asyncio.wait([finishing], timeout=self._grace)
            self.fanout.abandon_calls()
        if self.plan is not None:
            save_states(stages, self._states, self._log)
        for runner in self.fanout.outputs:
            self.handover.leave(runner)
        self._end_outputs(self.fanout.outputs)
        await self._settle()
        self.fanout.outputs = ()

    async def requeue(self, output: str, partition: str | None, lines: Sequence[bytes]) -> None:
        """Queue lines for the output of this identity. Raises LookupError where none runs, QueueFull where there is no room."""
        runner = next((runner for runner in self.outputs if runner.plan.queue_id == output), None)
        if runner is None:
            raise LookupError(f"no output {output} runs")
        await runner.requeue(lines, partition)

    def runs(self, runner: Runner) -> bool:
        """Whether its task is alive; one that has no schedule, a listener, has none to keep alive."""
        task = self._tasks.get(runner)
        ended = task is not None and task.done()
        return not ended or (isinstance(runner, RunningInput) and not runner.next_tick)

    def flush(self) -> None:
        """Write what every output has, now."""
        self.fanout.flush_soon()

    # One plugin -------------------------------------------------------------------------------------------------------

    def _input(self, global_tags: Mapping[str, str], built: Built) -> RunningInput:
        return RunningInput(
            cast("InputPlan", built.plan),
            cast("Input[Any]", built.plugin),
            global_tags=global_tags,
            sink=self.fanout,
            clock=self.clock,
            log=built.log,
            gather_timeout=self._gather_timeout,
            traits=cast("InputTraits | None", built.traits),
            turns=self._turns,
        )

    def _output(self, built: Built) -> RunningOutput:
        plan = cast("OutputPlan", built.plan)
        output = RunningOutput(
            plan,
            cast("Output[Any]", built.plugin),
            log=built.log,
            buffer_resources=self._buffer_resources,
            waits=self.handover.must_wait(plan.queue_id),
            traits=cast("OutputTraits | None", built.traits),
        )
        self.handover.join(output)
        return output

    def _check_disk(self, plan: Plan) -> None:
        for output in plan.outputs:
            if output.on_disk and not (output.buffer_directory or self._buffer_resources.settings.directory):
                raise ConfigError(
                    f"{output.location}: cannot keep the buffer of {output.label} on disk: there is no state "
                    "directory; give --state-directory, or buffer_directory in [agent]"
                )

    def _start(self, runner: Runner, run: Callable[[], Awaitable[None]], log: logging.Logger) -> None:
        self._tasks[runner] = asyncio.create_task(supervise(run, log), name=runner.plan.label)

    def _replace_stages(self, stages: ProcessorChain) -> asyncio.Task[None] | None:
        """What aggregators that end have summed up is handed on; it is not lost for a change. Where that takes time it is
        done in the background, by the task that is returned."""
        running = self.fanout.stages.aggregators
        for aggregator in running:
            if aggregator not in stages.aggregators:
                self._tasks.pop(aggregator).cancel()
        finishing = self.fanout.replace(stages)
        for aggregator in stages.aggregators:
            if aggregator not in running:
                self._start(aggregator, aggregator.run, plugin_logger(aggregator.plan))
        return None if finishing is None else self._in_background("processors and aggregators", finishing)

    async def _stop_input(self, runner: RunningInput) -> None:
        await cancel(self._tasks.pop(runner))
        await runner.stop(self._grace)

    def _end_outputs(self, outputs: Sequence[RunningOutput]) -> None:
        for runner in outputs:
            self._in_background(runner.plan.label, self.handover.end(runner, self._tasks.pop(runner)))

    async def _settle(self, timeout: float | None = None) -> None:
        if self._shutdown_tasks:
            await asyncio.wait(self._shutdown_tasks, timeout=timeout)

    def _in_background(self, label: str, work: Awaitable[None]) -> asyncio.Task[None]:
        async def shut_down() -> None:
            try:
                await work
            except Exception:
                self._log.exception("BUG: cannot end %s; please report this", label)

        task = asyncio.create_task(shut_down(), name=f"end of {label}")
        self._shutdown_tasks.add(task)
        task.add_done_callback(self._shutdown_tasks.discard)
        return task


async def _run_after(ends: Collection[asyncio.Task[None]], run: Callable[[], Awaitable[None]]) -> None:
    if ends:
        await asyncio.wait(ends)
    await run()


def _kept_running(
    matched: Sequence[tuple[PluginPlan, RunnerT | None]],
    running: Sequence[RunnerT],
    new: Sequence[PluginPlan],
    left_out: LeftOut,
) -> list[RunnerT]:
    """Those that go on: unchanged ones, and those in whose place there is nothing that works."""
    kept: list[RunnerT] = [runner for _, runner in matched if runner is not None]
    # The unchanged ones by what they run, whose place may be another one by now.
    predecessors = left_out.predecessors(running, [*[runner.plan for runner in kept], *new])
    return kept + list(predecessors.values())
