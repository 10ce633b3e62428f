"""Sums up metrics by a Starlark script."""

from collections.abc import Callable, Sequence
from typing import Any

from pyagent.api import Accumulator, Aggregator, Metric
from pyagent.kit.starlark.failures import FAULTS
from pyagent.kit.starlark.metrics import MetricValue, go_type
from pyagent.kit.starlark.options import ScriptLog, ScriptOptions, load_script
from pyagent.kit.starlark.values import List, OutOfTime, type_of

__all__ = ["Starlark"]


class Starlark(Aggregator[ScriptOptions]):
    runs_scripts = True

    def setup(self) -> None:
        self._script = load_script(self.options, self.log)
        self._add = self._script.function("add", 1)
        self._push = self._script.function("push", 0)
        self._reset = self._script.function("reset", 0)
        self._failures = ScriptLog(self._script, self.log)

    def add(self, metrics: Sequence[Metric]) -> None:
        script = self._script
        script.begin()
        for metric in metrics:
            script.refill()
            self._call(self._add, "the metric is not summed up", MetricValue(metric))

    def push(self, acc: Accumulator) -> None:
        self._script.begin()
        returned = self._call(self._push, "nothing is pushed")
        if isinstance(returned, MetricValue):
            acc.add_metrics([returned.metric])
        elif type(returned) is List:
            metrics = []
            for item in returned:
                if isinstance(item, MetricValue):
                    metrics.append(item.metric)
                else:
                    self._failures.told(f"Invalid type returned in list: {type_of(item)}")
            acc.add_metrics(metrics)
        elif returned is not None:
            self._failures.told(f"Invalid type returned: {go_type(returned)}")

    def reset(self) -> None:
        self._script.begin()
        self._call(self._reset, "the period goes on")

    def _call(self, function: Callable[..., Any], what: str, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except FAULTS as error:
            self._failures.failed(error, what)
        except OutOfTime as error:
            raise self._script.failure(error) from None
        return None
