"""What the engine makes of an input's metrics before outputs see them (reference: telegraf 1.3)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pyagent.api import Metric
from pyagent.config import AggregatorPlan, InputPlan, PluginPlan
from pyagent.lineprotocol import DefaultTags, add_tags, round_times
from pyagent.pipeline.filters import compile_selection

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
        names = NameModifiers.of(plan)
        self._rename = names if names else None
        # An aggregator's filters are about what it is given.
        self._selection = compile_selection(plan.filters, log) if isinstance(plan, InputPlan) else None
        self.tags: Mapping[str, str] = {**global_tags, **plan.tags}
        """Given to a metric that has none of that key."""
        self._default_tags: DefaultTags = tuple(self.tags.items())
        always: dict[str, str] = {}
        if plan.always_include_global_tags:
            always.update(global_tags)
        if plan.always_include_local_tags:
            always.update(plan.tags)
        self._always: DefaultTags = tuple(always.items())

    @property
    def relayable(self) -> bool:
        """Nothing but tags is added: text may be relayed without making metrics of it."""
        return self._selection is None and self._rename is None

    def __call__(self, metrics: list[Metric], precision: int) -> list[Metric]:
        """What passes, changed in place; times rounded to `precision` ns (0: as they are) come first of all."""
        selection = self._selection
        round_times(metrics, precision)
        if selection is not None:
            metrics = selection.select(metrics)
        if (rename := self._rename) is not None:
            for metric in metrics:
                metric.name = rename(metric.name)
        add_tags(metrics, self._default_tags)
        if selection is not None:
            metrics = selection.modify(metrics)
            add_tags(metrics, self._always)
        return metrics

    def without_tags(self, metrics: list[Metric], precision: int) -> tuple[list[Metric], DefaultTags]:
        """The same, but where nothing here looks at tags, those that are to be added are returned, and not yet added: the
        encoder adds them at less cost."""
        if self._selection is not None:
            return self(metrics, precision), ()
        round_times(metrics, precision)
        if (rename := self._rename) is not None:
            for metric in metrics:
                metric.name = rename(metric.name)
        return metrics, self._default_tags
