"""JSON: an object for each metric, or one document with a list of them.

`{"fields":{"used":42},"name":"mem","tags":{"host":"web1"},"timestamp":1700000000}`, one a line. Where the output writes whole
batches (`use_batch_format`), a document is `{"metrics":[...]}`. NaN and infinities are no JSON: such fields are left out.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pyagent.api import ConfigError, Duration, FieldValue, Metric, Options, Serializer, option
from pyagent.kit.glob import Matcher, compile_patterns
from pyagent.kit.layouts import TimeLayout

__all__ = ["Json", "JsonOptions"]


class JsonOptions(Options, frozen=True):
    json_timestamp_units: Annotated[
        Duration, option("unit of timestamps; it is cut to a power of ten of nanoseconds")
    ] = Duration("1s")
    json_timestamp_format: Annotated[
        str, option("layout of timestamps, in UTC, as Go's reference time is written; empty: a number of units")
    ] = ""
    json_transformation: Annotated[str, option("JSONata expression; not supported")] = ""
    json_nested_fields_include: Annotated[
        list[str], option("patterns of text fields that hold JSON, which is put in as such")
    ] = []
    json_nested_fields_exclude: Annotated[list[str], option("patterns of fields that are no such ones")] = []


# As Go writes them: such text can stand in a page of HTML or a script.
_ESCAPES = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_ESCAPED = re.compile("[<>&\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_quoted = json.encoder.encode_basestring


class Json(Serializer[JsonOptions]):
    def setup(self) -> None:
        options = self.options
        if options.json_transformation:
            raise ConfigError(
                "cannot transform JSON: json_transformation is not supported; change metrics by processors instead",
                option="json_transformation",
            )
        self._unit = _power_of_ten(int(options.json_timestamp_units) or 1_000_000_000)
        self._layout = TimeLayout(options.json_timestamp_format) if options.json_timestamp_format else None
        self._included = _matcher("json_nested_fields_include", options.json_nested_fields_include)
        self._excluded = _matcher("json_nested_fields_exclude", options.json_nested_fields_exclude)
        self._nests = bool(options.json_nested_fields_include or options.json_nested_fields_exclude)

    def serialize(self, metric: Metric) -> bytes:
        return _bytes(self._object(metric) + "\n")

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        return _bytes(f'{{"metrics":[{",".join(map(self._object, metrics))}]}}\n')

    def _object(self, metric: Metric) -> str:
        tags = ",".join([f"{_text(key)}:{_text(metric.tags[key])}" for key in sorted(metric.tags)])
        fields = [
            f"{_text(key)}:{text}" for key in sorted(metric.fields) if (text := self._value(key, metric.fields[key]))
        ]
        time = self._time(metric.time)
        name = _text(metric.name)
        return f'{{"fields":{{{",".join(fields)}}},"name":{name},"tags":{{{tags}}},"timestamp":{time}}}'

    def _time(self, time: int) -> str:
        if self._layout is not None:
            return _text(self._layout.format(time))
        # Towards 0, as integers are divided there.
        return str(time // self._unit if time >= 0 else -(-time // self._unit))

    def _value(self, key: str, value: FieldValue) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return _number(value)
        if isinstance(value, str):
            if self._nests and self._is_nested(key):
                try:
                    return _nested(json.loads(value, parse_int=float, parse_constant=_no_constant))
                except (ValueError, RecursionError):
                    pass  # it is text
            return _text(value)
        return str(int(value))

    def _is_nested(self, key: str) -> bool:
        included = not self.options.json_nested_fields_include or self._included(key)
        return included and not self._excluded(key)


def _matcher(name: str, patterns: list[str]) -> Matcher:
    try:
        return compile_patterns(patterns)
    except ValueError as error:
        raise ConfigError(f"the option {name!r}: {error}", option=name) from None


def _power_of_ten(nanoseconds: int) -> int:
    if nanoseconds < 1:
        nanoseconds = 1_000_000_000
    return int("1" + "0" * (len(str(nanoseconds)) - 1))


def _bytes(text: str) -> bytes:
    if text.isascii():
        return text.encode("ascii")
    # Bytes that are no UTF-8 are no JSON: U+FFFD, as Go has it.
    return _SURROGATES.sub("\ufffd", text).encode()


def _text(text: str) -> str:
    quoted = _quoted(text)
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], quoted) if _ESCAPED.search(quoted) else quoted


def _number(value: float) -> str:
    """Empty for what is no number. Exponents from 1e21 on and below 1e-6, as in JavaScript."""
    if not math.isfinite(value):
        return ""
    text = repr(value)
    size = abs(value)
    if "e" not in text:
        return text[:-2] if text.endswith(".0") else text
    mantissa, _, exponent = text.partition("e")
    if mantissa.endswith(".0"):
        mantissa = mantissa[:-2]
    if size < 1e-6 or size >= 1e21:
        return f"{mantissa}e{'-' if exponent[0] == '-' else '+'}{int(exponent.lstrip('+-'))}"
    # repr has an exponent from 1e16 on and below 1e-4.
    sign = "-" if value < 0 else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits, point = whole + fraction, len(whole) + int(exponent)
    return f"{sign}{digits.ljust(point, '0')}" if point > 0 else f"{sign}0.{'0' * -point}{digits}"


def _nested(value: Any) -> str:
    """A value of JSON, its numbers as those of fields."""
    if isinstance(value, dict):
        return "{" + ",".join([f"{_text(key)}:{_nested(value[key])}" for key in sorted(value)]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_nested, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        if not (number := _number(value)):
            raise ValueError("the number is out of range")
        return number
    return {None: "null", True: "true", False: "false"}[value]


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")
