"""Converts tags and fields to other types, or to each other.

For each tag and each field the first type counts whose list has its key: of tags measurement, string, integer, unsigned,
boolean, float, timestamp; of fields measurement, tag, float, integer, unsigned, boolean, string, timestamp,
base64_ieee_float32.
"""

import binascii
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Annotated

from pyagent.api import ConfigError, FieldValue, Metric, Options, Processor, Uint, option
from pyagent.api.units import format_number
from pyagent.kit.filter import name_filter
from pyagent.kit.memo import KeysMemo
from pyagent.kit.numbers import (
    INT64_MAX,
    INT64_MIN,
    UINT64_MAX,
    parse_boolean,
    parse_float,
    parse_integer,
    parse_unsigned,
)
from pyagent.kit.problems import Problems
from pyagent.kit.shown import quoted
from pyagent.kit.timestamps import parse_timestamp

__all__ = ["Conversions", "Converter", "ConverterOptions"]


class Conversions(Options, frozen=True):
    measurement: Annotated[list[str], option("keys, wildcards allowed: the value is the measurement")] = []
    tag: Annotated[list[str], option("fields that become tags; not for tags")] = []
    string: Annotated[list[str], option("become text")] = []
    integer: Annotated[list[str], option("become integers; fractions are rounded")] = []
    unsigned: Annotated[list[str], option("become unsigned integers")] = []
    boolean: Annotated[list[str], option("become booleans")] = []
    float: Annotated[list[str], option("become floats")] = []
    timestamp: Annotated[list[str], option("become the metric's time")] = []
    timestamp_format: Annotated[
        str, option("of timestamp: unix, unix_ms, unix_us, unix_ns, or a layout of Go's reference time")
    ] = ""
    base64_ieee_float32: Annotated[
        list[str], option("fields that are the base64 of four bytes of a float, and become it; not for tags")
    ] = []


class ConverterOptions(Options, frozen=True):
    tags: Annotated[Conversions | None, option("which tags become what")] = None
    fields: Annotated[Conversions | None, option("which fields become what")] = None

    def remarks(self) -> list[tuple[str, str]]:
        text = "has a `timestamp` without a `timestamp_format`: no time can be read"
        tables = (("tags", self.tags), ("fields", self.fields))
        return [(name, text) for name, one in tables if one is not None and one.timestamp and not one.timestamp_format]


_OF_TAGS = ("measurement", "string", "integer", "unsigned", "boolean", "float", "timestamp")
_OF_FIELDS = (
    "measurement",
    "tag",
    "float",
    "integer",
    "unsigned",
    "boolean",
    "string",
    "timestamp",
    "base64_ieee_float32",
)


class Converter(Processor[ConverterOptions]):
    def setup(self) -> None:
        tags, fields = self.options.tags, self.options.fields
        if tags is None and fields is None:
            problem = "cannot convert anything: neither tags nor fields are named; add [processors.converter.fields]"
            raise ConfigError(problem)
        self._of_tag = _kinds("tags", tags, _OF_TAGS)
        self._of_field = _kinds("fields", fields, _OF_FIELDS)
        self._tag_layout = tags.timestamp_format if tags else ""
        self._field_layout = fields.timestamp_format if fields else ""
        self._problems = Problems(self.log)

    def process(self, metrics: list[Metric]) -> list[Metric]:
        if (of_tag := self._of_tag) is not None:
            for metric in metrics:
                if found := of_tag(tuple(metric.tags)):
                    self._convert_tags(metric, found)
        if (of_field := self._of_field) is not None:
            for metric in metrics:
                if found := of_field(tuple(metric.fields)):
                    self._convert_fields(metric, found)
        return metrics

    def _convert_tags(self, metric: Metric, found: Sequence[tuple[str, str]]) -> None:
        tags, fields = dict(metric.tags), metric.fields
        for key, kind in found:
            text = tags[key]
            try:
                if kind == "measurement":
                    metric.name = text
                elif kind == "timestamp":
                    metric.time = parse_timestamp(self._tag_layout, text)
                else:
                    value = text if kind == "string" else _CONVERSIONS[kind](text)
                    fields = {**fields, key: value}
            except ValueError as error:
                self._problems.add(kind, f"cannot convert the tag {quoted(key)} to {kind}: {error}")
                if kind == "timestamp":
                    continue  # it stays; all others go
            del tags[key]
        metric.tags, metric.fields = tags, fields

    def _convert_fields(self, metric: Metric, found: Sequence[tuple[str, str]]) -> None:
        fields, tags = dict(metric.fields), metric.tags
        for key, kind in found:
            value = fields[key]
            try:
                if kind == "measurement":
                    metric.name = _text(value)
                elif kind == "tag":
                    tags = {**tags, key: _text(value)}
                elif kind == "timestamp":
                    metric.time = parse_timestamp(self._field_layout, value)
                else:
                    fields[key] = _CONVERSIONS[kind](value)
                    continue
            except ValueError as error:
                self._problems.add(kind, f"cannot convert the field {quoted(key)} to {kind}: {error}")
                if kind == "timestamp":
                    continue
            del fields[key]
        metric.tags, metric.fields = tags, fields


_Kinds = Callable[[tuple[str, ...]], list[tuple[str, str]]]


def _kinds(section: str, table: Conversions | None, order: Sequence[str]) -> _Kinds | None:
    """Which of some keys become something else, and what."""
    if table is None:
        return None
    filters = []
    for kind in order:
        if patterns := getattr(table, kind):
            try:
                filters.append((kind, name_filter(patterns, names=(kind, ""))))
            except ConfigError as error:
                raise ConfigError(f"{section}: {error}", option=section) from None
    if not filters:
        return None

    def kinds(keys: tuple[str, ...]) -> list[tuple[str, str]]:
        found = ((key, next((kind for kind, matches in filters if matches(key)), "")) for key in keys)
        return [(key, kind) for key, kind in found if kind]

    return KeysMemo(kinds).__getitem__


def _text(value: FieldValue) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_number(value) if math.isfinite(value) else _SPECIAL[str(value)]
    return str(int(value))


_SPECIAL = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


def _cannot(value: FieldValue) -> ValueError:
    shown = quoted(value) if isinstance(value, str) else repr(value)
    return ValueError(f"{shown:.80} is none")


def _float(value: FieldValue) -> float:
    if not isinstance(value, str):
        return float(value)
    if value.startswith("0x"):
        if len(value) > 1000 or not _HEX.fullmatch(value):
            raise _cannot(value)
        number = int(value, 16)
        return float(number) if number < 1 << 1023 else math.inf
    number_or_none = parse_float(value)
    if number_or_none is None:
        raise _cannot(value)
    return number_or_none


_HEX = re.compile(r"0x_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*")


def _whole(value: float, low: int, high: int) -> int:
    """Halves go away from zero; what is too large is the nearest that there is."""
    if math.isnan(value):
        raise _cannot(value)
    if not low < value < high:
        return low if value <= low else high
    whole = math.trunc(value)
    return min(max(whole + int(math.copysign(abs(value - whole) >= 0.5, value)), low), high)


def _integer(value: FieldValue) -> int:
    if isinstance(value, str):
        number = _hex_integer(value[2:]) if value.startswith("0x") else parse_integer(value)
        if number is not None:
            return number
        fraction = None if value.startswith("0x") else parse_float(value)
        if fraction is None:
            raise _cannot(value)
        value = fraction
    if isinstance(value, float):
        return _whole(value, INT64_MIN, INT64_MAX)
    return min(int(value), INT64_MAX)


def _hex_integer(digits: str) -> int | None:
    number = parse_unsigned(digits.lstrip("+-") if digits[:1] in ("+", "-") else digits, 16)
    if number is None:
        return None
    number = -number if digits.startswith("-") else number
    return number if INT64_MIN <= number <= INT64_MAX else None


def _unsigned(value: FieldValue) -> Uint:
    if isinstance(value, str):
        number = parse_unsigned(value[2:], 16) if value.startswith("0x") else parse_unsigned(value)
        if number is not None:
            return Uint(number)
        fraction = None if value.startswith("0x") else parse_float(value)
        if fraction is None:
            raise _cannot(value)
        value = fraction
    if isinstance(value, float):
        return Uint(_whole(value, 0, UINT64_MAX))
    return Uint(max(int(value), 0))


def _boolean(value: FieldValue) -> bool:
    if not isinstance(value, str):
        return value > 0
    answer = parse_boolean(value)
    if answer is None:
        raise _cannot(value)
    return answer


def _base64_float(value: FieldValue) -> float:
    if not isinstance(value, str):
        raise _cannot(value)
    try:
        data = binascii.a2b_base64(value.replace("\r", "").replace("\n", "").encode(), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        raise _cannot(value) from None
    if len(data) != 4:
        raise ValueError(f"{value!r:.80} stands for {len(data)} bytes, and a float has 4")
    number: float = struct.unpack(">f", data)[0]
    return number


_CONVERSIONS: dict[str, Callable[[FieldValue], FieldValue]] = {
    "string": _text,
    "integer": _integer,
    "unsigned": _unsigned,
    "boolean": _boolean,
    "float": _float,
    "base64_ieee_float32": _base64_float,
}
