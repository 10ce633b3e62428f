"""Changes the text of measurements, tags and fields, and their keys: case, space, prefixes, replacements, encodings.

Each table changes one thing. They are done kind by kind: lowercase, uppercase, titlecase, trim, trim_left, trim_right,
trim_prefix, trim_suffix, replace, left, base64decode, valid_utf8; those of one kind in the order in which they stand.
"""

from collections.abc import Callable
from typing import Annotated, TypeVar

from pyagent.api import Metric, Options, Processor, option
from pyagent_plugins.processors.strings.changes import (
    SPACE,
    base64_decoded,
    lower,
    of_utf8,
    replaced,
    shortened,
    title,
    upper,
)

__all__ = ["Strings", "StringsOptions"]


class Change(Options, frozen=True):
    measurement: Annotated[str, option("measurement to change; *: all")] = ""
    tag: Annotated[str, option("key of the tag whose value is changed; *: all")] = ""
    tag_key: Annotated[str, option("key of the tag whose key is changed; *: all")] = ""
    field: Annotated[str, option("key of the field whose text is changed; *: all")] = ""
    field_key: Annotated[str, option("key of the field whose key is changed; *: all")] = ""
    dest: Annotated[str, option("where the value of a tag or field goes; empty: back to it")] = ""
    cutset: Annotated[str, option("of trim, trim_left, trim_right: characters to take away; empty: white space")] = ""
    prefix: Annotated[str, option("of trim_prefix: what is taken away in front")] = ""
    suffix: Annotated[str, option("of trim_suffix: what is taken away behind")] = ""
    old: Annotated[str, option("of replace: what is replaced, wherever it stands")] = ""
    new: Annotated[str, option("of replace: by what; where nothing would be left, all stays")] = ""
    width: Annotated[int, option("of left: bytes to keep", ge=0)] = 0
    replacement: Annotated[str, option("of valid_utf8: what comes in place of bytes that are not UTF-8")] = ""


class StringsOptions(Options, frozen=True):
    lowercase: Annotated[list[Change], option("into small letters")] = []
    uppercase: Annotated[list[Change], option("into capital letters")] = []
    titlecase: Annotated[list[Change], option("each word begins with a capital letter, the others stay")] = []
    trim: Annotated[list[Change], option("takes characters away at both ends")] = []
    trim_left: Annotated[list[Change], option("the same in front")] = []
    trim_right: Annotated[list[Change], option("the same behind")] = []
    trim_prefix: Annotated[list[Change], option("takes a text away in front")] = []
    trim_suffix: Annotated[list[Change], option("takes a text away behind")] = []
    replace: Annotated[list[Change], option("replaces a text by another one")] = []
    left: Annotated[list[Change], option("keeps the first bytes")] = []
    base64decode: Annotated[list[Change], option("decodes base64; what is none, or no UTF-8, stays")] = []
    valid_utf8: Annotated[list[Change], option("replaces bytes that are not UTF-8")] = []


Function = Callable[[str], str]
Step = Callable[[Metric], None]


class Strings(Processor[StringsOptions]):
    def setup(self) -> None:
        self._steps: list[Step] = []
        for kind, function in _FUNCTIONS.items():
            for table in getattr(self.options, kind):
                self._steps += _steps(table, function(table))

    def process(self, metrics: list[Metric]) -> list[Metric]:
        steps = self._steps
        for metric in metrics:
            for step in steps:
                step(metric)
        return metrics


_FUNCTIONS: dict[str, Callable[[Change], Function]] = {
    "lowercase": lambda _: lower,
    "uppercase": lambda _: upper,
    "titlecase": lambda _: title,
    "trim": lambda table: lambda text: text.strip(table.cutset or SPACE),
    "trim_left": lambda table: lambda text: text.lstrip(table.cutset or SPACE),
    "trim_right": lambda table: lambda text: text.rstrip(table.cutset or SPACE),
    "trim_prefix": lambda table: lambda text: text.removeprefix(table.prefix),
    "trim_suffix": lambda table: lambda text: text.removesuffix(table.suffix),
    "replace": lambda table: lambda text: replaced(text, table.old, table.new),
    "left": lambda table: lambda text: shortened(text, table.width),
    "base64decode": lambda _: base64_decoded,
    "valid_utf8": lambda table: lambda text: of_utf8(text, table.replacement),
}


def _steps(table: Change, change: Function) -> list[Step]:
    """In Telegraf's order, where one table names several things."""
    steps: list[Step] = []
    if table.field:
        steps.append(_field_step(table.field, table.dest or table.field, change))
    if key := table.field_key:

        def change_field_keys(metric: Metric) -> None:
            metric.fields = _with_keys(metric.fields, key, change)

        steps.append(change_field_keys)
    if table.tag:
        steps.append(_tag_step(table.tag, table.dest or table.tag, change))
    if tag_key := table.tag_key:

        def change_tag_keys(metric: Metric) -> None:
            metric.tags = _with_keys(metric.tags, tag_key, change)

        steps.append(change_tag_keys)
    if name := table.measurement:

        def rename(metric: Metric) -> None:
            if name in (metric.name, "*"):
                metric.name = change(metric.name)

        steps.append(rename)
    return steps


def _field_step(key: str, dest: str, change: Function) -> Step:
    def change_all(metric: Metric) -> None:
        metric.fields = {
            name: change(value) if isinstance(value, str) else value for name, value in metric.fields.items()
        }

    def change_one(metric: Metric) -> None:
        value = metric.fields.get(key)
        if isinstance(value, str):
            metric.fields = {**metric.fields, dest: change(value)}

    return change_all if key == "*" else change_one


def _tag_step(key: str, dest: str, change: Function) -> Step:
    def change_all(metric: Metric) -> None:
        metric.tags = {name: change(value) for name, value in metric.tags.items()}

    def change_one(metric: Metric) -> None:
        value = metric.tags.get(key)
        if value is not None:
            metric.tags = {**metric.tags, dest: change(value)}

    return change_all if key == "*" else change_one


V = TypeVar("V")


def _with_keys(values: dict[str, V], wanted: str, change: Function) -> dict[str, V]:
    """A key of which nothing would be left stays."""
    if wanted != "*" and wanted not in values:
        return values
    result = dict(values)
    for key in list(values) if wanted == "*" else [wanted]:
        if changed := change(key):
            result.pop(key, None)
            result[changed] = values[key]
    return result
