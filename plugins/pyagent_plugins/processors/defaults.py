"""Gives metrics the fields and tags that they lack.

A blank text counts as missing, too.
"""

from typing import Annotated

from pyagent.api import Metric, Options, Processor, option

__all__ = ["Defaults", "DefaultsOptions"]

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go cuts from texts."""


class DefaultsOptions(Options, frozen=True):
    fields: Annotated[dict[str, bool | int | float | str], option("fields, and the value for each")] = {}
    tags: Annotated[dict[str, str], option("tags, and the value for each")] = {}


class Defaults(Processor[DefaultsOptions]):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        fields, tags = self.options.fields, self.options.tags
        for metric in metrics:
            old = metric.fields
            if missing := {
                key: value
                for key, value in fields.items()
                if key not in old or (type(old[key]) is str and _is_blank(str(old[key])))
            }:
                metric.fields = {**old, **missing}
            if added := {key: value for key, value in tags.items() if _is_blank(metric.tags.get(key, ""))}:
                metric.tags = {**metric.tags, **added}
        return metrics


def _is_blank(text: str) -> bool:
    return not text.strip(_SPACES)
