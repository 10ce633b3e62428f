"""Removes tags from metrics that have too many.

They go in the order of their keys, those of `keep` excepted, until no more than `limit` are left.
"""

from typing import Annotated

from pyagent.api import Metric, Options, Processor, option
from pyagent.kit.memo import KeysMemo

__all__ = ["TagLimit", "TagLimitOptions"]


class TagLimitOptions(Options, frozen=True):
    limit: Annotated[int, option("tags that a metric may have")] = 0
    keep: Annotated[list[str], option("keys of tags that stay; not more than limit")] = []


class TagLimit(Processor[TagLimitOptions]):
    def setup(self) -> None:
        self._kept = KeysMemo(self._choose)
        self._usable = len(self.options.keep) <= self.options.limit
        self._told = False

    def process(self, metrics: list[Metric]) -> list[Metric]:
        limit, kept = self.options.limit, self._kept
        if not self._usable:
            self._complain()
            return metrics
        for metric in metrics:
            tags = metric.tags
            if len(tags) > limit:
                metric.tags = {key: tags[key] for key in kept[tuple(tags)]}
        return metrics

    def _choose(self, keys: tuple[str, ...]) -> list[str]:
        excess = len(keys) - self.options.limit
        gone = set([key for key in sorted(keys) if key not in self.options.keep][:excess])
        return [key for key in keys if key not in gone]

    def _complain(self) -> None:
        if not self._told:
            self._told = True
            self.log.error(
                "cannot limit tags, metrics stay as they are: keep has %d keys, and limit is %d; raise limit",
                len(self.options.keep),
                self.options.limit,
            )
