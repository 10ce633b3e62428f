"""Changes metrics by a Starlark script."""

from pyagent.api import Metric, Processor, PyagentError
from pyagent.kit.starlark.failures import FAULTS
from pyagent.kit.starlark.metrics import MetricValue, copied, go_type
from pyagent.kit.starlark.options import ScriptLog, ScriptOptions, load_script
from pyagent.kit.starlark.values import List, OutOfTime, type_of

__all__ = ["Starlark"]


class Starlark(Processor[ScriptOptions]):
    runs_scripts = True

    def setup(self) -> None:
        self._script = load_script(self.options, self.log)
        self._apply = self._script.function("apply", 1)
        self._failures = ScriptLog(self._script, self.log)

    def process(self, metrics: list[Metric]) -> list[Metric]:
        apply, script = self._apply, self._script
        made: list[Metric] = []
        script.begin()
        for metric in metrics:
            script.refill()
            try:
                returned = apply(MetricValue(metric))
            except FAULTS as error:
                self._failures.failed(error, "the metric is dropped")
                continue
            except OutOfTime as error:
                raise PyagentError(f"{script.failure(error)}; these metrics go on as they were") from None
            kind = type(returned)
            if kind is MetricValue:
                made.append(returned.metric)
            elif kind is List:
                self._add(returned, made)
            elif returned is not None:
                self._failures.told(f"invalid type returned: {go_type(returned)}; the metric is dropped")
        # What the script keeps it may change later.
        return [copied(metric) for metric in made] if script.keeps else made

    def _add(self, returned: List, made: list[Metric]) -> None:
        seen: set[int] = set()
        for item in returned:
            if not isinstance(item, MetricValue):
                self._failures.told(f"Invalid type returned in list: {type_of(item)}")
            elif id(item.metric) in seen:
                self._failures.told("Duplicate metric reference detected")
            else:
                seen.add(id(item.metric))
                made.append(item.metric)
