"""Text by a template, as Go's text/template has them: `{{ .Name }} {{ .Tag "host" }} {{ .Field "used" }}`."""

from collections.abc import Sequence
from typing import Annotated

from pyagent.api import Metric, Options, Serializer, option
from pyagent.kit.gotemplate import METRIC_MEMBERS, GoTemplate

__all__ = ["Template", "TemplateOptions"]


class TemplateOptions(Options, frozen=True):
    template: Annotated[str, option("template of a metric")] = ""
    batch_template: Annotated[
        str, option("template of a list of metrics, where the output writes batches (empty: that of a metric for each)")
    ] = ""


class Template(Serializer[TemplateOptions]):
    def setup(self) -> None:
        options = self.options
        self._one = GoTemplate(options.template, "template", METRIC_MEMBERS) if options.template else None
        for doubt in self._one.doubts if self._one is not None else ():
            self.log.warning("%s", doubt)
        self._all = GoTemplate(options.batch_template, "batch_template") if options.batch_template else None

    def serialize(self, metric: Metric) -> bytes:
        if self._one is not None:
            return _bytes(self._one.render(metric))
        return self.serialize_batch([metric])

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        if self._all is not None:
            return _bytes(self._all.render(list(metrics)))
        if self._one is not None:
            return _bytes("".join(map(self._one.render, metrics)))
        return b""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
