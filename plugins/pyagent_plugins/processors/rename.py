"""Renames measurements, tags and fields.

Each `replace` table renames one of them, in their order: what one has renamed, the next one finds by its new name.
"""

from typing import Annotated

from pyagent.api import Metric, Options, Processor, option

__all__ = ["Rename", "RenameOptions", "Replace"]


class Replace(Options, frozen=True):
    measurement: Annotated[str, option("measurement to rename")] = ""
    tag: Annotated[str, option("else: key of the tag to rename")] = ""
    field: Annotated[str, option("else: key of the field to rename")] = ""
    dest: Annotated[str, option("the new name; it takes the place of what has it. Empty: nothing is done")] = ""


class RenameOptions(Options, frozen=True):
    replace: Annotated[list[Replace], option("what to rename; one table each")] = []


class Rename(Processor[RenameOptions]):
    def setup(self) -> None:
        steps = [step for step in self.options.replace if step.dest]
        self._steps = [step for step in steps if step.measurement or step.tag or step.field]

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for step in self._steps:
            dest = step.dest
            if old := step.measurement:
                for metric in metrics:
                    if metric.name == old:
                        metric.name = dest
            elif old := step.tag:
                for metric in metrics:
                    if old in metric.tags:
                        metric.tags = tags = dict(metric.tags)
                        value = tags.pop(old)
                        tags[dest] = value
            else:
                old = step.field
                for metric in metrics:
                    if old in metric.fields:
                        metric.fields = fields = dict(metric.fields)
                        number = fields.pop(old)
                        fields[dest] = number
        return metrics
