"""Texts made of a metric, as Telegraf's templates have them: `telegraf/{{ .Tag "host" }}/{{ .Name | lower }}`.

Names, tags and fields, and the functions of Sprig that texts need; nothing else of Go's templates.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite, isnan
from types import MappingProxyType

from pyagent.api.errors import ConfigError
from pyagent.api.metric import FieldValue, Metric

__all__ = ["MetricTemplate", "value_text"]

_ELEMENT = re.compile(r"(\s*)\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_TOKEN = re.compile(r'\s*(?:("(?:[^"\\\n]|\\.)*")|`([^`]*)`|(-?\d+)\b|(\.?[A-Za-z]\w*)|([|()]))')
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_Text = Callable[[Metric], str]


def _trunc(text: str, length: str) -> str:
    return text[: int(length)] if int(length) >= 0 else text[int(length) :]


_FUNCTIONS: dict[str, tuple[int, Callable[..., str]]] = {
    "lower": (0, lambda text: text.lower()),
    "upper": (0, lambda text: text.upper()),
    "title": (0, lambda text: text.title()),
    "trim": (0, lambda text: text.strip()),
    "nospace": (0, lambda text: "".join(text.split())),
    "trimAll": (1, lambda text, cut: text.strip(cut)),
    "trimPrefix": (1, lambda text, cut: text.removeprefix(cut)),
    "trimSuffix": (1, lambda text, cut: text.removesuffix(cut)),
    "trunc": (1, _trunc),
    "default": (1, lambda text, other: text or other),
    "replace": (2, lambda text, old, new: text.replace(old, new)),
}
"""By name: how many arguments stand before the text, and the function of the text and these."""


class MetricTemplate:
    """Raises ConfigError, about `option`, for what cannot be used. `more`: further names, as `.Prefix`, and their texts."""

    def __init__(self, text: str, option: str, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self.text = text
        self._pieces: list[str | _Text] = []
        rest = 0
        strips = False
        for element in _ELEMENT.finditer(text):
            before = text[rest : element.start()] + ("" if element[2] else element[1])
            self._pieces += [before.lstrip() if strips else before, _Parser(element[3], element[0], option, more).all()]
            rest, strips = element.end(), bool(element[4])
        self.is_constant = not rest
        self._pieces.append(text[rest:].lstrip() if strips else text[rest:])

    @property
    def constants(self) -> str:
        """What stands outside of the elements."""
        return "".join([piece for piece in self._pieces if isinstance(piece, str)])

    def of(self, metric: Metric) -> str:
        return "".join([piece if isinstance(piece, str) else piece(metric) for piece in self._pieces])


class _Parser:
    """Of one element: operands, calls and pipes."""

    def __init__(self, text: str, shown: str, option: str, more: Mapping[str, str]) -> None:
        self._shown, self._option, self._more = shown.strip(), option, more
        self._tokens: list[tuple[str, str]] = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._error()
            quoted, raw, number, word, mark = match.groups()
            if quoted is not None:
                raw = re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), quoted[1:-1])
            self._tokens.append(
                ("text", raw or "") if raw is not None else ("text", number) if number else ("", word or mark)
            )
            position = match.end()

    def all(self) -> _Text:
        found = self._pipeline()
        if self._tokens:
            raise self._error()
        return found

    def _pipeline(self) -> _Text:
        found = self._command(None)
        while self._tokens[:1] == [("", "|")]:
            del self._tokens[0]
            found = self._command(found)
        return found

    def _command(self, piped: _Text | None) -> _Text:
        if not self._tokens:
            raise self._error()
        kind, word = self._tokens[0]
        if not kind and word in _FUNCTIONS:
            del self._tokens[0]
            count, function = _FUNCTIONS[word]
            wanted = count + (piped is None)
            arguments = [self._operand() for _ in range(wanted)]
            source = piped or arguments.pop()
            return lambda metric: function(source(metric), *[argument(metric) for argument in arguments])
        if piped is not None:
            raise self._error()
        return self._operand()

    def _operand(self) -> _Text:
        if not self._tokens:
            raise self._error()
        kind, word = self._tokens.pop(0)
        if kind:
            return lambda metric: word
        if word == "(":
            found = self._pipeline()
            if self._tokens[:1] != [("", ")")]:
                raise self._error()
            del self._tokens[0]
            return found
        if word in (".Name", ".PluginName"):
            return lambda metric: metric.name
        if word == ".Hostname":
            return lambda metric: metric.tags.get("host", "")
        if (known := self._more.get(word)) is not None:
            return lambda metric: known
        if word in (".Tag", ".GetTag", ".Field", ".GetField") and self._tokens[:1] and self._tokens[0][0]:
            _, key = self._tokens.pop(0)
            if word.endswith("Tag"):
                return lambda metric: metric.tags.get(key, "")
            return lambda metric: value_text(metric.fields.get(key, ""))
        raise self._error()

    def _error(self) -> ConfigError:
        return ConfigError(
            f'cannot use {self._shown} in a template: there are {{{{ .Name }}}}, {{{{ .Tag "key" }}}}, {{{{ .Field "key" }}}}, '
            f"and the functions {', '.join(_FUNCTIONS)}",
            option=self._option,
        )


def value_text(value: FieldValue) -> str:
    """A field's value as Telegraf writes it where it stands alone: without an exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, float):
        return str(value)
    if not isfinite(value):
        return "NaN" if isnan(value) else f"{value:+}".title()
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
