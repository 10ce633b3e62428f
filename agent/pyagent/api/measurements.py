"""Declarations of what a plugin emits. They pin types, and are the plugin's documentation and its tests' yardstick."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Chart", "Field", "FieldType", "Measurement"]

Limits = tuple[float | None, float | None]
FieldType = Literal["int", "uint", "float", "bool", "str"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its type on the wire, its unit (`bytes`, `percent`, `ms`, `1` for a plain count) and its meaning.

    `counter`: it only grows, until what counts starts anew; dashboards show its rate. `label`: what people call it, where its
    name does not say it. `warning`, `critical`: the value (of a counter the rate) below and above which somebody should look.
    """

    type: FieldType
    unit: str = ""
    text: str = ""
    counter: bool = False
    label: str = ""
    warning: Limits = (None, None)
    critical: Limits = (None, None)


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel of the plugin's dashboard: fields that are looked at together. The other fields have a panel each.

    `stacked`: their sum means something. `overview`: it is on the overview of a host, too. `span`: a time such as `24h` that
    it always shows, whatever the dashboard shows. `only`: values of tags, such as `{"cpu": "cpu-total"}`, where all of them
    would be too many lines. `beside`: fields of one that is stacked which are not in the sum. `mirrored`: fields that are drawn
    below zero.
    """

    title: str
    fields: tuple[str, ...]
    stacked: bool = False
    overview: bool = False
    span: str = ""
    only: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    mirrored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given: object = self.fields
        if isinstance(given, str):  # one name is not its letters
            object.__setattr__(self, "fields", (given,))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement: its tags with their meaning and its fields.

    `open`: further fields and tags may appear (columns of a query's result, keys of a document); those named here are
    pinned all the same. `group`: dashboards show those of one group beneath a heading.
    """

    name: str
    text: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Field] = field(default_factory=dict)
    open: bool = False
    charts: Sequence[Chart] = ()
    group: str = ""


def fields(kind: FieldType, unit: str, **texts: str) -> dict[str, Field]:
    """Several fields of one type and unit: `fields("uint", "bytes", total="...", free="...")`."""
    return {name: Field(kind, unit, text) for name, text in texts.items()}


def counters(kind: FieldType, unit: str, **texts: str) -> dict[str, Field]:
    """As `fields`, for those that only grow."""
    return {name: Field(kind, unit, text, counter=True) for name, text in texts.items()}


Measurements = Sequence[Measurement]
