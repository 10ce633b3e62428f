"""The metrics of the series that are largest, or smallest, in a period; all others are dropped.

Metrics are kept until the period is over and the next metric comes; then those of the `k` best groups go on.
"""

import time
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Annotated

from pyagent.api import ConfigError, Duration, Metric, Options, Processor, option
from pyagent.kit.filter import Matcher, name_filter
from pyagent.kit.memo import KeysMemo
from pyagent.kit.once import Once
from pyagent.kit.shown import quoted

__all__ = ["TopK", "TopKOptions"]

# Sums are made value by value: those of `sum` differ in the last digits from Python 3.12 on.
_LARGEST = 1.7976931348623157e308
_AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": lambda values: reduce(add, values, 0.0),
    "mean": lambda values: reduce(add, values, 0.0) / len(values),
    "min": lambda values: min((_LARGEST, *values)),
    "max": lambda values: max((-_LARGEST, *values)),
}


class TopKOptions(Options, frozen=True):
    period: Annotated[Duration, option("how long metrics are collected; 0: each metric by itself")] = Duration("10s")
    k: Annotated[int, option("how many groups go on, for each field", ge=0)] = 10
    group_by: Annotated[
        list[str] | None,
        option("keys of the tags that make a group with the measurement, wildcards allowed; unset: all"),
    ] = None
    fields: Annotated[
        list[str] | None,
        option("fields to compare, each by itself; a metric with none of them is dropped; unset: value"),
    ] = None
    aggregation: Annotated[str, option("what of a group's values is compared: sum, mean, min or max")] = "mean"
    bottomk: Annotated[bool, option("the smallest ones, not the largest")] = False
    add_groupby_tag: Annotated[str, option("key of a tag with the group; empty: none")] = ""
    add_rank_fields: Annotated[list[str], option("of these fields the place goes into FIELD_topk_rank")] = []
    add_aggregate_fields: Annotated[list[str], option("and what was compared into FIELD_topk_aggregate")] = []


class TopK(Processor[TopKOptions]):
    def setup(self) -> None:
        options = self.options
        self._fields = ["value"] if options.fields is None else options.fields
        self._once = Once()
        self._chosen: KeysMemo[list[str]] | None = None
        group_by = ["*"] if options.group_by is None else options.group_by
        try:
            matches: Matcher = name_filter(group_by, names=("group_by", ""), include_all=False)
        except ConfigError as error:
            # Telegraf starts with such a one, and drops all metrics.
            self.log.error("%s; all metrics are dropped", error)
        else:
            self._chosen = KeysMemo(lambda keys: [key for key in keys if matches(key)])
        self._groups: dict[str, list[Metric]] = {}
        self._began = time.monotonic_ns()

    def process(self, metrics: list[Metric]) -> list[Metric]:
        result: list[Metric] = []
        for metric in metrics:
            if not metric.fields.keys().isdisjoint(self._fields):
                self._collect(metric)
            if time.monotonic_ns() - self._began >= self.options.period:
                result += self._best()
        return result

    def _collect(self, metric: Metric) -> None:
        if self._chosen is None:
            return
        # Strings are compared as bytes in Go; of code points the order is the same.
        pairs = sorted(f"{key}={metric.tags[key]}&" for key in self._chosen[tuple(metric.tags)])
        group = f"{metric.name}&{''.join(pairs)}"
        if tag := self.options.add_groupby_tag:
            metric.tags = {**metric.tags, tag: group}
        self._groups.setdefault(group, []).append(metric)

    def _best(self) -> list[Metric]:
        aggregation = _AGGREGATIONS.get(self.options.aggregation)
        if aggregation is None:
            unknown, known = self.options.aggregation, ", ".join(_AGGREGATIONS)
            if self._once(f"aggregation {unknown}"):
                self.log.error("cannot aggregate by %r: it is none of %s; all metrics are dropped", unknown, known)
            self._groups.clear()
            return []
        groups, self._groups, self._began = self._groups, {}, time.monotonic_ns()
        sums = {group: self._aggregated(metrics, aggregation) for group, metrics in groups.items()}
        best: dict[str, None] = {}
        for field in self._fields:
            ranked = sorted(groups, key=lambda group: sums[group].get(field, 0.0), reverse=not self.options.bottomk)[
                : self.options.k
            ]
            for rank, group in enumerate(ranked, 1):
                best[group] = None
                self._add_fields(groups[group], field, sums[group].get(field, 0.0), rank)
        return [metric for group in best for metric in groups[group]]

    def _aggregated(
        self, metrics: Sequence[Metric], aggregation: Callable[[Sequence[float]], float]
    ) -> dict[str, float]:
        """Of each field that has a number."""
        result = {}
        for field in self._fields:
            values = []
            for metric in metrics:
                value = metric.fields.get(field)
                if isinstance(value, str | bool):
                    if self._once(field):
                        self.log.info("cannot compare the field %s: it is no number", quoted(field))
                elif value is not None:
                    values.append(float(value))
            if values:
                result[field] = aggregation(values)
        return result

    def _add_fields(self, metrics: Sequence[Metric], field: str, aggregate: float, rank: int) -> None:
        options = self.options
        for metric in metrics:
            if field in metric.fields:
                if field in options.add_aggregate_fields:
                    metric.fields = {**metric.fields, f"{field}_topk_aggregate": aggregate}
                if field in options.add_rank_fields:
                    metric.fields = {**metric.fields, f"{field}_topk_rank": rank}
