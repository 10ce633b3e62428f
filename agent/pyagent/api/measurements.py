"""Declarations of what a plugin emits. They pin types, and are the plugin's documentation and its tests' yardstick."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Field", "FieldType", "Measurement"]

FieldType = Literal["int", "uint", "float", "bool", "str"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its type on the wire, its unit (`bytes`, `percent`, `ms`, `1` for a plain count) and its meaning."""

    type: FieldType
    unit: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement: its tags with their meaning and its fields.

    `open`: further fields and tags may appear (columns of a query's result, keys of a document); those named here are
    pinned all the same.
    """

    name: str
    text: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Field] = field(default_factory=dict)
    open: bool = False


def fields(kind: FieldType, unit: str, **texts: str) -> dict[str, Field]:
    """Several fields of one type and unit: `fields("uint", "bytes", total="...", free="...")`."""
    return {name: Field(kind, unit, text) for name, text in texts.items()}


Measurements = Sequence[Measurement]
