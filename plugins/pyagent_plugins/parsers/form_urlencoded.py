"""What a form of HTML sends: `key=value&key=value`, one metric.

Numbers are fields, all of them floats; texts are left out unless they are tags.
"""

import re
from typing import Annotated
from urllib.parse import unquote_to_bytes

from pyagent.api import FieldValue, Metric, Options, ParseError, Parser, option
from pyagent.kit.numbers import parse_float

__all__ = ["FormUrlencoded", "FormUrlencodedOptions"]


class FormUrlencodedOptions(Options, frozen=True):
    form_urlencoded_tag_keys: Annotated[list[str], option("keys that are tags")] = []


_BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")


class FormUrlencoded(Parser[FormUrlencodedOptions]):
    def parse(self, data: bytes) -> list[Metric]:
        text = data.decode("utf-8", "surrogateescape").strip()
        if not text:
            return []
        values: dict[str, str] = {}
        for pair in text.split("&"):
            if ";" in pair:
                raise ParseError(f"a semicolon must be written as %3B: {pair[:80]!r}")
            if pair:
                key, _, value = pair.partition("=")
                values.setdefault(_unquoted(key), _unquoted(value))
        tags: dict[str, str] = {}
        for key in self.options.form_urlencoded_tag_keys:
            if key and key in values:
                tags[key] = values.pop(key)
        fields: dict[str, FieldValue] = {}
        for key, value in values.items():
            if key and (number := parse_float(value)) is not None:
                fields[key] = number
        return [Metric(self.measurement, {**tags, **self.default_tags}, fields, self.now())]


def _unquoted(text: str) -> str:
    if "%" in text:
        if bad := _BAD_ESCAPE.search(text):
            raise ParseError(f"{text[bad.start() : bad.start() + 3]!r} is no escape; a % is written as %25")
        raw = unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogateescape"))
        return raw.decode("utf-8", "surrogateescape")
    return text.replace("+", " ")
