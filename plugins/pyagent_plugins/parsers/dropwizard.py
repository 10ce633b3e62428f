"""Registries of Dropwizard's metrics, as JSON: each metric in it is one.

Numbers, texts and booleans are fields; numbers are floats. A name like `jobs,queue=mail` has tags.
"""

import json
import re
from math import inf, isinf
from typing import Annotated, Any

from pyagent.api import FieldValue, Metric, Options, ParseError, Parser, option
from pyagent.kit.gjson_text import find
from pyagent.kit.surrogates import whole_characters
from pyagent.kit.templates import Templates
from pyagent.kit.timestamps import parse_timestamp

__all__ = ["Dropwizard", "DropwizardOptions"]


class DropwizardOptions(Options, frozen=True):
    dropwizard_metric_registry_path: Annotated[str, option("path, in gjson's syntax, to the registry; empty: all")] = ""
    dropwizard_time_path: Annotated[str, option("path to the time; empty: it is the present")] = ""
    dropwizard_time_format: Annotated[str, option("a layout of Go's reference time; empty: RFC 3339")] = ""
    dropwizard_tags_path: Annotated[str, option("path to an object of tags for all metrics")] = ""
    dropwizard_tag_paths_map: Annotated[
        dict[str, str], option("tags for all metrics, where the object has none: paths by key")
    ] = {}
    separator: Annotated[str, option("between words of a name that come together, for the templates")] = ""
    templates: Annotated[list[str], option("how names are read: [SEPARATOR] [FILTER] TEMPLATE [TAG=VALUE,...]")] = []


_RFC3339 = "2006-01-02T15:04:05Z07:00"
_NAMED = re.compile(
    r"unix(_ms|_us|_ns)?|timestamp_tz.*|(ansic|(unix|ruby)date|rfc[0-9]+(z|nano)?|stamp(milli|micro|nano)?)", re.I
)
_KINDS = ("counter", "meter", "gauge", "histogram", "timer")
_TAG = r"(?:[^\t\n\v\f\r ,=\\]|\\[^\t\n\v\f\r])++"
_SERIES = re.compile(
    rf"((?:[^\t\n\v\f\r ,\\#]|\\[^\t\n\v\f\r])(?:[^\t\n\v\f\r ,\\]|\\[^\t\n\v\f\r])*+)((?:,{_TAG}={_TAG})*+)(?:\r?\n)?+"
)
_TAGS = re.compile(f",({_TAG})=({_TAG})")
_ESCAPED = re.compile(r'\\([," =])')
_ESCAPED_IN_NAME = re.compile(r"\\([, ])")


class Dropwizard(Parser[DropwizardOptions]):
    def setup(self) -> None:
        options = self.options
        self._layout = options.dropwizard_time_format or _RFC3339
        self._templates = Templates(options.templates, options.separator) if options.templates else None

    def parse(self, data: bytes) -> list[Metric]:
        try:
            return self._metrics(whole_characters(data.decode("utf-8", "replace")))
        except json.JSONDecodeError as error:
            reason = f"column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"
            raise ParseError(f"cannot read the registry: {reason}", error.lineno) from None
        except RecursionError:
            raise ParseError("the document is nested too deeply") from None
        except ValueError as error:
            raise ParseError(str(error)) from None

    def _metrics(self, text: str) -> list[Metric]:
        time = self._time(text)
        path = self.options.dropwizard_metric_registry_path
        raw = find(text, path).raw if path else text
        if path and not raw:
            raise ValueError(f"there is no registry of metrics at 'dropwizard_metric_registry_path' = {path!r}")
        registry = json.loads(raw, parse_constant=_not_a_number)
        if registry is not None and not isinstance(registry, dict):
            raise ValueError("the registry of metrics must be an object")
        common = self._tags(text)
        metrics = []
        for kind in _KINDS:
            known = (registry or {}).get(f"{kind}s")
            for known_name, values in known.items() if isinstance(known, dict) else ():
                name, tags, prefix = self._name(known_name, kind)
                tags = {**self.default_tags, **common, **tags}
                metrics.append(Metric(name, tags, _fields(values, prefix), time))
        return metrics

    def _name(self, text: str, kind: str) -> tuple[str, dict[str, str], str]:
        """Of a metric its measurement, tags, and what stands before the names of its fields."""
        tags: dict[str, str] = {}
        prefix = ""
        if self._templates is not None:
            text, tags, prefix = self._templates.apply(text)
            prefix += self.options.separator if prefix else ""
        series = _SERIES.fullmatch(text)
        if series is None:
            return text, {"metric_type": kind, **tags}, prefix
        own = {_ESCAPED.sub(r"\1", key): _ESCAPED.sub(r"\1", value) for key, value in _TAGS.findall(series[2])}
        return _ESCAPED_IN_NAME.sub(r"\1", series[1]), {**own, "metric_type": kind, **tags}, prefix

    def _time(self, document: str) -> int:
        path = self.options.dropwizard_time_path
        if not path:
            return self.now()
        if not (text := find(document, path).text()):
            raise ValueError(f"there is no time at 'dropwizard_time_path' = {path!r}")
        if _NAMED.fullmatch(self._layout):  # here Telegraf knows no names of layouts
            raise ValueError(f"cannot read the time {text[:80]!r} by the layout {self._layout!r}")
        return parse_timestamp(self._layout, text)

    def _tags(self, document: str) -> dict[str, str]:
        if path := self.options.dropwizard_tags_path:
            found = find(document, path).value
            if isinstance(found, dict) and all(isinstance(value, str) or value is None for value in found.values()):
                if found:
                    return {key: value or "" for key, value in found.items()}
            else:
                self.log.warning("cannot use the tags at %r: it is no object of texts", path)
        return {key: find(document, path).text() for key, path in self.options.dropwizard_tag_paths_map.items()}


def _fields(values: Any, prefix: str) -> dict[str, FieldValue]:
    fields: dict[str, FieldValue] = {}
    for key, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, bool | str):
            fields[prefix + key] = value
        elif isinstance(value, int | float):
            fields[prefix + key] = _number(value)
    return fields


def _number(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = inf
    if isinf(number):
        raise ValueError("a number is out of range")
    return number


def _not_a_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")
