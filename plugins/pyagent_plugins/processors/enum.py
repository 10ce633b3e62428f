"""Maps values of fields and tags by tables.

Booleans and numbers are looked up as their texts: `true`, `42`, `0.5`.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

from pyagent.api import ConfigError, FieldValue, Metric, Options, Processor, option
from pyagent.kit.exposition import go_float
from pyagent.kit.field_texts import value_text
from pyagent.kit.filter import name_filter
from pyagent.kit.memo import KeysMemo

__all__ = ["Enum", "EnumOptions", "Mapping"]

Value = bool | int | float | str


class Mapping(Options, frozen=True):
    tags: Annotated[list[str], option("keys of the tags to map, wildcards allowed")] = []
    fields: Annotated[list[str], option("keys of the fields to map, wildcards allowed")] = []
    tag: Annotated[str, option("one more of tags", deprecated="tags")] = ""
    field: Annotated[str, option("one more of fields", deprecated="fields")] = ""
    dest: Annotated[str, option("tag or field for the result; empty: the same")] = ""
    default: Annotated[
        Value | None, option("result for values that the table does not have; without one nothing is done for these")
    ] = None
    value_mappings: Annotated[dict[str, Value], option("the table: a value, and its result")] = {}


class EnumOptions(Options, frozen=True):
    mapping: Annotated[list[Mapping], option("what to map; one table each")] = []


class Enum(Processor[EnumOptions]):
    def setup(self) -> None:
        self._mappings = [_Mapping(table) for table in self.options.mapping]

    def process(self, metrics: list[Metric]) -> list[Metric]:
        mappings = self._mappings
        for metric in metrics:
            fields, tags = metric.fields, metric.tags
            new_fields: dict[str, FieldValue] = {}
            new_tags: dict[str, str] = {}
            for mapping in mappings:
                result, default = mapping.results.get, mapping.default
                if mapping.fields is not None:
                    for key in mapping.fields[tuple(fields)]:
                        field = fields[key]
                        found = result(field if isinstance(field, str) else value_text(field), default)
                        if found is not None:
                            new_fields[mapping.dest or key] = found
                if mapping.tags is not None:
                    for key in mapping.tags[tuple(tags)]:
                        found = result(tags[key], default)
                        if found is not None:
                            new_tags[mapping.dest or key] = _tag_text(found)
            if new_fields:
                metric.fields = {**fields, **new_fields}
            if new_tags:
                metric.tags = {**tags, **new_tags}
        return metrics


class _Mapping:
    def __init__(self, table: Mapping) -> None:
        self.fields = _keys([*table.fields, table.field], "fields", lambda keys: keys)
        # Tags are ordered there, and the last of several counts.
        self.tags = _keys([*table.tags, table.tag], "tags", sorted)
        self.dest = table.dest
        self.default = table.default
        self.results = table.value_mappings


def _keys(
    patterns: Sequence[str], name: str, ordered: Callable[[Sequence[str]], Sequence[str]]
) -> KeysMemo[Sequence[str]] | None:
    """Which of some keys are meant; None where none can be."""
    patterns = [pattern for pattern in patterns if pattern]
    if not patterns:
        return None
    try:
        matches = name_filter(patterns, names=(name, ""))
    except ConfigError as error:
        raise ConfigError(f"mapping: {error}", option="mapping") from None
    return KeysMemo(lambda keys: ordered([key for key in keys if matches(key)]))


def _tag_text(value: Value) -> str:
    return go_float(value) if isinstance(value, float) else value_text(value)
