"""A metric for each field: its key becomes a tag or the measurement's name, its value the field `value`."""

from typing import Annotated, Literal

from pyagent.api import Metric, Options, Processor, option

__all__ = ["Unpivot", "UnpivotOptions"]


class UnpivotOptions(Options, frozen=True):
    use_fieldname_as: Annotated[
        Literal["tag", "metric", ""],
        option("what the field's key becomes: a tag (or empty), or the measurement's name"),
    ] = "tag"
    tag_key: Annotated[str, option("key of that tag; empty: name")] = "name"
    value_key: Annotated[str, option("key of the one field; empty: value")] = "value"


class Unpivot(Processor[UnpivotOptions]):
    def setup(self) -> None:
        self._names = self.options.use_fieldname_as == "metric"
        self._tag_key = self.options.tag_key or "name"
        self._value_key = self.options.value_key or "value"

    def process(self, metrics: list[Metric]) -> list[Metric]:
        tag, key = self._tag_key, self._value_key
        if self._names:
            return [
                Metric(name, dict(metric.tags), {key: value}, metric.time)
                for metric in metrics
                for name, value in metric.fields.items()
            ]
        return [
            Metric(metric.name, {**metric.tags, tag: name}, {key: value}, metric.time)
            for metric in metrics
            for name, value in metric.fields.items()
        ]
