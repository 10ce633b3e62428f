"""One processor at work (reference: telegraf 1.5)."""

import logging
from itertools import groupby
from typing import Any, ClassVar, cast

from pyagent.api import Metric, Processor
from pyagent.config import ProcessorPlan
from pyagent.pipeline.failures import FailureLog, explain
from pyagent.pipeline.filters import Selection, compile_selection
from pyagent.pipeline.traits import plugin_files

__all__ = ["RunningProcessor", "runs"]


class RunningProcessor:
    """One processor. What its filters do not select passes by it; where it fails, metrics go on as they were."""

    isolated: ClassVar[bool] = False
    """It may take its time: metrics take the way of `pyagent.pipeline.stages.ordered_queue`."""
    max_in_flight = 1

    def __init__(self, plan: ProcessorPlan, plugin: Processor[Any], *, log: logging.Logger) -> None:
        self.plan = plan
        self.plugin = plugin
        self.failures = FailureLog(log)
        self.bypassed = 0
        """Metrics that went on as they were because it did not end in time; only an isolated one can be so slow."""
        self._selection = compile_selection(plan.filters, log)

    def __call__(self, metrics: list[Metric]) -> list[Metric]:
        if self._selection is None:
            return self._process(metrics)
        result: list[Metric] = []
        for selected, run in runs(self._selection, metrics):
            result += self._process(self._selection.modify(run)) if selected else run
        return result

    def _process(self, metrics: list[Metric]) -> list[Metric]:
        if not metrics:
            return metrics
        try:
            result = list(cast("list[Metric]", self.plugin.process(metrics)))
        except Exception as error:
            self.failures.failed(explain("cannot process", error, plugin_files(self.plan)))
            return metrics
        self.failures.succeeded()
        return [metric for metric in result if metric.fields]


def runs(selection: Selection | None, metrics: list[Metric]) -> list[tuple[bool, list[Metric]]]:
    """Metrics in their order, divided into those in a row that are selected, and those that are not."""
    if selection is None:
        return [(True, metrics)]
    selected = set(map(id, selection.select(metrics)))
    return [(chosen, list(run)) for chosen, run in groupby(metrics, lambda metric: id(metric) in selected)]
