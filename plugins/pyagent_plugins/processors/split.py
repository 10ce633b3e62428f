"""Makes several metrics of one, by templates.

Each template gives a metric with its name, and with those of the tags and fields that it names. Where none of the fields is
there, it gives none. A field that no template names is lost with `drop_original`; what is dropped counts as delivered.
"""

from collections.abc import Sequence
from typing import Annotated

from pyagent.api import ConfigError, Metric, Options, Processor, option
from pyagent.kit.filter import name_filter
from pyagent.kit.memo import KeysMemo

__all__ = ["Split", "SplitOptions", "Template"]


class Template(Options, frozen=True):
    name: Annotated[str, option("name of the new metric")] = ""
    tags: Annotated[list[str], option("keys of its tags, wildcards allowed ([]: none)")] = []
    fields: Annotated[list[str], option("keys of its fields, wildcards allowed")] = []


class SplitOptions(Options, frozen=True):
    drop_original: Annotated[bool, option("only the new metrics go on")] = False
    template: Annotated[list[Template], option("the new metrics; one table each")] = []


class Split(Processor[SplitOptions]):
    def setup(self) -> None:
        if not self.options.template:
            raise ConfigError("cannot split without a template; add [[processors.split.template]]", option="template")
        self._templates = [_Template(table) for table in self.options.template]

    def process(self, metrics: list[Metric]) -> list[Metric]:
        kept, templates = not self.options.drop_original, self._templates
        result: list[Metric] = []
        for metric in metrics:
            fields, tags = metric.fields, metric.tags
            if kept:
                result.append(metric)
            for template in templates:
                if names := template.fields[tuple(fields)]:
                    own = {key: tags[key] for key in template.tags[tuple(tags)]} if template.tags is not None else {}
                    result.append(Metric(template.name, own, {key: fields[key] for key in names}, metric.time))
        return result


class _Template:
    def __init__(self, table: Template) -> None:
        self.name = table.name
        if not table.name:
            raise ConfigError("template: the name is missing", option="template")
        if not table.fields:
            raise ConfigError(f"template: {table.name!r} has no fields; name some, or '*' for all", option="template")
        self.fields = _keys(table.fields, "fields")
        self.tags = _keys(table.tags, "tags") if table.tags else None


def _keys(patterns: Sequence[str], name: str) -> KeysMemo[list[str]]:
    try:
        matches = name_filter(patterns, names=(name, ""))
    except ConfigError as error:
        raise ConfigError(f"template: {error}", option="template") from None
    return KeysMemo(lambda keys: [key for key in keys if matches(key)])
