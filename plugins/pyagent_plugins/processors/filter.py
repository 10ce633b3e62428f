"""Drops metrics by rules; the first that fits decides.

A rule fits a metric when its name, the tags and one of the fields that the rule names are there; what a rule does not name does
not count. A metric that is dropped counts as delivered.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from pyagent.api import ConfigError, Metric, Options, Processor, option
from pyagent.kit.filter import name_filter
from pyagent.kit.memo import KeysMemo

__all__ = ["Filter", "FilterOptions", "Rule"]


class Rule(Options, frozen=True):
    name: Annotated[list[str], option("measurements, wildcards allowed ([]: all)")] = []
    tags: Annotated[
        dict[str, list[str]],
        option("tags that all must be there, with values of which one must fit, wildcards allowed"),
    ] = {}
    fields: Annotated[list[str], option("fields of which one must be there, wildcards allowed ([]: any)")] = []
    action: Annotated[Literal["", "pass", "drop"], option("what becomes of the metric")] = "drop"


class FilterOptions(Options, frozen=True):
    default: Annotated[Literal["", "pass", "drop"], option("what becomes of metrics that no rule fits")] = "pass"
    rule: Annotated[list[Rule], option("the rules; one table each")] = []

    def remarks(self) -> list[tuple[str, str]]:
        if self.default == "drop" and not self.rule:
            return [("default", "drops all metrics, as there is no rule")]
        return []


class Filter(Processor[FilterOptions]):
    def setup(self) -> None:
        self._rules = [(_fits(rule), rule.action == "pass") for rule in self.options.rule]
        self._default = self.options.default != "drop"

    def process(self, metrics: list[Metric]) -> list[Metric]:
        rules, default = self._rules, self._default
        return [metric for metric in metrics if next((action for fits, action in rules if fits(metric)), default)]


def _fits(rule: Rule) -> Callable[[Metric], bool]:
    try:
        names = name_filter(rule.name, names=("name", "")) if rule.name else None
        tags = [
            (key, name_filter(values, names=(f"tags.{key}", ""), include_all=False))
            for key, values in rule.tags.items()
        ]
        field = name_filter(rule.fields, names=("fields", "")) if rule.fields else None
    except ConfigError as error:
        raise ConfigError(f"rule: {error}", option="rule") from None
    fields = None if field is None else KeysMemo(lambda keys: any(map(field, keys)))

    def fits(metric: Metric) -> bool:
        if names is not None and not names(metric.name):
            return False
        own = metric.tags
        for key, matches in tags:
            if key not in own or not matches(own[key]):
                return False
        return fields is None or fields[tuple(metric.fields)]

    return fits
