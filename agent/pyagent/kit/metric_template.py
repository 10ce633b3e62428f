"""Texts made of a metric, as Telegraf's templates of topics have them: `telegraf/{{ .Tag "host" }}/{{ .Name | lower }}`."""

from collections.abc import Mapping
from types import MappingProxyType

from pyagent.api.metric import Metric
from pyagent.kit.field_texts import value_text
from pyagent.kit.gotemplate import METRIC_MEMBERS, GoTemplate, Member

__all__ = ["MetricTemplate", "value_text"]


class MetricTemplate:
    """Raises ConfigError, about `option`, for what cannot be used. `more`: further names, as `Prefix`, and their texts.

    Besides those of a metric there are `.PluginName`, `.Hostname`, `.GetTag` and `.GetField`. A field that a metric has not is
    an empty text, and floats have no exponent.
    """

    def __init__(self, text: str, option: str, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self.text = text
        members = {**_MEMBERS, **{name: _constant(known) for name, known in more.items()}}
        self._template = GoTemplate(text, option, members, strict=True)
        self.is_constant = self._template.is_constant
        self.constants = self._template.texts
        """What stands outside of the elements."""

    def of(self, metric: Metric) -> str:
        """Raises ValueError for what cannot be made of this one."""
        return self._template.render(metric)


def _constant(text: str) -> Member:
    return "", lambda metric: text


def _field(metric: Metric, key: str) -> object:
    value = metric.fields.get(key, "")
    return value_text(value) if isinstance(value, float) else value


_MEMBERS: Mapping[str, Member] = {
    **METRIC_MEMBERS,
    "PluginName": ("", lambda metric: metric.name),
    "Hostname": ("", lambda metric: metric.tags.get("host", "")),
    "GetTag": METRIC_MEMBERS["Tag"],
    "Field": ("s", _field),
    "GetField": ("s", _field),
}
