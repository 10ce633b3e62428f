"""What the engine makes of an input's metrics before outputs see them (reference: telegraf 1.3)."""

from collections.abc import Mapping

from pyagent.api import Metric
from pyagent.config import InputPlan, PluginPlan
from pyagent.pipeline.schedule import round_time

__all__ = ["Intake", "Naming"]


class Naming:
    """`name_override`, then `name_prefix`, then `name_suffix`."""

    def __init__(self, plan: PluginPlan) -> None:
        self._override = plan.name_override
        self._prefix = plan.name_prefix
        self._suffix = plan.name_suffix

    def __bool__(self) -> bool:
        return bool(self._override or self._prefix or self._suffix)

    def __call__(self, name: str) -> str:
        return f"{self._prefix}{self._override or name}{self._suffix}"


class Intake:
    """Rounds times, renames, and adds the plugin's and the global tags where a metric has none of that key."""

    def __init__(self, plan: InputPlan, global_tags: Mapping[str, str]) -> None:
        self._precision = int(plan.precision)
        self._naming = Naming(plan)
        self._defaults = {**global_tags, **plan.tags}

    def __call__(self, metrics: list[Metric]) -> list[Metric]:
        """The same metrics, changed in place."""
        precision, naming, defaults = self._precision, self._naming, self._defaults
        for metric in metrics:
            metric.time = round_time(metric.time, precision)
            if naming:
                metric.name = naming(metric.name)
            if defaults:
                metric.tags = defaults | metric.tags if metric.tags else dict(defaults)
        return metrics
