"""Changes names and tags of all metrics that pass.

It does so as inputs and outputs do with the options of these names.
"""

from typing import Annotated

from pyagent.api import Metric, Options, Processor, option


class OverrideOptions(Options, frozen=True):
    name_override: Annotated[str, option("name that replaces the measurement's")] = ""
    name_prefix: Annotated[str, option("text before the name")] = ""
    name_suffix: Annotated[str, option("text behind the name")] = ""
    tags: Annotated[dict[str, str], option("tags that every metric gets; they replace those of the same key")] = {}


class Override(Processor[OverrideOptions]):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        options = self.options
        for metric in metrics:
            metric.name = f"{options.name_prefix}{options.name_override or metric.name}{options.name_suffix}"
            if options.tags:
                metric.tags = {**metric.tags, **options.tags}
        return metrics
