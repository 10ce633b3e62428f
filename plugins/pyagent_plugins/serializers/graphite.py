"""Graphite's plaintext protocol: a line `PATH VALUE TIME` for each field.

The path is made by a template of the measurement, the tags and the field; or it is measurement and field, with the tags behind
them, as Graphite 1.1 takes them (`graphite_tag_support`). Text fields, NaN and infinities are left out; booleans are 1 and 0.
"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated

from pyagent.api import ConfigError, Metric, Options, Serializer, option
from pyagent.kit.field_texts import FieldTexts, SeriesMemo, finite_text
from pyagent.kit.glob import Matcher, compile_patterns
from pyagent.kit.regex import compile_regex

__all__ = ["Graphite", "GraphiteOptions"]


class GraphiteOptions(Options, frozen=True):
    prefix: Annotated[str, option("text before each path, a separator behind it")] = ""
    template: Annotated[
        str, option("parts of a path, with dots: measurement, field, tags (those left over), and keys of tags")
    ] = "host.tags.measurement.field"
    templates: Annotated[
        list[str], option('"PATTERN TEMPLATE" for the measurements that match; one without a pattern is for the others')
    ] = []
    graphite_tag_support: Annotated[bool, option("write tags behind the path, as Graphite 1.1 takes them")] = False
    graphite_tag_sanitize_mode: Annotated[
        str, option("strict, or compatible: more characters may stand in tags (empty: strict)")
    ] = "strict"
    graphite_separator: Annotated[str, option("between measurement and field, with graphite_tag_support")] = "."
    graphite_strict_sanitize_regex: Annotated[
        str, option("regular expression of what becomes `_` (empty: all but letters, digits and `-:._=`)")
    ] = ""


_DEFAULT = "host.tags.measurement.field"
_HYPHENS = str.maketrans("/@*", "---")
_DROPPED = re.compile(r"\\|\.\.")
_NOT_STRICT = re.compile(r"[^a-zA-Z0-9\-:._=]")
_NOT_IN_KEY = re.compile(r"[^ \"-:<>-\]_a-~]")
_NOT_IN_VALUE = re.compile(r"[^ -:<-~]")
_FIELD = re.compile(r"\.FIELDNAME|FIELDNAME\.")
_MOST_FIELDS = 1000


class Graphite(Serializer[GraphiteOptions]):
    def setup(self) -> None:
        options = self.options
        self._template = options.template
        self._templates: list[tuple[Matcher, str]] = []
        for text in options.templates:
            self._add_template(text)
        self._strict = _strict(options.graphite_strict_sanitize_regex)
        self._compatible = options.graphite_tag_sanitize_mode == "compatible"
        if options.graphite_tag_sanitize_mode not in ("", "strict", "compatible"):
            self.log.warning(
                "there is no graphite_tag_sanitize_mode %r: strict is used", options.graphite_tag_sanitize_mode
            )
        self._texts = FieldTexts(text=lambda text: "", number=finite_text, boolean="01".__getitem__)
        make = self._tagged if options.graphite_tag_support else self._templated
        self._paths: SeriesMemo[_Paths] = SeriesMemo(lambda metric: _Paths(make(metric)))

    def serialize(self, metric: Metric) -> bytes:
        return self.serialize_batch([metric])

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        texts, paths_of = self._texts, self._paths.of
        lines: list[str] = []
        time, seconds = 0, " 0\n"
        for metric in metrics:
            if metric.time != time:
                time = metric.time
                # Towards 0, as integers are divided there.
                seconds = f" {time // 1_000_000_000 if time >= 0 else -(-time // 1_000_000_000)}\n"
            if (paths := paths_of(metric)).make is None:
                continue
            lines += [
                f"{paths[key]}{text}{seconds}"
                for key, value in metric.fields.items()
                if (text := texts[type(value)](value))
            ]
        return "".join(lines).encode("utf-8", "surrogateescape")

    def _add_template(self, text: str) -> None:
        match text.split():
            case [_]:
                self._template = text
            case [pattern, template]:
                try:
                    self._templates.append((compile_patterns([pattern]), template))
                except ValueError as error:
                    raise ConfigError(f"cannot use the template {text!r}: {error}", option="templates") from None
            case _:
                raise ConfigError(
                    f"cannot use the template {text!r}: give TEMPLATE or PATTERN TEMPLATE", option="templates"
                )

    def _templated(self, metric: Metric) -> Callable[[str], str] | None:
        template = next((made for matches, made in self._templates if matches(metric.name)), self._template)
        tags = dict(metric.tags)
        parts = []
        for part in (template or _DEFAULT).split("."):
            if word := {"measurement": metric.name, "tags": "TAGS", "field": "FIELDNAME"}.get(part):
                parts.append(word)
            elif part in tags:
                parts.append(tags.pop(part).replace(".", "_"))
        if "TAGS" in parts:
            parts[parts.index("TAGS")] = ".".join([tags[key].replace(".", "_") for key in sorted(tags)])
        bucket = ".".join([self.options.prefix, *parts] if self.options.prefix and parts else parts)
        if not bucket:
            return None
        strict = self._strict
        # A field called "value" has no part in the path.
        return lambda key: strict(_FIELD.sub("", bucket) if key == "value" else bucket.replace("FIELDNAME", key, 1))

    def _tagged(self, metric: Metric) -> Callable[[str], str]:
        strict, separator = self._strict, self.options.graphite_separator or "."
        named = [("_name" if key == "name" else key, value) for key, value in metric.tags.items()]
        if self._compatible:
            tags = [f"{_sanitized(_NOT_IN_KEY, key)}={_value(value)}" for key, value in named]
        else:
            tags = [strict(f"{key}={value}") for key, value in named]
        end = "".join([f";{tag}" for tag in sorted(tags)])
        start = (f"{self.options.prefix}{separator}" if self.options.prefix else "") + metric.name
        return lambda key: strict(start if key == "value" else start + separator + key) + end


class _Paths(dict[str, str]):
    """Those of one series by the keys of its fields, with the blank behind them. `make` is None: the template gives none."""

    def __init__(self, make: Callable[[str], str] | None) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, key: str) -> str:
        assert self.make is not None
        path = f"{self.make(key)} "
        if len(self) < _MOST_FIELDS:
            self[key] = path
        return path


def _strict(pattern: str) -> Callable[[str], str]:
    if not pattern:
        return lambda text: _sanitized(_NOT_STRICT, _cleaned(text))
    try:
        replace = compile_regex(pattern).replace
    except ValueError as error:
        raise ConfigError(str(error), option="graphite_strict_sanitize_regex") from None

    def sanitized(text: str) -> str:
        text = _cleaned(text)
        found = replace(text, ("_",))
        return text if found is None else found

    return sanitized


def _cleaned(text: str) -> str:
    return _DROPPED.sub(lambda found: "" if found[0] == "\\" else ".", text.translate(_HYPHENS))


def _sanitized(bad: re.Pattern[str], text: str) -> str:
    """Letters of any language may stay."""
    return bad.sub(lambda found: found[0] if found[0].isalpha() else "_", text)


def _value(text: str) -> str:
    # What begins with a tilde is none of Graphite's values.
    return _sanitized(_NOT_IN_VALUE, text).lstrip("~")
