"""Adds a tag whose key and value are made by templates, as Go's text/template has them."""

from typing import Annotated

from pyagent.api import Metric, Options, Processor, option
from pyagent.kit.gotemplate import METRIC_MEMBERS, GoTemplate, TemplateError
from pyagent.kit.once import Once

__all__ = ["Template", "TemplateOptions"]


class TemplateOptions(Options, frozen=True):
    tag: Annotated[str, option("key of the tag to set; a template, too")] = ""
    template: Annotated[str, option("template of its value")] = ""


class Template(Processor[TemplateOptions]):
    def setup(self) -> None:
        self._once = Once()
        self._key = GoTemplate(self.options.tag, "tag", METRIC_MEMBERS)
        self._value = GoTemplate(self.options.template, "template", METRIC_MEMBERS)
        for doubt in (*self._key.doubts, *self._value.doubts):
            self.log.warning("%s", doubt)

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for metric in metrics:
            try:
                key, value = self._key.render(metric), self._value.render(metric)
            except TemplateError as error:
                if self._once(str(error)):
                    self.log.error("cannot set a tag of a metric of %r: %s", metric.name, error)
                continue
            metric.tags = {**metric.tags, key: value}
        return metrics
