"""Makes a field of a tag and a value.

The tag's value is the key of the new field. Metrics that have only one of the two stay as they are.
"""

from typing import Annotated

from pyagent.api import Metric, Options, Processor, option

__all__ = ["Pivot", "PivotOptions"]


class PivotOptions(Options, frozen=True):
    tag_key: Annotated[str, option("the tag; it goes")] = ""
    value_key: Annotated[str, option("the field that has the value; it goes")] = ""


class Pivot(Processor[PivotOptions]):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        tag, field = self.options.tag_key, self.options.value_key
        for metric in metrics:
            if tag in metric.tags and field in metric.fields:
                metric.tags = tags = dict(metric.tags)
                metric.fields = fields = dict(metric.fields)
                key, value = tags.pop(tag), fields.pop(field)
                fields[key] = value
        return metrics
