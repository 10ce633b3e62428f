"""JSON: each object is a metric.

A document is an object or a list of them. Keys of nested objects and positions in lists are joined by `_`. All numbers
are floats, as in Telegraf; text and booleans are left out unless `tag_keys` or `json_string_fields` name them.
"""

import json
import math
from collections.abc import Iterator
from typing import Annotated, Any

from pyagent.api import ConfigError, Metric, Options, ParseError, Parser, option
from pyagent.api.files import without_mark
from pyagent.api.units import format_number
from pyagent.kit.gjson import MISSING, Path, Unsupported, compile_path
from pyagent.kit.glob import Matcher, compile_patterns
from pyagent.kit.page_room import check_room
from pyagent.kit.records import read_objects
from pyagent.kit.timestamps import load_zone, parse_timestamp

__all__ = ["Json", "JsonOptions"]


class JsonOptions(Options, frozen=True):
    tag_keys: Annotated[list[str], option("keys, after joining, that become tags; * and ? are wildcards")] = []
    json_string_fields: Annotated[list[str], option("keys of text and booleans to keep as fields; wildcards")] = []
    metric_name: Annotated[str, option("measurement, where no key gives it; empty: the name of the plugin")] = ""
    json_name_key: Annotated[str, option("key whose text is the measurement")] = ""
    json_time_key: Annotated[str, option("key of the time; without one it is the present")] = ""
    json_time_format: Annotated[
        str, option("unix, unix_ms, unix_us, unix_ns, a name such as RFC3339, or a layout of Go's reference time")
    ] = ""
    json_timezone: Annotated[str, option("zone of times that name none: an IANA name or Local; empty: UTC")] = ""
    json_query: Annotated[str, option("path, in gjson's syntax, to the part of the document that counts")] = ""
    json_strict: Annotated[bool, option("one bad object costs the whole list; false: only itself")] = True


class Json(Parser[JsonOptions]):
    def setup(self) -> None:
        options = self.options
        self.measurement = options.metric_name or self.measurement
        self._is_tag = _matcher("tag_keys", options.tag_keys)
        self._is_field = _matcher("json_string_fields", options.json_string_fields)
        self._query: Path | None = None
        try:
            name = "json_timezone"
            self._zone = load_zone(options.json_timezone)
            name = "json_query"
            self._query = compile_path(options.json_query) if options.json_query else None
        except Unsupported:
            pass  # found in the text, which takes longer
        except ValueError as error:
            raise ConfigError(f"the option {name!r}: {error}", option=name) from None
        # Without a format each object with a time is a fault.
        self._timed = bool(options.json_time_key)
        self._reads_natively = not options.json_query and not (self._timed and not options.json_time_format)

    def parse(self, data: bytes) -> list[Metric]:
        is_list = self.options.json_query or without_mark(data[:100]).lstrip()[:1] != b"{"
        check_room(len(data), data.count(b"{") if is_list else 1, data.count(b","))
        if read_objects is not None and self._reads_natively:
            metrics = read_objects(
                without_mark(data),
                self.measurement,
                dict(self.default_tags),
                self._role,
                _string,
                format_number,
                self._time if self._timed else None,
                self.now(),
            )
            if metrics is not None:
                return metrics
        return self.reference(data)

    def _role(self, key: str) -> int:
        """As `pyagent.kit.records.read_objects` wants it."""
        options = self.options
        named, timed = key == options.json_name_key, key == options.json_time_key
        return bool(self._is_tag(key)) | bool(self._is_field(key)) << 1 | named << 2 | timed << 3

    def _time(self, value: str | float | bool) -> int:
        return parse_timestamp(self.options.json_time_format, value, self._zone)

    def reference(self, data: bytes) -> list[Metric]:
        """What `parse` makes of any data, in Python alone."""
        text = without_mark(data).decode("utf-8", "replace").strip().removeprefix("\ufeff")
        if not text:
            return []
        now = self.now()
        try:
            document = self._document(text)
            if isinstance(document, list):
                return self._list(document, now)
            if isinstance(document, dict):
                return [self._metric(document, now)]
        except json.JSONDecodeError as error:
            reason = f"column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"
            raise ParseError(reason, error.lineno) from None
        except RecursionError:
            raise ParseError("the document is nested too deeply") from None
        except ValueError as error:
            raise ParseError(str(error)) from None
        if document is None:
            return []
        raise ParseError(_WRONG_TYPE)

    def _document(self, text: str) -> Any:
        """What counts of a text: the whole, or what the query leads to, None for nothing."""
        if not self.options.json_query:
            return _read(text)
        try:
            part = self._query(_read(text)) if self._query is not None else _found(text, self.options.json_query)
        except ValueError:  # gjson finds what stands before a fault
            part = _found(text, self.options.json_query)
        if part is MISSING:
            return None
        if part is not None and not isinstance(part, dict | list):
            kind = {bool: "a boolean", str: "text"}.get(type(part), "a number")
            raise ValueError(f"json_query must lead to an object or a list of objects, and leads to {kind}")
        return part

    def _list(self, document: list[Any], now: int) -> list[Metric]:
        metrics = []
        for item in document:
            if not isinstance(item, dict):
                raise ValueError(_WRONG_TYPE)
            try:
                metrics.append(self._metric(item, now))
            except _OutOfRange:
                raise  # no JSON, as the library of Telegraf has it, and so whatever json_strict says
            except ValueError as error:
                if self.options.json_strict:
                    raise
                self.log.debug("an object is left out: %s", error)
        return metrics

    def _metric(self, document: dict[str, Any], time: int) -> Metric:
        options = self.options
        values = dict(_flatten("", document))
        name = self.measurement
        if options.json_name_key and isinstance(given := values.get(options.json_name_key), str):
            name = given
        if options.json_time_key:
            if not options.json_time_format:
                raise ValueError("'json_time_key' needs 'json_time_format' beside it")
            if options.json_time_key not in values:
                raise ValueError(f"'json_time_key': there is no {options.json_time_key!r}")
            time = self._time(values.pop(options.json_time_key))
        tags: dict[str, str] = dict(self.default_tags)
        fields: dict[str, str | float | bool] = {}
        for key, value in values.items():
            if self._is_tag(key):
                tags[key] = format_number(value) if isinstance(value, float) else _text(value)
            elif isinstance(value, float) or self._is_field(key):
                fields[key] = value
        return Metric(name, tags, fields, time)


class _OutOfRange(ValueError):
    """A number beyond a double's range."""


_WRONG_TYPE = "the document must be an object or a list of objects"


def _flatten(name: str, value: Any) -> Iterator[tuple[str, str | float | bool]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(f"{name}_{key}" if name else key, item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flatten(f"{name}_{index}" if name else str(index), item)
    elif isinstance(value, float):
        if math.isinf(value):
            raise _OutOfRange(f"the number of {name!r} is out of range")
        yield _unicode(name), value
    elif isinstance(value, str):
        yield _unicode(name), _unicode(value)
    elif value is not None:
        yield _unicode(name), value


def _unicode(text: str) -> str:
    r"""Halves of a surrogate pair, which \u escapes can spell alone, are no characters."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _string(literal: bytes) -> str:
    """What a string stands for, given as it is written. Raises ValueError."""
    return _unicode(json.loads(literal))


def _text(value: str | bool) -> str:
    return value if isinstance(value, str) else "true" if value else "false"


def _read(text: str) -> Any:
    return json.loads(text, parse_int=float, parse_constant=_not_a_number)


def _found(text: str, query: str) -> Any:
    from pyagent.kit.gjson_text import find

    raw = find(text, query).raw
    return _read(raw) if raw else MISSING


def _not_a_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _matcher(name: str, patterns: list[str]) -> Matcher:
    try:
        return compile_patterns(patterns)
    except ValueError as error:
        raise ConfigError(f"the option {name!r}: {error}", option=name) from None
