"""Subjects: one for all metrics, or made of each one's name, tags and fields."""

import re
from collections.abc import Callable

from pyagent.api import ConfigError, Metric
from pyagent.api.units import format_number
from pyagent.kit.shown import quoted

__all__ = ["Subject", "wrong_with"]

_ELEMENT = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
_KNOWN = re.compile(r"""\s*\.(?P<what>Name|Tag|GetTag|Field)(?:\s+(?P<quote>["`])(?P<key>[^"`\\]+)(?P=quote))?\s*""")
_BAD_TOKEN = re.compile(r"[\s\x00-\x1f\x7f]")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_LONGEST = 3800
"""Bytes: nats-server closes the connection of whoever sends a line of more than 4096, which has the answer's subject, too."""


class Subject:
    """The value of the option `subject`. Raises ConfigError for what is no subject, and for a template that cannot be used."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces: list[str | Callable[[Metric], str]] = []
        rest = 0
        for element in _ELEMENT.finditer(text):
            self._pieces += [text[rest : element.start()], _element(element)]
            rest = element.end()
        self.is_template = rest > 0
        if not self.is_template and wrong_with(text):
            raise ConfigError(f"cannot publish to the subject {quoted(text)}: {_RULES}", option="subject")
        self._pieces.append(text[rest:])

    def of(self, metric: Metric) -> str:
        """It may be none that a message can be sent to: see `wrong_with`."""
        return "".join([piece if isinstance(piece, str) else piece(metric) for piece in self._pieces])


_RULES = "it needs words with a point between each two, and without spaces, * and >"


def wrong_with(text: str) -> str:
    """Why no message can be sent to it; empty: one can."""
    if _NOT_UTF8.search(text):
        return "it is not UTF-8"
    if _BAD_TOKEN.search(text):
        return "it has a space or a control character"
    if len(text.encode()) > _LONGEST:
        return f"it has more than {_LONGEST} bytes"
    words = text.split(".")
    if "" in words:
        return "it has an empty word: a tag or field of the template is missing, or has a point at its begin or end"
    return "a word of it is a wildcard" if "*" in words or ">" in words else ""


def _element(element: re.Match[str]) -> Callable[[Metric], str]:
    found = _KNOWN.fullmatch(element[1])
    what, key = (found["what"], found["key"]) if found else ("", None)
    if what == "Name" and key is None:
        return lambda metric: metric.name
    if what in ("Tag", "GetTag") and key is not None:
        return lambda metric: metric.tags.get(key, "")
    if what == "Field" and key is not None:
        return lambda metric: _text(metric.fields.get(key, ""))
    raise ConfigError(
        f'cannot use {element[0]} in a subject: use {{{{ .Name }}}}, {{{{ .Tag "key" }}}} or {{{{ .Field "key" }}}}',
        option="subject",
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format_number(value) if isinstance(value, float) else str(value)
