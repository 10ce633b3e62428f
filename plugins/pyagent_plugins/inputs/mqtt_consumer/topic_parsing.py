"""Measurements, tags and fields out of the parts of a topic."""

import re
from typing import Annotated, Literal

from pyagent.api import ConfigError, FieldValue, Metric, Options, ParseError, Uint, option

__all__ = ["TopicParser", "TopicParsing"]


class TopicParsing(Options, frozen=True):
    topic: Annotated[str, option("topics that it is about; + is any part, # any number of parts")] = ""
    measurement: Annotated[str, option("the word at the place of the measurement, '_' at the others")] = ""
    tags: Annotated[str, option("names of tags at the places of their values, '_' at the others")] = ""
    fields: Annotated[str, option("names of fields at the places of their values, '_' at the others")] = ""
    types: Annotated[
        dict[str, Literal["int", "uint", "float"]], option("types of fields; those that are not named are text")
    ] = {}


class TopicParser:
    """Raises ConfigError for a configuration that cannot work."""

    def __init__(self, options: TopicParsing) -> None:
        parts = options.topic.split("/")
        if parts.count("#") > 1:
            raise ConfigError(
                f"cannot use the topic {options.topic!r}: '#' may stand in it once", option="topic_parsing"
            )
        self._any_length = "#" in parts
        count = len(parts) - self._any_length
        self._wanted, _ = _places(options.topic, ("+",))
        self._measurement, one = _places(options.measurement, ("_", ""))
        self._tags, two = _places(options.tags, ("_", ""))
        self._fields, three = _places(options.fields, ("_", ""))
        for name, length in (("measurement", one), ("tags", two), ("fields", three)):
            text = getattr(options, name)
            if text and length != count and not self._any_length:
                message = (
                    f"cannot use {name} = {text!r}: it has {length} parts, and the topic {options.topic!r} has {count}"
                )
                raise ConfigError(message, option="topic_parsing")
        if len(self._measurement) > 1:
            message = f"cannot use measurement = {options.measurement!r}: it may name one place only"
            raise ConfigError(message, option="topic_parsing")
        self._length = max(count, one, two, three) if self._any_length else count
        self._types = options.types

    def parse(self, topic: str, metric: Metric) -> None:
        """Raises ParseError for a field that is not of its type."""
        parts = topic.split("/")
        if len(parts) < self._length or (not self._any_length and len(parts) != self._length):
            return
        if any(parts[at] != part for at, part in self._wanted):
            return
        for at, _ in self._measurement:
            metric.name = parts[at] or metric.name
        for at, name in self._tags:
            metric.tags[name] = parts[at]
        for at, name in self._fields:
            metric.fields[name] = _converted(parts[at], self._types.get(name, ""), name)


def _places(text: str, blank: tuple[str, ...]) -> tuple[list[tuple[int, str]], int]:
    """The named parts, each with its index, from the end for those behind a '#'; and the number of parts without that."""
    parts = text.split("/")
    behind = parts.index("#") if "#" in parts else len(parts)
    found = [
        (at if at < behind else at - len(parts), part)
        for at, part in enumerate(parts)
        if part != "#" and part not in blank
    ]
    return found, len(parts) - parts.count("#")


def _converted(text: str, kind: str, name: str) -> FieldValue:
    if not kind:
        return text
    if kind == "float":
        if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
            return float(text)
    elif re.fullmatch(r"\d{1,20}" if kind == "uint" else r"[+-]?\d{1,19}", text, re.ASCII):
        number = int(text)
        if kind == "uint" and number < 2**64:
            return Uint(number)
        if kind == "int" and -(2**63) <= number < 2**63:
            return number
    raise ParseError(f"the part {text[:80]!r} of the topic is no {kind}, as the field {name!r} should be")
