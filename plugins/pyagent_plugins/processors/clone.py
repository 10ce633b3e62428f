"""Copies metrics, with other names or more tags.

The metrics themselves go on as they are, behind the copies. Names and tags of the copies are
made as inputs and outputs do it with the options of these names.
"""

from typing import Annotated

from pyagent.api import Metric, Options, Processor, option

__all__ = ["Clone", "CloneOptions"]


class CloneOptions(Options, frozen=True):
    name_override: Annotated[str, option("name of the copy, in place of the measurement's")] = ""
    name_prefix: Annotated[str, option("text before the name")] = ""
    name_suffix: Annotated[str, option("text behind the name")] = ""
    tags: Annotated[dict[str, str], option("tags that every copy gets; they replace those of the same key")] = {}


class Clone(Processor[CloneOptions]):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        options, tags = self.options, self.options.tags
        before, instead, behind = options.name_prefix, options.name_override, options.name_suffix
        copies = [
            Metric(
                f"{before}{instead or metric.name}{behind}",
                {**metric.tags, **tags},
                dict(metric.fields),
                metric.time,
                metric.kind,
            )
            for metric in metrics
        ]
        return copies + metrics
