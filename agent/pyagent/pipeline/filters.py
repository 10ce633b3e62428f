"""Which metrics pass a plugin, and with which fields and tags (reference: telegraf 2).

Compiled once from a plugin's options; a plugin without filters has no Selection and pays nothing. Metrics are never
changed: one that loses fields or tags is replaced by a new one, as outputs share what inputs gathered.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pyagent.api import Metric
from pyagent.config.plan import FilterOptions
from pyagent.kit.glob import Matcher, Verdicts, compile_patterns
from pyagent.pipeline.metricpass import passing

__all__ = ["Selection", "compile_selection"]

V = TypeVar("V")

_LOG = logging.getLogger(__name__)


def compile_selection(options: FilterOptions, log: logging.Logger = _LOG) -> "Selection | None":
    """The selection of these options, None where they pass everything. `log`: is told of metrics that an expression
    fails on. Raises ValueError for a pattern or an expression that is none."""
    selection = Selection(options, log)
    return selection if selection.selects or selection.modifies else None


class Selection:
    """Two steps. Inputs take the first before a metric is renamed and tagged, and the second after it; outputs take both."""

    def __init__(self, options: FilterOptions, log: logging.Logger = _LOG) -> None:
        self._names = _verdicts(
            options.namepass, options.namedrop, options.namepass_separator, options.namedrop_separator
        )
        self._tagpass = _tag_matchers(options.tagpass)
        self._tagdrop = _tag_matchers(options.tagdrop)
        self._passing = passing(options.metricpass, log) if options.metricpass else None
        self._fields = _verdicts(options.fieldinclude, options.fieldexclude)
        self._tags = _verdicts(options.taginclude, options.tagexclude)

    @property
    def selects(self) -> bool:
        """Some metrics may not pass."""
        return bool(self._names is not None or self._tagpass or self._tagdrop or self._passing)

    @property
    def modifies(self) -> bool:
        """Some fields or tags may not pass."""
        return self._fields is not None or self._tags is not None

    def apply(self, metrics: Sequence[Metric]) -> list[Metric]:
        """Both steps."""
        return self.modify(self.select(metrics))

    def select(self, metrics: Sequence[Metric]) -> list[Metric]:
        """Those that pass by name, by tags and by expression, in this order."""
        names, tagpass, tagdrop = self._names, self._tagpass, self._tagdrop
        chosen = list(metrics) if names is None else [metric for metric in metrics if names[metric.name]]
        if tagpass:
            chosen = [metric for metric in chosen if _any_tag(metric.tags, tagpass)]
        if tagdrop:
            chosen = [metric for metric in chosen if not _any_tag(metric.tags, tagdrop)]
        return self._passing(chosen) if self._passing else chosen

    def modify(self, metrics: Sequence[Metric]) -> list[Metric]:
        """With the fields and tags that pass; a metric that keeps no field is left out."""
        if not self.modifies:
            return list(metrics)
        kept = []
        for metric in metrics:
            fields, tags = _keep(metric.fields, self._fields), _keep(metric.tags, self._tags)
            if not fields:
                continue
            if fields is not metric.fields or tags is not metric.tags:
                metric = Metric(metric.name, tags, fields, metric.time, metric.kind)
            kept.append(metric)
        return kept


def _verdicts(
    include: Sequence[str], exclude: Sequence[str], include_separators: str = "", exclude_separators: str = ""
) -> Verdicts | None:
    """Whether a name passes, None where all do."""
    if not include and not exclude:
        return None
    included = compile_patterns(include, include_separators) if include else None
    excluded = compile_patterns(exclude, exclude_separators) if exclude else None
    return Verdicts(lambda name: (included is None or included(name)) and not (excluded and excluded(name)))


_TagMatchers = tuple[tuple[str, Matcher], ...]


def _tag_matchers(patterns: Mapping[str, Sequence[str]]) -> _TagMatchers:
    # A key with an empty list is one that nothing matches.
    return tuple((key, compile_patterns(values)) for key, values in patterns.items())


def _any_tag(tags: Mapping[str, str], matchers: _TagMatchers) -> bool:
    for key, matches in matchers:  # a loop costs half of any() with a generator
        value = tags.get(key)
        if value is not None and matches(value):
            return True
    return False


def _keep(items: dict[str, V], verdicts: Verdicts | None) -> dict[str, V]:
    """`items` without those that do not pass; the same dict where all do."""
    if verdicts is None:
        return items
    kept = {key: value for key, value in items.items() if verdicts[key]}
    return items if len(kept) == len(items) else kept
