"""One aggregator with its window (reference: telegraf 1.5)."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from pyagent.api import Aggregator, Metric
from pyagent.config import AggregatorPlan
from pyagent.pipeline.failures import FailureLog, explain
from pyagent.pipeline.filters import compile_selection
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.pipeline.modifiers import Modifiers
from pyagent.pipeline.schedule import Clock, next_multiple
from pyagent.pipeline.traits import plugin_files

__all__ = ["RunningAggregator"]


class RunningAggregator:
    """One aggregator with its window.

    A metric counts from `grace` before the window's start to `delay` behind its end, both included. The first window began
    at the multiple of the period before the present. It is pushed at its end; the next one follows it, or has the present in
    it where the clock says that this one is over or far off.
    """

    isolated: ClassVar[bool] = False
    max_in_flight: ClassVar[int] = 1

    def __init__(
        self,
        plan: AggregatorPlan,
        plugin: Aggregator[Any],
        *,
        deliver: Callable[[list[Metric]], None],
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self.plan = plan
        self.plugin = plugin
        self.failures = FailureLog(log)
        self.dropped = 0
        """Metrics outside of the window."""
        self.bypassed = 0
        """Metrics that it has not seen in time; only an isolated one can be so slow."""
        self.pushed = 0
        self.deliver = deliver
        self._selection = compile_selection(plan.filters, log)
        self._modifiers = Modifiers(plan, {}, log=log)
        self._clock = clock
        self._log = log
        self._acc = InputAccumulator(now=clock.now, report=lambda problem: log.error("%s; it is dropped", problem))
        now, period = clock.now(), plan.period
        self._end = next_multiple(now, period) if plan.round_interval else now + period
        # A metric of this moment may have a time that is rounded down.
        self._start = self._end - period if plan.round_interval else now - now % max(plan.precision, 1)
        self._tells = True
        """No metric outside of this window is told yet."""
        self._logged = 0
        """`dropped` when it was last told."""

    def add(self, metrics: Sequence[Metric]) -> set[int]:
        """Take metrics into account; returns the ids of those that must go no further."""
        if self._window_is_over():
            self.push()
        inside, gone = self._in_window(metrics)
        if inside:
            try:
                self.plugin.add(inside)
            except Exception as error:
                self.failures.failed(explain("cannot aggregate", error, plugin_files(self.plan)))
        return gone

    def withheld(self, metrics: Sequence[Metric]) -> set[int]:
        """The ids of those that `add` will let go no further."""
        if not self.plan.drop_original:
            return set()
        return set(map(id, metrics if self._selection is None else self._selection.select(metrics)))

    def _in_window(self, metrics: Sequence[Metric]) -> tuple[list[Metric], set[int]]:
        """Those that count, and the ids of those that must go no further."""
        chosen = metrics if self._selection is None else self._selection.select(metrics)
        gone = set(map(id, chosen)) if self.plan.drop_original else set()
        first, last = self._start - self.plan.grace, self._end + self.plan.delay
        inside = [metric for metric in chosen if first <= metric.time <= last]
        if len(inside) < len(chosen):
            self._outside_of_window([metric for metric in chosen if not first <= metric.time <= last])
        if self._selection is not None:
            inside = self._selection.modify(inside)
        return inside, gone

    def _outside_of_window(self, metrics: list[Metric]) -> None:
        """Count them. Told once in a window, and again when they are twice as many: a sender's clock may be wrong for ever."""
        self.dropped += len(metrics)
        if not self._tells or self.dropped < 2 * self._logged:
            return
        self._tells, self._logged = False, self.dropped
        metric = metrics[0]
        self._log.warning(
            "metrics outside of the window are not aggregated%s: %d so far; one of %r is of %s, the window is %s to %s; "
            "`grace` lets older ones in",
            " and, as drop_original says, dropped" if self.plan.drop_original else "",
            self.dropped,
            metric.name,
            *map(_clock_time, (metric.time, self._start, self._end)),
        )

    async def run(self) -> None:
        """Push at the end of each period, until cancelled."""
        while True:
            end = self._end
            await self._clock.sleep_until(end)
            if self._end == end:
                await self._push_window()

    async def _push_window(self) -> None:
        self.push()

    def _window_is_over(self) -> bool:
        """Metrics have come before `run` noticed, or the clock was set back far."""
        return not self._start - self.plan.period <= self._clock.now() < self._end

    def push(self) -> None:
        """Hand on the window's result and begin the next one."""
        self._next_window()
        try:
            self.plugin.push(self._acc)
            self.plugin.reset()
        except Exception as error:
            self.failures.failed(explain("cannot push", error, plugin_files(self.plan)))
        self._hand_on(self._acc.drain())

    def _next_window(self) -> None:
        now, period = self._clock.now(), self.plan.period
        self._tells = True
        self._start, self._end = self._end, self._end + period
        if not self._start <= now <= self._end:
            self._start = next_multiple(now, period) - period
            self._end = self._start + period

    def _hand_on(self, metrics: list[Metric]) -> None:
        self.pushed += len(metrics)
        if metrics := self._modifiers(metrics, 0 if self.plugin.keeps_times else self.plan.precision):
            self.deliver(metrics)


def _clock_time(when: int) -> str:
    """A time in a message; a sender may give any number."""
    try:
        return f"{datetime.fromtimestamp(when / 1e9, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    except (OverflowError, ValueError, OSError):
        return f"{when} ns"
