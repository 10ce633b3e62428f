"""What the engine makes of an input's metrics before outputs see them (reference: telegraf 1.3)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pyagent.api import Metric
from pyagent.config import AggregatorPlan, InputPlan, PluginPlan
from pyagent.pipeline.filters import compile_selection
from pyagent.pipeline.schedule import round_time

__all__ = ["Modifiers", "NameModifiers"]


@dataclass(frozen=True, slots=True)
class NameModifiers:
    """`name_override`, then `name_prefix`, then `name_suffix`."""

    override: str
    prefix: str
    suffix: str

    @classmethod
    def of(cls, plan: PluginPlan) -> "NameModifiers":
        return cls(plan.name_override, plan.name_prefix, plan.name_suffix)

    def __bool__(self) -> bool:
        return bool(self.override or self.prefix or self.suffix)

    def __call__(self, name: str) -> str:
        return f"{self.prefix}{self.override or name}{self.suffix}"


class Modifiers:
    """Selects by the raw name and tags, renames, adds the plugin's and the global tags where a metric has none of that key,
    and takes away fields and tags that are not wanted, in this order."""

    def __init__(
        self, plan: InputPlan | AggregatorPlan, global_tags: Mapping[str, str], *, log: logging.Logger
    ) -> None:
        self._name_modifiers = NameModifiers.of(plan)
        # An aggregator's filters are about what it is given.
        self._selection = compile_selection(plan.filters, log) if isinstance(plan, InputPlan) else None
        self.tags: Mapping[str, str] = {**global_tags, **plan.tags}
        """Given to a metric that has none of that key."""
        self._always: dict[str, str] = {}
        if plan.always_include_global_tags:
            self._always.update(global_tags)
        if plan.always_include_local_tags:
            self._always.update(plan.tags)

    @property
    def relayable(self) -> bool:
        """Nothing but tags is added: text may be relayed without making metrics of it."""
        return self._selection is None and not self._name_modifiers

    def __call__(self, metrics: list[Metric], precision: int) -> list[Metric]:
        """What passes, changed in place; times rounded to `precision` ns (0: as they are) come first of all."""
        selection, name_modifiers, tags = self._selection, self._name_modifiers, self.tags
        if precision > 1:
            for metric in metrics:
                metric.time = round_time(metric.time, precision)
        if selection is not None:
            metrics = selection.select(metrics)
        for metric in metrics:
            if name_modifiers:
                metric.name = name_modifiers(metric.name)
            if tags:
                metric.tags = {**tags, **metric.tags}
        if selection is not None:
            metrics = selection.modify(metrics)
            if self._always:
                for metric in metrics:
                    metric.tags = {**self._always, **metric.tags}
        return metrics
