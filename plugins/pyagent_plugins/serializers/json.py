"""JSON: an object for each metric, or one document with a list of them.

`{"fields":{"used":42},"name":"mem","tags":{"host":"web1"},"timestamp":1700000000}`, one a line. Where the output writes whole
batches (`use_batch_format`), a document is `{"metrics":[...]}`. NaN and infinities are no JSON: such fields are left out.
"""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pyagent.api import ConfigError, Duration, FieldValue, Metric, Options, Serializer, option
from pyagent.kit.field_texts import SeriesMemo
from pyagent.kit.glob import Matcher, compile_patterns
from pyagent.kit.json_text import JSON_TEXTS, json_bytes, json_number, json_quoted
from pyagent.kit.layouts import TimeLayout
from pyagent.kit.libraries import missing_library
from pyagent.kit.memo import KeysMemo
from pyagent.kit.records import write_objects

__all__ = ["Json", "JsonOptions"]


class JsonOptions(Options, frozen=True):
    json_timestamp_units: Annotated[
        Duration, option("unit of timestamps; it is cut to a power of ten of nanoseconds")
    ] = Duration("1s")
    json_timestamp_format: Annotated[
        str, option("layout of timestamps, in UTC, as Go's reference time is written; empty: a number of units")
    ] = ""
    json_transformation: Annotated[str, option("JSONata expression of what is written instead")] = ""
    json_nested_fields_include: Annotated[
        list[str], option("patterns of text fields that hold JSON, which is put in as such")
    ] = []
    json_nested_fields_exclude: Annotated[list[str], option("patterns of fields that are no such ones")] = []


class Json(Serializer[JsonOptions]):
    def setup(self) -> None:
        options = self.options
        self._transformed = _transformation(options.json_transformation) if options.json_transformation else None
        self.slow = self._transformed is not None
        self._unit = _power_of_ten(int(options.json_timestamp_units) or 1_000_000_000)
        self._layout = TimeLayout(options.json_timestamp_format) if options.json_timestamp_format else None
        self._included = _matcher("json_nested_fields_include", options.json_nested_fields_include)
        self._excluded = _matcher("json_nested_fields_exclude", options.json_nested_fields_exclude)
        self._keys = KeysMemo(_prefixes)
        self._series = SeriesMemo(_series)
        self._nests = bool(options.json_nested_fields_include or options.json_nested_fields_exclude)

    def serialize(self, metric: Metric) -> bytes:
        if self._transformed is not None:
            return json_bytes(self._transformed(self._plain(metric), 1) + "\n")
        return json_bytes(self._object(metric) + "\n")

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        if self._transformed is not None:
            return json_bytes(self._transformed({"metrics": [*map(self._plain, metrics)]}, len(metrics)) + "\n")
        if write_objects is not None and self._layout is None and not self._nests:
            objects = write_objects(metrics, self._unit, lambda metric: json_bytes(self._object(metric)))
            return b'{"metrics":[' + objects + b"]}\n"
        return self.reference(metrics)

    def reference(self, metrics: Sequence[Metric]) -> bytes:
        """What `serialize_batch` makes of any metrics, in Python alone."""
        return json_bytes(f'{{"metrics":[{",".join(map(self._object, metrics))}]}}\n')

    def _plain(self, metric: Metric) -> Any:
        """What a transformation sees."""
        return json.loads(self._object(metric))

    def _object(self, metric: Metric) -> str:
        values = metric.fields
        keys = self._keys[tuple(values)]
        if self._nests:
            fields = [start + text for start, key in keys if (text := self._value(key, values[key]))]
        else:
            texts = JSON_TEXTS
            fields = [start + text for start, key in keys if (text := texts[type(value := values[key])](value))]
        return f'{{"fields":{{{",".join(fields)}}},{self._series.of(metric)}{self._time(metric.time)}}}'

    def _time(self, time: int) -> str:
        if self._layout is not None:
            return json_quoted(self._layout.format(time))
        # Towards 0, as integers are divided there.
        return str(time // self._unit if time >= 0 else -(-time // self._unit))

    def _value(self, key: str, value: FieldValue) -> str:
        if isinstance(value, str) and self._is_nested(key):
            try:
                return _nested(json.loads(value, parse_int=float, parse_constant=_no_constant))
            except (ValueError, RecursionError):
                pass  # it is text
        return JSON_TEXTS[type(value)](value)

    def _is_nested(self, key: str) -> bool:
        included = not self.options.json_nested_fields_include or self._included(key)
        return included and not self._excluded(key)


def _transformation(text: str) -> Callable[[Any, int], str]:
    """What is made of a value, which is so many metrics. Raises ConfigError."""
    try:
        from pyagent.kit.jsonata_bounds import Transformation
    except ImportError:
        raise ConfigError(
            f"cannot transform JSON: {missing_library('jsonata')}", option="json_transformation"
        ) from None
    try:
        return Transformation(text)
    except Exception as error:
        cause = f"cannot transform JSON: {error}; correct the expression of JSONata"
        raise ConfigError(cause, option="json_transformation") from None


def _matcher(name: str, patterns: list[str]) -> Matcher:
    try:
        return compile_patterns(patterns)
    except ValueError as error:
        raise ConfigError(f"the option {name!r}: {error}", option=name) from None


def _power_of_ten(nanoseconds: int) -> int:
    if nanoseconds < 1:
        nanoseconds = 1_000_000_000
    return int("1" + "0" * (len(str(nanoseconds)) - 1))


def _prefixes(keys: tuple[str, ...]) -> list[tuple[str, str]]:
    """Keys in their order, and what stands before their values."""
    return [(json_quoted(key) + ":", key) for key in sorted(keys)]


def _series(metric: Metric) -> str:
    """What stands between the fields and the time."""
    tags = ",".join([f"{json_quoted(key)}:{json_quoted(metric.tags[key])}" for key in sorted(metric.tags)])
    return f'"name":{json_quoted(metric.name)},"tags":{{{tags}}},"timestamp":'


def _nested(value: Any) -> str:
    """A value of JSON, its numbers as those of fields."""
    if isinstance(value, dict):
        return "{" + ",".join([f"{json_quoted(key)}:{_nested(value[key])}" for key in sorted(value)]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_nested, value)) + "]"
    if isinstance(value, str):
        return json_quoted(value)
    if isinstance(value, float):
        if not (number := json_number(value)):
            raise ValueError("the number is out of range")
        return number
    return {None: "null", True: "true", False: "false"}[value]


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")
